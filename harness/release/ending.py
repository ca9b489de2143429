"""The end of a side: its users made to leave, its pods gone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from harness.errors import ConfigurationError, IllegalMove, StillInUse
from harness.release import bluegreen, usage
from harness.release.bluegreen import State
from harness.release.clock import Clock
from harness.waiting import until

if TYPE_CHECKING:
    from harness.cluster.kube import Kube
    from harness.config import Config
    from harness.release.switches import Switch

SLACK_SECONDS = 30.0
"""Beyond a pod's grace period: how long the kubelet and the API server may take to tell that it is gone."""
GRACE_SECONDS = 30.0
"""Kubernetes' default of terminationGracePeriodSeconds."""
EVERY_SECONDS = 0.2


class Tell(Protocol):
    """Writes an event to the journal."""

    def __call__(self, name: str, **fields: object) -> None: ...  # noqa: D102


class Ending:
    """Ends one application's sides.

    Args:
        kube, namespace, config: where.
        clock: to wait and stamp by.
        tell: the journal.
        switch: of a tool that keeps the sides' sizes too.

    """

    def __init__(self, kube: Kube, namespace: str, config: Config, clock: Clock, tell: Tell, switch: Switch) -> None:
        self._kube = kube
        self._switch = switch
        self._namespace = namespace
        self._config = config
        self._clock = clock
        self._tell = tell

    def retire(self, state: State, after: float | None, side: str | None, despite_users: bool) -> State:
        """Scale a side to nothing; arguments and errors as ``Release.retire``'s."""
        warm = self._config.limits.warm_seconds if after is None else after
        target = side or state.idle
        seen: dict[str, int | None] = {"open": None, "arrivals": None}
        try:
            bluegreen.check_retire(state, self._clock.now(), warm, side)
            if self._config.admin is not None and not despite_users:
                users = usage.observe(self._kube, self._namespace, self._deployment(target), self._config.admin,
                                      self._clock)  # fmt: skip
                seen = {"open": users.open, "arrivals": users.arrivals}
                usage.check_idle(target, users)
        except (IllegalMove, StillInUse) as error:
            self._tell("retire.refused", reason=error.what, side=target, **seen)
            raise
        self._tell("retire.sent", side=target)
        if not self._switch.put(target, None, 0):
            self._kube.scale(self._namespace, self._deployment(target), 0)
        after_it = bluegreen.retired(state, self._clock.now(), warm, side)
        self._tell("retire.done", side=target, **seen)
        return after_it

    def wait_gone(self, side: str) -> None:
        """Wait until no pod of a side is left.

        Raises:
            WaitTimeout: one outlives its grace period.

        """
        name = self._deployment(side)
        pod = self._kube.get_deployment(self._namespace, name)["spec"]["template"]["spec"]
        until(
            lambda: not self._kube.pods_of(self._namespace, name),
            f"the pods of {name} to be gone",
            timeout=float(pod.get("terminationGracePeriodSeconds") or GRACE_SECONDS) + SLACK_SECONDS,
            every=EVERY_SECONDS,
            mend="see in cluster/ what holds them up",
            clock=self._clock.now,
            sleep=self._clock.sleep,
        )
        self._tell("retire.gone", side=side)

    def drain(self, state: State, side: str | None) -> None:
        """Have a side's users leave while its pods go on; errors as ``Release.drain``'s."""
        target = side or state.idle
        admin = self._config.admin
        if admin is None or admin.drain is None:
            mend = 'name the path by which a POST to the admin port begins it: [admin] drain = "/drain"'
            raise ConfigurationError(f"{self._config.file}: the application can't be asked to drain", mend)
        try:
            bluegreen.check_retire(state, self._clock.now(), 0, side)
        except IllegalMove as error:
            self._tell("drain.refused", reason=error.what, side=target)
            raise
        name = self._deployment(target)
        pods = [pod.name for pod in self._kube.pods_of(self._namespace, name) if pod.phase == "Running"]
        self._tell("drain.sent", side=target, pods=pods)
        for pod in pods:
            self._kube.post_raw(self._namespace, pod, admin.port, admin.drain)
        deadline = self._clock.now() + self._config.limits.ready_seconds
        while left := usage.open_connections(self._kube, self._namespace, name, admin):
            if self._clock.now() >= deadline:
                self._tell("drain.finished", side=target, open=left)
                raise StillInUse(
                    f"drain: {left} connections are still open on {target} ({name})"
                    f" after {self._config.limits.ready_seconds:g} s",
                    "find out who holds them: a drain closes each connection with an answer or a close frame",
                )
            self._clock.sleep(EVERY_SECONDS)
        self._tell("drain.finished", side=target, open=0)

    def _deployment(self, side: str) -> str:
        name: str = self._config.sides.deployments[side]
        return name

"""What can be done to one pod by the application's own switches, and by deleting or draining it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from harness.config import Config
from harness.errors import ClusterError
from harness.faults.switched import post
from harness.journal import Journal
from harness.waiting import until

if TYPE_CHECKING:
    from harness.cluster.answers import PodInfo
    from harness.cluster.kube import Kube
    from harness.release.verbs import Release

CONFIRM_S = 30.0
HEAL_S = 90.0
LOOK_S = 1.0
"""How long /livez of a pod that hangs is waited for; it answers within milliseconds otherwise."""
LIVENESS = "livez"


class Pods:
    """The pods of a release; every act is an event.

    Args:
        kube, namespace, config: where, and how the switches are reached.
        release: tells which side is which.
        journal: the scenario's record.

    """

    def __init__(self, kube: Kube, namespace: str, config: Config, release: Release, journal: Journal) -> None:
        self._kube = kube
        self._namespace = namespace
        self._config = config
        self._release = release
        self._journal = journal

    def ready(self, side: str | None = None) -> list[str]:
        """The side's ready pods by name; of the active side, unless named."""
        return [pod.name for pod in self._all(side or self._release.active) if pod.ready and not pod.terminating]

    @contextlib.contextmanager
    def unready(self, pod: str) -> Iterator[None]:
        """The pod tells that it isn't ready, and serves on; seen by its condition, which the kubelet writes."""
        with self._fault("pod-unready", pod):
            self._switch(pod, "ready?on=0")
            try:
                self._confirm("pod-unready", pod, lambda: not self._info(pod).ready)
                yield
            finally:
                self._switch(pod, "ready?on=1")
                until(lambda: self._info(pod).ready, f"{pod} to be ready again", timeout=HEAL_S, every=0.1)

    @contextlib.contextmanager
    def hung(self, pod: str, *, restarts: bool = True) -> Iterator[None]:
        """The pod's /livez gets no answer; seen by asking it, and healed by its restart, which the block's end awaits.

        Args:
            pod: its name.
            restarts: whether a restart is expected; otherwise the switch is turned back.

        """
        before = self._info(pod).restarts
        with self._fault("pod-hung", pod):
            self._switch(pod, "hang?on=1")
            try:
                self._confirm("pod-hung", pod, lambda: not self._lives(pod) or self._info(pod).restarts > before)
                yield
            finally:
                if restarts:
                    until(
                        lambda: self._info(pod).restarts > before, f"{pod} to be restarted", timeout=HEAL_S, every=0.5
                    )
                else:
                    self._switch(pod, "hang?on=0")
                until(lambda: self._info(pod).ready, f"{pod} to be ready again", timeout=HEAL_S, every=0.5)

    @contextlib.contextmanager
    def slow(self, pod: str, milliseconds: int) -> Iterator[None]:
        """All that the pod answers, to users and probes, is so much later; seen by asking its /livez."""
        with self._fault("pod-slow", pod):
            self._switch(pod, f"delay?ms={milliseconds}")
            try:
                self._confirm("pod-slow", pod, lambda: self._takes(pod) >= milliseconds / 1000)
                yield
            finally:
                self._heal_delay(pod)

    def delete(self, pod: str) -> None:
        """Delete a pod as a node's drain or a rollout does, with the grace that it asks for."""
        self._journal.event("pod.deleted", pod=pod)
        self._kube.delete_pod(self._namespace, pod)

    def drain(self, pod: str) -> None:
        """Have a pod drain though nobody deletes it: it leaves by its readiness, and stays, empty."""
        self._journal.event("pod.drained", pod=pod)
        self._switch(pod, "drain")

    def drain_side(self, side: str) -> None:
        """Have all ready pods of a side drain."""
        pods = self.ready(side)
        self._journal.event("side.drained", side=side, pods=pods)
        for pod in pods:
            self.drain(pod)

    def wait_ready(self, count: int, side: str | None = None) -> None:
        """Until so many pods of the side are ready.

        Raises:
            WaitTimeout: they aren't in time.

        """
        name = side or self._release.active
        until(lambda: len(self.ready(name)) >= count, f"{count} ready pods of {name}", timeout=HEAL_S, every=0.2)

    def _heal_delay(self, pod: str) -> None:
        """A pod that was restarted for it is fast again by itself, and may not answer in this very moment."""

        def healed() -> bool:
            try:
                self._switch(pod, "delay?ms=0")
            except ClusterError:
                return False
            return self._info(pod).ready

        until(healed, f"{pod} to be fast and ready again", timeout=HEAL_S, every=0.5)

    def _all(self, side: str) -> tuple[PodInfo, ...]:
        return self._kube.pods_of(self._namespace, self._config.sides.deployments[side])

    def _info(self, pod: str) -> PodInfo:
        for side in self._config.sides.deployments:
            for one in self._all(side):
                if one.name == pod:
                    return one
        raise ClusterError(f"pod {pod} is gone", "something else has deleted it")

    def _switch(self, pod: str, what: str) -> None:
        post(self._kube, self._namespace, self._config, pod, what)

    def _lives(self, pod: str) -> bool:
        try:
            self._kube.get_raw(self._namespace, pod, self._port, LIVENESS, timeout=LOOK_S)
        except ClusterError:
            return False
        return True

    def _takes(self, pod: str) -> float:
        """Seconds until /livez is answered; 0 where it isn't."""
        began = time.monotonic()
        try:
            self._kube.get_raw(self._namespace, pod, self._port, LIVENESS, timeout=CONFIRM_S)
        except ClusterError:
            return 0.0
        return time.monotonic() - began

    @property
    def _port(self) -> int:
        """Users' port of the container, by the applied Deployment."""
        name = self._config.sides.deployments[self._release.active]
        containers = self._kube.get_deployment(self._namespace, name)["spec"]["template"]["spec"]["containers"]
        ports = next(one["ports"] for one in containers if one["name"] == self._config.app.container)
        assert self._config.admin is not None, "asked before"  # noqa: S101
        return next(int(one["containerPort"]) for one in ports if one["containerPort"] != self._config.admin.port)

    @contextlib.contextmanager
    def _fault(self, kind: str, target: str) -> Iterator[None]:
        self._journal.event("fault.injected", kind=kind, target=target)
        yield
        self._journal.event("fault.healed", kind=kind, target=target)

    def _confirm(self, kind: str, target: str, seen: Callable[[], bool]) -> None:
        until(seen, f"an effect of {kind}", timeout=CONFIRM_S, every=0.1)
        self._journal.event("fault.confirmed", kind=kind, target=target)

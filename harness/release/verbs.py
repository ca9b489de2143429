"""The verbs of a release: each checks that the move is legal, makes it, and journals what was done and seen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from harness.errors import ClusterError, IllegalMove, ReleaseError, RolloutFailed, SmokeFailed
from harness.release import bluegreen, manifests, rollout, smoke
from harness.release.bluegreen import State
from harness.release.breach import Ask, Breach, wait_for
from harness.release.clock import Clock
from harness.release.ending import Ending
from harness.release.flip import LEAD_SECONDS, check_lead, check_open, flip
from harness.release.observer import Observer
from harness.release.probes import ProbeGate

if TYPE_CHECKING:
    from harness.cluster.answers import Json, RolloutStatus
    from harness.cluster.kube import Kube
    from harness.config import Config
    from harness.journal import Journal
    from harness.release.switches import Switch


class Release:
    """One application's releases in one namespace.

    Args:
        kube: the cluster.
        config: the application.
        switch: points users at a side.
        journal: where everything is written; not closed here.
        namespace: where the application runs.
        smoke_image: the smoke runner's image.
        breached: asked by ``watch`` whether a limit is breached, unless told otherwise there.
        clock: to wait and stamp by.

    """

    def __init__(
        self,
        kube: Kube,
        config: Config,
        switch: Switch,
        journal: Journal,
        namespace: str,
        *,
        smoke_image: str,
        breached: Ask | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._kube = kube
        self._config = config
        self._switch = switch
        self._journal = journal
        self._namespace = namespace
        self._smoke_image = smoke_image
        self._breached = breached
        self._clock = clock or Clock()
        self._now: State | None = None
        self._smokes = 0
        self._ending = Ending(kube, namespace, config, self._clock, self._event, switch)
        self._unsure: tuple[str, str, Callable[[State], State]] | None = None
        self.observer = Observer(kube, namespace, config, journal, self._wanted, self._clock, switch.sides)
        self.probes = ProbeGate(kube, namespace, config, self._event)

    @property
    def state(self) -> State:
        """What the release knows.

        Raises:
            IllegalMove: nothing is installed yet.

        """
        if self._now is None:
            raise IllegalMove("nothing is installed yet", "call install() first")
        return self._now

    @property
    def active(self) -> str:
        """The side that users are pointed at."""
        return self.state.active

    @property
    def idle(self) -> str:
        """The other side."""
        return self.state.idle

    def version_of(self, side: str) -> str | None:
        """What was last put on a side; None if nothing."""
        return self.state.sides[side].version

    def deployment_of(self, side: str) -> str:
        """The side's Deployment."""
        return self._config.sides.deployments[side]

    def install(self, version: str, objects: Sequence[Json]) -> None:
        """Apply the application's objects and wait until the active side is ready; then observe it all.

        Args:
            version: the live version at first, for which the objects were prepared.
            objects: as ``harness.release.manifests.prepare`` gives them.

        Raises:
            ConfigurationError: the API server refuses an object.
            RolloutFailed: the active side isn't ready within ``limits.ready_seconds``.
            IllegalMove: something is installed already.

        """
        if self._now is not None:
            raise IllegalMove(f"install {version}: {self.active} runs {self.version_of(self.active)}", "use deploy()")
        if not self._switch.install(objects):
            manifests.apply(self._kube, self._config, objects, self._namespace)
        side = self._switch.active()
        status = self._wait(side, version, "install")
        one, other = self._config.sides.deployments
        self._now = bluegreen.installed((one, other), side, version, status.wanted)
        self._event("install.ready", side=side, version=version, ready=status.ready, wanted=status.wanted)
        self.probes.look("install", side)
        self.observer.start()

    def deploy(self, version: str, side: str | None = None, at_once: int | None = None) -> None:
        """Bring a version up on the idle side, in the active side's size, and wait for its rollout.

        So many pods start ``at_once`` as is said; all of them unless it is.

        Raises:
            IllegalMove: the side is active, the version is live already, or the probes are unsafe.
            RolloutFailed: it isn't ready within ``limits.ready_seconds``.

        """
        self._settle()
        version = self._config.version(version)
        target = side or self.idle
        try:
            wanted = self._kube.rollout_status(self._namespace, self.deployment_of(self.active)).wanted
            after = bluegreen.deploying(self.state, version, wanted, side)
            self.probes.check("deploy", target)
            name, image = self.deployment_of(target), self._config.app.image_of(version)
            self._now = after
            self._event("deploy.started", side=target, version=version, color=self._switch.color(target))
            for size in rollout.steps(wanted, wanted if at_once is None else at_once):
                if not self._switch.put(target, image, size):
                    self._kube.patch_deployment_image(self._namespace, name, self._config.app.container, image)
                    self._kube.scale(self._namespace, name, size)
                status = self._wait(target, version, "deploy")
        except (IllegalMove, RolloutFailed) as error:
            self._told(error, "deploy.refused", side=target, version=version)
            raise
        self._now = bluegreen.seen(self.state, target, status.ready, complete=True)
        color = self._switch.color(target)
        self._event("deploy.ready", side=target, version=version, color=color, ready=status.ready, wanted=status.wanted)

    def smoke(self) -> None:
        """Check the idle side by its internal name, from inside the cluster, before users see it.

        Raises:
            IllegalMove: nothing is up there.
            SmokeFailed: an answer was wrong or missing; with the detail.
            ClusterError: the runner itself can't run.

        """
        self._settle()
        side, version = self.idle, self.version_of(self.idle)
        self._look_at(side)
        try:
            bluegreen.check_smoke(self.state)
            self._smokes += 1
            job = smoke.job(self._config, side, version, self._smoke_image, self._smokes, self._switch.preview(side))
            detail = smoke.run(self._kube, self._namespace, job, smoke.limit_seconds(self._config), self._clock)
        except (IllegalMove, SmokeFailed) as error:
            if isinstance(error, SmokeFailed):
                self._now = bluegreen.smoked(self.state, passed=False)
            self._told(error, "smoke.failed", side=side, version=version, detail=error.what)
            raise
        self._now = bluegreen.smoked(self.state, passed=True)
        self._event("smoke.passed", side=side, version=version, detail=detail)

    def cutover(self, lead_s: float = LEAD_SECONDS) -> None:
        """Point users at the idle side, at an instant announced ``lead_s`` seconds (at least 1) before, by one request.

        Raises:
            IllegalMove: the idle side isn't up, hasn't passed smoke, or has unsafe probes; or the switch was moved.
            ClusterError: the request was refused, or not answered.

        """
        check_lead("cutover", lead_s)
        self._settle()
        self._look_at(self.idle)
        self._flip("cutover", bluegreen.check_cutover, lambda s: bluegreen.cut_over(s, self._clock.now()), lead_s)

    def rollback(self, lead_s: float = LEAD_SECONDS) -> None:
        """Point users back at the side they came from; errors as ``cutover``.

        Raises:
            IllegalMove: there was no cutover, or the previous side isn't running.
            ClusterError: the request was refused, or not answered.

        """
        check_lead("rollback", lead_s)
        self._settle()
        if self.state.previous is not None:
            self._look_at(self.state.previous)
        self._flip("rollback", bluegreen.check_rollback, bluegreen.rolled_back, lead_s)

    def watch(self, seconds: float, breached: Ask | None = None) -> Breach | None:
        """Watch users for a while. A breached limit rolls back by itself, is journaled with its reason, and ends it.

        Args:
            seconds: how long.
            breached: polled about each 0.5 s; what it returns is the breach.

        Returns:
            The breach, or None.

        Raises:
            ReleaseError: a breach, and the rollback isn't legal: users stay where they are.
            ClusterError: a breach, and the rollback's request failed.

        """
        self._event("watch.started", seconds=seconds)
        started = self._clock.now()
        breach = wait_for(breached or self._breached or (lambda: None), seconds, self._clock)
        try:
            if breach is not None:
                told = {"check": breach.check, "measured": breach.measured, "limit": breach.limit}
                self._event("watch.breached", **told, detail=breach.detail)
                self.rollback()
        finally:
            self.observer.look()
            self._event("watch.finished", seconds=self._clock.now() - started)
        return breach

    def drain(self, side: str | None = None) -> None:
        """Have the pods of a side (the idle one) make their users leave; wait until nobody is there; they go on.

        Raises:
            IllegalMove: the side is active, or empty.
            ConfigurationError: the application has no ``admin.drain``.
            StillInUse: users are still there after ``limits.ready_seconds``.

        """
        self._settle()
        self._ending.drain(self.state, side)

    def retire(self, after: float | None = None, side: str | None = None, *, despite_users: bool = False) -> None:
        """Scale the idle side to nothing, once it has been warm for long enough and nobody is on it, until it is gone.

        Args:
            after: warm seconds instead of ``limits.warm_seconds``.
            side: the idle one, unless named.
            despite_users: whoever is still there is left to the pods' own way of ending.

        Raises:
            IllegalMove: the side is active, empty, or not warm for long enough.
            StillInUse: the application tells open connections or arrivals there.
            WaitTimeout: its pods outlive their grace period.

        """
        self._settle()
        self._now = self._ending.retire(self.state, after, side, despite_users)
        self._ending.wait_gone(side or self.idle)

    def close(self) -> None:
        """Look at everything a last time and stop observing.

        Raises:
            HarnessError: the observer broke.

        """
        if self._now is not None:
            self.observer.look()
        self.observer.stop()

    def _flip(self, move: str, check: Callable[[State], str], after: Callable[[State], State], lead_s: float) -> None:
        before = self.state
        try:
            target = check(before)
            check_open(self._switch, self.observer, self.probes, move, before.active, target)
        except IllegalMove as error:
            self._told(error, "cutover.refused", move=move)
            raise
        try:
            flip(self._switch, self._event, self._clock, move, before, target, lead_s)
        except ClusterError:
            self._unsure = move, target, after
            raise
        self._now = after(before)
        self.observer.look_at_pods()

    def _settle(self) -> None:
        """Find out whether a flip that wasn't answered took effect, before anything else is done."""
        if self._unsure is not None:
            move, target, after = self._unsure
            if happened := self._switch.active() == target:
                self._now = after(self.state)
            self._unsure = None
            self._event("cutover.settled", move=move, happened=happened)

    def _wait(self, side: str, version: str, verb: str) -> RolloutStatus:
        what, seconds = f"{verb}: {side} ({version})", self._config.limits.ready_seconds
        with self.observer.looking_back():
            return rollout.wait(self._kube, self._namespace, self.deployment_of(side), seconds, what, self._clock)

    def _look_at(self, side: str) -> None:
        status = self._kube.rollout_status(self._namespace, self.deployment_of(side))
        enough = status.ready >= self.state.sides[side].wanted
        self._now = bluegreen.seen(self.state, side, status.ready, status.done and enough)

    def _wanted(self) -> dict[str, int]:
        return {side: there.wanted for side, there in self._now.sides.items()} if self._now else {}

    def _told(self, error: ReleaseError, event: str, **fields: object) -> None:
        """Journal a refusal with its reason, and what the cluster's objects say by now."""
        self.observer.describe()
        self._event(event, **{"reason": error.what, **fields})

    def _event(self, name: str, **fields: object) -> None:
        self._journal.event(name, t=self._clock.now_ns(), **fields)

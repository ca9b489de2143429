"""Watches, in the background, what the cluster makes of the Service and the sides' pods, and writes it down."""

from __future__ import annotations

import contextlib
import functools
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING

from harness.cluster.answers import Endpoint, Refused
from harness.diagnosis import facts
from harness.diagnosis.lint import Fault
from harness.errors import ClusterError, HarnessError, RolloutFailed
from harness.release.clock import Clock
from harness.release.describer import Describer
from harness.release.partings import Partings
from harness.release.sides import Sides

if TYPE_CHECKING:
    from harness.cluster.kube import Kube
    from harness.config import Config
    from harness.journal import Journal

PODS_SECONDS = 1.0
AGAIN_SECONDS = 1.0
STOP_SECONDS = 15.0
"""More than one bounded call to the API server can take."""


class Observer:
    """Journals what the Service, its slices and the sides' pods become, until it is stopped.

    That is ``slice.changed``, ``selector.observed``, ``pods.observed``, ``pods.entered``, ``pod.changed``,
    ``pod.gone``.

    A call that the API server doesn't answer is journaled as ``observer.error`` and the watch begins anew: a gap in
    what was seen is visible in the record.

    Args:
        kube: the cluster.
        namespace: where the Service and the Deployments are.
        config: their names.
        journal: where it is written; not closed here.
        wanted: pods that the release has asked for, by side; sides with none aren't reported.
        clock: stamps the events.
        sides: how they are told apart, where they aren't Deployments.

    Attributes:
        sides: how they are told apart.
        static: a cutover is refused for faults that the objects show.
        services: others that lead users to a side, beside the configuration's.
        partings: has the logs of the sides' pods that ended.

    """

    def __init__(
        self,
        kube: Kube,
        namespace: str,
        config: Config,
        journal: Journal,
        wanted: Callable[[], Mapping[str, int]],
        clock: Clock | None = None,
        sides: Sides | None = None,
    ) -> None:
        self._kube = kube
        self._namespace = namespace
        self._config = config
        self._journal = journal
        self._wanted = wanted
        self._clock = clock or Clock()
        self.static = False
        self.services: Sequence[str] = ()
        self.sides = sides or Sides(config)
        self._describer = Describer(kube, namespace, config, journal, self._clock, self.sides)
        self.partings = Partings(kube, namespace)
        self._stop = threading.Event()
        self._broken: list[BaseException] = []
        self._threads: list[threading.Thread] = []
        self._entered: set[str] = set()

    def start(self) -> None:
        """Begin; a second call does nothing."""
        if self._threads:
            return
        for name, body in self._parts():
            thread = threading.Thread(target=self._run, args=(name, body), name=f"observer-{name}", daemon=True)
            self._threads.append(thread)
            thread.start()
        self.describe()

    def _parts(self) -> tuple[tuple[str, Callable[[], None]], ...]:
        return (
            ("slices", self._slices),
            ("selector", self._selector),
            ("pods", self._pods),
            ("lives", self._lives),
            *((f"slices of {name}", functools.partial(self._entered_by, name)) for name in self.services),
        )

    def stop(self) -> None:
        """End, within ``STOP_SECONDS``.

        Raises:
            HarnessError: a part of it broke or doesn't end.

        """
        self._stop.set()
        for thread in self._threads:
            thread.join(STOP_SECONDS)
        stuck = [thread.name for thread in self._threads if thread.is_alive()]
        self._threads.clear()
        if stuck:
            raise HarnessError(f"{', '.join(stuck)} did not end within {STOP_SECONDS:g} s", "report this as a bug")
        if self._broken:
            raise HarnessError(f"the observer broke: {self._broken[0]!r}", "report this as a bug") from self._broken[0]

    def describe(self) -> None:
        """Journal what the cluster's objects say now and what it warns of, as far as it is new."""
        try:
            self._describer.describe()
            self._describer.warn()
        except ClusterError as error:
            self._error("objects", error)

    def check(self, old: str, new: str) -> list[Fault]:
        """The faults that the objects show before users are moved from one side to the other; journaled.

        Raises:
            ClusterError: the API server doesn't answer.

        """
        return self._describer.check(old, new)

    def look(self) -> None:
        """Journal pods, selector and objects once, now; an unanswered call becomes ``observer.error``."""
        self.look_at_pods()
        self.describe()
        try:
            selector = self._kube.service_selector(self._namespace, self._config.service.name)
        except ClusterError as error:
            self._error("selector", error)
        else:
            self._journal_selector(selector)

    @contextlib.contextmanager
    def looking_back(self) -> Iterator[None]:
        """Where a rollout in the block fails before there is an observer, journal objects, warnings and pods then."""
        try:
            yield
        except RolloutFailed:
            if not self._threads:
                self._look_back()
            raise

    def _look_back(self) -> None:
        self.describe()
        try:
            items = self._kube.objects(self._namespace, "pods")
        except ClusterError as error:
            self._error("lives", error)
            return
        for item in items:
            name = str(item["metadata"]["name"])
            self._event("pod.changed", side=self.sides.of_pod(name), **facts.pod(item))

    def look_at_pods(self) -> None:
        """Journal how many pods of each side are ready, now."""
        for side, wanted in self._wanted().items():
            if wanted < 1:
                continue
            try:
                status = self._kube.rollout_status(self._namespace, self._config.sides.deployments[side])
            except Refused as error:
                if error.status != 404:
                    self._error("pods", error)
                else:  # somebody has deleted the whole side: that is a sight too, and no gap in the record
                    self._event("pods.observed", side=side, ready=0, wanted=wanted, replicas=0, exists=False)
            except ClusterError as error:
                self._error("pods", error)
            else:
                told = {"ready": status.ready, "wanted": wanted, "replicas": status.wanted}
                self._event("pods.observed", side=side, **told, exists=True)

    def __enter__(self) -> Observer:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _run(self, name: str, body: Callable[[], None]) -> None:
        while not self._stop.is_set():
            try:
                body()
            except ClusterError as error:
                self._error(name, error)
                self._stop.wait(AGAIN_SECONDS)
            except Exception as error:  # handed to stop(), which raises it in the main thread
                self._broken.append(error)
                return

    def _slices(self) -> None:
        last: tuple[Endpoint, ...] | None = None
        for endpoints in self._kube.watch_slices(self._namespace, self._config.service.name, self._stop):
            now_ns = self._clock.now_ns()
            if endpoints != last:
                self._journal_slice(endpoints, now_ns)
            last = endpoints

    def _entered_by(self, service: str) -> None:
        """A side's own Service: what matters of it is whom it may lead users to."""
        for endpoints in self._kube.watch_slices(self._namespace, service, self._stop):
            self._journal_entered(endpoints, self._clock.now_ns())

    def _selector(self) -> None:
        last: Mapping[str, str] | None = None
        for selector in self._kube.watch_selector(self._namespace, self._config.service.name, self._stop):
            if selector != last:
                self._journal_selector(selector)
            last = selector

    def _pods(self) -> None:
        while not self._stop.wait(PODS_SECONDS):
            self.look_at_pods()

    def _lives(self) -> None:
        known: dict[str, dict[str, object]] = {}
        for items in self._kube.watch_pods(self._namespace, self._stop):
            now_ns = self._clock.now_ns()
            seen = {name: facts.pod(item) for name, item in items.items()}
            for name, fields in seen.items():
                if fields != known.get(name):
                    self._journal.event("pod.changed", t=now_ns, side=self.sides.of_pod(name), **fields)
                    if fields["stopping"] and self.sides.of_pod(name) in self._config.sides.deployments:
                        self.partings.follow(items[name])
            for name in known.keys() - seen.keys():
                self._journal.event("pod.gone", t=now_ns, side=self.sides.of_pod(name), pod=name)
            known = seen

    def _journal_slice(self, endpoints: tuple[Endpoint, ...], now_ns: int) -> None:
        sides: Counter[str] = Counter(dict.fromkeys(self._config.sides.deployments, 0))
        sides.update(self.sides.of_pod(endpoint.pod) for endpoint in endpoints)
        ready = sum(endpoint.ready for endpoint in endpoints)
        where = {
            "nodes": dict(Counter(endpoint.node for endpoint in endpoints if endpoint.ready)),
            "ports": sorted({endpoint.port for endpoint in endpoints}),
        }
        told = {"addresses": len(endpoints), "ready": ready, "sides": dict(sides)}
        self._journal.event("slice.changed", t=now_ns, **told, **where)
        self._journal_entered(endpoints, now_ns)

    def _journal_entered(self, endpoints: tuple[Endpoint, ...], now_ns: int) -> None:
        entered = {endpoint.pod for endpoint in endpoints if endpoint.ready and endpoint.pod} - self._entered
        if entered:  # from now on requests may reach them, so each must have a record of arrivals
            self._entered |= entered
            self._journal.event("pods.entered", t=now_ns, pods=sorted(entered))

    def _journal_selector(self, selector: Mapping[str, str]) -> None:
        self._event("selector.observed", value=self.sides.selected(selector), selector=dict(selector))

    def _event(self, name: str, **fields: object) -> None:
        self._journal.event(name, t=self._clock.now_ns(), **fields)

    def _error(self, what: str, error: ClusterError) -> None:
        self._event("observer.error", what=what, detail=str(error))

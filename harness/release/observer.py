"""Watches, in the background, what the cluster makes of the Service and the sides' pods, and writes it down."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING

from harness.cluster.answers import Endpoint, deployment_of
from harness.errors import ClusterError, HarnessError
from harness.release.clock import Clock

if TYPE_CHECKING:
    from harness.cluster.kube import Kube
    from harness.config import Config
    from harness.journal import Journal

PODS_SECONDS = 1.0
AGAIN_SECONDS = 1.0
STOP_SECONDS = 15.0
"""More than one bounded call to the API server can take."""


class Observer:
    """Journals ``slice.changed``, ``selector.observed``, ``pods.observed`` and ``pods.entered`` until it is stopped.

    A call that the API server doesn't answer is journaled as ``observer.error`` and the watch begins anew: a gap in
    what was seen is visible in the record.

    Args:
        kube: the cluster.
        namespace: where the Service and the Deployments are.
        config: their names.
        journal: where it is written; not closed here.
        wanted: pods that the release has asked for, by side; sides with none aren't reported.
        clock: stamps the events.

    """

    def __init__(
        self,
        kube: Kube,
        namespace: str,
        config: Config,
        journal: Journal,
        wanted: Callable[[], Mapping[str, int]],
        clock: Clock | None = None,
    ) -> None:
        self._kube = kube
        self._namespace = namespace
        self._config = config
        self._journal = journal
        self._wanted = wanted
        self._clock = clock or Clock()
        self._stop = threading.Event()
        self._broken: list[BaseException] = []
        self._threads: list[threading.Thread] = []
        self._entered: set[str] = set()

    def start(self) -> None:
        """Begin; a second call does nothing."""
        if self._threads:
            return
        for name, body in (("slices", self._slices), ("selector", self._selector), ("pods", self._pods)):
            thread = threading.Thread(target=self._run, args=(name, body), name=f"observer-{name}", daemon=True)
            self._threads.append(thread)
            thread.start()

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

    def look(self) -> None:
        """Journal the sides' pods and the selector once, now; an unanswered call becomes ``observer.error``."""
        self.look_at_pods()
        try:
            selector = self._kube.service_selector(self._namespace, self._config.service.name)
        except ClusterError as error:
            self._error("selector", error)
        else:
            self._journal_selector(selector)

    def look_at_pods(self) -> None:
        """Journal how many pods of each side are ready, now."""
        for side, wanted in self._wanted().items():
            if wanted < 1:
                continue
            try:
                status = self._kube.rollout_status(self._namespace, self._config.sides.deployments[side])
            except ClusterError as error:
                self._error("pods", error)
            else:
                self._event("pods.observed", side=side, ready=status.ready, wanted=wanted)

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

    def _selector(self) -> None:
        last: str | None = None
        key = self._config.service.selector_key
        for selector in self._kube.watch_selector(self._namespace, self._config.service.name, self._stop):
            if selector.get(key) != last:
                self._journal_selector(selector)
            last = selector.get(key)

    def _pods(self) -> None:
        while not self._stop.wait(PODS_SECONDS):
            self.look_at_pods()

    def _journal_slice(self, endpoints: tuple[Endpoint, ...], now_ns: int) -> None:
        names = {deployment: side for side, deployment in self._config.sides.deployments.items()}
        sides: Counter[str] = Counter(dict.fromkeys(names.values(), 0))
        sides.update(names.get(deployment_of(endpoint.pod), "other") for endpoint in endpoints)
        ready = sum(endpoint.ready for endpoint in endpoints)
        self._journal.event("slice.changed", t=now_ns, addresses=len(endpoints), ready=ready, sides=dict(sides))
        entered = {endpoint.pod for endpoint in endpoints if endpoint.ready and endpoint.pod} - self._entered
        if entered:  # from now on requests may reach them, so each must have a record of arrivals
            self._entered |= entered
            self._journal.event("pods.entered", t=now_ns, pods=sorted(entered))

    def _journal_selector(self, selector: Mapping[str, str]) -> None:
        self._event("selector.observed", value=selector.get(self._config.service.selector_key))

    def _event(self, name: str, **fields: object) -> None:
        self._journal.event(name, t=self._clock.now_ns(), **fields)

    def _error(self, what: str, error: ClusterError) -> None:
        self._event("observer.error", what=what, detail=str(error))

"""All classes of one plan with one record: what a load child runs, whoever spawns its greenlets or threads."""

from __future__ import annotations

import gc
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from harness.client.pacer import GRACE_S, OnSample, Pacer, Spawn
from harness.client.plan import LoadPlan
from harness.client.recorder import Recorder
from harness.client.secure_socket import connect_of
from harness.client.socket_recorder import SocketRecorder
from harness.client.sockets import SocketClass
from harness.client.transports import Transports
from harness.evidence.sockets import CLASS as SOCKETS

CLOCK_EVERY_S: Final = 5.0
TICK_S: Final = 0.05
STAGGER_NS: Final = 1_000_000
"""Between the classes' first requests, so that their schedules don't all meet at the same instants."""


def collect_only_young() -> None:
    """Have Python's garbage collector look at this whole process no more: for processes that do nothing but load.

    Looking through every object there is takes 150 ms with a thousand sockets, and whatever is due meanwhile is late;
    garbage is young. What has been imported is never looked at again.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50, 1_000)


class Generator:
    """Runs a plan's classes side by side and keeps their record.

    Args:
        plan: what to do.
        spawn: starts ``spawn(function, *args)`` beside this one.
        on_sample: called after each sample.
        sleep: pauses for seconds.
        parent: process id of the harness; when this process has another parent, the load stops. 0: don't look.

    Raises:
        OSError: the record can't be made in the plan's folder.
        ConfigurationError: the plan's authorities can't be read.

    """

    def __init__(
        self,
        plan: LoadPlan,
        spawn: Spawn,
        *,
        on_sample: OnSample | None = None,
        sleep: Callable[[float], None] = time.sleep,
        parent: int = 0,
    ) -> None:
        self.plan = plan
        self._recorder = Recorder(Path(plan.folder))
        self._sleep = sleep
        self._spawn = spawn
        self._parent = parent
        self._lock = threading.Lock()
        self._begun = False
        self._t0 = 0
        self._ran: set[str] = set()
        ways = Transports(plan, spawn)
        self.pacers = {
            name: Pacer(plan, name, code, self._recorder, spawn, on_sample=on_sample, sleep=sleep, **ways.of(name))
            for code, name in enumerate(plan.classes)
        }
        self.sockets: SocketClass | None = None
        if plan.sockets is not None:
            record = SocketRecorder(Path(plan.folder))
            self.sockets = SocketClass(plan, record, spawn, sleep=sleep, connect=connect_of(plan))

    @property
    def recorder(self) -> Recorder:
        """The record, for classes that a plan doesn't know."""
        return self._recorder

    @property
    def names(self) -> tuple[str, ...]:
        """All classes, each to be given to `run`."""
        return (*self.pacers, *([SOCKETS] if self.sockets is not None else []))

    @property
    def finished(self) -> bool:
        """Whether every class has run to its end."""
        return len(self._ran) == len(self.names)

    @property
    def stop_seconds(self) -> float:
        """How long `stop` may take until every class has ended: longer than the longest time-out."""
        sockets = self.plan.sockets.stop_s if self.plan.sockets is not None else 0.0
        return max(sockets, *(self.plan.timeout_of(name) for name in self.pacers)) + 2 * GRACE_S

    def run(self, name: str) -> None:
        """Run one class; returns when its time is up or it was stopped and nothing is in flight."""
        with self._lock:
            if not self._begun:
                self._begun = True
                self._t0 = self.plan.t0_ns or time.monotonic_ns() + 50_000_000
                self._spawn(self._tend)
        until = self._t0 + int(self.plan.max_seconds * 1e9)
        if name == SOCKETS and self.sockets is not None:
            self.sockets.run(self._t0, until)
        else:
            pacer = self.pacers[name]
            pacer.run(self._t0 + pacer.code * STAGGER_NS, until)
        self._ran.add(name)

    def stop(self) -> None:
        """Send no more."""
        for pacer in self.pacers.values():
            pacer.stop()
        if self.sockets is not None:
            self.sockets.stop()

    def close(self) -> None:
        """Close the record. A class that never ran or still has requests in flight leaves its ledger open."""
        self._recorder.close()
        if self.sockets is not None:
            self.sockets.record.close()

    def _tend(self) -> None:
        """Flush the record at least each 100 ms, pair the clocks, and end with the parent."""
        paired = time.monotonic()
        while not self.finished:
            self._sleep(TICK_S)
            now = time.monotonic()
            records = [self._recorder, *([self.sockets.record] if self.sockets is not None else [])]
            for record in records:
                record.flush()
                if now - paired >= CLOCK_EVERY_S:
                    record.clock()
            paired = now if now - paired >= CLOCK_EVERY_S else paired
            if self._parent and os.getppid() != self._parent:
                self.stop()

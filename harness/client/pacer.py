"""The open model of one connection class: request k is due at t0 + k / rate, whatever became of the others.

A closed model sends nothing while the service hangs, and the outage disappears from the record (coordinated
omission). Here nothing is skipped: a late sample is sent late and shows its lag, one over the in-flight bound is
recorded as unsent.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from typing import Any, Final, Protocol

from harness.client.exchange import Answer, Request
from harness.client.http import Connection
from harness.client.plan import Entry, LoadPlan
from harness.client.recorder import Recorder
from harness.evidence.samples import UNSENT

Spawn = Callable[..., Any]
OnSample = Callable[[str, Request, int, Answer], None]
"""Called after each sample with class name, request, intended time and answer."""

SLICE_S: Final = 0.1
"""Longest sleep: so soon a stop is seen."""
BURST: Final = 32
"""Late samples sent in a row before the others get their turn (greenlets run only when this one waits)."""
EXTRA_IDLE_NS: Final = 1_000_000_000
"""A further connection of a kept class goes when unused for this long: below any server's keep-alive time-out."""
GRACE_S: Final = 1.0


class Way(Protocol):
    """What an attempt is made on: a connection, or something that has some."""

    @property
    def entry(self) -> int: ...  # noqa: D102 - as Connection's

    def attempt(self, request: Request, request_id: str) -> Answer: ...  # noqa: D102

    def close(self) -> None: ...  # noqa: D102


class Ways(Protocol):
    """Kept connections of a class, or of several together."""

    def take(self, k: int, now: int) -> Way: ...  # noqa: D102 - as Pool's

    def give(self, connection: Any, now: int) -> None: ...  # noqa: D102

    def close(self) -> None: ...  # noqa: D102


class Pool:
    """The kept connections of one class. Request k goes to connection k mod n, connection i to entry i mod entries.

    Requests on one connection are serial. Where the connection whose turn it is still waits for an answer, the
    sample takes a further connection to the same entry: it is neither skipped nor late. Further connections are used
    again while the congestion lasts, and closed when unused for a second.
    """

    def __init__(self, entries: tuple[Entry, ...], size: int, connect: Callable[[int], Connection]) -> None:
        self._connect = connect
        self._entries = len(entries)
        self._primary = [connect(i % len(entries)) for i in range(size)]
        self._extra: list[Connection] = []
        self._extra_used: dict[int, int] = {}
        self._busy: set[int] = set()

    def take(self, k: int, now: int) -> Connection:
        """The connection for request k; give it back."""
        connection = self._primary[k % len(self._primary)]
        if self._extra:
            self._reap(now)
        if id(connection) in self._busy:
            entry = connection.entry
            free = (c for c in self._extra if c.entry == entry and id(c) not in self._busy)
            found = next(free, None)
            if found is None:
                found = self._connect(entry)
                self._extra.append(found)
            connection = found
        self._busy.add(id(connection))
        return connection

    def give(self, connection: Connection, now: int) -> None:
        """Take a connection back."""
        self._busy.discard(id(connection))
        self._extra_used[id(connection)] = now

    def close(self) -> None:
        """Close all connections."""
        for connection in self._primary + self._extra:
            connection.close()

    def _reap(self, now: int) -> None:
        for connection in [c for c in self._extra if id(c) not in self._busy]:
            if now - self._extra_used.get(id(connection), now) > EXTRA_IDLE_NS:
                connection.close()
                self._extra.remove(connection)
                self._extra_used.pop(id(connection), None)


class Pacer:
    """Runs one class of a plan to its end.

    Args:
        plan: the whole plan.
        name: the class.
        code: the class's number in the record.
        recorder: shared by all classes.
        spawn: starts ``spawn(function, *args)`` beside this one: gevent.spawn, or a thread's start.
        on_sample: called after each sample.
        connection: makes a connection from (host, port, entry number).
        ways: kept connections, shared perhaps; by default the class's own.
        sleep: pauses for seconds.

    """

    def __init__(
        self,
        plan: LoadPlan,
        name: str,
        code: int,
        recorder: Recorder,
        spawn: Spawn,
        *,
        on_sample: OnSample | None = None,
        connection: Callable[[str, int, int], Connection] = Connection,
        ways: Ways | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.name = name
        self.code = code
        self.rate = plan.classes[name].rate
        self._requests = plan.requests(name)
        self._timeout_s = plan.timeout_of(name)
        self.scheduled = self.unsent = self.in_flight = 0
        self.stopping = False
        self._bound = plan.in_flight_of(name)
        self._entries = plan.entries
        self._tag = f"{plan.run_tag}-{name}-"
        self._worker, self._workers = plan.worker, plan.workers
        self._recorder = recorder
        self._spawn = spawn
        self._sleep = sleep
        self._on_sample = on_sample
        self._connection = connection
        self._lock = threading.Lock()
        size = plan.connections_of(name)
        self._pool: Ways | None = ways or (Pool(plan.entries, size, self._connect) if size else None)
        self._round = math.lcm(len(self._requests), len(plan.entries), max(size, 1))

    def run(self, t0_ns: int, until_ns: int) -> None:
        """Send until the time is up or `stop` was called, wait for what is in flight, close the ledger.

        Args:
            t0_ns: intended time of request 0, which is the first worker's.
            until_ns: no request is due at or after this time.

        """
        self._recorder.define_class(self.code, self.name, self.rate, t0_ns, self._timeout_s)
        step = 1e9 / self.rate
        late = 0
        while not self.stopping:
            due = t0_ns + int(self._number(self.scheduled) * step / self._workers)
            if due >= until_ns:
                break
            wait = due - time.monotonic_ns()
            if wait > 0:
                late = 0
                self._sleep(min(wait / 1e9, SLICE_S))
                continue
            late += 1
            if late % BURST == 0:
                self._sleep(0)
            self._send(self.scheduled, due)
            self.scheduled += 1
        self.stopping = True
        self._finish()

    def stop(self) -> None:
        """Send no more. `run` returns once the last answer is there, at the latest a time-out later."""
        self.stopping = True

    def request(self, k: int) -> Request:
        """What request k sends. After each round the turns shift, so that none keeps to one entry or connection."""
        return self._requests[(k + k // self._round) % len(self._requests)]

    def _number(self, k: int) -> int:
        """The number of this worker's request k among those of all workers: no two of them send the same one."""
        return k * self._workers + self._worker

    def _connect(self, entry: int) -> Connection:
        target = self._entries[entry]
        return self._connection(target.host, target.port, entry)

    def _send(self, k: int, due: int) -> None:
        with self._lock:
            full = self.in_flight >= self._bound
            if full:
                self.unsent += 1
            else:
                self.in_flight += 1
                if self._pool is not None:
                    connection: Way = self._pool.take(k, time.monotonic_ns())
                else:
                    connection = self._connect(k % len(self._entries))
        if full:
            answer = Answer()
            answer.outcome = UNSENT
            answer.end = time.monotonic_ns()
            self._record(k, due, k % len(self._entries), answer)
        else:
            self._spawn(self._attempt, k, due, connection)

    def _attempt(self, k: int, due: int, connection: Way) -> None:
        # An exception here is a defect of the client: the sample stays open, and so does the ledger.
        answer = connection.attempt(self.request(k), f"{self._tag}{self._number(k)}")
        if self._pool is None:
            connection.close()
        self._record(k, due, connection.entry, answer)
        with self._lock:
            if answer.outcome == UNSENT:
                self.unsent += 1
            if self._pool is not None:
                self._pool.give(connection, answer.end)
            self.in_flight -= 1

    def _record(self, k: int, due: int, entry: int, answer: Answer) -> None:
        request = self.request(k)
        self._recorder.sample(self.code, self._number(k), due, entry, request.method_code, answer)
        if self._on_sample is not None:
            self._on_sample(self.name, request, due, answer)

    def _finish(self) -> None:
        deadline = time.monotonic() + self._timeout_s + GRACE_S
        while self.in_flight and time.monotonic() < deadline:
            self._sleep(0.01)
        if self._pool is not None:
            self._pool.close()
        with self._lock:
            issued = self.scheduled - self.unsent
            self._recorder.close_class(self.code, self.scheduled, issued, self.unsent, self.in_flight)
        self._recorder.flush()

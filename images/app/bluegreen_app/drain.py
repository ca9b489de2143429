"""Leave without losing anyone: readiness off, ``Connection: close`` on every answer, WebSockets closed, wait, exit.

A server's own graceful shutdown is no drain: it closes the listener first and cuts idle connections at once, while
the cluster still sends new ones. Here the listener stays open until users have stopped coming.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass

from .state import State

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Drained:
    """How a drain ended.

    Attributes:
        emptied: nobody was left; False when the time was up first.
        open: connections still open.
        in_flight: answers still owed.
        seconds: how long it took.

    """

    emptied: bool
    open: int
    in_flight: int
    seconds: float


class Drain:
    """One pod's drain; it can be begun once, and then only be shortened.

    Args:
        state: the pod's counters; ``draining`` is set here and never unset.
        open_connections: how many connections of users are open now.
        leave: has the WebSockets closed within so many seconds, one after the other.
        close_idle: closes the connections that no request is under way on.
        socket_seconds: how many seconds the WebSockets have, unless the drain is shorter.
        idle_seconds: how long after a drain's begin `close_idle` is called, once: whoever has sent a request since
            then was asked to close the connection, so that those left were idle for as long.
        quiet_seconds: how long no user's request may have arrived before the drain ends.
        every: pause between two looks, in seconds.
        clock: CLOCK_MONOTONIC in ns; tests pass a fake one.
        sleep: pauses for seconds; tests pass a fake one.

    """

    def __init__(
        self,
        state: State,
        open_connections: Callable[[], int],
        leave: Callable[[float], None],
        close_idle: Callable[[], None],
        *,
        socket_seconds: float,
        idle_seconds: float,
        quiet_seconds: float,
        every: float = 0.05,
        clock: Callable[[], int] = time.monotonic_ns,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._state = state
        self._open_connections = open_connections
        self._leave = leave
        self._close_idle = close_idle
        self._socket_seconds = socket_seconds
        self._quiet_ns = int(quiet_seconds * 1e9)
        self._idle_ns = int(idle_seconds * 1e9)
        self._every = every
        self._clock = clock
        self._sleep = sleep
        self._begun_ns = 0
        self._deadline_ns = 0
        self._go = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._result: asyncio.Future[Drained] | None = None

    @property
    def open_connections(self) -> int:
        """How many connections of users are open now."""
        return self._open_connections()

    def begin(self, seconds: float, *, stay: bool = False) -> None:
        """Begin the drain, from within the event loop.

        Args:
            stay: the process goes on afterwards, empty and not ready, until this is called without it: a container
                that ended by itself would be started anew, and be ready.
            seconds: the longest it may take from now. A second call can shorten a drain, never lengthen it:
                whoever waits for its end was promised the first bound.

        """
        deadline_ns = self._clock() + int(seconds * 1e9)
        if not stay:
            self._go.set()
        if self._task is not None:
            self._deadline_ns = min(self._deadline_ns, deadline_ns)
            return
        self._begun_ns, self._deadline_ns = self._clock(), deadline_ns
        self._state.draining = True
        self._leave(min(seconds, self._socket_seconds))
        _log.info("drain.begun", extra={"fields": {"seconds": seconds, "open": self.open_connections}})
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def finished(self) -> Drained:
        """Wait until a drain has ended, whether or not it has begun yet."""
        return await asyncio.shield(self._future())

    async def over(self) -> None:
        """Wait until a drain has ended and the process need not stay."""
        await self.finished()
        await self._go.wait()

    async def _run(self) -> None:
        idle_closed = False
        while True:  # ends at the deadline at the latest
            now = self._clock()
            if not idle_closed and now - self._begun_ns >= self._idle_ns:
                idle_closed = True
                self._close_idle()
            open_now, in_flight = self.open_connections, self._state.in_flight
            quiet_ns = now - max(self._begun_ns, self._state.last_arrival_ns)
            emptied = open_now == 0 and in_flight == 0 and quiet_ns >= self._quiet_ns
            if emptied or now >= self._deadline_ns:
                break
            await self._sleep(self._every)
        result = Drained(emptied, open_now, in_flight, round((now - self._begun_ns) / 1e9, 3))
        _log.info("drain.finished", extra={"fields": asdict(result)})
        self._future().set_result(result)

    def _future(self) -> asyncio.Future[Drained]:
        if self._result is None:
            self._result = asyncio.get_running_loop().create_future()
        return self._result

"""What one pod knows about itself; everything runs on one event loop, so no locks."""

from __future__ import annotations

import time

from .metrics import Metrics
from .settings import Settings
from .switches import Switches

ORDERS_KEPT = 100_000
"""Order ids kept in memory; the oldest go first (the ledger keeps them all)."""


class State:
    """Counters and switches of one pod.

    Attributes:
        cpu_ms: CPU time that each user's request costs, in ms.
        fail_rate: share of users' requests that is answered with a 500, 0 to 1.
        draining: readiness is off and every answer closes its connection.
        arrivals: users' requests that arrived.
        probes: requests of probes; never counted as arrivals.
        in_flight: users' requests whose answer isn't complete.
        last_arrival_ns: CLOCK_MONOTONIC of the last arrival; 0 before the first.
        sockets: WebSockets that are open.
        sockets_opened: all that ever were.
        messages_received: clients' messages on them that were answered or are about to be.
        messages_sent: numbered messages to clients.
        applied: POSTs applied, every repetition counted.
        applied_again: POSTs applied whose id had been applied before.
        metrics: counts and durations of users' requests, for GET /metrics.
        switches: what an administrator does to the answers.

    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.metrics = Metrics(settings.identity)
        self.cpu_ms = settings.cpu_ms
        self.fail_rate = 0.0
        self.draining = False
        self.arrivals = 0
        self.probes = 0
        self.in_flight = 0
        self.last_arrival_ns = 0
        self.sockets = 0
        self.sockets_opened = 0
        self.messages_received = 0
        self.messages_sent = 0
        self.applied = 0
        self.applied_again = 0
        self.switches = Switches(time.monotonic_ns() + int(settings.startup_seconds * 1e9))
        self._orders: dict[str, int] = {}
        self._failures_owed = 0.0

    @property
    def ready(self) -> bool:
        """Whether the pod wants new traffic."""
        return not self.draining and self.settings.fault.kind != "unready" and self.switches.ready

    def arrive(self, now_ns: int) -> None:
        """Count one user's request."""
        self.arrivals += 1
        self.last_arrival_ns = now_ns

    def must_fail(self) -> bool:
        """Whether the request at hand is to be answered with a 500; ask once per request.

        The settable rate is met exactly (every fourth at 0.25), not by chance, so that a run can be repeated.
        """
        if self.settings.fault.breaks(self.arrivals):
            return True
        self._failures_owed += self.fail_rate
        if self._failures_owed >= 1.0:
            self._failures_owed -= 1.0
            return True
        return False

    def apply(self, request_id: str) -> int:
        """Apply one order.

        Returns:
            How often this id has been applied by now, as far as this pod remembers.

        """
        times = self._orders.pop(request_id, 0) + 1
        self._orders[request_id] = times
        if len(self._orders) > ORDERS_KEPT:
            del self._orders[next(iter(self._orders))]
        self.applied += 1
        self.applied_again += times > 1
        return times

    def burn(self) -> None:
        """Spend ``cpu_ms`` of this thread's CPU time, holding up everything else, as real work would."""
        if self.cpu_ms <= 0:
            return
        end = time.thread_time_ns() + int(self.cpu_ms * 1e6)
        while time.thread_time_ns() < end:
            pass

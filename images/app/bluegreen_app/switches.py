"""What an administrator can do to one pod's answers, probes' and users'."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Flap:
    """Readiness that goes and comes by itself: off first, and on for good once it is over. Times in ns.

    Attributes:
        since_ns: CLOCK_MONOTONIC of its begin.
        until_ns: and of its end.
        off_ns: how long readiness is off each time.
        on_ns: and on.

    """

    since_ns: int
    until_ns: int
    off_ns: int
    on_ns: int

    def off(self, now_ns: int) -> bool:
        """Whether readiness is off at an instant of CLOCK_MONOTONIC."""
        within = self.since_ns <= now_ns < self.until_ns
        return within and (now_ns - self.since_ns) % (self.off_ns + self.on_ns) < self.off_ns


@dataclass
class Switches:
    """What an administrator can do to one pod's probes.

    Attributes:
        starts_ns: CLOCK_MONOTONIC before which everything, probes too, is answered with a 503.
        on: readiness, as it was set by hand.
        flap: readiness that goes and comes by itself, or None.
        hung: /livez gets no answer, while the process lives and serves.
        delay_ms: how much later each answer is, in ms; users' and probes' alike.

    """

    starts_ns: int = 0
    on: bool = True
    flap: Flap | None = None
    hung: bool = False
    delay_ms: float = 0.0
    clock: Callable[[], int] = field(default=time.monotonic_ns, repr=False)

    @property
    def started(self) -> bool:
        """Whether the start is over."""
        return self.clock() >= self.starts_ns

    @property
    def ready(self) -> bool:
        """Readiness, as far as it is the switches' to say."""
        return self.on and not (self.flap is not None and self.flap.off(self.clock()))

    @property
    def flapping(self) -> bool:
        """Whether readiness goes and comes by itself now."""
        return self.flap is not None and self.clock() < self.flap.until_ns

    def begin_flap(self, off_ms: float, on_ms: float, seconds: float) -> None:
        """Have readiness go and come from now on, for ``seconds`` seconds in all; 0 ends it."""
        now = self.clock()
        self.flap = Flap(now, now + int(seconds * 1e9), int(off_ms * 1e6), int(on_ms * 1e6))

"""The clock that a release goes by, so that tests can bring their own."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Clock:
    """CLOCK_MONOTONIC and a pause.

    Attributes:
        now_ns: nanoseconds.
        sleep: pauses for seconds.

    """

    now_ns: Callable[[], int] = time.monotonic_ns
    sleep: Callable[[float], None] = time.sleep

    def now(self) -> float:
        """Seconds."""
        return self.now_ns() / 1e9

    def sleep_until(self, at_ns: int) -> None:
        """Return no earlier than ``at_ns``."""
        while (left := at_ns - self.now_ns()) > 0:
            self.sleep(left / 1e9)

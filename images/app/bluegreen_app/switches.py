"""What an administrator can do to one pod's answers, probes' and users'."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class Switches:
    """What an administrator can do to one pod's probes.

    Attributes:
        starts_ns: CLOCK_MONOTONIC before which everything, probes too, is answered with a 503.
        ready: readiness, as far as it is the switch's to say.
        hung: /livez gets no answer, while the process lives and serves.
        delay_ms: how much later each answer is, in ms; users' and probes' alike.

    """

    starts_ns: int = 0
    ready: bool = True
    hung: bool = False
    delay_ms: float = 0.0
    clock: Callable[[], int] = field(default=time.monotonic_ns, repr=False)

    @property
    def started(self) -> bool:
        """Whether the start is over."""
        return self.clock() >= self.starts_ns

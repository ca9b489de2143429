"""What a load's workers are made and spoken to by, and what is asked of each of them."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from harness.evidence.clocks import Offset, best, offset

TRIPS: Final = 40
"""Round trips for one reading of a clock; the shortest counts."""


@dataclass(frozen=True, slots=True)
class Member:
    """One worker.

    Args:
        number: from 0.
        pod: its name.
        node: where it runs.
        address: at which the others reach it.

    """

    number: int
    pod: str
    node: str
    address: str


class Hands(Protocol):
    """Who makes the workers, and speaks to them."""

    @property
    def name(self) -> str:
        """Of the load, unique in a scenario."""

    def begin(self) -> Sequence[Member]:
        """All workers, by number, once their agents answer."""

    def call(self, number: int, method: str, path: str, body: Any = None, timeout: float = 5.0) -> bytes:
        """One question to an agent, asked once; a HarnessError where it isn't answered."""


def status_of(hands: Hands, number: int) -> dict[str, Any]:
    """How a worker is doing, by its agent's word.

    Raises:
        HarnessError: it didn't answer.

    """
    return dict(json.loads(hands.call(number, "GET", "status")))


def clock_of(hands: Hands, number: int) -> Offset:
    """How far a worker's clock is ahead, by the shortest of some round trips.

    Raises:
        HarnessError: it didn't answer.

    """
    readings = []
    for _ in range(TRIPS):
        asked = time.monotonic_ns()
        told = int(hands.call(number, "GET", "clock"))
        readings.append(offset(asked, told, time.monotonic_ns()))
    return best(readings)

"""Clocks of other processes against the run's own: what a few round trips tell, and what they leave open. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

UNCERTAINTY_LIMIT_NS: Final = 5_000_000
"""What a worker's clock may leave open, drift included: one line of a schedule of 200/s, the default's finest."""


@dataclass(frozen=True, slots=True, order=True)
class Offset:
    """How far another clock is ahead of ours, at one time.

    Args:
        uncertainty_ns: the truth is at most this far from `ns`, either way.
        ns: the other clock less ours.

    """

    uncertainty_ns: int
    ns: int


@dataclass(frozen=True, slots=True)
class Clock:
    """How far another clock is ahead of ours over the whole time of a load.

    Args:
        offset_ns: to be taken off its times.
        uncertainty_ns: the truth is at most this far from it at the beginning and at the end; half the drift included.
        drift_ns: the offset at the end less the one at the beginning; None where only the beginning is known.

    """

    offset_ns: int
    uncertainty_ns: int
    drift_ns: int | None = None

    @property
    def trusted(self) -> bool:
        """Whether it leaves no more open than may be, as far as it is known."""
        return self.uncertainty_ns <= UNCERTAINTY_LIMIT_NS


def offset(asked_ns: int, told_ns: int, answered_ns: int) -> Offset:
    """The offset by one round trip (Cristian, 1989): the other clock was read somewhere between.

    Args:
        asked_ns: our clock before the question.
        told_ns: the answer, by the other clock.
        answered_ns: our clock after the answer.

    Raises:
        ValueError: the answer came before the question.

    """
    if answered_ns < asked_ns:
        raise ValueError(f"answered at {answered_ns}, before it was asked at {asked_ns}")
    low, high = told_ns - answered_ns, told_ns - asked_ns
    return Offset((high - low + 1) // 2, (low + high) // 2)


def best(offsets: Iterable[Offset]) -> Offset:
    """The one of several that leaves least open.

    Raises:
        ValueError: there is none.

    """
    return min(offsets)


def clock(before: Offset, after: Offset | None = None) -> Clock:
    """One clock by its offsets at the beginning and at the end; without an end, what is known so far."""
    if after is None:
        return Clock(before.ns, before.uncertainty_ns)
    drift = after.ns - before.ns
    open_ns = max(before.uncertainty_ns, after.uncertainty_ns) + (abs(drift) + 1) // 2
    return Clock((before.ns + after.ns) // 2, open_ns, drift)

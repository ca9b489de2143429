"""When something is to happen, seen from a move: ``CUTOVER - ms(200)``. Pure data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import overload


@dataclass(frozen=True)
class Offset:
    """A span of time.

    Attributes:
        ms: milliseconds.

    """

    ms: float


@dataclass(frozen=True)
class At:
    """An instant seen from the announced instant of a move.

    Attributes:
        move: "cutover" or "rollback".
        offset_ms: milliseconds after it; negative ones are before.

    """

    move: str
    offset_ms: float = 0.0

    def __str__(self) -> str:
        return f"{self.move} {'-' if self.offset_ms < 0 else '+'} {abs(self.offset_ms):g} ms"


class Moment(str):
    """A move's name, as promises take it; with a span added or taken away it is an instant."""

    __slots__ = ()

    @overload  # type: ignore[override]  # it takes a span as well
    def __add__(self, other: str) -> str: ...
    @overload
    def __add__(self, other: Offset) -> At: ...
    def __add__(self, other: str | Offset) -> str | At:
        """A later instant."""
        return At(str(self), other.ms) if isinstance(other, Offset) else str(self) + other

    def __sub__(self, other: Offset) -> At:
        """An earlier instant."""
        return At(str(self), -other.ms)


def ms(milliseconds: float) -> Offset:
    """A span of so many milliseconds."""
    return Offset(float(milliseconds))

"""What ends a watch early: a limit that users' requests have broken."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from harness.release.clock import Clock

POLL_SECONDS = 0.5


class Breach(Protocol):
    """A broken limit, in the form that a finding of the checks has."""

    @property
    def check(self) -> str:
        """The rule's name."""

    @property
    def measured(self) -> Any:
        """What was measured; JSON-able."""

    @property
    def limit(self) -> Any:
        """Against what; JSON-able."""

    @property
    def detail(self) -> str:
        """One line for a person."""


Ask = Callable[[], Breach | None]


def wait_for(ask: Ask, seconds: float, clock: Clock) -> Breach | None:
    """The first breach within ``seconds``, asked for about each ``POLL_SECONDS``; None if there was none."""
    deadline = clock.now() + seconds
    while (left := deadline - clock.now()) > 0:
        clock.sleep(min(POLL_SECONDS, left))
        if breach := ask():
            return breach
    return None

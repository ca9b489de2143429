"""The words of a scenario: ``from harness.words import ...``."""

from __future__ import annotations

from harness.checks.promises import (
    CUTOVER,
    ROLLBACK,
    answered_within,
    arrives_once,
    cutover_happened,
    enough,
    finishes_where_it_began,
    goaway_first,
    idle_side_warm,
    inconclusive,
    loses,
    never_served,
    no_flip_back,
    nothing_lost,
    only,
    red,
    refused,
    rolled_back_by_watch,
    steady_generator,
)
from harness.config import Config
from harness.config_model import BREAKS_AFTER_CUTOVER, NEW, OLD, REFUSED_BY_SMOKE
from harness.faults.meddler import Meddler
from harness.fixtures import LoadFixture as Load
from harness.release.verbs import Release


def nobody() -> None:
    """The limit of a watch that looks on and never rolls back: ``release.watch(seconds=5, breached=nobody)``."""


__all__ = [
    "BREAKS_AFTER_CUTOVER",
    "CUTOVER",
    "NEW",
    "OLD",
    "REFUSED_BY_SMOKE",
    "ROLLBACK",
    "Config",
    "Load",
    "Meddler",
    "Release",
    "answered_within",
    "arrives_once",
    "cutover_happened",
    "enough",
    "finishes_where_it_began",
    "goaway_first",
    "idle_side_warm",
    "inconclusive",
    "loses",
    "never_served",
    "no_flip_back",
    "nobody",
    "nothing_lost",
    "only",
    "red",
    "refused",
    "rolled_back_by_watch",
    "steady_generator",
]

"""The words of a scenario: ``from harness.words import ...``."""

from __future__ import annotations

from harness.checks.moment import ms
from harness.checks.promises import (
    CUTOVER,
    GATE,
    ROLLBACK,
    affinity,
    answered_within,
    arrives_once,
    caught,
    cutover_happened,
    deleted_leaves_first,
    enough,
    finishes_where_it_began,
    goaway_first,
    half_open_noticed,
    hung_restarted,
    idle_close,
    idle_side_warm,
    inconclusive,
    kept_until_drained,
    loses,
    moved_by_tool,
    never_empty,
    never_served,
    no_flip_back,
    not_ready_gets_nothing,
    not_restarted,
    nothing_lost,
    only,
    outage,
    ready_before_served,
    red,
    refused,
    rolled_back_by_watch,
    same_probes,
    sockets_clean,
    steady_generator,
)
from harness.config import Config
from harness.config_model import BREAKS_AFTER_CUTOVER, NEW, OLD, REFUSED_BY_SMOKE
from harness.config_policies import CLOSES_IDLE, NAIVE, SLEEP
from harness.faults.block import Faults
from harness.faults.meddler import Meddler
from harness.faults.pods import Pods
from harness.fixtures import LoadFixture as Load
from harness.release.changed import both_sides, idle_side, service
from harness.release.verbs import Release


def nobody() -> None:
    """The limit of a watch that looks on and never rolls back: ``release.watch(seconds=5, breached=nobody)``."""


__all__ = [
    "BREAKS_AFTER_CUTOVER",
    "CLOSES_IDLE",
    "CUTOVER",
    "GATE",
    "NAIVE",
    "NEW",
    "OLD",
    "REFUSED_BY_SMOKE",
    "ROLLBACK",
    "SLEEP",
    "Config",
    "Faults",
    "Load",
    "Meddler",
    "Pods",
    "Release",
    "affinity",
    "answered_within",
    "arrives_once",
    "both_sides",
    "caught",
    "cutover_happened",
    "deleted_leaves_first",
    "enough",
    "finishes_where_it_began",
    "goaway_first",
    "half_open_noticed",
    "hung_restarted",
    "idle_close",
    "idle_side",
    "idle_side_warm",
    "inconclusive",
    "kept_until_drained",
    "loses",
    "moved_by_tool",
    "ms",
    "never_empty",
    "never_served",
    "no_flip_back",
    "nobody",
    "not_ready_gets_nothing",
    "not_restarted",
    "nothing_lost",
    "only",
    "outage",
    "ready_before_served",
    "red",
    "refused",
    "rolled_back_by_watch",
    "same_probes",
    "service",
    "sockets_clean",
    "steady_generator",
]

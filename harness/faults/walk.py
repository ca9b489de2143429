"""Walks: sequences of moves and faults, as data: drawn from a seed, shrunk by tests, played on a cluster."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.checks.moment import At
from harness.faults.block import Faults, Plan
from harness.faults.pod import delete_pod, evict_pod

if TYPE_CHECKING:
    from harness.release.verbs import Release

MOVES = ("cutover", "rollback")
FAULTS: Mapping[str, Callable[[str], Plan]] = {"evict": evict_pod, "delete": delete_pod}
"""Those that users must not notice, by name; each hits a pod of the side that it is given."""
SIDES = ("old", "new")
LEAD_S, SECONDS = 2.0, 4.0


@dataclass(frozen=True)
class Step:
    """One move, with a fault at an instant seen from it, or none.

    Attributes:
        fault: one of ``FAULTS``, or "".
        side: "old" or "new": seen from the move.
        offset_ms: milliseconds from the move.

    """

    fault: str = ""
    side: str = "new"
    offset_ms: int = 0


Walk = Sequence[Step]
"""Its moves are a cutover and a rollback in turn."""


def draw(seed: int, length: int = 4) -> Walk:
    """The walk that a seed stands for: the same one everywhere and always."""
    rng = random.Random(seed)  # noqa: S311 - a test's choice, no secret
    return [
        Step(rng.choice(["", *sorted(FAULTS)]), rng.choice(SIDES), rng.randrange(-300, 1001, 50)) for _ in range(length)
    ]


def play(walk: Walk, release: Release, faults: Faults) -> None:
    """Play a walk on a cluster; the new version is on the idle side, and has passed smoke.

    Raises:
        FaultNotConfirmed, ReleaseError: as its verbs and faults do.

    """
    for number, step in enumerate(walk):
        move = MOVES[number % 2]
        go = release.cutover if move == "cutover" else release.rollback
        if move == "cutover" and number:
            release.smoke()
        if not step.fault:
            go(LEAD_S)
            release.watch(seconds=SECONDS)
            continue
        side = release.idle if step.side == "new" else release.active
        with faults.at(At(move, float(step.offset_ms)), FAULTS[step.fault](side)):
            go(LEAD_S)
            release.watch(seconds=SECONDS)

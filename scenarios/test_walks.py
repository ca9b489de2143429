"""Walks: moves and harmless faults in any order; stored ones, and the one that --bg-seed stands for."""

import pytest

from harness.faults.walk import Step, Walk, draw, play
from harness.words import CUTOVER, NEW, ROLLBACK, Faults, Load, Release, never_empty, nothing_lost, only

pytestmark = [pytest.mark.nightly, pytest.mark.paths("service")]
STORED: dict[str, Walk] = {
    "new-pod-leaves-before-each-move": [Step("delete", "new", -300), Step("delete", "new", -300)],
    "old-pod-leaves-just-after-the-flip": [Step("evict", "old", 50), Step(), Step("evict", "old", 50)],
}
INVARIANTS = (
    nothing_lost(),
    only(None, after=CUTOVER, within=2.0),
    only(None, after=ROLLBACK, within=2.0),
    never_empty(),
)


@pytest.mark.promises(*INVARIANTS)
@pytest.mark.parametrize("walk", STORED.values(), ids=STORED)
def test_a_stored_walk(release: Release, load: Load, faults: Faults, walk: Walk) -> None:
    """What was once found, or thought of, is played again."""
    release.deploy(NEW)
    release.smoke()
    with load.steady():
        play(walk, release, faults)


@pytest.mark.promises(*INVARIANTS)
def test_a_walk_by_its_seed(release: Release, load: Load, faults: Faults, seed: int) -> None:
    """Four moves with faults, drawn from --bg-seed."""
    release.deploy(NEW)
    release.smoke()
    with load.steady():
        play(draw(seed), release, faults)

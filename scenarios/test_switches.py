"""Switches: what moves users is a tool of its own, and its ways are put to the test."""

import pytest

from harness.errors import IllegalMove
from harness.release.switches.argo import ArgoSwitch
from harness.words import (
    CUTOVER,
    NEW,
    OLD,
    Load,
    Release,
    enough,
    never_served,
    nobody,
    nothing_lost,
    only,
    refused,
    sockets_clean,
)

pytestmark = [pytest.mark.nightly, pytest.mark.paths("service")]


@pytest.mark.parametrize("switch", ["helm", "argo-rollouts"], indirect=True)
@pytest.mark.promises(nothing_lost(), sockets_clean(), enough(2000), only(NEW, after=CUTOVER), only(OLD, after=CUTOVER))
def test_two_releases_by_a_tool_alternate_the_sides(release: Release, load: Load) -> None:
    """Deploy, smoke, promote, watch, scale the old side to nothing; the next release goes the other way."""
    with load.steady():
        for version in (NEW, OLD):
            release.deploy(version)
            release.smoke()
            release.cutover()
            release.watch(seconds=4)
            release.retire(after=0, despite_users=True)
            release.watch(seconds=3, breached=nobody)


@pytest.mark.parametrize("switch", ["argo-rollouts"], indirect=True)
@pytest.mark.promises(nothing_lost(), never_served(NEW), refused("doesn't wait to be promoted", stage="cutover"))
def test_an_aborted_release_moves_nobody(release: Release, load: Load, switch: ArgoSwitch) -> None:
    """The new version has passed smoke and waits for its promotion; after an abort nothing promotes it any more."""
    release.deploy(NEW)
    release.smoke()
    with load.steady():
        switch.abort()
        with pytest.raises(IllegalMove):
            release.cutover()
        release.watch(seconds=4)

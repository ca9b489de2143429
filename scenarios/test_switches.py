"""Switches: what moves users is a tool of its own, and its ways are put to the test."""

import pytest

from harness.words import CUTOVER, NEW, OLD, Load, Release, enough, nobody, nothing_lost, only, sockets_clean

pytestmark = [pytest.mark.nightly, pytest.mark.paths("service")]


@pytest.mark.parametrize("switch", ["helm"], indirect=True)
@pytest.mark.promises(nothing_lost(), sockets_clean(), enough(2000), only(NEW, after=CUTOVER), only(OLD, after=CUTOVER))
def test_two_releases_by_helm_alternate_the_colors(release: Release, load: Load) -> None:
    """Deploy, smoke, promote, watch, scale the old side to nothing; the next release goes the other way."""
    with load.steady():
        for version in (NEW, OLD):
            release.deploy(version)
            release.smoke()
            release.cutover()
            release.watch(seconds=4)
            release.retire(after=0, despite_users=True)
            release.watch(seconds=3, breached=nobody)

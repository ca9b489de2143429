"""Refusals: what must never reach users is stopped before the switch."""

import pytest

from harness.errors import IllegalMove, SmokeFailed, StillInUse
from harness.words import CUTOVER, NEW, OLD, REFUSED_BY_SMOKE, Load, Release, never_served, nothing_lost, only, refused


@pytest.mark.every_switch
@pytest.mark.fast
@pytest.mark.needs(REFUSED_BY_SMOKE)
@pytest.mark.paths("service")
@pytest.mark.promises(nothing_lost(), refused("status 500", stage="smoke"), only(OLD, after="start"))
def test_a_bad_version_is_stopped_by_smoke_before_users_see_it(release: Release, load: Load) -> None:
    """Its pods are ready and answer with errors; the cutover is refused and users notice nothing."""
    with load.steady(at_most=0.6):  # pods start beside it
        release.deploy(REFUSED_BY_SMOKE, at_once=1)
        with pytest.raises(SmokeFailed):
            release.smoke()
        with pytest.raises(IllegalMove):
            release.cutover()
        release.watch(seconds=4)


@pytest.mark.paths("service")
@pytest.mark.promises(nothing_lost(), refused("smoke", stage="cutover"), never_served(NEW))
def test_a_cutover_before_smoke_is_refused(release: Release, load: Load) -> None:
    """Ready is not enough: a version that nobody has tried is not put before users."""
    with load.steady():
        release.deploy(NEW)
        with pytest.raises(IllegalMove):
            release.cutover()
        release.watch(seconds=3)


@pytest.mark.paths("service")
@pytest.mark.promises(nothing_lost(), only(NEW, after=CUTOVER, within=2.0), refused(stage="retire"))
def test_retiring_a_side_that_still_serves_connections_is_refused(release: Release, load: Load) -> None:
    """Keep-alive connections stay on the old side after the flip: it may not be taken from under them."""
    release.deploy(NEW)
    release.smoke()
    with load.steady():
        release.cutover()
        release.watch(seconds=4)
        with pytest.raises(StillInUse):
            release.retire(after=0)
        release.watch(seconds=2)

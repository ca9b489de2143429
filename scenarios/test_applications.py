"""Applications that nobody here wrote: what a release costs their users is theirs, and the record says it."""

import pytest

from harness.words import CUTOVER, NEW, OLD, ROLLBACK, Load, Release, idle_side_warm, loses, nobody, nothing_lost, only

pytestmark = [pytest.mark.nightly, pytest.mark.application("manifests/datasette/bluegreen.toml")]
UNTOLD = ("fresh", "busy", "idle")
"""Every class that it serves: behind a proxy any of them may meet a connection that its server has just closed."""


@pytest.mark.paths("service")
@pytest.mark.promises(
    nothing_lost(), only(NEW, after=CUTOVER, within=2.0), only(OLD, after=ROLLBACK, within=2.0), idle_side_warm()
)
def test_datasette_goes_there_and_back(release: Release, load: Load) -> None:
    """Users reach its pods themselves, and their own clients know that idle connections end after 5 s."""
    release.deploy(NEW)
    release.smoke()
    with load.steady():
        release.cutover()
        release.watch(seconds=6)
        release.rollback()
        release.watch(seconds=6)


@pytest.mark.paths("ingress")
@pytest.mark.promises(
    loses(may=UNTOLD), only(NEW, after=CUTOVER, within=2.0), only(OLD, after=ROLLBACK, within=2.0), idle_side_warm()
)
def test_datasette_goes_there_and_back_behind_a_proxy(release: Release, load: Load) -> None:
    """Its server closes what is idle for 5 s and can't be told otherwise; the proxy learns it too late now and then."""
    release.deploy(NEW)
    release.smoke()
    with load.steady():
        release.cutover()
        release.watch(seconds=6, breached=nobody)
        release.rollback()
        release.watch(seconds=6, breached=nobody)


@pytest.mark.promises(loses(may=UNTOLD), only(NEW, after=CUTOVER, within=2.0))
def test_datasette_is_retired_without_a_drain(release: Release, load: Load) -> None:
    """Its pods wait for the endpoints and end: kept connections are cut, and nobody had told their users to leave."""
    release.deploy(NEW)
    release.smoke()
    with load.steady():
        release.cutover()
        release.watch(seconds=3, breached=nobody)
        release.retire(after=0, despite_users=True)
        release.watch(seconds=8, breached=nobody)

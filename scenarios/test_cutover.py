"""Cutover: users move from one version to the other, and notice nothing."""

import pytest

from harness.words import (
    CUTOVER,
    NEW,
    OLD,
    ROLLBACK,
    Load,
    Release,
    answered_within,
    cutover_happened,
    enough,
    idle_side_warm,
    no_flip_back,
    nothing_lost,
    only,
)


@pytest.mark.every_switch
@pytest.mark.fast
@pytest.mark.paths(smoke="service")
@pytest.mark.promises(
    nothing_lost(),
    answered_within(),
    enough(2000),
    only(NEW, after=CUTOVER, within=2.0),
    no_flip_back(),
    idle_side_warm(),
)
def test_cutover_loses_nothing(release: Release, load: Load) -> None:
    """The old version is live; the new one takes over while users keep asking."""
    release.deploy(NEW)
    release.smoke()
    with load.steady():
        release.cutover()
        release.watch(seconds=15)


@pytest.mark.every_switch
@pytest.mark.paths(nightly="ingress")
@pytest.mark.promises(
    nothing_lost(),
    answered_within(),
    enough(2000),
    cutover_happened(),
    only(NEW, after=CUTOVER, within=2.0),
    only(OLD, after=ROLLBACK, within=2.0),
    no_flip_back(),
    idle_side_warm(),
)
def test_many_cutovers_in_a_row_lose_nothing(release: Release, load: Load, cutovers: int) -> None:
    """Blue and green alternate, again and again, under one load."""
    release.deploy(NEW)
    with load.steady():
        for number in range(cutovers):
            if number % 2 == 0:
                release.smoke()
                release.cutover()
            else:
                release.rollback()
            release.watch(seconds=4)


@pytest.mark.paths(nightly="ingress")
@pytest.mark.application("manifests/nginx/bluegreen.toml")
@pytest.mark.promises(
    nothing_lost(), answered_within(), enough(2000), only(NEW, after=CUTOVER, within=2.0), idle_side_warm()
)
def test_any_other_application_cuts_over_the_same_way(release: Release, load: Load) -> None:
    """Nginx with two pages knows nothing of this suite, and is judged the same."""
    release.deploy(NEW)
    release.smoke()
    with load.steady():
        release.cutover()
        release.watch(seconds=10)


@pytest.mark.nightly
@pytest.mark.paths("service")
@pytest.mark.application("manifests/single/bluegreen.toml")
@pytest.mark.promises(
    nothing_lost(), answered_within(), enough(2000), only(NEW, after=CUTOVER, within=2.0), idle_side_warm()
)
def test_sides_made_of_one_deployment_cut_over_the_same_way(release: Release, load: Load) -> None:
    """The manifests hold one Deployment and one Service; the harness makes blue and green of them."""
    release.deploy(NEW)
    release.smoke()
    with load.steady():
        release.cutover()
        release.watch(seconds=10)


@pytest.mark.paths("service")
@pytest.mark.promises(nothing_lost(), only(OLD, after="start"))
def test_deploying_beside_the_live_version_touches_no_user(release: Release, load: Load) -> None:
    """The new version comes up on the idle side under load; nobody sees it."""
    with load.steady():
        release.deploy(NEW)
        release.smoke()
        release.watch(seconds=4)

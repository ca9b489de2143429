"""Rollback: the way back is as smooth as the way there."""

import pytest

from harness.words import (
    BREAKS_AFTER_CUTOVER,
    CUTOVER,
    NEW,
    OLD,
    ROLLBACK,
    Load,
    Release,
    answered_within,
    enough,
    idle_side_warm,
    no_flip_back,
    nothing_lost,
    only,
    rolled_back_by_watch,
)

BESIDE_STARTS = 0.6
"""Two cores that carry the cluster too can't start pods beside the whole load: users waited for 5 s."""


@pytest.mark.every_switch
@pytest.mark.fast
@pytest.mark.paths(smoke="service")
@pytest.mark.promises(
    nothing_lost(),
    answered_within(),
    enough(2000),
    only(OLD, after=ROLLBACK, within=2.0),
    no_flip_back(),
    idle_side_warm(),
)
def test_rollback_loses_nothing(release: Release, load: Load) -> None:
    """The new version is live; users are pointed back at the old one, without a rebuild or a pull."""
    release.deploy(NEW)
    release.smoke()
    release.cutover()
    with load.steady():
        release.rollback()
        release.watch(seconds=15)


@pytest.mark.fast
@pytest.mark.promises(
    nothing_lost(),
    enough(2000),
    only(NEW, after=CUTOVER, within=2.0),
    only(OLD, after=ROLLBACK, within=2.0),
    idle_side_warm(),
)
def test_a_whole_release_loses_nothing(release: Release, load: Load) -> None:
    """Deploy, smoke, cutover, watch, rollback: all of it under load, with pods that start beside it one by one."""
    _whole_release(release, load)


@pytest.mark.nightly
@pytest.mark.promises(nothing_lost(), answered_within())
def test_nobody_waits_in_a_whole_release(release: Release, load: Load) -> None:
    """The same, and every answer around its two moves comes in time: on two slow cores some don't."""
    _whole_release(release, load)


def _whole_release(release: Release, load: Load) -> None:
    with load.steady(at_most=BESIDE_STARTS):
        release.deploy(NEW, at_once=1)
        release.smoke()
        release.cutover()
        release.watch(seconds=6)
        release.rollback()
        release.watch(seconds=4)


@pytest.mark.paths(nightly="ingress")
@pytest.mark.needs(BREAKS_AFTER_CUTOVER)
@pytest.mark.promises(rolled_back_by_watch(), only(OLD, after=ROLLBACK, within=2.0), idle_side_warm())
def test_a_version_that_breaks_after_the_cutover_is_rolled_back_by_the_watch(release: Release, load: Load) -> None:
    """It passes smoke and fails under real traffic: the watch sees it and points users back by itself."""
    release.deploy(BREAKS_AFTER_CUTOVER)
    release.smoke()
    with load.steady():
        release.cutover()
        release.watch(seconds=20)
        release.watch(seconds=4)

"""Negative twins: each check is shown to turn red on the real cluster when its promise is broken."""

import pytest

from harness.words import (
    CUTOVER,
    NEW,
    Load,
    Meddler,
    Release,
    cutover_happened,
    idle_side_warm,
    no_flip_back,
    nobody,
    nothing_lost,
    only,
    red,
)

pytestmark = [pytest.mark.paths("service")]


def _released(release: Release) -> None:
    release.deploy(NEW)
    release.smoke()


@pytest.mark.promises(red(nothing_lost()))
def test_an_empty_selector_turns_nothing_lost_red(release: Release, load: Load, meddler: Meddler) -> None:
    """Somebody misspells the selector after the cutover: the Service has no endpoint."""
    _released(release)
    with load.steady():
        release.cutover()
        with meddler.misspelt_selector():
            release.watch(seconds=5, breached=nobody)


@pytest.mark.promises(red(no_flip_back()), red(only(NEW, after=CUTOVER, within=2.0)))
def test_a_second_writer_turns_no_flip_back_red(release: Release, load: Load, meddler: Meddler) -> None:
    """Somebody puts the selector back behind the release's back."""
    _released(release)
    with load.steady():
        release.cutover()
        release.watch(seconds=3, breached=nobody)
        with meddler.selector_put_back():
            release.watch(seconds=5, breached=nobody)


@pytest.mark.promises(red(only(NEW, after=CUTOVER, within=2.0)))
def test_a_selector_without_color_turns_only_red(release: Release, load: Load, meddler: Meddler) -> None:
    """Somebody takes the color out of the selector: both versions serve."""
    _released(release)
    with load.steady():
        release.cutover()
        with meddler.widened_selector():
            release.watch(seconds=6, breached=nobody)


@pytest.mark.promises(red(idle_side_warm()))
def test_scaling_the_old_side_down_turns_idle_side_warm_red(release: Release, load: Load, meddler: Meddler) -> None:
    """Somebody deletes the way back right after the cutover."""
    _released(release)
    with load.steady():
        release.cutover()
        with meddler.idle_side_scaled_to_zero():
            release.watch(seconds=6, breached=nobody)


@pytest.mark.promises(red(cutover_happened()), red(only(NEW, after=CUTOVER, within=2.0)))
def test_a_stalled_controller_turns_cutover_happened_red(release: Release, load: Load, meddler: Meddler) -> None:
    """The patch is acknowledged, but the endpoints never follow."""
    _released(release)
    with meddler.stalled_controller_manager(), load.steady():
        release.cutover()
        release.watch(seconds=6, breached=nobody)

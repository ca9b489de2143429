"""Negative twins: each check turns red on the real cluster when its promise is broken; the rarer ones nightly."""

import pytest

from harness.errors import SmokeFailed
from harness.faults import control_plane, data_plane, process, second_writer
from harness.words import (
    BREAKS_AFTER_CUTOVER,
    CUTOVER,
    NEW,
    REFUSED_BY_SMOKE,
    Faults,
    Load,
    Release,
    answered_within,
    arrives_once,
    cutover_happened,
    enough,
    finishes_where_it_began,
    goaway_first,
    idle_side_warm,
    inconclusive,
    never_empty,
    never_served,
    no_flip_back,
    nobody,
    nothing_lost,
    only,
    outage,
    red,
    refused,
    rolled_back_by_watch,
    steady_generator,
)

pytestmark = [pytest.mark.paths("service")]


def _released(release: Release) -> None:
    release.deploy(NEW)
    release.smoke()


@pytest.mark.fast
@pytest.mark.promises(
    red(nothing_lost()), red(answered_within()), red(never_empty()), red(outage(["fresh", "post"], at_most=1.0))
)
def test_an_empty_selector_turns_nothing_lost_red(release: Release, load: Load, faults: Faults) -> None:
    """Somebody misspells the selector after the cutover: the Service has no endpoint."""
    _released(release)
    with load.steady():
        release.cutover()
        with faults.during(second_writer.misspelt_selector()):
            release.watch(seconds=5, breached=nobody)


@pytest.mark.nightly
@pytest.mark.promises(red(no_flip_back()), red(only(NEW, after=CUTOVER, within=2.0)))
def test_a_second_writer_turns_no_flip_back_red(release: Release, load: Load, faults: Faults) -> None:
    """Somebody puts the selector back behind the release's back."""
    _released(release)
    with load.steady():
        release.cutover()
        release.watch(seconds=3, breached=nobody)
        with faults.during(second_writer.selector_put_back()):
            release.watch(seconds=5, breached=nobody)


@pytest.mark.nightly
@pytest.mark.promises(red(only(NEW, after=CUTOVER, within=2.0)))
def test_a_selector_without_color_turns_only_red(release: Release, load: Load, faults: Faults) -> None:
    """Somebody takes the color out of the selector: both versions serve."""
    _released(release)
    with load.steady():
        release.cutover()
        with faults.during(second_writer.widened_selector()):
            release.watch(seconds=6, breached=nobody)


@pytest.mark.nightly
@pytest.mark.promises(red(idle_side_warm()))
def test_scaling_the_old_side_down_turns_idle_side_warm_red(release: Release, load: Load, faults: Faults) -> None:
    """Somebody deletes the way back right after the cutover."""
    _released(release)
    with load.steady():
        release.cutover()
        with faults.during(second_writer.idle_side_scaled_to_zero()):
            release.watch(seconds=6, breached=nobody)


@pytest.mark.nightly
@pytest.mark.beyond("controller-manager-stalled")
@pytest.mark.promises(red(cutover_happened()), red(only(NEW, after=CUTOVER, within=2.0)))
def test_a_stalled_controller_turns_cutover_happened_red(release: Release, load: Load, faults: Faults) -> None:
    """The patch is acknowledged, but the endpoints never follow."""
    _released(release)
    with faults.during(control_plane.pause_controller_manager()), load.steady():
        release.cutover()
        release.watch(seconds=6, breached=nobody)


@pytest.mark.nightly
@pytest.mark.promises(red(refused(stage="smoke")), red(never_served(NEW)))
def test_a_good_version_turns_the_refusal_red(release: Release, load: Load) -> None:
    """What was promised to be stopped gets through and reaches users."""
    _released(release)
    with load.steady():
        release.cutover()
        release.watch(seconds=4)


@pytest.mark.nightly
@pytest.mark.needs(REFUSED_BY_SMOKE)
@pytest.mark.promises(red(never_served(REFUSED_BY_SMOKE)), red(nothing_lost()))
def test_a_promotion_by_hand_turns_never_served_red(release: Release, load: Load, faults: Faults) -> None:
    """Smoke has refused the version, and somebody points users at it all the same."""
    release.deploy(REFUSED_BY_SMOKE)
    with pytest.raises(SmokeFailed):
        release.smoke()
    with load.steady(), faults.during(second_writer.selector_at_idle_side()):
        release.watch(seconds=4, breached=nobody)


@pytest.mark.nightly
@pytest.mark.needs(REFUSED_BY_SMOKE)
@pytest.mark.paths("ingress")
@pytest.mark.beyond("proxy-sends-again")
@pytest.mark.promises(red(arrives_once()), red(nothing_lost()))
def test_a_proxy_that_sends_again_turns_arrives_once_red(release: Release, load: Load, faults: Faults) -> None:
    """The proxy hides failures by sending requests again; only the application's own record tells."""
    release.deploy(REFUSED_BY_SMOKE)
    with pytest.raises(SmokeFailed):
        release.smoke()
    with (
        faults.during(second_writer.retrying_proxy()),
        load.steady(),
        faults.during(second_writer.selector_at_idle_side()),
    ):
        release.watch(seconds=4, breached=nobody)


@pytest.mark.nightly
@pytest.mark.paths("ingress")
@pytest.mark.application("manifests/tls/bluegreen.toml")
@pytest.mark.beyond("ingress-proxies-killed")
@pytest.mark.promises(red(goaway_first()), red(finishes_where_it_began("slow", "h2_slow")))
def test_killed_proxies_turn_goaway_first_red(release: Release, load: Load, faults: Faults) -> None:
    """The proxies die just after the flip, without a word to whoever waits for an answer."""
    _released(release)
    with load.steady():
        release.watch(seconds=3, breached=nobody)
        release.cutover()
        with faults.during(data_plane.kill_ingress_proxies()):
            release.watch(seconds=3, breached=nobody)


@pytest.mark.nightly
@pytest.mark.needs(BREAKS_AFTER_CUTOVER)
@pytest.mark.promises(red(rolled_back_by_watch()), red(nothing_lost()))
def test_a_watch_that_looks_away_turns_rolled_back_by_watch_red(release: Release, load: Load) -> None:
    """The new version breaks under traffic, and nobody points users back."""
    release.deploy(BREAKS_AFTER_CUTOVER)
    release.smoke()
    with load.steady():
        release.cutover()
        release.watch(seconds=12, breached=nobody)


@pytest.mark.nightly
@pytest.mark.promises(nothing_lost(), inconclusive(enough(2000)))
def test_a_short_look_is_not_enough(release: Release, load: Load) -> None:
    """Nothing was lost of a few hundred requests: that proves too little, and the record says so."""
    del release
    with load.steady() as running:
        running.check()


@pytest.mark.nightly
@pytest.mark.promises(nothing_lost(), inconclusive(steady_generator()))
def test_a_stalled_generator_is_noticed(release: Release, load: Load, faults: Faults) -> None:
    """The load itself hangs for a second around the flip: nothing is lost, and yet nothing is proven."""
    _released(release)
    with load.steady() as running:
        release.cutover()
        with faults.during(process.stalled_generator(running)):
            release.watch(seconds=1, breached=nobody)
        release.watch(seconds=5, breached=nobody)

"""Kept connections: where a client ends up that never closes, that is idle too long, or that is pinned to a pod."""

import pytest

from harness.words import (
    CLOSES_IDLE,
    CUTOVER,
    NEW,
    Load,
    Meddler,
    Pods,
    Release,
    affinity,
    idle_close,
    kept_until_drained,
    nobody,
    nothing_lost,
    only,
    red,
    service,
)


def _released(release: Release) -> None:
    release.deploy(NEW)
    release.smoke()


@pytest.mark.paths("service")
@pytest.mark.switches
@pytest.mark.promises(nothing_lost(), kept_until_drained(within=3.0), only(NEW, after=CUTOVER, within=2.0))
def test_a_client_that_never_closes_stays_until_the_old_side_drains(release: Release, load: Load, pods: Pods) -> None:
    """A Service moves no connection: busy ones stay at the flip, and leave with the drain; then the side can go."""
    _released(release)
    with load.steady():
        release.cutover()
        release.watch(seconds=5)
        pods.drain_side(release.idle)
        release.watch(seconds=12)
        release.retire(after=0)


@pytest.mark.paths("ingress")
@pytest.mark.switches
@pytest.mark.promises(
    nothing_lost(), only(NEW, after=CUTOVER, classes=("fresh", "busy"), within=2.0), red(kept_until_drained(within=3.0))
)
def test_behind_the_proxy_even_a_client_that_never_closes_moves_at_once(
    release: Release, load: Load, pods: Pods
) -> None:
    """The proxy chooses anew for each request, so that a client's own connection doesn't matter."""
    _released(release)
    with load.steady():
        release.cutover()
        release.watch(seconds=5)
        pods.drain_side(release.idle)
        release.watch(seconds=5)


@pytest.mark.paths("service")
@pytest.mark.policy(CLOSES_IDLE)
@pytest.mark.promises(nothing_lost(), idle_close())
def test_idle_connections_at_the_servers_time_out_lose_only_what_can_be_retried(release: Release, load: Load) -> None:
    """100 connections are used just when the server closes them: what that costs is counted, and let pass."""
    with load.steady(idle=19.99):  # each once in 5.0025 s: a server's timer of 5 s begins with its answer
        release.watch(seconds=16)


@pytest.mark.nightly
@pytest.mark.paths("service")
@pytest.mark.changed(service(sessionAffinity="ClientIP"))
@pytest.mark.promises(nothing_lost(), only(NEW, after=CUTOVER, within=2.0), affinity(pods=1))
def test_affinity_pins_an_address_to_one_pod_and_a_flip_moves_it_all_the_same(release: Release, load: Load) -> None:
    """Each node remembers one pod for the load's address, until that is gone from the endpoints: then a new one."""
    _released(release)
    with load.steady():
        release.watch(seconds=2)
        release.cutover()
        release.watch(seconds=6)


@pytest.mark.nightly
@pytest.mark.paths("service")
@pytest.mark.policy(CLOSES_IDLE)
@pytest.mark.promises(red(idle_close("strict")), idle_close())
def test_at_level_strict_the_servers_time_out_turns_idle_close_red(release: Release, load: Load) -> None:
    """Twice as many idle connections: what users' clients may send again is a loss all the same."""
    with load.steady(idle=39.98):
        release.watch(seconds=16)


@pytest.mark.nightly
@pytest.mark.paths("service")
@pytest.mark.policy(CLOSES_IDLE)
@pytest.mark.promises(red(idle_close()), red(nothing_lost()))
def test_an_empty_selector_turns_idle_close_red(release: Release, load: Load, meddler: Meddler) -> None:
    """Idle connections are closed as ever, and their successors find nobody: no client may retry that away."""
    with load.steady(idle=19.9):  # each once in 5.025 s: its close is always seen before the send
        release.watch(seconds=6, breached=nobody)
        with meddler.misspelt_selector():
            release.watch(seconds=6, breached=nobody)


@pytest.mark.nightly
@pytest.mark.paths("service")
@pytest.mark.promises(nothing_lost(), red(affinity(pods=1)))
def test_without_affinity_one_address_reaches_all_pods(release: Release, load: Load) -> None:
    """The default: nothing pins an address."""
    with load.steady():
        release.watch(seconds=4)

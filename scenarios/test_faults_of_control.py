"""Faults of what decides, not of what carries users: control plane, second writers, broken releases, the ingress."""

import pytest

from harness.errors import ClusterError, IllegalMove
from harness.faults.block import Plan
from harness.faults.control_plane import (
    kill_dns,
    kill_ingress_controller,
    kill_ingress_proxy,
    pause_apiserver,
    pause_controller_manager,
    pause_etcd,
    restart_apiserver,
)
from harness.faults.flow_control import throttle_switch
from harness.faults.second_writer import (
    crash_loop,
    cut_over_too,
    missing_image,
    selector_put_back,
    slow_start,
    stale_write,
)
from harness.words import (
    CUTOVER,
    NEW,
    Faults,
    Load,
    Release,
    ms,
    never_served,
    no_flip_back,
    nobody,
    nothing_lost,
    only,
    outage,
    red,
    refused,
)

pytestmark = [pytest.mark.paths("service")]
LEAD_S = 2.0
"""Time to arm in, also on a busy machine."""
ALL = ("fresh", "busy", "idle", "slow", "post")


def _released(release: Release) -> None:
    release.deploy(NEW)
    release.smoke()


@pytest.mark.promises(nothing_lost(), only(NEW, after=CUTOVER, within=6.0))
@pytest.mark.beyond("apiserver-paused")
def test_the_api_server_stops_for_three_seconds_at_the_flip(release: Release, load: Load, faults: Faults) -> None:
    """The patch waits, and users stay where they are; then both go on."""
    _released(release)
    with load.steady(), faults.at(CUTOVER - ms(100), pause_apiserver(lasts_s=3)):
        release.cutover(LEAD_S)
        release.watch(seconds=6, breached=nobody)


@pytest.mark.nightly
@pytest.mark.promises(nothing_lost(), only(NEW, after=CUTOVER, within=6.0))
@pytest.mark.beyond("etcd-paused")
def test_etcd_stops_for_three_seconds_at_the_flip(release: Release, load: Load, faults: Faults) -> None:
    """The patch waits for the cluster's memory, and users stay where they are."""
    _released(release)
    with load.steady(), faults.at(CUTOVER - ms(100), pause_etcd(lasts_s=3)):
        release.cutover(LEAD_S)
        release.watch(seconds=6, breached=nobody)


@pytest.mark.nightly
@pytest.mark.promises(nothing_lost(), only(NEW, after=CUTOVER, within=2.0))
@pytest.mark.beyond("apiserver-restarted")
def test_the_api_server_dies_just_after_the_flip(release: Release, load: Load, faults: Faults) -> None:
    """The flip was acknowledged and has reached the nodes: users need nobody to tell them more."""
    _released(release)
    with load.steady(), faults.at(CUTOVER + ms(1000), restart_apiserver()):
        release.cutover(LEAD_S)
        release.watch(seconds=4, breached=nobody)


@pytest.mark.nightly
@pytest.mark.promises(nothing_lost(), only(NEW, after=CUTOVER, within=12.0))
@pytest.mark.beyond("controller-manager-stalled")
def test_the_controller_manager_stops_before_the_flip(release: Release, load: Load, faults: Faults) -> None:
    """The patch is acknowledged, and users stay where they are until the controllers go on."""
    _released(release)
    with load.steady():
        with faults.at(CUTOVER - ms(200), pause_controller_manager()):
            release.cutover(LEAD_S)
            release.watch(seconds=3, breached=nobody)
        release.watch(seconds=9, breached=nobody)


@pytest.mark.nightly
@pytest.mark.promises(nothing_lost(), only(NEW, after=CUTOVER, within=2.0))
@pytest.mark.beyond("dns-killed")
def test_the_clusters_dns_dies_at_the_flip(release: Release, load: Load, faults: Faults) -> None:
    """A Service is an address: nobody asks for its name at the flip."""
    _released(release)
    with load.steady(), faults.at(CUTOVER, kill_dns()):
        release.cutover(LEAD_S)
        release.watch(seconds=4, breached=nobody)


@pytest.mark.nightly
@pytest.mark.promises(
    nothing_lost(), refused("429", stage="cutover", at_first=True), only(NEW, after=CUTOVER, within=2.0)
)
@pytest.mark.beyond("switch-throttled")
def test_the_api_server_refuses_the_flip_for_its_load(release: Release, load: Load, faults: Faults) -> None:
    """It has no seat for the patch (429), and the patch isn't sent again: users stay until somebody cuts over anew."""
    _released(release)
    with load.steady():
        with faults.at(CUTOVER - ms(500), throttle_switch()):
            with pytest.raises(ClusterError, match="429"):
                release.cutover(LEAD_S)
            release.watch(seconds=3, breached=nobody)
        release.watch(seconds=3, breached=nobody)  # healing starts a program on the control plane's node
        release.cutover(LEAD_S)
        release.watch(seconds=5, breached=nobody)


@pytest.mark.nightly
@pytest.mark.promises(nothing_lost(), only(NEW, after=CUTOVER, within=2.0), no_flip_back())
def test_the_same_cutover_is_sent_by_two_and_a_stale_write_is_refused(
    release: Release, load: Load, faults: Faults
) -> None:
    """Two people release at once: one patch is the other's; and who puts back what he read before is refused (409)."""
    _released(release)
    with load.steady(), faults.at(CUTOVER, cut_over_too()), faults.at(CUTOVER + ms(300), stale_write()):
        release.cutover(LEAD_S)
        release.watch(seconds=6)


@pytest.mark.nightly
@pytest.mark.promises(red(no_flip_back()), nothing_lost())
def test_a_second_writer_puts_the_selector_back_right_after_the_flip(
    release: Release, load: Load, faults: Faults
) -> None:
    """Nothing is lost by that, and the release isn't where it says it is."""
    _released(release)
    with load.steady(), faults.at(CUTOVER + ms(1000), selector_put_back()):
        release.cutover(LEAD_S)
        release.watch(seconds=5, breached=nobody)


@pytest.mark.every_switch
@pytest.mark.nightly
@pytest.mark.promises(nothing_lost(), refused(stage="cutover"), never_served(NEW))
@pytest.mark.parametrize("fault", [missing_image(), crash_loop()], ids=["missing-image", "crash-loop"])
def test_an_idle_side_that_cant_start_isnt_put_before_users(
    release: Release, load: Load, faults: Faults, fault: Plan
) -> None:
    """The new version was fine, and then somebody changed it: the cutover is refused before users see it."""
    _released(release)
    with load.steady(), faults.during(fault):
        with pytest.raises(IllegalMove):
            release.cutover()
        release.watch(seconds=4)


@pytest.mark.nightly
@pytest.mark.promises(nothing_lost(), refused(stage="cutover"), never_served(NEW))
def test_a_slow_start_delays_the_cutover(release: Release, load: Load, faults: Faults) -> None:
    """While pods of the idle side aren't ready, the cutover is refused."""
    _released(release)
    with load.steady(), faults.during(slow_start(10)):
        with pytest.raises(IllegalMove):
            release.cutover()
        release.watch(seconds=3)


@pytest.mark.nightly
@pytest.mark.paths("ingress")
@pytest.mark.promises(nothing_lost(), only(NEW, after=CUTOVER, within=4.0))
@pytest.mark.beyond("ingress-controller-killed")
def test_the_ingress_controller_dies_at_the_flip(release: Release, load: Load, faults: Faults) -> None:
    """Its proxies go on, and learn of the flip from the other one or a little later."""
    _released(release)
    with load.steady(), faults.at(CUTOVER - ms(100), kill_ingress_controller()):
        release.cutover(LEAD_S)
        release.watch(seconds=8, breached=nobody)


@pytest.mark.nightly
@pytest.mark.paths("ingress")
@pytest.mark.promises(outage(ALL, at_most=20.0, at_least=0.05))
@pytest.mark.beyond("ingress-proxy-killed")
def test_an_ingress_proxy_dies_at_the_flip(release: Release, load: Load, faults: Faults) -> None:
    """Every connection through it is cut, and its users are refused until it is back or nobody is led to it."""
    _released(release)
    with load.steady(), faults.at(CUTOVER, kill_ingress_proxy()):
        release.cutover(LEAD_S)
        release.watch(seconds=10, breached=nobody)

"""Faults of what decides, not of what carries users, at the rollback: control plane, second writers, the ingress."""

from collections.abc import Callable

import pytest

from harness.checks.moment import At
from harness.errors import ClusterError
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
from harness.faults.node import pause_kube_proxy
from harness.faults.second_writer import (
    crash_loop,
    cut_over_too,
    missing_image,
    selector_put_back,
    slow_start,
    stale_write,
)
from harness.words import (
    NEW,
    OLD,
    ROLLBACK,
    Faults,
    Load,
    Release,
    ms,
    no_flip_back,
    nobody,
    nothing_lost,
    only,
    outage,
    red,
    refused,
)

pytestmark = [pytest.mark.paths("service"), pytest.mark.nightly]
LEAD_S = 2.0
"""Time to arm in, also on a busy machine."""
ALL = ("fresh", "busy", "idle", "slow", "post")
BACK = only(OLD, after=ROLLBACK, within=2.0)


def _live(release: Release) -> None:
    release.deploy(NEW)
    release.smoke()
    release.cutover()


@pytest.mark.promises(nothing_lost(), BACK)
@pytest.mark.parametrize(
    ("when", "fault"),
    [
        pytest.param(
            ROLLBACK + ms(1000),
            restart_apiserver,
            id="apiserver-restarted",
            marks=pytest.mark.beyond("apiserver-restarted"),
        ),
        pytest.param(ROLLBACK + ms(0), kill_dns, id="dns-killed", marks=pytest.mark.beyond("dns-killed")),
        pytest.param(ROLLBACK + ms(0), cut_over_too, id="rollback-sent-twice"),
        pytest.param(ROLLBACK + ms(300), stale_write, id="stale-write"),
    ],
)
def test_users_need_nobody_of_these_on_their_way_back(
    release: Release, load: Load, faults: Faults, when: At, fault: Callable[[], Plan]
) -> None:
    """The way back is one patch, and an address that nobody asks for by name."""
    _live(release)
    with load.steady(), faults.at(when, fault()):
        release.rollback(LEAD_S)
        release.watch(seconds=8, breached=nobody)


@pytest.mark.parametrize(
    ("when", "fault"),
    [
        pytest.param(
            ROLLBACK - ms(100),
            lambda: pause_apiserver(lasts_s=3),
            id="apiserver-paused",
            marks=[
                pytest.mark.beyond("apiserver-paused"),
                pytest.mark.promises(nothing_lost(), only(OLD, after=ROLLBACK, within=6.0)),
            ],
        ),
        pytest.param(
            ROLLBACK - ms(100),
            lambda: pause_etcd(lasts_s=3),
            id="etcd-paused",
            marks=[
                pytest.mark.beyond("etcd-paused"),
                pytest.mark.promises(nothing_lost(), only(OLD, after=ROLLBACK, within=6.0)),
            ],
        ),
        pytest.param(
            ROLLBACK - ms(200),
            lambda: pause_kube_proxy("worker2"),
            id="kube-proxy-paused",
            marks=[
                pytest.mark.beyond("kube-proxy-paused"),
                pytest.mark.promises(nothing_lost(), only(OLD, after=ROLLBACK, within=12.0)),
            ],
        ),
        pytest.param(
            ROLLBACK - ms(200),
            pause_controller_manager,
            id="controller-manager-stalled",
            marks=[
                pytest.mark.beyond("controller-manager-stalled"),
                pytest.mark.promises(nothing_lost(), only(OLD, after=ROLLBACK, within=12.0)),
            ],
        ),
    ],
)
def test_users_come_back_later_and_lose_nothing(
    release: Release, load: Load, faults: Faults, when: At, fault: Callable[[], Plan]
) -> None:
    """Who has to hear of the way back doesn't for a while: users stay on the new version as long."""
    _live(release)
    with load.steady():
        with faults.at(when, fault()):
            release.rollback(LEAD_S)
            release.watch(seconds=4, breached=nobody)
        release.watch(seconds=9, breached=nobody)


@pytest.mark.promises(nothing_lost(), refused("429", stage="rollback", at_first=True), BACK)
@pytest.mark.beyond("switch-throttled")
def test_the_api_server_refuses_the_rollback_for_its_load(release: Release, load: Load, faults: Faults) -> None:
    """It has no seat for the patch (429), and the patch isn't sent again: users stay until somebody rolls back anew."""
    _live(release)
    with load.steady():
        with faults.at(ROLLBACK - ms(500), throttle_switch()):
            with pytest.raises(ClusterError, match="429"):
                release.rollback(LEAD_S)
            release.watch(seconds=3, breached=nobody)
        release.watch(seconds=3, breached=nobody)  # healing starts a program on the control plane's node
        release.rollback(LEAD_S)
        release.watch(seconds=5, breached=nobody)


@pytest.mark.promises(red(no_flip_back()), nothing_lost())
def test_a_second_writer_puts_the_selector_back_right_after_the_rollback(
    release: Release, load: Load, faults: Faults
) -> None:
    """Nothing is lost by that, and users are on the version again that they were taken from."""
    _live(release)
    with load.steady(), faults.at(ROLLBACK + ms(1000), selector_put_back()):
        release.rollback(LEAD_S)
        release.watch(seconds=5, breached=nobody)


@pytest.mark.promises(nothing_lost(), BACK)
@pytest.mark.parametrize(
    "fault", [missing_image(), crash_loop(), slow_start(10)], ids=["missing-image", "crash-loop", "slow-start"]
)
def test_a_broken_change_to_the_old_side_bars_no_way_back(
    release: Release, load: Load, faults: Faults, fault: Plan
) -> None:
    """Somebody changed the side that users came from: its old pods stay until new ones are ready, and take them all."""
    _live(release)
    with load.steady(), faults.during(fault):
        release.rollback(LEAD_S)
        release.watch(seconds=4, breached=nobody)


@pytest.mark.paths("ingress")
@pytest.mark.promises(nothing_lost(), only(OLD, after=ROLLBACK, within=4.0))
@pytest.mark.beyond("ingress-controller-killed")
def test_the_ingress_controller_dies_at_the_rollback(release: Release, load: Load, faults: Faults) -> None:
    """Its proxies go on, and learn of the way back from the other one or a little later."""
    _live(release)
    with load.steady(), faults.at(ROLLBACK - ms(100), kill_ingress_controller()):
        release.rollback(LEAD_S)
        release.watch(seconds=8, breached=nobody)


@pytest.mark.paths("ingress")
@pytest.mark.promises(outage(ALL, at_most=20.0, at_least=0.05))
@pytest.mark.beyond("ingress-proxy-killed")
def test_an_ingress_proxy_dies_at_the_rollback(release: Release, load: Load, faults: Faults) -> None:
    """Every connection through it is cut, and its users are refused until it is back or nobody is led to it."""
    _live(release)
    with load.steady(), faults.at(ROLLBACK, kill_ingress_proxy()):
        release.rollback(LEAD_S)
        release.watch(seconds=10, breached=nobody)

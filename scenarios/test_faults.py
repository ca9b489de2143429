"""Faults at the moment of the flip, each with what users may notice of it; most of them nightly."""

import pytest

from harness.faults.control_plane import (
    kill_dns,
    pause_apiserver,
    pause_controller_manager,
    pause_etcd,
    restart_apiserver,
)
from harness.faults.node import drain_node, pause_kube_proxy, pause_node, restart_node, stop_kubelet
from harness.faults.pod import delete_pod, evict_pod
from harness.faults.process import kill_pod, stop_pod
from harness.words import (
    CUTOVER,
    NEW,
    OLD,
    ROLLBACK,
    Faults,
    Load,
    Release,
    ms,
    nobody,
    nothing_lost,
    only,
    outage,
)

pytestmark = [pytest.mark.paths("service")]
LEAD_S = 2.0
"""Time to arm in, also on a busy machine."""
ALL = ("fresh", "busy", "idle", "slow", "post")


def _released(release: Release) -> None:
    release.deploy(NEW)
    release.smoke()


@pytest.mark.fast
@pytest.mark.promises(nothing_lost(), only(NEW, after=CUTOVER, within=2.0))
def test_the_new_side_loses_a_pod_by_eviction_just_after_the_flip(release: Release, load: Load, faults: Faults) -> None:
    """Users notice nothing when a node drains a pod of the new side 100 ms after they reached it."""
    _released(release)
    with load.steady(), faults.at(CUTOVER + ms(100), evict_pod(release.idle)):
        release.cutover(LEAD_S)
        release.watch(seconds=8, breached=nobody)


@pytest.mark.nightly
@pytest.mark.promises(nothing_lost(), only(NEW, after=CUTOVER, within=2.0), only(OLD, after=ROLLBACK, within=2.0))
def test_pods_deleted_at_the_flip_and_at_the_way_back(release: Release, load: Load, faults: Faults) -> None:
    """A pod of the new side is deleted just before it gets users, one of the old side just after it has them again."""
    _released(release)
    with load.steady():
        with faults.at(CUTOVER - ms(100), delete_pod(release.idle)):
            release.cutover(LEAD_S)
            release.watch(seconds=6, breached=nobody)
        with faults.at(ROLLBACK + ms(100), delete_pod(release.idle)):
            release.rollback(LEAD_S)
            release.watch(seconds=6, breached=nobody)


@pytest.mark.promises(outage(ALL, at_most=4.0), only(NEW, after=CUTOVER, within=2.0))
@pytest.mark.beyond("pod-killed")
def test_a_pod_of_the_new_side_is_killed_just_after_the_flip(release: Release, load: Load, faults: Faults) -> None:
    """SIGKILL without a word: what was under way is lost, and a part of the rest until the pod is taken out."""
    _released(release)
    with load.steady(), faults.at(CUTOVER + ms(100), kill_pod(release.idle)):
        release.cutover(LEAD_S)
        release.watch(seconds=8, breached=nobody)


@pytest.mark.nightly
@pytest.mark.promises(outage(ALL, at_most=8.0))
@pytest.mark.beyond("pod-stopped")
def test_a_pod_of_the_new_side_hangs_just_after_the_flip(release: Release, load: Load, faults: Faults) -> None:
    """Its connections open and nothing comes, until its readiness probes have failed three times."""
    _released(release)
    with load.steady(), faults.at(CUTOVER + ms(100), stop_pod(release.idle)):
        release.cutover(LEAD_S)
        release.watch(seconds=12, breached=nobody)


@pytest.mark.nightly
@pytest.mark.promises(outage(ALL, at_most=12.0), only(NEW, after=CUTOVER, within=2.0))
@pytest.mark.beyond("node-paused")
def test_a_node_stops_just_before_the_flip(release: Release, load: Load, faults: Faults) -> None:
    """Who enters by it waits, and so does who is led to a pod on it, until it goes on."""
    _released(release)
    with load.steady(), faults.at(CUTOVER - ms(200), pause_node("worker2")):
        release.cutover(LEAD_S)
        release.watch(seconds=3, breached=nobody)


@pytest.mark.nightly
@pytest.mark.promises(nothing_lost(), only(NEW, after=CUTOVER, within=2.0))
@pytest.mark.beyond("kubelet-stopped")
def test_a_kubelet_is_stopped_before_the_flip(release: Release, load: Load, faults: Faults) -> None:
    """Nobody looks after the node's pods for a while, and users don't need that."""
    _released(release)
    with load.steady(), faults.at(CUTOVER - ms(200), stop_kubelet("worker2")):
        release.cutover(LEAD_S)
        release.watch(seconds=6, breached=nobody)


@pytest.mark.nightly
@pytest.mark.promises(nothing_lost(), only(NEW, after=CUTOVER, within=12.0))
@pytest.mark.beyond("kube-proxy-paused")
def test_a_kube_proxy_is_stopped_before_the_flip(release: Release, load: Load, faults: Faults) -> None:
    """Its node goes on leading users to the old version, until it is allowed to learn of the new one."""
    _released(release)
    with load.steady():
        with faults.at(CUTOVER - ms(200), pause_kube_proxy("worker2")):
            release.cutover(LEAD_S)
            release.watch(seconds=4, breached=nobody)
        release.watch(seconds=8, breached=nobody)


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
@pytest.mark.promises(nothing_lost(), only(NEW, after=CUTOVER, within=2.0))
@pytest.mark.beyond("node-drained")
def test_a_node_is_drained_from_the_flip_on(release: Release, load: Load, faults: Faults) -> None:
    """One pod after the other leaves as the budget allows, and drains before it goes."""
    _released(release)
    with load.steady(), faults.at(CUTOVER, drain_node("worker2")):
        release.cutover(LEAD_S)
        release.watch(seconds=12, breached=nobody)


@pytest.mark.nightly
@pytest.mark.promises(outage(ALL, at_most=40.0, at_least=0.5), only(NEW, after=CUTOVER, within=2.0))
@pytest.mark.beyond("node-restarted")
def test_a_node_restarts_just_after_the_flip(release: Release, load: Load, faults: Faults) -> None:
    """Its pods die with it; who enters by it, or is led to it, is refused or waits until it is back."""
    _released(release)
    with load.steady(), faults.at(CUTOVER + ms(500), restart_node("worker2")):
        release.cutover(LEAD_S)
        release.watch(seconds=20, breached=nobody)

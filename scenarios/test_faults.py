"""Faults at the moment of the flip, each with what users may notice of it; most of them nightly."""

import pytest

from harness.faults.network import cut_nodes, isolate, slow_line
from harness.faults.node import drain_node, pause_kube_proxy, pause_node, restart_node, stop_kubelet
from harness.faults.pod import delete_pod, evict_pod, flap_pod
from harness.faults.process import kill_pod, stop_pod
from harness.faults.resources import fill_memory, starve_pod
from harness.words import (
    CUTOVER,
    NEW,
    OLD,
    ROLLBACK,
    Faults,
    Load,
    Release,
    both_sides,
    ms,
    nobody,
    not_ready_gets_nothing,
    nothing_lost,
    only,
    outage,
)

pytestmark = [pytest.mark.paths("service")]
LEAD_S = 2.0
"""Time to arm in, also on a busy machine."""
ALL = ("fresh", "busy", "idle", "slow", "post")
AT_ONCE = {"failureThreshold": 1}
"""One failed probe takes a pod out: the manifests' own two leave no room within 3 s on a busy machine."""


def _released(release: Release) -> None:
    release.deploy(NEW)
    release.smoke()


@pytest.mark.every_switch
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


@pytest.mark.nightly
@pytest.mark.promises(outage(ALL, at_most=4.0), only(NEW, after=CUTOVER, within=2.0))
def test_a_pod_of_the_new_side_is_deleted_without_grace_just_after_the_flip(
    release: Release, load: Load, faults: Faults
) -> None:
    """Nobody gives it time to drain: what is under way on it is lost, and whoever is still led to it is refused."""
    _released(release)
    with load.steady(), faults.at(CUTOVER + ms(1000), delete_pod(release.idle, grace_s=0)):
        release.cutover(LEAD_S)
        release.watch(seconds=8, breached=nobody)


@pytest.mark.nightly
@pytest.mark.switches
@pytest.mark.changed(both_sides(readinessProbe=AT_ONCE))
@pytest.mark.promises(nothing_lost(), not_ready_gets_nothing(within=3.0), only(NEW, after=CUTOVER, within=2.0))
def test_the_readiness_of_a_new_pod_goes_and_comes_from_the_flip_on(
    release: Release, load: Load, faults: Faults
) -> None:
    """Users leave it each time, come back each time, and lose nothing: it serves whoever still gets there."""
    _released(release)
    with load.steady():
        with faults.at(CUTOVER - ms(1000), flap_pod(release.idle)):
            release.cutover(LEAD_S)
            release.watch(seconds=16, breached=nobody)
        release.watch(seconds=4, breached=nobody)


@pytest.mark.promises(outage(ALL, at_most=4.0), only(NEW, after=CUTOVER, within=2.0))
@pytest.mark.beyond("pod-killed")
def test_a_pod_of_the_new_side_is_killed_just_after_the_flip(release: Release, load: Load, faults: Faults) -> None:
    """SIGKILL without a word: what was under way is lost, and a part of the rest until the pod is taken out."""
    _released(release)
    with load.steady(), faults.at(CUTOVER + ms(100), kill_pod(release.idle)):
        release.cutover(LEAD_S)
        release.watch(seconds=8, breached=nobody)


@pytest.mark.nightly
@pytest.mark.promises(outage(ALL, at_most=18.0, at_least=1.0), only(NEW, after=CUTOVER, within=2.0))
@pytest.mark.beyond("pod-stopped")
def test_a_pod_of_the_new_side_hangs_just_after_the_flip(release: Release, load: Load, faults: Faults) -> None:
    """Its connections open and nothing comes until three probes have failed; a slow request gives up after 10 s."""
    _released(release)
    with load.steady(), faults.at(CUTOVER + ms(100), stop_pod(release.idle)):
        release.cutover(LEAD_S)
        release.watch(seconds=12, breached=nobody)


@pytest.mark.nightly
@pytest.mark.promises(outage(ALL, at_most=12.0, at_least=1.0), only(NEW, after=CUTOVER, within=12.0))
@pytest.mark.beyond("node-paused")
def test_a_node_stops_just_before_the_flip(release: Release, load: Load, faults: Faults) -> None:
    """Who is led to a pod on it waits until it goes on, and who enters by it is led to the old version until then."""
    _released(release)
    with load.steady():
        with faults.at(CUTOVER - ms(200), pause_node("worker2")):
            release.cutover(LEAD_S)
            release.watch(seconds=3, breached=nobody)
        release.watch(seconds=10, breached=nobody)


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
    with load.steady():
        with faults.at(CUTOVER + ms(500), restart_node("worker2")):
            release.cutover(LEAD_S)
            release.watch(seconds=20, breached=nobody)
        release.watch(seconds=6, breached=nobody)


@pytest.mark.nightly
@pytest.mark.promises(outage(ALL, at_most=18.0, at_least=1.0))
@pytest.mark.beyond("side-isolated")
def test_a_policy_isolates_the_new_side_after_the_flip(release: Release, load: Load, faults: Faults) -> None:
    """Its probes still pass, so nobody but users notices; who is led to it waits in vain until the policy goes."""
    _released(release)
    with load.steady():
        with faults.at(CUTOVER + ms(500), isolate(release.idle)):
            release.cutover(LEAD_S)
            release.watch(seconds=6, breached=nobody)
        release.watch(seconds=6, breached=nobody)


@pytest.mark.nightly
@pytest.mark.promises(outage(ALL, at_most=20.0, at_least=0.5), only(NEW, after=CUTOVER, within=2.0))
@pytest.mark.beyond("nodes-cut")
def test_new_connections_between_two_nodes_are_dropped_at_the_flip(
    release: Release, load: Load, faults: Faults
) -> None:
    """Who enters by one node and is led to a pod on the other waits in vain, until the nodes see each other again."""
    _released(release)
    with load.steady():
        with faults.at(CUTOVER, cut_nodes("worker", "worker2")):
            release.cutover(LEAD_S)
            release.watch(seconds=4, breached=nobody)
        release.watch(seconds=6, breached=nobody)


@pytest.mark.nightly
@pytest.mark.promises(outage(ALL, at_most=20.0, at_least=0.5), only(NEW, after=CUTOVER, within=2.0))
@pytest.mark.beyond("nodes-cut")
def test_established_connections_between_two_nodes_are_reset_at_the_flip(
    release: Release, load: Load, faults: Faults
) -> None:
    """What is under way from one node to the other is cut; a new connection is made and cut at its first word."""
    _released(release)
    with load.steady():
        with faults.at(CUTOVER, cut_nodes("worker", "worker2", "reset", "established")):
            release.cutover(LEAD_S)
            release.watch(seconds=4, breached=nobody)
        release.watch(seconds=6, breached=nobody)


@pytest.mark.nightly
@pytest.mark.promises(nothing_lost(), only(NEW, after=CUTOVER, within=2.0))
@pytest.mark.beyond("nodes-cut")
def test_a_node_is_cut_from_the_control_plane_after_the_flip(release: Release, load: Load, faults: Faults) -> None:
    """It has learnt of the flip; for a while nobody can tell it more, and users don't need that."""
    _released(release)
    with load.steady(), faults.at(CUTOVER + ms(1500), cut_nodes("worker2", "control-plane", which="all")):
        release.cutover(LEAD_S)
        release.watch(seconds=6, breached=nobody)


@pytest.mark.nightly
@pytest.mark.promises(outage(ALL, at_most=30.0, at_least=0.5))
@pytest.mark.beyond("pod-slowed")
def test_the_line_to_a_new_pod_is_too_thin(release: Release, load: Load, faults: Faults) -> None:
    """A quarter of the users is led to a pod behind 100 kbit/s: ready by its probes, and too slow."""
    _released(release)
    with load.steady():
        with faults.at(CUTOVER - ms(100), slow_line(release.idle)):
            release.cutover(LEAD_S)
            release.watch(seconds=8, breached=nobody)
        release.watch(seconds=6, breached=nobody)


@pytest.mark.nightly
@pytest.mark.promises(outage(ALL, at_most=15.0), only(NEW, after=CUTOVER, within=2.0))
@pytest.mark.beyond("pod-starved")
def test_a_new_pod_has_no_processor_time_left(release: Release, load: Load, faults: Faults) -> None:
    """A quarter of the users is led to a pod that is throttled at its limit: late, perhaps too late."""
    _released(release)
    with load.steady():
        with faults.at(CUTOVER - ms(100), starve_pod(release.idle)):
            release.cutover(LEAD_S)
            release.watch(seconds=6, breached=nobody)
        release.watch(seconds=6, breached=nobody)


@pytest.mark.nightly
@pytest.mark.promises(outage(ALL, at_most=8.0), only(NEW, after=CUTOVER, within=2.0))
@pytest.mark.beyond("pod-out-of-memory")
def test_a_new_pod_runs_out_of_memory_after_the_flip(release: Release, load: Load, faults: Faults) -> None:
    """The kernel kills it at its limit, and the kubelet starts it again."""
    _released(release)
    with load.steady(), faults.at(CUTOVER + ms(100), fill_memory(release.idle)):
        release.cutover(LEAD_S)
        release.watch(seconds=10, breached=nobody)

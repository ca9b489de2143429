"""The faults of the cutover once more, at the rollback: the way back is as safe as the way there."""

from collections.abc import Callable

import pytest

from harness.checks.moment import At
from harness.faults.block import Plan
from harness.faults.network import cut_nodes, isolate, slow_line
from harness.faults.node import drain_node, pause_node, restart_node, stop_kubelet
from harness.faults.pod import delete_pod, evict_pod, flap_pod
from harness.faults.process import kill_pod, stop_pod
from harness.faults.resources import fill_memory, starve_pod
from harness.words import (
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

pytestmark = [pytest.mark.paths("service"), pytest.mark.nightly]
LEAD_S = 2.0
"""Time to arm in, also on a busy machine."""
ALL = ("fresh", "busy", "idle", "slow", "post")
BACK = only(OLD, after=ROLLBACK, within=2.0)
Made = Callable[[Release], Plan]
"""The fault, once the new version is live: ``release.idle`` is the side that users are pointed back at."""


def _live(release: Release) -> None:
    release.deploy(NEW)
    release.smoke()
    release.cutover()


@pytest.mark.promises(nothing_lost(), BACK)
@pytest.mark.parametrize(
    ("when", "fault"),
    [
        pytest.param(ROLLBACK + ms(100), lambda release: evict_pod(release.idle), id="pod-evicted"),
        pytest.param(
            ROLLBACK - ms(200),
            lambda _: stop_kubelet("worker2"),
            id="kubelet-stopped",
            marks=pytest.mark.beyond("kubelet-stopped"),
        ),
        pytest.param(
            ROLLBACK + ms(0),
            lambda _: drain_node("worker2"),
            id="node-drained",
            marks=pytest.mark.beyond("node-drained"),
        ),
        pytest.param(
            ROLLBACK + ms(1500),
            lambda _: cut_nodes("worker2", "control-plane", which="all"),
            id="control-plane-cut-off",
            marks=pytest.mark.beyond("nodes-cut"),
        ),
    ],
)
def test_users_notice_nothing_of_it(release: Release, load: Load, faults: Faults, when: At, fault: Made) -> None:
    """What goes wrong beside the way back, and isn't on anybody's way."""
    _live(release)
    with load.steady(), faults.at(when, fault(release)):
        release.rollback(LEAD_S)
        release.watch(seconds=8, breached=nobody)


@pytest.mark.parametrize(
    ("when", "fault", "seconds"),
    [
        pytest.param(
            ROLLBACK + ms(1000),
            lambda release: delete_pod(release.idle, grace_s=0),
            8,
            id="pod-deleted-without-grace",
            marks=pytest.mark.promises(outage(ALL, at_most=4.0), BACK),
        ),
        pytest.param(
            ROLLBACK + ms(100),
            lambda release: kill_pod(release.idle),
            8,
            id="pod-killed",
            marks=[pytest.mark.beyond("pod-killed"), pytest.mark.promises(outage(ALL, at_most=4.0), BACK)],
        ),
        pytest.param(
            ROLLBACK + ms(100),
            lambda release: stop_pod(release.idle),
            12,
            id="pod-stopped",
            marks=[
                pytest.mark.beyond("pod-stopped"),
                pytest.mark.promises(outage(ALL, at_most=18.0, at_least=1.0), BACK),
            ],
        ),
        pytest.param(
            ROLLBACK - ms(100),
            lambda release: starve_pod(release.idle),
            6,
            id="pod-starved",
            marks=[pytest.mark.beyond("pod-starved"), pytest.mark.promises(outage(ALL, at_most=15.0), BACK)],
        ),
        pytest.param(
            ROLLBACK + ms(100),
            lambda release: fill_memory(release.idle),
            10,
            id="pod-out-of-memory",
            marks=[pytest.mark.beyond("pod-out-of-memory"), pytest.mark.promises(outage(ALL, at_most=8.0), BACK)],
        ),
        pytest.param(
            ROLLBACK - ms(100),
            lambda release: slow_line(release.idle),
            8,
            id="pod-slowed",
            marks=[
                pytest.mark.beyond("pod-slowed"),
                pytest.mark.promises(outage(ALL, at_most=30.0, at_least=0.5)),
            ],
        ),
        pytest.param(
            ROLLBACK - ms(200),
            lambda _: pause_node("worker2"),
            3,
            id="node-paused",
            marks=[
                pytest.mark.beyond("node-paused"),
                pytest.mark.promises(outage(ALL, at_most=12.0, at_least=1.0), only(OLD, after=ROLLBACK, within=12.0)),
            ],
        ),
        pytest.param(
            ROLLBACK + ms(500),
            lambda _: restart_node("worker2"),
            20,
            id="node-restarted",
            marks=[
                pytest.mark.beyond("node-restarted"),
                pytest.mark.promises(outage(ALL, at_most=40.0, at_least=0.5), BACK),
            ],
        ),
        pytest.param(
            ROLLBACK + ms(500),
            lambda release: isolate(release.idle),
            6,
            id="side-isolated",
            marks=[pytest.mark.beyond("side-isolated"), pytest.mark.promises(outage(ALL, at_most=18.0, at_least=1.0))],
        ),
        pytest.param(
            ROLLBACK + ms(0),
            lambda _: cut_nodes("worker", "worker2"),
            4,
            id="nodes-cut-new",
            marks=[
                pytest.mark.beyond("nodes-cut"),
                pytest.mark.promises(outage(ALL, at_most=20.0, at_least=0.5), BACK),
            ],
        ),
        pytest.param(
            ROLLBACK + ms(0),
            lambda _: cut_nodes("worker", "worker2", "reset", "established"),
            4,
            id="nodes-cut-established",
            marks=[
                pytest.mark.beyond("nodes-cut"),
                pytest.mark.promises(outage(ALL, at_most=20.0, at_least=0.5), BACK),
            ],
        ),
    ],
)
def test_users_lose_what_they_lose_at_the_cutover(
    release: Release, load: Load, faults: Faults, when: At, fault: Made, seconds: float
) -> None:
    """What is on users' way breaks as they are pointed back: within the same brackets as at the cutover."""
    _live(release)
    with load.steady():
        with faults.at(when, fault(release)):
            release.rollback(LEAD_S)
            release.watch(seconds=seconds, breached=nobody)
        release.watch(seconds=8, breached=nobody)


@pytest.mark.switches
@pytest.mark.changed(both_sides(readinessProbe={"failureThreshold": 1}))
@pytest.mark.promises(nothing_lost(), not_ready_gets_nothing(within=3.0), BACK)
def test_the_readiness_of_an_old_pod_goes_and_comes_from_the_rollback_on(
    release: Release, load: Load, faults: Faults
) -> None:
    """Users leave it each time, come back each time, and lose nothing: it serves whoever still gets there."""
    _live(release)
    with load.steady():
        with faults.at(ROLLBACK - ms(1000), flap_pod(release.idle)):
            release.rollback(LEAD_S)
            release.watch(seconds=16, breached=nobody)
        release.watch(seconds=4, breached=nobody)

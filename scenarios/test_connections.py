"""Connections: what those that are open, or under way, at the flip notice when the old side is taken away."""

import pytest

from harness.faults.data_plane import (
    edit_another_ingress,
    restart_ingress_controller,
    restart_ingress_proxies,
    restart_kube_proxy,
)
from harness.faults.node import pause_node
from harness.words import (
    CUTOVER,
    NAIVE,
    NEW,
    OLD,
    SLEEP,
    Faults,
    Load,
    Release,
    answered_within,
    enough,
    half_open_noticed,
    loses,
    nobody,
    nothing_lost,
    only,
    sockets_clean,
)


def _released(release: Release) -> None:
    release.deploy(NEW)
    release.smoke()


@pytest.mark.fast
@pytest.mark.promises(
    nothing_lost(),
    sockets_clean(on=NEW),
    enough(2000),
    only(NEW, after=CUTOVER, within=2.0),
)
def test_retiring_the_old_side_at_once_loses_nothing_where_its_pods_drain(release: Release, load: Load) -> None:
    """Nobody waits for the old side's users: its pods ask them to leave, and go when they have."""
    _retired_at_once(release, load)


@pytest.mark.nightly
@pytest.mark.promises(nothing_lost(), answered_within())
def test_nobody_waits_while_the_old_side_is_retired_at_once(release: Release, load: Load) -> None:
    """The same, and every answer around the cutover comes in time: on two slow cores some don't."""
    _retired_at_once(release, load)


def _retired_at_once(release: Release, load: Load) -> None:
    _released(release)
    with load.steady():
        release.cutover()
        release.retire(after=0, despite_users=True)
        release.watch(seconds=10, breached=nobody)


@pytest.mark.paths(nightly="ingress")
@pytest.mark.policy(NAIVE)
@pytest.mark.promises(loses("slow", "websocket", may=("fresh", "busy", "idle", "post")))
def test_retiring_the_old_side_at_once_cuts_what_is_under_way_where_its_pods_just_end(
    release: Release, load: Load
) -> None:
    """The twin: the process ends at the first signal. Slow answers and sockets are cut; who else is hit is a race."""
    _released(release)
    with load.steady():
        release.cutover()
        release.retire(after=0, despite_users=True)
        release.watch(seconds=6, breached=nobody)


@pytest.mark.nightly
@pytest.mark.policy(SLEEP)
@pytest.mark.promises(loses("websocket", may=("busy", "idle")), only(NEW, after=CUTOVER, within=2.0))
def test_retiring_the_old_side_at_once_where_its_pods_wait_and_end(release: Release, load: Load) -> None:
    """The half measure: the wait outlives the endpoints and the slow answers, but no connection that is kept."""
    _released(release)
    with load.steady():
        release.cutover()
        release.retire(after=0, despite_users=True)
        release.watch(seconds=6, breached=nobody)


@pytest.mark.paths(nightly="ingress")
@pytest.mark.promises(nothing_lost(), sockets_clean(on=NEW), answered_within(), only(NEW, after=CUTOVER, within=2.0))
def test_draining_the_old_side_first_lets_it_be_retired_empty(release: Release, load: Load) -> None:
    """The old side is asked to send its users away while it lives on; later nobody is there, and it goes."""
    _released(release)
    with load.steady():
        release.cutover()
        release.watch(seconds=3, breached=nobody)
        release.drain()
        release.retire(after=0)
        release.watch(seconds=3, breached=nobody)


@pytest.mark.nightly
@pytest.mark.policy(NAIVE)
@pytest.mark.promises(loses("slow", "websocket", may=("fresh", "busy", "idle", "post")))
def test_retiring_five_times_where_pods_just_end(release: Release, load: Load) -> None:
    """Five releases in a row, each old side taken away at once: how often which class is hit is in the record."""
    with load.steady():
        for version in (NEW, OLD, NEW, OLD, NEW):
            release.deploy(version)
            release.smoke()
            release.cutover()
            release.retire(after=0, despite_users=True)
            release.watch(seconds=3, breached=nobody)


@pytest.mark.nightly
@pytest.mark.beyond("other-ingress-edited")
@pytest.mark.promises(
    nothing_lost(), sockets_clean(), answered_within(after=None), enough(1000), only(OLD, after="start")
)
def test_editing_another_ingress_touches_no_connection(release: Release, load: Load, faults: Faults) -> None:
    """Somebody else's host comes, is changed, and goes: nobody of ours notices, on no connection."""
    with load.steady():
        release.watch(seconds=3, breached=nobody)
        with faults.during(edit_another_ingress()):
            release.watch(seconds=4, breached=nobody)
        release.watch(seconds=4, breached=nobody)


@pytest.mark.nightly
@pytest.mark.paths("ingress")
@pytest.mark.beyond("ingress-controller-restarted")
@pytest.mark.promises(nothing_lost(), sockets_clean(), enough(1000), only(OLD, after="start"))
def test_restarting_the_ingress_controller_touches_no_connection(release: Release, load: Load, faults: Faults) -> None:
    """The proxies go on with what they were told last while whoever tells them is replaced."""
    with load.steady():
        release.watch(seconds=2, breached=nobody)
        with faults.during(restart_ingress_controller()):
            release.watch(seconds=2, breached=nobody)
        release.watch(seconds=4, breached=nobody)


@pytest.mark.nightly
@pytest.mark.paths("ingress")
@pytest.mark.beyond("ingress-proxies-restarted")
@pytest.mark.promises(loses("websocket", may=("fresh", "busy", "idle", "slow", "post")), only(OLD, after="start"))
def test_restarting_the_proxy_cuts_sockets(release: Release, load: Load, faults: Faults) -> None:
    """The proxies are replaced one by one: an upgraded connection has nobody who would close it politely."""
    with load.steady():
        release.watch(seconds=2, breached=nobody)
        with faults.during(restart_ingress_proxies()):
            release.watch(seconds=2, breached=nobody)
        release.watch(seconds=6, breached=nobody)


@pytest.mark.nightly
@pytest.mark.paths("service")
@pytest.mark.beyond("kube-proxy-restarted")
@pytest.mark.promises(
    nothing_lost(), sockets_clean(), answered_within(after=None), enough(1000), only(OLD, after="start")
)
def test_restarting_kube_proxy_touches_no_connection(release: Release, load: Load, faults: Faults) -> None:
    """Its rules are the kernel's, and stay where they are while the process is replaced."""
    with load.steady():
        release.watch(seconds=2, breached=nobody)
        with faults.during(restart_kube_proxy()):
            release.watch(seconds=2, breached=nobody)
        release.watch(seconds=4, breached=nobody)


@pytest.mark.nightly
@pytest.mark.paths("service")
@pytest.mark.beyond("node-paused")
@pytest.mark.promises(half_open_noticed(within=3.0), loses("websocket", may=("fresh", "busy", "idle", "slow", "post")))
def test_peers_that_vanish_without_a_word_are_noticed(release: Release, load: Load, faults: Faults) -> None:
    """A node freezes with sockets on it: nobody closes them, and only those who ask, and don't wait long, know."""
    with load.steady(pong_seconds=1.7):
        release.watch(seconds=3, breached=nobody)
        with faults.during(pause_node()):
            release.watch(seconds=6, breached=nobody)
        release.watch(seconds=4, breached=nobody)

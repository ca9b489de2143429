"""TLS and HTTP/2 at the Ingress: many streams share a connection, and a connection outlives every flip."""

import pytest

from harness.faults import data_plane
from harness.words import (
    CUTOVER,
    NEW,
    OLD,
    ROLLBACK,
    Faults,
    Load,
    Release,
    enough,
    finishes_where_it_began,
    goaway_first,
    nothing_lost,
    only,
    sockets_clean,
)

pytestmark = [pytest.mark.paths("ingress"), pytest.mark.application("manifests/tls/bluegreen.toml")]
SECURE = ("tls", "h2", "h2_slow")


@pytest.mark.promises(
    nothing_lost(),
    finishes_where_it_began("h2_slow", "slow"),
    only(NEW, after=CUTOVER, classes=["tls", "h2"], within=2.0),
    only(OLD, after=ROLLBACK, classes=["tls", "h2"], within=2.0),
    enough(100, cls="tls"),
    enough(200, cls="h2"),
)
def test_http2_streams_in_flight_at_the_flip_finish_where_they_began(release: Release, load: Load) -> None:
    """Slow streams are under way on every connection as users are moved, there and back."""
    release.deploy(NEW)
    release.smoke()
    with load.steady():
        release.watch(seconds=4)
        release.cutover()
        release.watch(seconds=6)
        release.rollback()
        release.watch(seconds=4)


@pytest.mark.promises(
    nothing_lost(),
    sockets_clean(on=NEW),
    only(NEW, after=CUTOVER, classes=["tls", "h2"], within=2.0),
    enough(200, cls="h2"),
)
def test_the_old_side_retires_under_http2(release: Release, load: Load) -> None:
    """Once the last slow stream has left it, the old side goes; users' connections stay, and sockets move (wss)."""
    release.deploy(NEW)
    release.smoke()
    with load.steady():
        release.cutover()
        release.watch(seconds=8)
        release.retire(after=0, despite_users=True)  # sockets are told to leave by the pods that go
        release.watch(seconds=5)


@pytest.mark.nightly
@pytest.mark.beyond("ingress-proxies-restarted")
@pytest.mark.promises(goaway_first(), nothing_lost(["h2", "h2_slow"]))
def test_goaway_comes_before_the_close(release: Release, load: Load, faults: Faults) -> None:
    """The proxies are replaced under load: each says so on its HTTP/2 connections, and answers what it has begun."""
    del release
    with load.steady() as running, faults.during(data_plane.restart_ingress_proxies()):
        running.check()

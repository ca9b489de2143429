"""Users inside the cluster: the load is sent by pods, and their records are one."""

import pytest

from harness.words import (
    CUTOVER,
    NEW,
    Load,
    Release,
    answered_within,
    cutover_happened,
    enough,
    idle_side_warm,
    no_flip_back,
    nothing_lost,
    only,
)

EACH = {"fresh": 40.0, "busy": 6.0, "post": 2.0, "slow": 1.0, "idle": 1.0}
"""Requests a second of each worker, 50 in all."""


@pytest.mark.nightly
@pytest.mark.paths("clusterip")
@pytest.mark.parametrize("load_workers", [1, 2, 4], indirect=True)
@pytest.mark.promises(nothing_lost(), enough(400))
def test_each_worker_sends_its_share(release: Release, load: Load, load_workers: int) -> None:
    """One, two and four pods send 50 requests a second each: one record, one verdict, at the rate of all together."""
    with load.steady(**{name: load_workers * rate for name, rate in EACH.items()}, sockets=10):
        release.watch(seconds=12)


@pytest.mark.nightly
@pytest.mark.paths("service")
@pytest.mark.promises(nothing_lost(), enough(400))
def test_one_process_sends_the_same(release: Release, load: Load) -> None:
    """What the verdict of the workers is held against: the same requests, sent by one process from outside."""
    with load.steady(**EACH, sockets=10):
        release.watch(seconds=12)


@pytest.mark.nightly
@pytest.mark.paths("clusterip")
@pytest.mark.parametrize("load_workers", [2], indirect=True)
@pytest.mark.promises(
    nothing_lost(),
    answered_within(),
    enough(1000),
    cutover_happened(),
    only(NEW, after=CUTOVER, within=2.0),
    no_flip_back(),
    idle_side_warm(),
)
def test_users_inside_the_cluster_notice_no_cutover(release: Release, load: Load, load_workers: int) -> None:
    """Pods on two nodes ask the Service by its address; it leads them to the new version, as users outside."""
    release.deploy(NEW)
    release.smoke()
    with load.steady(sockets=20):
        release.cutover()
        release.watch(seconds=15)

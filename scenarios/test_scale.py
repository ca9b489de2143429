"""Size: what a flip takes when it moves more endpoints than one slice holds."""

import pytest

from harness.words import CUTOVER, NEW, OLD, ROLLBACK, Load, Release, cutover_happened, nothing_lost, only

MIXED_S = 5.0
"""Several writes, and on each node kube-proxy takes them in at most once a second: 3.3 s were measured, where 2 s are
promised of a Service that one slice holds."""
pytestmark = [pytest.mark.nightly, pytest.mark.application("manifests/nginx-many/bluegreen.toml")]


@pytest.mark.promises(
    nothing_lost(),
    cutover_happened(),
    only(NEW, after=CUTOVER, within=MIXED_S),
    only(OLD, after=ROLLBACK, within=MIXED_S),
)
def test_a_service_of_several_slices_goes_there_and_back(release: Release, load: Load) -> None:
    """101 pods a side: each flip is several writes of slices, and both versions may answer in between."""
    release.deploy(NEW)
    release.smoke()
    with load.steady():
        release.cutover()
        release.watch(seconds=10)
        release.rollback()
        release.watch(seconds=10)

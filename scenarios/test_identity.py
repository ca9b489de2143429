"""Who answered, where the answers don't say their version: by the proxy's log, or the nodes' tables."""

import pytest

from harness.words import (
    CUTOVER,
    NEW,
    OLD,
    ROLLBACK,
    Load,
    Release,
    answered_within,
    enough,
    never_served,
    no_flip_back,
    nothing_lost,
    only,
)

pytestmark = pytest.mark.nightly


@pytest.mark.paths("ingress")
@pytest.mark.application("manifests/proxied/bluegreen.toml")
@pytest.mark.promises(
    nothing_lost(),
    answered_within(),
    enough(2000),
    only(NEW, after=CUTOVER, within=2.0),
    only(OLD, after=ROLLBACK, within=2.0),
    no_flip_back(),
    never_served("v-latent"),
)
def test_the_proxys_log_tells_who_answered(release: Release, load: Load) -> None:
    """There and back; each answer's pod by Envoy's log is the one that the answer names, and its image the version."""
    release.deploy(NEW)
    release.smoke()
    with load.steady():
        release.cutover()
        release.watch(seconds=8)
        release.rollback()
        release.watch(seconds=6)


@pytest.mark.paths("service")
@pytest.mark.application("manifests/tracked/bluegreen.toml")
@pytest.mark.promises(
    nothing_lost(),
    answered_within(),
    enough(2000),
    only(NEW, after=CUTOVER, within=2.0),
    only(OLD, after=ROLLBACK, within=2.0),
    no_flip_back(),
)
def test_the_nodes_tables_tell_who_answered(release: Release, load: Load) -> None:
    """There and back; each answer's pod by its node's table is the one that it names, and the image the version."""
    release.deploy(NEW)
    release.smoke()
    with load.steady():
        release.cutover()
        release.watch(seconds=8)
        release.rollback()
        release.watch(seconds=6)

"""Probes: users are only ever sent to pods that are ready for them, and what goes wrong with a probe is found out."""

import pytest

from harness.errors import IllegalMove, RolloutFailed, SmokeFailed, UnsafeProbes
from harness.words import (
    CUTOVER,
    NEW,
    Load,
    Pods,
    Release,
    both_sides,
    deleted_leaves_first,
    hung_restarted,
    idle_side,
    never_served,
    nobody,
    not_ready_gets_nothing,
    not_restarted,
    nothing_lost,
    only,
    ready_before_served,
    red,
    refused,
    same_probes,
    service,
)

pytestmark = [pytest.mark.paths("service"), pytest.mark.switches]

BRISK = {"periodSeconds": 1, "timeoutSeconds": 2, "failureThreshold": 2}
"""Liveness that acts within seconds, so that a scenario needn't wait for minutes."""
AT_ONCE = {"failureThreshold": 1}
"""One failed probe takes a pod out: within 3 s there is room for that and for kube-proxy's second, hardly for a further
probe. The manifests' own two are for busy machines."""
SLOW_START = {"STARTUP_SECONDS": "6"}
"""Longer than brisk liveness would wait: without a startup probe it kills the pod before it is up."""
LIES = {"httpGet": {"path": "/state", "port": "admin"}}
"""Asks for what is answered with 200 whatever the pod can do for users."""


@pytest.mark.paths("service", "ingress")
@pytest.mark.changed(both_sides(readinessProbe=AT_ONCE))
@pytest.mark.promises(nothing_lost(), not_ready_gets_nothing(within=3.0, again=3.0), same_probes())
def test_a_pod_that_turns_not_ready_gets_no_new_requests_until_it_is_ready(
    release: Release, load: Load, pods: Pods
) -> None:
    """One live pod says that it isn't ready: users leave it, through each node, and come back when it is."""
    with load.steady():
        release.watch(seconds=3, breached=nobody)
        with pods.unready(pods.ready()[0]):
            release.watch(seconds=4, breached=nobody)
        release.watch(seconds=5, breached=nobody)


@pytest.mark.changed(both_sides(livenessProbe=BRISK, env=SLOW_START))
@pytest.mark.promises(
    nothing_lost(), deleted_leaves_first(within=3.0), ready_before_served(), not_restarted(), same_probes()
)
def test_a_deleted_pod_leaves_before_it_ends_and_its_slow_successor_waits(
    release: Release, load: Load, pods: Pods
) -> None:
    """Deletion drains; the pod in its place takes 6 s to start: no user meets it before, and liveness lets it be."""
    with load.steady():
        pods.delete(pods.ready()[0])
        release.watch(seconds=4, breached=nobody)
        pods.wait_ready(4)
        release.watch(seconds=4, breached=nobody)


@pytest.mark.changed(both_sides(livenessProbe=BRISK))
@pytest.mark.promises(nothing_lost(), hung_restarted(within=30.0), not_restarted())
def test_liveness_restarts_a_hung_pod_and_leaves_a_slow_one_alone(release: Release, load: Load, pods: Pods) -> None:
    """One pod's liveness gets no answer, another's answers come 1 s late: only the first is started anew."""
    hung, slow = pods.ready()[:2]
    with load.steady(), pods.slow(slow, 1000), pods.hung(hung):
        release.watch(seconds=3, breached=nobody)


@pytest.mark.changed(both_sides(readinessProbe=AT_ONCE))
@pytest.mark.promises(nothing_lost(), not_ready_gets_nothing(within=3.0), not_restarted())
def test_a_drain_without_deletion_takes_the_pod_out_by_its_readiness(release: Release, load: Load, pods: Pods) -> None:
    """Nobody deletes the pod, so only its probe takes it out of the endpoints; it stays, empty, until it is deleted."""
    with load.steady():
        release.watch(seconds=3, breached=nobody)
        drained = pods.ready()[0]
        pods.drain(drained)
        release.watch(seconds=12, breached=nobody)
        pods.delete(drained)
        pods.wait_ready(4)
        release.watch(seconds=4, breached=nobody)


@pytest.mark.changed(
    both_sides(readinessProbe=LIES, startupProbe=LIES, livenessProbe=LIES),
    idle_side(env={"STARTUP_SECONDS": "3600"}),
)
@pytest.mark.promises(refused("status 503", stage="smoke"), never_served(NEW), nothing_lost())
def test_a_readiness_probe_that_lies_is_found_out_by_smoke(release: Release, load: Load) -> None:
    """The new side says that it is ready and can't serve anybody: its probe asks for the wrong thing."""
    with load.steady():
        release.deploy(NEW)
        with pytest.raises(SmokeFailed):
            release.smoke()
        with pytest.raises(IllegalMove):
            release.cutover()


@pytest.mark.changed(idle_side(readinessProbe=None))
@pytest.mark.promises(refused("no readinessProbe", stage="deploy"), red(same_probes()))
def test_a_new_side_without_readiness_is_refused(release: Release) -> None:
    """Nobody would ask its pods whether they are ready: the release stops before there is one."""
    with pytest.raises(UnsafeProbes):
        release.deploy(NEW)


@pytest.mark.changed(idle_side(readinessProbe={"periodSeconds": 10}, livenessProbe={"httpGet": {"path": "/readyz"}}))
@pytest.mark.promises(refused("readinessProbe.periodSeconds: 10 and 1", stage="deploy"), red(same_probes()))
def test_a_side_whose_probes_have_drifted_is_refused_by_name(release: Release) -> None:
    """Somebody changed the probes of one side: the release says which and how, and doesn't begin."""
    with pytest.raises(UnsafeProbes):
        release.deploy(NEW)


@pytest.mark.nightly
@pytest.mark.changed(
    idle_side(readinessProbe=None, startupProbe=None, livenessProbe=None, env={"STARTUP_SECONDS": "3"})
)
@pytest.mark.promises(
    red(nothing_lost()), red(ready_before_served()), red(same_probes()), only(NEW, after=CUTOVER, within=2.0)
)
def test_what_the_gate_protects_from_without_readiness_users_are_lost(release: Release, load: Load, pods: Pods) -> None:
    """With the gate off a side without readiness passes smoke and is live; the next pod that starts loses users."""
    release.probes.trust()
    release.deploy(NEW)
    release.watch(seconds=6)  # smoke finds pods out that aren't up; later ones it never sees
    release.smoke()
    with load.steady():
        release.cutover()
        release.watch(seconds=3, breached=nobody)
        pods.delete(pods.ready()[0])
        release.watch(seconds=8, breached=nobody)


@pytest.mark.nightly
@pytest.mark.changed(service(publishNotReadyAddresses=True))
@pytest.mark.promises(red(not_ready_gets_nothing(within=3.0)), nothing_lost())
def test_publishing_unready_addresses_turns_not_ready_gets_nothing_red(
    release: Release, load: Load, pods: Pods
) -> None:
    """The Service keeps pods that aren't ready: users are sent to them as before."""
    with load.steady():
        release.watch(seconds=3, breached=nobody)
        with pods.unready(pods.ready()[0]):
            release.watch(seconds=4, breached=nobody)


@pytest.mark.nightly
@pytest.mark.changed(service(publishNotReadyAddresses=True))
@pytest.mark.promises(red(deleted_leaves_first(within=3.0)))
def test_publishing_unready_addresses_turns_deleted_leaves_first_red(release: Release, load: Load, pods: Pods) -> None:
    """The Service keeps a pod that is going: it gets new requests to its end."""
    with load.steady():
        pods.delete(pods.ready()[0])
        release.watch(seconds=6, breached=nobody)


@pytest.mark.nightly
@pytest.mark.changed(both_sides(livenessProbe=None))
@pytest.mark.promises(red(hung_restarted(within=30.0)), nothing_lost())
def test_a_missing_liveness_probe_turns_hung_restarted_red(release: Release, load: Load, pods: Pods) -> None:
    """Nobody asks, so the pod that hangs stays as it is."""
    with load.steady(), pods.hung(pods.ready()[0], restarts=False):
        release.watch(seconds=8, breached=nobody)


@pytest.mark.nightly
@pytest.mark.changed(both_sides(livenessProbe={"periodSeconds": 1, "timeoutSeconds": 1, "failureThreshold": 2}))
@pytest.mark.promises(red(not_restarted()))
def test_an_impatient_liveness_probe_turns_not_restarted_red(release: Release, load: Load, pods: Pods) -> None:
    """A pod is slow, and is killed for it."""
    with load.steady(), pods.slow(pods.ready()[0], 1500):
        release.watch(seconds=8, breached=nobody)


@pytest.mark.nightly
@pytest.mark.changed(both_sides(livenessProbe=BRISK), idle_side(startupProbe=None, env=SLOW_START))
@pytest.mark.promises(red(not_restarted()), red(same_probes()), refused("not ready", stage="deploy"))
def test_without_a_startup_probe_liveness_kills_a_slow_starter(release: Release) -> None:
    """Alive is asked before the start is over: the side is killed over and over, and never ready."""
    release.probes.trust()
    with pytest.raises(RolloutFailed):
        release.deploy(NEW)

"""The fixtures of a release: the switch that moves users, and the process around it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from harness.fixtures import policy_of

if TYPE_CHECKING:
    from harness.cluster.running import Cluster, Place
    from harness.config import Config
    from harness.release.switches import Switch
    from harness.release.verbs import Release
    from harness.scenario import Scenario


@pytest.fixture
def switch(
    request: pytest.FixtureRequest, namespace: Place, app: Config, cluster: Cluster, scenario: Scenario
) -> Iterator[Switch]:
    """What points users at a side: the Service's selector, or what --bg-switch names; a conftest may put another here.

    It is skipped by name where the application can't be moved so.
    """
    from harness.errors import ConfigurationError, SetupError
    from harness.release.switches.known import DEFAULT, KNOWN, Means

    name = getattr(request, "param", DEFAULT)
    with contextlib.ExitStack() as opened:
        means = Means(
            kube=namespace.kube,
            namespace=namespace.name,
            config=app,
            kubectl=cluster.kubectl,
            helm=cluster.helm,
            rollouts=cluster.rollouts,
            gateway=lambda: opened.enter_context(cluster.gateway(app.ingress, namespace.name)),
            folder=scenario.folder,
            event=scenario.journal.event,
            apart=namespace.apart,
        )
        try:
            made = KNOWN[name].make(means)
        except (ConfigurationError, SetupError) as error:
            pytest.skip(f"switch {name}: {error.what}")
        yield made


@pytest.fixture
def release(
    request: pytest.FixtureRequest,
    scenario: Scenario,
    namespace: Place,
    cluster: Cluster,
    app: Config,
    switch: Switch,
) -> Iterator[Release]:
    """The release process, with the old version live and ready."""
    from harness.release.start import start

    scenario.namespace = namespace.name
    released = start(app.under(policy_of(request.node)), cluster, namespace, scenario, switch)
    scenario.at_end.append(lambda: scenario.keep_arrivals(cluster.ledger, namespace.name))
    if cluster.engine is not None:  # an ingress of our own
        scenario.at_end.append(lambda: scenario.keep_proxy_log(namespace.kube))
    if app.identity.told_on == "ingress":
        scenario.at_end.append(lambda: scenario.keep_answers(namespace.kube))
    elif app.identity.told_on and cluster.engine is not None and namespace.node_port:
        from harness.cluster.tracked import Tracker

        names = [node.name for node in cluster.nodes]
        tracker = Tracker(cluster.engine, names, namespace.node_port, scenario.folder, scenario.journal)
        tracker.start()
        scenario.at_end.append(tracker.keep)
    yield released
    if scenario.failed:  # before the namespace's own dump, which finds only pods that are still there
        released.observer.partings.write(scenario.folder / "cluster" / "logs")


@pytest.fixture
def cutovers(pytestconfig: pytest.Config) -> int:
    """How many cutovers a series has (--bg-cutovers)."""
    return int(pytestconfig.getoption("--bg-cutovers"))


@pytest.fixture
def seed(pytestconfig: pytest.Config) -> int:
    """What random walks are drawn from (--bg-seed)."""
    return int(pytestconfig.getoption("--bg-seed"))

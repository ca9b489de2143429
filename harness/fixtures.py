"""The fixtures that a scenario is written with."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness import collecting
from harness.errors import ConfigurationError
from harness.run import CURRENT, RUN, RunState

if TYPE_CHECKING:
    from harness.cluster.kube import Kube
    from harness.cluster.session import Cluster
    from harness.config import Config
    from harness.faults.meddler import Meddler
    from harness.instrument import Instrument
    from harness.load import Load
    from harness.release.verbs import Release
    from harness.scenario import Scenario


@pytest.fixture(scope="session")
def bluegreen_run(pytestconfig: pytest.Config) -> RunState:
    """The run's state: folder, records, verdict."""
    return pytestconfig.stash[RUN]


@pytest.fixture(scope="session")
def cluster(pytestconfig: pytest.Config, request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """A healthy cluster with all images loaded and the ingress answering."""
    from harness.cluster import session
    from harness.release.rendering import require_programs
    from harness.resources import resource
    from harness.setup import applications_of, options_of

    run = pytestconfig.stash[RUN]
    items = collecting.scenarios(request.session.items)
    configs = {config.file: config for config in (_config(item.config, item) for item in items)}
    for config in configs.values():
        require_programs(config)
    say = _say(pytestconfig)
    options = options_of(pytestconfig, resource("images"), resource("manifests"))
    with session.cluster(options, applications_of(configs.values()), say) as running:
        run.environment = running.environment
        yield running


@pytest.fixture(scope="session")
def instrument(cluster: Cluster, bluegreen_run: RunState) -> Instrument:
    """The self-test of the load client, running while the first version comes up."""
    del cluster  # only then is the machine free for it
    from harness.instrument import Instrument

    bluegreen_run.instrument = Instrument()
    return bluegreen_run.instrument


@pytest.fixture
def app(request: pytest.FixtureRequest) -> Config:
    """The configuration of the application under test."""
    return _config(request.config, request.node)


@pytest.fixture
def path(request: pytest.FixtureRequest) -> str:
    """How users enter: "service" or "ingress"."""
    return str(request.param)


@pytest.fixture
def cutovers(pytestconfig: pytest.Config) -> int:
    """How many cutovers a series has (--bg-cutovers)."""
    return int(pytestconfig.getoption("--bg-cutovers"))


@dataclass(frozen=True)
class Namespace:
    """A fresh namespace of one scenario, and the NodePort it has leased."""

    name: str
    node_port: int
    kube: Kube


@pytest.fixture
def namespace(cluster: Cluster, scenario: Scenario) -> Iterator[Namespace]:
    """A fresh namespace, deleted afterwards: the Ingress at once, the pods without grace, the rest in its own time."""
    from harness.cluster import arrivals
    from harness.cluster.kube import Kube
    from harness.cluster.owned import OWNED

    kube = Kube(cluster.kubeconfig, None)
    name = f"bg-{secrets.token_hex(4)}"
    with cluster.leases.lease() as node_port:
        kube.create_namespace(name, dict([OWNED]))
        try:
            yield Namespace(name, node_port, kube)
        finally:
            try:
                if scenario.failed:
                    kube.dump(name, scenario.folder / "cluster")
            finally:
                kube.end_namespace(name)
                if cluster.ledger is not None:
                    arrivals.discard(cluster.ledger / name)


@pytest.fixture
def scenario(
    request: pytest.FixtureRequest,
    bluegreen_run: RunState,
    app: Config,
    path: str,
    cluster: Cluster,
    instrument: Instrument,
) -> Iterator[Scenario]:
    """The scenario's record: folder, journal, promises."""
    from harness.journal import Journal
    from harness.scenario import Scenario, resolve

    if path == "ingress" and app.ingress is None:
        pytest.skip(f"{app.app.name} has no [ingress] in {app.file}")
    if needs := request.node.get_closest_marker("needs"):
        try:
            app.version(needs.args[0])
        except ConfigurationError as error:
            pytest.skip(error.what)
    node_id = request.node.nodeid
    folder = bluegreen_run.run.scenario_folder(node_id, bluegreen_run.attempt(node_id))
    marker = request.node.get_closest_marker("promises")
    promises = tuple(resolve(promise, app) for promise in marker.args)
    with Journal(folder) as journal:
        current = Scenario(node_id, folder, journal, app, path, promises, bluegreen_run, time.monotonic())
        journal.event(
            "run.started",
            scenario=node_id,
            path=path,
            switch="selector",
            level="strict" if request.config.getoption("--bg-strict") else "user",
            slo=request.config.getoption("--bg-slo"),
            identity=app.identity.revision,
            seed=0,
            run_tag=current.run_tag,
            wall_ns=time.time_ns(),
            nodes=[node.name for node in cluster.nodes],
            expect=current.expect,
        )
        for promise in promises:
            journal.event("promise.declared", **promise.to_dict())
        current.at_end.append(lambda: instrument.journal(journal))
        request.node.stash[CURRENT] = current
        bluegreen_run.begin(node_id)
        try:
            yield current
        finally:
            del request.node.stash[CURRENT]


@pytest.fixture
def release(scenario: Scenario, namespace: Namespace, cluster: Cluster, app: Config) -> Release:
    """The release process, with the old version live and ready."""
    from harness.release.start import start

    released = start(app, cluster, namespace.kube, namespace.name, namespace.node_port, scenario)
    scenario.at_end.append(lambda: scenario.keep_arrivals(cluster.ledger, namespace.name))
    return released


class LoadFixture:
    """Starts the load of a scenario: ``with load.steady(): ...``."""

    def __init__(self, make: Callable[[], AbstractContextManager[Load]]) -> None:
        self._make = make

    def steady(self) -> AbstractContextManager[Load]:
        """Steady load on every connection class, from the first sample to the end of the block."""
        return self._make()


@pytest.fixture
def load(
    scenario: Scenario,
    release: Release,
    namespace: Namespace,
    cluster: Cluster,
    instrument: Instrument,
    app: Config,
    path: str,
) -> LoadFixture:
    """Load by Locust in a child process, entering over all nodes of the scenario's path."""
    del release  # the entries answer only after the first version is ready
    from harness.loading import measured

    entries = cluster.ingress_entries() if path == "ingress" else cluster.entries(namespace.node_port)

    def steady() -> AbstractContextManager[Load]:
        instrument.result()
        return measured(app, entries, path, scenario, cluster)

    return LoadFixture(steady)


@pytest.fixture
def meddler(namespace: Namespace, release: Release, cluster: Cluster, app: Config, scenario: Scenario) -> Meddler:
    """Somebody else with access to the cluster, for the negative twins."""
    from harness.faults.meddler import Meddler

    return Meddler(namespace.kube, namespace.name, app, release, cluster, scenario.journal)


def _config(config: pytest.Config, item: pytest.Item) -> Config:
    from harness.config import find, load
    from harness.resources import root

    marker = item.get_closest_marker("application")
    given = marker.args[0] if marker else config.getoption("--bg-config")
    if not given:
        return load(find(Path(config.invocation_params.dir), Path(config.rootpath)))
    file = Path(config.rootpath) / given
    # the scenarios that come with an installed harness name files that come with it too
    return load(root() / given if marker and not file.exists() else file)


def _say(config: pytest.Config) -> Callable[[str], None]:
    """Progress lines reach the terminal at once, whatever pytest captures."""
    capture = config.pluginmanager.getplugin("capturemanager")
    writer = config.get_terminal_writer()

    def say(text: str) -> None:
        if capture is None:
            writer.line(f"[bluegreen] {text}")
            return
        with capture.global_and_fixture_disabled():
            writer.line(f"[bluegreen] {text}")
            writer.flush()

    return say

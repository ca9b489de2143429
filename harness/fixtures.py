"""The fixtures that a scenario is written with."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness import collecting
from harness.attending import ATTENDANT
from harness.config_policies import OWN_POLICY
from harness.errors import ConfigurationError
from harness.run import CURRENT, RUN, RunState

if TYPE_CHECKING:
    from harness.cluster.running import Cluster, Place
    from harness.config import Config
    from harness.faults.block import Faults
    from harness.faults.meddler import Meddler
    from harness.faults.pods import Pods
    from harness.instrument import Instrument
    from harness.load import Sending
    from harness.release.verbs import Release
    from harness.scenario import Scenario


@pytest.fixture(scope="session")
def bluegreen_run(pytestconfig: pytest.Config) -> RunState:
    """The run's state: folder, records, verdict."""
    return pytestconfig.stash[RUN]


@pytest.fixture(scope="session")
def cluster(pytestconfig: pytest.Config, request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """A healthy cluster with all images loaded and the ingress answering."""
    from harness.release.rendering import require_programs
    from harness.setup import bring_up
    from harness.surroundings import surroundings

    run = pytestconfig.stash[RUN]
    applications = configurations(request.session)
    for application in applications:
        require_programs(application)
    with bring_up(pytestconfig, applications, say(pytestconfig)) as running:
        run.environment = {**running.environment, **surroundings()}
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
    return configuration_of(request.config, request.node)


@pytest.fixture
def path(request: pytest.FixtureRequest) -> str:
    """How users enter: "service", "ingress", or from inside the cluster "clusterip"."""
    return str(request.param)


@pytest.fixture
def load_workers(request: pytest.FixtureRequest, pytestconfig: pytest.Config) -> int:
    """How many pods send the load on the path clusterip: a scenario's own number, else --bg-load-workers, else one."""
    return int(getattr(request, "param", 0) or pytestconfig.getoption("--bg-load-workers") or 1)


@pytest.fixture
def namespace(request: pytest.FixtureRequest, cluster: Cluster, scenario: Scenario, app: Config) -> Iterator[Place]:
    """A namespace for one scenario, kept as evidence where it failed; nothing of ours is left in it afterwards."""
    with cluster.place(scenario.path, _apart(request.node, app)) as place:
        try:
            yield place
        finally:
            if scenario.failed:
                place.kube.dump(place.name, scenario.folder / "cluster", place.selector)


@pytest.fixture
def scenario(
    request: pytest.FixtureRequest,
    bluegreen_run: RunState,
    app: Config,
    path: str,
    load_workers: int,
    cluster: Cluster,
    instrument: Instrument,
) -> Iterator[Scenario]:
    """The scenario's record: folder, journal, promises."""
    from harness.cluster.running import CLUSTERIP
    from harness.journal import Journal
    from harness.scenario import Scenario, resolve
    from harness.workers.loading import names

    if path == "ingress" and app.ingress is None:
        pytest.skip(f"{app.app.name} has no [ingress] in {app.file}")
    for reason in _obstacles(request, cluster, path):
        pytest.skip(reason)
    for name, fits in (("needs", app.version), ("policy", app.under)):
        if marked := request.node.get_closest_marker(name):
            try:
                fits(marked.args[0])
            except ConfigurationError as error:
                pytest.skip(error.what)
    node_id = request.node.nodeid
    folder = bluegreen_run.run.scenario_folder(node_id, bluegreen_run.attempt(node_id))
    marker = request.node.get_closest_marker("promises")
    promises = tuple(resolve(promise, app) for promise in marker.args)
    changes = tuple(change for marker in request.node.iter_markers("changed") for change in marker.args)
    with Journal(folder) as journal:
        current = Scenario(node_id, folder, journal, app, path, promises, bluegreen_run, time.monotonic(), changes)
        current.static = not request.config.getoption("--bg-no-static")
        journal.event(
            "run.started",
            scenario=node_id,
            path=path,
            policy=policy_of(request.node),
            level="strict" if request.config.getoption("--bg-strict") else "user",
            slo=request.config.getoption("--bg-slo"),
            identity=app.identity.revision,
            container=app.app.container,
            image=app.app.image,
            seed=request.config.getoption("--bg-seed"),
            run_tag=current.run_tag,
            wall_ns=time.time_ns(),
            nodes=names(load_workers) if path == CLUSTERIP else cluster.names(path),
            expect=current.expect,
        )
        for promise in promises:
            journal.event("promise.declared", **promise.to_dict())
        current.at_end.append(lambda: instrument.journal(journal))
        request.node.stash[CURRENT] = current
        bluegreen_run.begin(node_id)
        try:
            with request.config.stash[ATTENDANT].attending(current):
                yield current
        finally:
            del request.node.stash[CURRENT]


class LoadFixture:
    """Starts the load of a scenario: ``with load.steady(): ...``."""

    def __init__(self, make: Callable[..., AbstractContextManager[Sending]]) -> None:
        self._make = make

    def steady(self, at_most: float = 5.0, **changes: Any) -> AbstractContextManager[Sending]:
        """Steady load on every connection class, from the first sample to the end of the block.

        Args:
            at_most: bound of how many times the configuration's requests a second are sent, whatever --bg-rate says.
            changes: keys of [load] instead of the configuration's: ``steady(idle=20)``.

        """
        return self._make(at_most, **changes)


@pytest.fixture
def load(
    scenario: Scenario,
    release: Release,
    namespace: Place,
    cluster: Cluster,
    instrument: Instrument,
    app: Config,
    path: str,
    load_workers: int,
    pytestconfig: pytest.Config,
) -> LoadFixture:
    """Load by Locust in a child process, entering over all nodes of the scenario's path; or in pods, on clusterip."""
    del release  # the entries answer only after the first version is ready
    from harness.cluster.running import CLUSTERIP
    from harness.loading import at_rate, measured
    from harness.release.isolate import private
    from harness.workers.loading import measured_inside

    def steady(at_most: float, **changes: Any) -> AbstractContextManager[Sending]:
        instrument.result()
        sockets = pytestconfig.getoption("--bg-sockets")
        rated = at_rate(app, min(at_most, pytestconfig.getoption("--bg-rate")))
        loaded = private(replace(app, load=replace(rated.load, **changes)), namespace.prefix)
        if path == CLUSTERIP:
            return measured_inside(loaded, namespace, scenario, cluster, load_workers, sockets)
        port = namespace.kube.node_port(namespace.name, app.service.name, app.service.port)
        return measured(loaded, cluster.entries(path, port), path, scenario, cluster, sockets)

    return LoadFixture(steady)


@pytest.fixture
def faults(namespace: Place, release: Release, cluster: Cluster, app: Config, scenario: Scenario) -> Iterator[Faults]:
    """What goes wrong, and is mended: ``with faults.at(CUTOVER + ms(100), evict_pod(release.idle)): ...``."""
    from harness.faults.block import Faults
    from harness.faults.ground import Ground
    from harness.faults.left_over import FaultJournal

    ground = Ground(namespace.kube, namespace.name, app, release, cluster)
    broken = Faults(ground, scenario.journal, FaultJournal(cluster.state))
    scenario.at_end.append(broken.close)
    yield broken
    broken.close()


@pytest.fixture
def meddler(faults: Faults) -> Meddler:
    """Somebody else with access to the cluster, for the negative twins."""
    from harness.faults.meddler import Meddler

    return Meddler(faults)


@pytest.fixture
def pods(namespace: Place, release: Release, app: Config, scenario: Scenario) -> Pods:
    """The release's pods, and the application's own switches."""
    from harness.faults.pods import Pods

    return Pods(namespace.kube, namespace.name, app, release, scenario.journal)


def _obstacles(request: pytest.FixtureRequest, cluster: Cluster, path: str) -> Iterator[str]:
    """Why a scenario can't run on this cluster."""
    from harness.faults.reach import why_not
    from harness.setup import comes_with_the_harness

    if reason := cluster.lacks(path):
        yield reason
    identity = configuration_of(request.config, request.node).identity
    if identity.told_on not in ("", path):
        yield f'[identity] revision = "{identity.revision}" tells who answered on the {identity.told_on} path alone'
    elif identity.told_on and cluster.engine is None:
        yield f'[identity] revision = "{identity.revision}" tells who answered on a cluster of the harness\' own alone'
    for marker in request.node.iter_markers("beyond"):
        if reason := why_not(marker.args[0], cluster):
            yield reason
    if request.node.get_closest_marker("switches") and configuration_of(request.config, request.node).switches is None:
        yield "it needs an application with switches under [admin]"
    if cluster.engine is None and _apart(request.node, configuration_of(request.config, request.node)):
        yield f"switch {collecting.switch_of(request.node)}: it needs a cluster that the harness made"
    if cluster.engine is None and comes_with_the_harness(configuration_of(request.config, request.node)):
        yield "it tests an application of the harness' own, and the cluster was given for yours"


def _apart(item: pytest.Item, app: Config) -> Mapping[str, Sequence[str]]:
    """What a scenario's switch keeps in further namespaces."""
    from harness.release.switches.known import KNOWN

    name = collecting.switch_of(item)
    return KNOWN[name].apart(app) if name else {}


def configurations(session: pytest.Session) -> Collection[Config]:
    """Of all applications that the selected scenarios test."""
    items = collecting.scenarios(session.items)
    return {config.file: config for config in (configuration_of(item.config, item) for item in items)}.values()


def configuration_of(config: pytest.Config, item: pytest.Item) -> Config:
    """The configuration that a scenario is about: its own marker's, the option's, or the one found upwards.

    Raises:
        ConfigurationError: there is none, or something in it is wrong.

    """
    from harness.config import find, load
    from harness.resources import root

    marker = item.get_closest_marker("application")
    given = marker.args[0] if marker else config.getoption("--bg-config")
    if not given:
        return load(find(Path(config.invocation_params.dir), Path(config.rootpath)))
    file = Path(config.rootpath) / given
    # the scenarios that come with an installed harness name files that come with it too
    return load(root() / given if marker and not file.exists() else file)


def policy_of(item: pytest.Item) -> str:
    """How a scenario's pods end: its marker's policy, or the application's own."""
    marker = item.get_closest_marker("policy")
    return str(marker.args[0]) if marker else OWN_POLICY


def say(config: pytest.Config) -> Callable[[str], None]:
    """Progress lines reach the terminal at once, whatever pytest captures."""
    capture = config.pluginmanager.getplugin("capturemanager")
    writer = config.get_terminal_writer()

    def one(text: str) -> None:
        attendant = config.stash.get(ATTENDANT, None)
        if attendant is not None and attendant.say(f"[bluegreen] {text}"):
            return
        if capture is None:
            writer.line(f"[bluegreen] {text}")
            return
        with capture.global_and_fixture_disabled():
            writer.line(f"[bluegreen] {text}")
            writer.flush()

    return one

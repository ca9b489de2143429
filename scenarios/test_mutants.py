"""Mutants: the gate itself is tested. Each broken release must turn it red, and for the right reason."""

import pytest

from harness.cluster.running import Cluster, Place
from harness.mutants.hands import Hands
from harness.mutants.mutant import Mutant, mutants
from harness.mutants.runner import Runner
from harness.resources import resource
from harness.scenario import Scenario
from harness.words import GATE, Config, Load, Meddler, Release, caught

ALL = mutants(resource("manifests") / "mutants")


def _broken(mutant: Mutant) -> object:
    marks = [pytest.mark.promises(caught(mutant.expected, by=mutant.gate))]
    marks += [pytest.mark.fast] if mutant.canary else []
    marks += [pytest.mark.beyond("controller-manager-stalled")] if ("stall-controller",) in mutant.steps else []
    return pytest.param(mutant, id=mutant.id, marks=marks)


@pytest.fixture
def app(app: Config, mutant: Mutant) -> Config:
    """The demo, mutated; of any other application there are no mutants."""
    if app.app.manifests != resource("manifests") / "demo":
        pytest.skip(f"mutants are broken forms of the demo's manifests, not of {app.app.name}'s")
    return mutant.applied_to(app)


@pytest.fixture
def scenario(scenario: Scenario, mutant: Mutant) -> Scenario:
    """The static checks stay out where others have to catch it; a twin passes them all."""
    scenario.static = mutant.gate == "static" or not mutant.expected
    scenario.journal.event(
        "mutant.applied", id=mutant.id, source=mutant.source, expected=mutant.expected, gate=mutant.gate
    )
    return scenario


@pytest.fixture
def runner(
    release: Release, load: Load, meddler: Meddler, namespace: Place, cluster: Cluster, app: Config, scenario: Scenario
) -> Runner:
    """Goes through a mutant's procedure."""
    hands = Hands(cluster, namespace, app, scenario.folder)
    return Runner(release, load.steady, hands, meddler, scenario.journal, app.app.new)


@pytest.mark.mutants
@pytest.mark.paths("service")
@pytest.mark.parametrize("mutant", [_broken(one) for one in ALL if one.expected])
def test_a_mutant_is_caught(mutant: Mutant, runner: Runner) -> None:
    """A release with one thing wrong doesn't get through the gate."""
    runner.run(mutant)


@pytest.mark.mutants
@pytest.mark.promises(*GATE)
@pytest.mark.parametrize("mutant", [pytest.param(one, id=one.id) for one in ALL if not one.expected])
def test_its_twin_is_let_through(mutant: Mutant, runner: Runner) -> None:
    """The same procedure with nothing wrong turns nothing red."""
    runner.run(mutant)

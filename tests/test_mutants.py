"""The mutants' folders: each is whole, renders as the harness renders it, changes something, is told in the docs."""

from __future__ import annotations

import copy
import functools
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.config import load
from harness.diagnosis import facts
from harness.diagnosis.lint import Facts, lint
from harness.diagnosis.rule import rules
from harness.errors import ConfigurationError
from harness.mutants.mutant import GATES, Mutant, mutants, read
from harness.mutants.procedure import NUMBERED, STEPS, parse
from harness.release.describer import names_of
from harness.release.manifests import Placement, prepare
from harness.release.rendering import kustomize
from tests import test_docs_mutants as docs

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "manifests" / "mutants"
ALL = mutants(FOLDER)
BROKEN = [one for one in ALL if one.expected]
TWINS = [one for one in ALL if not one.expected]
EXCEPTED = {"M1"}
KUBECTL = shutil.which("kubectl")
needs_kubectl = pytest.mark.skipif(KUBECTL is None, reason="kubectl is not on PATH, and it alone can render")


@functools.cache
def _rendered(folder: Path) -> list[dict[str, Any]]:
    assert KUBECTL is not None
    return kustomize(Path(KUBECTL), folder)


def rendered(folder: Path) -> list[dict[str, Any]]:
    return copy.deepcopy(_rendered(folder))


def config_of(mutant: Mutant) -> Any:
    return mutant.applied_to(load(ROOT / "bluegreen.toml"))


@pytest.fixture(scope="module")
def demo() -> list[dict[str, Any]]:
    return rendered(ROOT / "manifests" / "demo")


def test_there_are_enough_of_them_and_no_mistake_is_left_out() -> None:
    assert len(BROKEN) >= 30
    assert sum(1 for one in BROKEN if one.gate != "static") >= 20
    sources = Counter(one.source for one in BROKEN)
    wanted = {*(f"M{n}" for n in range(1, 8)), *(f"T{n}" for n in range(1, 7))} - EXCEPTED
    assert wanted <= set(sources)
    assert {one.gate for one in BROKEN} == set(GATES)
    assert sum(1 for one in BROKEN if one.canary) == 4
    assert TWINS


@pytest.mark.parametrize("mutant", ALL, ids=lambda one: one.id)
def test_each_says_what_it_is(mutant: Mutant) -> None:
    assert mutant.breaks
    assert mutant.expected in ("", *rules())
    assert len({path.name for path in FOLDER.glob(mutant.id)}) == 1
    if mutant.gate == "static":
        assert mutant.static
    words = [step[0] for step in mutant.steps]
    if mutant.gate == "traffic":
        assert "load" in words
        assert words.index("load") < len(words) - 1


@pytest.mark.parametrize("mutant", TWINS, ids=lambda one: one.id)
def test_a_twin_differs_from_the_demo_in_nothing_that_is_a_fault(mutant: Mutant) -> None:
    assert all(step[0] in ("deploy", "smoke", "load", "cutover", "watch", "delete-pod", "restart", "drain-pod", "evict")
               for step in mutant.steps)  # fmt: skip


def test_each_procedure_that_breaks_something_has_a_twin_that_does_not() -> None:
    """What is done to a broken release is done to a sound one too: else the deed itself may be what turns it red."""
    deeds = {"delete-pod", "restart", "drain-pod", "evict"}
    for one in BROKEN:
        for step in {step[0] for step in one.steps} & deeds:
            assert any(step in {other[0] for other in twin.steps} for twin in TWINS), (one.id, step)


@pytest.mark.processes
@needs_kubectl
@pytest.mark.parametrize("mutant", ALL, ids=lambda one: one.id)
def test_its_patch_applies_and_changes_something(mutant: Mutant, demo: list[dict[str, Any]]) -> None:
    objects = rendered(mutant.folder)
    by_hand = mutant.version or mutant.steps != parse("deploy, smoke, load, cutover, watch 4", "")
    assert objects != demo or by_hand or not mutant.expected
    assert len([one for one in objects if one not in demo]) <= 3, "one thing is broken, not many"
    prepared = prepare(config_of(mutant), objects, Placement("ns", "v1", 0, ingress=False))
    assert {"Service", "Deployment"} <= {item["kind"] for item in prepared}


@pytest.mark.processes
@needs_kubectl
@pytest.mark.parametrize("mutant", ALL, ids=lambda one: one.id)
def test_the_objects_alone_show_what_the_static_checks_are_said_to_find(mutant: Mutant) -> None:
    config = config_of(mutant)
    objects = prepare(config, rendered(mutant.folder), Placement("ns", "v1", 0, ingress=False))
    for item in objects:  # as if the idle side had been deployed
        if item["kind"] == "Deployment" and item["metadata"]["name"] in config.sides.deployments.values():
            item["spec"]["replicas"] = 4
    known = Facts.of(facts.described(objects, names_of(config), b"k"))
    found = [one.id for one in lint(known, "blue", "green") if one.refuses]
    if mutant.static:
        assert found[:1] == [mutant.expected]
    else:
        assert mutant.expected not in found


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ('source = "M3"', "breaks must be a string"),
        ("source = 3", "source must be a string"),
        ('sauce = "M3"', "did you mean source?"),
        ('source="M3"\nbreaks="x"\nexpected="y"\ngate="trafic"', "gate can't be 'trafic'"),
        ('source="M3"\nbreaks="x"\nexpected="y"\ngate="traffic"\nprocedure="deploi"', "did you mean deploy?"),
        ('source="M3"\nbreaks="x"\nexpected="y"\ngate="traffic"\nprocedure="watch"', "watch takes a whole number"),
        ('source="M3"\nbreaks="x"\nexpected="y"\ngate="traffic"\nprocedure="deploy 3"', "deploy takes no number"),
        ('source="M3"\nbreaks="x"\nexpected="y"\ngate="traffic"\nready_seconds="3"', "ready_seconds must be a number"),
        ('source="M3"\nbreaks="x"\nexpected="y"\ngate="traffic"\nstatic=1', "static must be a bool"),
        ("source = ", "can't be read"),
    ],
)
def test_a_wrong_mutant_is_refused_with_its_file(tmp_path: Path, text: str, what: str) -> None:
    (tmp_path / "mutant.toml").write_text(text)
    with pytest.raises(ConfigurationError, match=r"mutant\.toml") as raised:
        read(tmp_path)
    assert what in str(raised.value)


@given(st.lists(st.sampled_from(sorted(STEPS)), min_size=1), st.integers(0, 10**6))
def test_a_procedure_reads_back_as_it_was_written(names: list[str], number: int) -> None:
    words = [f"{name} {number}" if name in NUMBERED else name for name in names]
    assert parse(", ".join(words), "x") == tuple(tuple(word.split()) for word in words)


@given(st.text())
def test_any_other_text_is_refused_and_never_breaks(text: str) -> None:
    try:
        steps = parse(text, "x")
    except ConfigurationError as error:
        assert error.mend
    else:
        assert all(step[0] in STEPS for step in steps)


def test_the_table_in_the_docs_is_what_the_folders_say() -> None:
    text = (ROOT / "docs" / "mutants.md").read_text()
    assert docs.table(ALL) in text, "write it anew: python -m tests.test_docs_mutants"


def test_a_mutant_applies_to_a_configuration_and_leaves_it_as_it_was() -> None:
    config = load(ROOT / "bluegreen.toml")
    before = copy.deepcopy(config)
    mutant = next(one for one in BROKEN if one.ready_seconds)
    changed = mutant.applied_to(config)
    assert changed.limits.ready_seconds == mutant.ready_seconds
    assert changed.app.manifests == mutant.folder
    assert config == before

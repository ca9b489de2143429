"""Every kind of fault: what reaches beyond its namespace is listed, its scenario is marked, and the docs tell of it."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import pytest

from harness.errors import ConfigurationError
from harness.faults import (
    control_plane,
    data_plane,
    flow_control,
    network,
    node,
    pod,
    process,
    resources,
    second_writer,
)
from harness.faults.block import Plan
from harness.faults.reach import BEYOND, why_not

ROOT = Path(__file__).resolve().parents[1]
nobody: Any = None
PLANS: dict[str, Plan] = {
    name: made
    for module in (control_plane, data_plane, flow_control, network, node, pod, process, resources, second_writer)
    for name, word in vars(module).items()
    if callable(word) and getattr(word, "__module__", "") == module.__name__ and not name.startswith("_")
    for made in [
        word("worker", "worker2") if name == "cut_nodes" else
        word(nobody) if name == "stalled_generator" else
        word("green") if (module in (pod, process, resources) and name not in ("stopped", "killed")) or
        name in ("isolate", "slow_line") else
        word() if name not in ("stopped", "killed") else nobody
    ]
    if isinstance(made, Plan)
}  # fmt: skip
WITHIN = {
    *("pod-evicted", "pod-deleted", "generator-stalled", "idle-side-scaled-down", "selector-put-back"),
    *("selector-at-idle-side", "selector-widened", "misspelt-selector", "cutover-sent-twice", "stale-write"),
    *("selector-applied-too", "image-missing", "crash-loop", "slow-start", "pod-flaps"),
}


def test_every_kind_is_known_to_reach_beyond_its_namespace_or_not() -> None:
    kinds = {plan.kind for plan in PLANS.values()}
    assert len(PLANS) >= 30
    assert kinds == WITHIN | set(BEYOND)
    assert not WITHIN & set(BEYOND)


def test_on_a_cluster_that_was_given_what_works_in_nodes_is_refused_by_name() -> None:
    given: Any = type("Given", (), {"engine": None, "allowed_faults": ("node-paused", "proxy-sends-again")})
    assert "node-paused needs a cluster that the harness made" in why_not("node-paused", given)
    assert why_not("proxy-sends-again", given) == ""
    with pytest.raises(ConfigurationError, match="node-pausd"):
        why_not("node-pausd", given)


@pytest.mark.parametrize("file", sorted((ROOT / "scenarios").glob("test_*.py")), ids=lambda file: file.stem)
def test_a_scenario_whose_fault_reaches_beyond_is_marked_so(file: Path) -> None:
    for test in ast.parse(file.read_text()).body:
        if not isinstance(test, ast.FunctionDef):
            continue
        # called, or named in a table of faults that are made later
        called = {ast.unparse(node.func).split(".")[-1] for node in ast.walk(test) if isinstance(node, ast.Call)}
        called |= {node.id for node in ast.walk(test) if isinstance(node, ast.Name)}
        kinds = {PLANS[name].kind for name in called if name in PLANS}
        reach = kinds & set(BEYOND)
        marked = {
            match for line in test.decorator_list for match in re.findall(r"beyond\('([\w-]+)'\)", ast.unparse(line))
        }
        assert reach == marked, test.name


def test_the_docs_tell_of_every_kind() -> None:
    text = (ROOT / "docs" / "faults.md").read_text()
    told = {plan.kind for plan in PLANS.values() if f"`{plan.kind}`" in text}
    twins = {
        "selector-widened",
        "misspelt-selector",
        "selector-at-idle-side",
        "idle-side-scaled-down",
        "proxy-sends-again",
    }
    assert {plan.kind for plan in PLANS.values()} - told <= twins

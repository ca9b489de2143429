"""The table of expectations is whole, says what the documentation says, and what is seen was seen by a scenario."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from harness.expectations import CLASSES, DATA_PLANES, EFFECTS, OCCASIONS, TABLE, markdown

ROOT = Path(__file__).resolve().parents[1]
DOC = (ROOT / "docs" / "connections.md").read_text()


def scenarios() -> set[str]:
    trees = [ast.parse(file.read_text()) for file in (ROOT / "scenarios").glob("test_*.py")]
    return {node.name for tree in trees for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def test_the_table_has_every_cell() -> None:
    assert tuple(TABLE) == OCCASIONS
    for planes in TABLE.values():
        assert tuple(planes) == DATA_PLANES
        for row in planes.values():
            assert tuple(row) == CLASSES
            assert {cell.effect for cell in row.values()} <= set(EFFECTS)


def test_what_is_seen_names_a_scenario_that_there_is() -> None:
    cells = [cell for planes in TABLE.values() for row in planes.values() for cell in row.values()]
    named = {cell.scenario for cell in cells} - {""}
    assert named
    assert named <= scenarios()
    assert all(cell.scenario for cell in cells if cell.seen)
    assert any(cell.seen for cell in cells)


def test_the_documentation_has_the_same_table() -> None:
    """To mend it: python -c 'from harness.expectations import markdown; print(*markdown(), sep="\\n")'."""
    table = [line for line in DOC.splitlines() if line.startswith(("| ", "|---"))]
    occasions = table.index(next(markdown()))
    assert table[occasions : occasions + len(list(markdown()))] == list(markdown())


@pytest.mark.parametrize("effect", EFFECTS)
def test_the_documentation_says_what_each_word_means(effect: str) -> None:
    assert f"| {effect} | {EFFECTS[effect]} |" in DOC

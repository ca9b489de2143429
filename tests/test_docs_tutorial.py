"""docs/tutorial.md has a row for each of the tutorial's claims, and names only what exists."""

from __future__ import annotations

import re

import harness.diagnosis.rules  # noqa: F401 - registers them
from harness.diagnosis.rule import rules
from harness.mutants.mutant import mutants
from tests.test_docs_mutants import ROOT

DOCS = ROOT / "docs" / "tutorial.md"
IDS = [
    "Claim",
    *(f"Step {number}" for number in range(1, 8)),
    *(f"{letter}{n}" for letter, count in zip("PSMTF", (8, 5, 7, 6, 10), strict=True) for n in range(1, count + 1)),
]


def rows() -> dict[str, list[str]]:
    found = {}
    for line in DOCS.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| ") and cells[0] != "id":
            assert cells[0] not in found, cells[0]
            found[cells[0]] = cells[1:]
    return found


def scenarios() -> set[str]:
    files = (ROOT / "scenarios").glob("test_*.py")
    return {name for file in files for name in re.findall(r"^def (test_\w+)", file.read_text(), re.MULTILINE)}


def test_each_of_the_tutorials_claims_has_a_row() -> None:
    assert list(rows()) == IDS


def test_each_row_names_a_proof_or_says_that_there_is_none() -> None:
    for ident, (_, proof, _broken) in rows().items():
        assert re.search(r"`|\bnothing\b|static check|the release (refuses|stops)|every scenario", proof), ident


def test_what_is_named_exists() -> None:
    there = scenarios()
    known = {one.id for one in mutants(ROOT / "manifests" / "mutants")} | set(rules())
    for name in re.findall(r"`([^`]+)`", DOCS.read_text()):
        if name.startswith("test_"):
            assert name in there, name
        elif re.fullmatch(r"[a-z]+(-[a-z]+)+", name):
            assert name in known, name


def test_each_mutant_with_a_source_of_the_tutorial_is_in_its_row() -> None:
    told = rows()
    for one in mutants(ROOT / "manifests" / "mutants"):
        if one.expected and one.source in told:
            assert f"`{one.id}`" in " ".join(told[one.source]), (one.id, one.source)

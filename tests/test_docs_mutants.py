"""The tables of docs/mutants.md, made from the folders and the rules: ``python -m tests.test_docs_mutants``."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import harness.diagnosis.rules  # noqa: F401 - registers them
from harness.diagnosis.rule import rules
from harness.mutants.mutant import Mutant, mutants
from harness.mutants.procedure import STEPS

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs" / "mutants.md"


def table(found: Iterable[Mutant]) -> str:
    rows = [
        f"| `{one.id}` | {one.source} | {one.breaks} | {f'`{one.expected}`' if one.expected else 'green'} |"
        f" {one.gate if one.expected else 'all'}{', static' if one.static and one.gate != 'static' else ''} |"
        for one in found
    ]
    return "\n".join(["| mutant | source | what is wrong | diagnosis | caught by |", "|---|---|---|---|---|", *rows])


def causes() -> str:
    rows = [f"| `{one.id}` | {one.source} | {one.symptom} | {one.cause} | {one.mend} |" for one in rules().values()]
    return "\n".join(["| id | source | symptom | cause | mend |", "|---|---|---|---|---|", *sorted(rows)])


def steps() -> str:
    return "\n".join(
        ["| step | what it does |", "|---|---|", *(f"| `{name}` | {text} |" for name, text in STEPS.items())]
    )


def test_each_cause_and_step_is_told() -> None:
    text = DOCS.read_text()
    assert causes() in text
    assert steps() in text


def write() -> None:
    text = DOCS.read_text()
    for name, body in (
        ("mutants", table(mutants(ROOT / "manifests" / "mutants"))),
        ("causes", causes()),
        ("steps", steps()),
    ):
        begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
        head, rest = text.split(begin)
        text = f"{head}{begin}{body}\n{end}{rest.split(end)[1]}"
    DOCS.write_text(text)


if __name__ == "__main__":
    write()

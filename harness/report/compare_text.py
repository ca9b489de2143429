"""A comparison of two runs as text, Markdown or JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from typing import Final

from harness.report.compare import Change, Comparison, spread
from harness.report.markdown import short
from harness.report.markdown import text as escaped

SCHEMA: Final = 1


def verdict(found: Comparison) -> str:
    """One line for people."""
    worse = sum(change.regression for change in found.changes)
    return f"{worse} regression{'s' if worse != 1 else ''}" if worse else "no regression"


def text(found: Comparison) -> str:
    """For a terminal."""
    lines = [f"A: {found.before}", f"B: {found.after}", ""]
    lines += [_line(change) for change in found.changes] or ["nothing changed beyond noise"]
    if found.numbers:
        lines += ["", "median [range, n], ms (seconds: s)"]
        lines += [
            f"  {one.where:<18} {one.name:<16} {spread(one.before)} -> {spread(one.after)}" for one in found.numbers
        ]
    return "\n".join([*lines, "", f"verdict: {verdict(found)}"])


def _line(change: Change) -> str:
    sign = "REGRESSION" if change.regression else change.direction
    where = f"{short(change.where)}  " if change.where else ""
    return f"{sign:<11} {change.kind:<10} {where}{change.what}{_p(change)}"


def _p(change: Change) -> str:
    return "" if change.p is None else f"  (p = {change.p:.2g})"


def markdown(found: Comparison) -> str:
    """For a CI job's summary."""
    return "\n".join(_markdown(found))


def _markdown(found: Comparison) -> Iterator[str]:
    yield f"## {'❌' if found.regressed else '✅'} Compared with {escaped(found.before)}: {verdict(found)}"
    yield ""
    if found.changes:
        yield "| | what | where | change |"
        yield "|---|---|---|---|"
        for one in found.changes:
            sign = "**regression**" if one.regression else one.direction
            yield f"| {sign} | {one.kind} | {escaped(short(one.where))} | {escaped(one.what + _p(one))} |"
    else:
        yield "Nothing changed beyond noise."
    if found.numbers:
        yield ""
        yield "| time | where | A: median [range, n] | B |"
        yield "|---|---|---|---|"
        for number in found.numbers:
            cells = (number.name, number.where, spread(number.before), spread(number.after))
            yield f"| {' | '.join(escaped(cell) for cell in cells)} |"


def as_json(found: Comparison) -> str:
    """For machines; keys are stable."""
    document = {
        "schema": SCHEMA,
        "a": found.before,
        "b": found.after,
        "regressed": found.regressed,
        "changes": [asdict(change) for change in found.changes],
        "numbers": [asdict(one) for one in found.numbers],
    }
    return json.dumps(document, indent=1)


FORMATS: Final[Mapping[str, Callable[[Comparison], str]]] = {"text": text, "json": as_json, "markdown": markdown}

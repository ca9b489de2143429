"""Tables of the page: one function makes them all, with caption, headers and cells that read aloud sensibly."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from harness.report.html import numbers
from harness.report.html.markup import Html, el, esc

WORDS = {
    "pass": "Pass",
    "fail": "Fail",
    "inconclusive": "Inconclusive",
    "unproven": "Unproven",
    "error": "Harness error",
}
SHAPES = {
    "pass": "M3.5 8.5l3 3 6-7",
    "fail": "M4 4l8 8M12 4l-8 8",
    "error": "M8 3.5v5.5M8 12.3v.2",
    "inconclusive": "M5.5 6a2.5 2.5 0 1 1 3.6 2.2Q8 8.8 8 10M8 12.6v.2",
}


def chip(verdict: str) -> Html:
    """A verdict as a word with a sign of its own shape."""
    shape = SHAPES.get(verdict, "M4 8h8")
    sign = el("svg", el("path", d=shape), viewBox="0 0 16 16", aria_hidden="true")
    return el("span", sign, WORDS.get(verdict, verdict or "none"), cls=f"verdict {verdict}")


def table(
    caption: str, heads: Sequence[str], rows: Iterable[Sequence[object]], *, figures: Sequence[int] = (), cls: str = ""
) -> Html:
    """A table; the first cell of each row is its header.

    Args:
        caption: what it is, shown above it.
        heads: of the columns.
        rows: cells, markup or text.
        figures: columns of numbers, to be set right.
        cls: of the table.

    """

    def cell(number: int, child: object) -> Html:
        style = "n" if number in figures else None
        if number == 0:
            return el("th", child, scope="row", cls=style)
        return el("td", child, cls=style)

    top = [el("th", head, scope="col", cls="n" if number in figures else None) for number, head in enumerate(heads)]
    body = [el("tr", *(cell(number, child) for number, child in enumerate(row))) for row in rows]
    made = el("table", el("caption", caption), el("thead", el("tr", *top)), el("tbody", *body), cls=cls or None)
    return el("div", made, cls="wide", tabindex=0, role="region", aria_label=caption)


def facts(pairs: Iterable[tuple[str, object]]) -> Html:
    """Names and values."""
    return el("dl", *(el("div", el("dt", name), el("dd", value)) for name, value in pairs), cls="facts")


def bullets(items: Iterable[object]) -> Html:
    """A plain list."""
    return el("ul", *(el("li", item) for item in items))


def mutants(document: Mapping[str, Any]) -> Html:
    """The broken releases that the gate had to stop, from mutants.json."""
    rows = [
        (
            el("code", one.get("id", "")),
            chip("pass" if one.get("caught") else "fail"),
            one.get("expected", ""),
            one.get("got", ""),
            one.get("caught_by", ""),
            one.get("source", ""),
            numbers.seconds(one.get("seconds")),
        )
        for one in document.get("mutants") or ()
    ]
    heads = ("mutant", "caught", "expected", "got", "caught by", "source", "took")
    score = document.get("score")
    said = f"Score {score:g}" if isinstance(score, int | float) else "Score not told"
    if isinstance(score, int | float) and 0 <= score <= 1:
        said = f"{numbers.percent(score)} caught"
    alarms = document.get("false_alarms") or {}
    if alarms:
        said += f"; {alarms.get('alarms', 0)} false alarms in {alarms.get('runs', 0)} runs of the unbroken release"
    said += f", in run {document['run']}" if document.get("run") else ""
    unjudged = document.get("unjudged") or ()
    rest = f" {len(unjudged)} without a verdict count as not caught: {', '.join(unjudged)}." if unjudged else ""
    return el(
        "section",
        el("h2", "Mutants: releases that are broken on purpose", id="mutants"),
        el("p", f"{said}.{rest}"),
        table("Mutants", heads, rows, figures=(6,)),
    )


def switches(document: Mapping[str, Any]) -> Html:
    """How the mechanisms of a cutover compare, from switches.json."""
    rows = []
    for name, switch in (document.get("switches") or {}).items():
        for path, one in (switch.get("paths") or {}).items():
            lost = one.get("lost") or {}
            total = sum(value for value in lost.values() if isinstance(value, int | float))
            classes = ", ".join(f"{value} {cls}" for cls, value in lost.items() if value)
            rows.append(
                (
                    name,
                    path,
                    numbers.count(one.get("repeats")),
                    numbers.count(total) + (f" ({classes})" if classes else ""),
                    *(_spread(one.get(key), 1.0) for key in ("first_new_ms", "mixed_ms", "rollback_first_ms")),
                    _spread(one.get("release_s"), 1000.0),
                )
            )
    heads = ("switch", "path", "repeats", "lost", "first new ms", "mixed ms", "rollback first ms", "release s")
    return el(
        "section",
        el("h2", "Switches: the mechanisms of a cutover compared", id="switches"),
        el(
            "p",
            "Median, and the largest in parentheses" + (f", of run {run}." if (run := document.get("run")) else "."),
        ),
        table("Switches", heads, rows, figures=(2, 3, 4, 5, 6, 7)),
    )


def _spread(told: object, factor: float) -> str:
    """A median and the largest; `factor` only tells seconds from milliseconds."""
    if not isinstance(told, Mapping) or told.get("median") is None:
        return numbers.NONE
    show = numbers.ms if factor == 1 else (lambda value: f"{value:.1f}")
    largest = told.get("max")
    return show(told["median"]) + (f" ({show(largest)})" if largest is not None else "")


def code(text: str) -> Html:
    """A command or a path, to be copied."""
    return el("code", text, cls="copy")


def sentence(*parts: object) -> Html:
    """A paragraph of parts."""
    return el("p", *(esc(part) for part in parts))

"""The page: its parts in order, its style and script inside, and a policy that forbids every request."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from harness.evidence.timeline import Timeline
from harness.report.html import index
from harness.report.html.markup import Html, el, join
from harness.report.html.scenario import section
from harness.report.html.tables import mutants, switches

HERE = Path(__file__).parent
OPENED = 3
"""Scenarios that didn't pass and are unfolded at first; a run of one scenario unfolds that one."""


def page(
    document: Mapping[str, Any],
    sections: Iterable[Html],
    *,
    mutants_json: Mapping[str, Any] | None = None,
    switches_json: Mapping[str, Any] | None = None,
    note: str = "",
) -> str:
    """The whole of report.html.

    Args:
        document: verdict.json as data.
        sections: of its scenarios, in its order, from `scenario_section`.
        mutants_json: mutants.json as data, where there is one.
        switches_json: switches.json as data, where there is one.
        note: shown above the verdict: by which other limits this was judged again.

    """
    style, script = Html(_asset("style.css")), Html(_asset("script.js"))
    body = el(
        "main",
        el("p", note, cls="rejudged") if note else None,
        index.banner(document),
        index.attention(document),
        index.scenarios(document),
        index.limits_of_proof(document),
        el("section", el("h2", "Each scenario", id="each"), *sections),
        mutants(mutants_json) if mutants_json else None,
        switches(switches_json) if switches_json else None,
        index.circumstances(document),
    )
    verdict = str(document.get("verdict"))
    head = el(
        "head",
        el("meta", charset="utf-8"),
        el("meta", http_equiv="Content-Security-Policy", content=_policy(script)),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        el("meta", name="color-scheme", content="light dark"),
        el("title", f"{verdict}: blue-green rehearsal {document.get('run', '')}"),
        el("style", style),
    )
    # Level stripes: the charts are stretched sideways, and only such a pattern looks the same at any width.
    hatch = el(
        "pattern",
        el("rect", width=100_000_000, height=3, cls="hatch-back"),
        el("rect", width=100_000_000, height=1, cls="hatch-line"),
        id="hatch",
        width=100_000_000,
        height=3,
        x=-50_000_000,
        patternUnits="userSpaceOnUse",
    )
    defs = el("svg", el("defs", hatch), id="defs", aria_hidden="true")
    skip = el("a", "Skip to the scenarios", href="#scenarios", cls="skip")
    whole = el("html", head, el("body", skip, defs, body, el("script", script)), lang="en")
    return f"<!doctype html>\n{join([whole])}\n"


def scenario_section(document: Mapping[str, Any], number: int, timeline: Timeline | None) -> Html:
    """The section of the n-th scenario (from 1) of verdict.json, unfolded if it is among the first to look at."""
    records = list(document.get("scenarios") or ())
    bad = [n for n, one in enumerate(records, 1) if one.get("verdict") != "pass"]
    bad.sort(key=lambda n: records[n - 1].get("verdict") != "fail")
    opened = number in bad[:OPENED] or len(records) == 1
    return section(records[number - 1], timeline, number, opened=opened)


def _asset(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")


def _policy(script: str) -> str:
    """No request to anywhere, and no script but this page's own."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; base-uri 'none'"

"""One scenario's section: why this verdict, what happened, what was measured, how strong that is."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from typing import Any

from harness.evidence.socket_summary import lost_text
from harness.evidence.timeline import Timeline
from harness.report.html import details, numbers
from harness.report.html.chart import charts, scene
from harness.report.html.details import told_lost
from harness.report.html.markup import Html, el, join
from harness.report.html.tables import bullets, chip, code, facts, table
from harness.report.terminal import first_lost_id

EXPECTS = {
    "no_loss": "nothing may be lost",
    "bounded": "bounds on what may be lost",
    "loses": "must lose",
    "refused": "must be refused",
}
Record = Mapping[str, Any]


def anchor(number: int) -> str:
    """The id of the section of the n-th scenario, from 1."""
    return f"scenario-{number}"


def title(record: Record) -> str:
    """The scenario's name without its file's folders."""
    return str(record.get("id") or "scenario").rsplit("/", 1)[-1].partition("::")[2] or str(record.get("id"))


def name(record: Record) -> Html:
    """The title, which may break between its words and before its parameters, but not within a word."""
    return join(re.split(r"(?<=_)|(?=\[)", title(record)), el("wbr"))


def section(record: Record, timeline: Timeline | None, number: int, *, opened: bool) -> Html:
    """The scenario with everything that is known of it.

    Args:
        record: its element of verdict.json.
        timeline: its evidence, or None where that is gone.
        number: from 1, for ids.
        opened: whether its details are unfolded at first.

    """
    ident = anchor(number)
    one = scene(timeline) if timeline is not None else None
    parts = [
        _because(record),
        charts(one, ident) if one else el("p", "Its record is gone, so there is nothing to draw.", cls="note"),
        _findings(record),
        details.strength(record),
        details.moves(record, timeline),
        details.outages(record, one),
        details.faults(record),
        details.sockets(record),
        details.losses(timeline) if timeline is not None else None,
        details.events(timeline) if timeline is not None else None,
        _again(record, timeline),
    ]
    head = el(
        "summary",
        el("h3", chip(str(record.get("verdict"))), el("span", name(record), cls="name"), id=ident),
        el("span", _short(record), cls="gist"),
    )
    return el("details", head, el("div", *parts, cls="body"), cls="scenario", open=opened)


def _short(record: Record) -> str:
    issued = numbers.count((record.get("samples") or {}).get("issued"))
    said = [f"{told_lost(record)} lost of {issued}{lost_text(record)}"]
    for key, word in (("cutover", "first new"), ("rollback", "back after")):
        first = (record.get(key) or {}).get("first_new_ms")
        if first is not None:
            said.append(f"{word} {numbers.ms(first)} ms")
    said.append(EXPECTS.get(str(record.get("expect")), str(record.get("expect") or "")))
    return " · ".join(part for part in said if part)


def reasons(record: Record) -> list[str]:
    """What decided a verdict that isn't a pass: the details of the worst findings."""
    verdict = record.get("verdict")
    found = [one for one in record.get("findings") or () if one.get("verdict") == verdict]
    return [f"{one['check']}: {one.get('detail') or one['verdict']}" for one in found] if verdict != "pass" else []


def _because(record: Record) -> Html | None:
    why = reasons(record)
    diagnosis = record.get("diagnosis") or ()
    if not why and not diagnosis:
        return None
    parts: list[Html] = []
    if why:
        parts += [el("h4", "Why"), bullets(_spread(text) for text in why)]
    if diagnosis:
        parts.append(el("h4", "Diagnosis"))
        parts += [
            facts(
                (word, one[word])
                for word in ("symptom", "cause", "mend", "id", *sorted(set(one) - {"symptom", "cause", "mend", "id"}))
                if one.get(word)
            )
            for one in diagnosis
        ]
    return el("div", *parts, cls=f"because {record.get('verdict')}")


def _spread(text: str) -> Html:
    """A detail of several parts, one below the other."""
    first, *others = text.split("; ")
    return join([first, *([bullets(others)] if others else [])])


def _findings(record: Record) -> Html:
    found = list(record.get("findings") or ())
    order = ("fail", "inconclusive", "unproven", "pass")
    found.sort(key=lambda one: order.index(one["verdict"]) if one.get("verdict") in order else 0)
    rows = [
        (
            el("code", one.get("check", "")),
            chip(str(one.get("verdict"))),
            numbers.figure(one.get("measured"), str(one.get("unit") or "")),
            numbers.figure(one.get("limit"), str(one.get("unit") or "")),
            one.get("detail", ""),
        )
        for one in found
    ]
    return table("Findings", ("check", "verdict", "measured", "limit", "detail"), rows, figures=(2, 3), cls="findings")


def _again(record: Record, timeline: Timeline | None) -> Html:
    evidence = str(record.get("evidence") or "").rstrip("/")
    pairs: list[tuple[str, object]] = [("repeat it", code(f"pytest {shlex.quote(str(record.get('id')))}"))]
    if evidence:
        folder = "/".join(evidence.split("/")[-2:])
        link = el("a", code(folder), href=f"../{folder}/")
        pairs += [("evidence", link), ("judge it again", code(f"bluegreen recheck {shlex.quote(evidence)}"))]
        if timeline is not None and (lost := first_lost_id(timeline)):
            pairs.append(("follow the first lost", code(f"bluegreen trace {shlex.quote(evidence)} {lost}")))
    attempts = list(record.get("attempts") or ())
    if len(attempts) > 1:
        said = ", then ".join(str(one.get("verdict")) for one in attempts if isinstance(one, Mapping))
        pairs.append(("attempts", said))
    pairs.append(("level, seed", f"{record.get('level')}, {record.get('seed')}"))
    pairs.append(("took", join([numbers.seconds(record.get("seconds"))])))
    return facts(pairs)

"""The tables behind a scenario's charts: what was counted, when it happened, how strong that is."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from harness.evidence.losses import lost_mask
from harness.evidence.milestones import Milestones, milestones
from harness.evidence.requests import request_id
from harness.evidence.samples import ERRORS, METHODS, OUTCOMES, UNSENT
from harness.evidence.timeline import Timeline
from harness.report.html import numbers
from harness.report.html.chart import Scene
from harness.report.html.marks import is_quiet, short_names
from harness.report.html.markup import Html, el
from harness.report.html.series import whole
from harness.report.html.tables import bullets, facts, table

LOSSES = 60
"""Lost requests that are listed one by one; all of them are marks in the charts."""
EVENTS = 250
FEW = 8
"""Outages that are listed at once; more are folded."""
LONGEST = 20
"""Outages that are listed at all; a service that hangs again and again has a hundred, and nobody reads them."""
Record = Mapping[str, Any]


def lost_of(record: Record) -> int:
    """Failed and unknown requests."""
    samples = record.get("samples") or {}
    return int(samples.get("failed", 0)) + int(samples.get("unknown", 0))


def retriable_of(record: Record) -> int:
    """Lost requests that any client may send again."""
    return int((record.get("samples") or {}).get("retriable", 0))


def told_lost(record: Record) -> str:
    """The lost as text, with how many of them any client may send again."""
    again = retriable_of(record)
    return numbers.count(lost_of(record)) + (f" ({numbers.count(again)} retriable)" if again else "")


def strength(record: Record) -> Html:
    """What was counted, class by class, and what that bounds."""
    samples = record.get("samples") or {}
    rows = []
    for name, one in (samples.get("by_class") or {}).items():
        lost = int(one.get("failed", 0)) + int(one.get("unknown", 0))
        rows.append(
            (
                name,
                numbers.count(one.get("issued")),
                numbers.count(lost) + (f" ({one['retriable']} retriable)" if one.get("retriable") else ""),
                numbers.upper(one.get("loss_rate_upper_95")),
                f"{one.get('rate', 0):g} /s",
                "–" if one.get("resolution_ms") is None else f"{numbers.ms(one['resolution_ms'])} ms",
                _gap(record, name),
            )
        )
    issued, lost = int(samples.get("issued", 0)), lost_of(record)
    said = [
        f"{numbers.count(lost)} of {numbers.count(issued)} requests lost: with 95 % confidence at most "
        f"{numbers.upper(record.get('loss_rate_upper_95'))} of such requests are lost."
    ]
    seen = int(record.get("cutovers") or 0)
    if seen:
        plural = "one move" if seen == 1 else f"{seen} moves"
        said.append(
            f"{plural.capitalize()} seen: with 95 % confidence at most "
            f"{numbers.upper(record.get('cutover_loss_upper_95'))} of moves lose something. Requests of one cutover "
            "depend on each other, so the cutover is the unit of evidence."
        )
    slo = record.get("slo")
    if slo and slo.get("burn") is not None:
        said.append(f"Objective {100 * slo['target']:.6g} %: {slo['burn']:.2f} of its error budget burnt.")
    if record.get("lag_p99_ms") is not None:
        said.append(f"The generator's lag was {numbers.ms(record['lag_p99_ms'])} ms (99th percentile).")
    heads = ("class", "requests", "lost", "at most (95 %)", "rate", "sees outages from", "longest gap")
    body = table("Strength of evidence, by class", heads, rows, figures=(1, 2, 3, 4, 5, 6)) if rows else None
    extra = [
        *(f"Unproven: {name}" for name in record.get("unproven") or ()),
        *(f"Skipped: {name}" for name in record.get("skipped") or ()),
        *_arrivals(record.get("arrivals") or {}),
    ]
    return el("div", body, el("p", " ".join(said)), bullets(extra) if extra else None)


def _gap(record: Record, name: str) -> str:
    gap = (record.get("gaps") or {}).get(name)
    return "–" if gap is None else f"{numbers.ms(gap)} ms"


def _arrivals(told: Mapping[str, Any]) -> list[str]:
    if not told:
        return []
    issued, arrived = numbers.count(told.get("issued")), numbers.count(told.get("arrived"))
    twice = numbers.count(told.get("twice"))
    return [f"The application's own record has {arrived} of the {issued} requests, {twice} of them twice."]


def moves(record: Record, timeline: Timeline | None) -> Html | None:
    """When each move took effect; without a record, the latest of all."""
    if timeline is None:
        named = [(key, record.get(key) or {}) for key in ("cutover", "rollback")]
        found = [(f"{key}, latest", Milestones(**told)) for key, told in named if told]
    else:
        found = []
        for number, move in enumerate(timeline.flips(), 1):
            to = f" to {move.to_revision}" if move.to_revision else ""
            found.append((f"{number}. {move.move}{to}", milestones(timeline, move)))
    if not found:
        return None
    nodes = list(dict.fromkeys(node for _, one in found for node in one.nodes_ms))
    classes = list(dict.fromkeys(cls for _, one in found for cls in one.last_old_ms))
    short = short_names(nodes)
    heads = ("move", "acknowledged", "endpoints", "first new", *(f"via {short[node]}" for node in nodes), "mixed")
    heads += tuple(f"last old {cls}" for cls in classes)
    rows = [
        (
            name,
            *(numbers.ms(value) for value in (one.acknowledged_ms, one.slice_ms, one.first_new_ms)),
            *(numbers.ms(one.nodes_ms.get(node)) for node in nodes),
            numbers.ms(one.mixed_ms),
            *(numbers.ms(one.last_old_ms.get(cls)) for cls in classes),
        )
        for name, one in found
    ]
    caption = "Milestones, ms from the moment that the patch was sent"
    return table(caption, heads, rows, figures=range(1, len(heads)), cls="milestones")


def outages(record: Record, one: Scene | None) -> Html | None:
    """The longest outages and stalls of all classes, by their upper bounds; one without a bound comes first."""
    found = list(record.get("outages") or ())
    if not found:
        return None
    begun = [outage.start_ns for outage in one.outages] if one and len(one.outages) == len(found) else []
    window = whole(one.timeline) if one else None
    rows = [
        (
            outage.get("class", ""),
            numbers.offset(window.at(begun[number])) if window and begun else "–",
            f"{numbers.ms(outage.get('low_ms'))} ms",
            "not bounded" if outage.get("high_ms") is None else f"{numbers.ms(outage['high_ms'])} ms",
            outage.get("phase", ""),
        )
        for number, outage in sorted(enumerate(found), key=lambda item: -_most(item[1]))[:LONGEST]
    ]
    heads = ("class", "from the switch", "at least", "at most", "where")
    made = table("Outages and stalls, with both bounds", heads, rows, figures=(1, 2, 3), cls="outages")
    if len(found) <= FEW:
        return made
    left = len(found) - len(rows)
    note = el("p", f"The longest {LONGEST}; {numbers.count(left)} more in verdict.json.", cls="note") if left else None
    return el("details", el("summary", f"Outages and stalls ({numbers.count(len(found))})"), note, made, cls="more")


def _most(outage: Mapping[str, Any]) -> float:
    """The upper bound, ms; infinite where nothing bounds it."""
    return math.inf if outage.get("high_ms") is None else float(outage["high_ms"])


def faults(record: Record) -> Html | None:
    """What was broken on purpose."""
    rows = [
        (
            one.get("kind", ""),
            numbers.offset(one["asked_ms"]) if one.get("asked_ms") is not None else "–",
            numbers.offset(one["reached_ms"]) if one.get("reached_ms") is not None else "not confirmed",
            "healed" if one.get("healed") else "not healed",
        )
        for one in record.get("faults") or ()
    ]
    heads = ("fault", "asked", "effect seen", "end")
    return table("Faults, from the switch", heads, rows, figures=(1, 2)) if rows else None


def sockets(record: Record) -> Html | None:
    """The numbers of WebSockets, as the record has them."""
    told = record.get("sockets") or {}
    return el("div", el("h4", "WebSockets"), facts(_flat(told)), cls="columns") if told else None


def _flat(told: Mapping[str, Any], above: str = "") -> Iterable[tuple[str, str]]:
    for key, value in told.items():
        name = f"{above} {key}".strip().replace("_", " ")
        if isinstance(value, Mapping):
            yield from _flat(value, name)
        elif value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
            yield name, numbers.figure(value)
        else:
            yield name, str(value)


def losses(timeline: Timeline) -> Html | None:
    """The first lost requests, one by one."""
    samples = timeline.samples[lost_mask(timeline.samples) & (timeline.samples["outcome"] != UNSENT)]
    if not len(samples):
        return None
    samples = samples[np.argsort(samples["intended"], kind="stable")]
    window, names = whole(timeline), {spec.code: spec.name for spec in timeline.classes}
    rows = [
        (
            numbers.offset(window.at(int(one["intended"]))),
            names.get(int(one["cls"]), ""),
            f"{_word(OUTCOMES, one['outcome'])}, {_word(ERRORS, one['error'])}",
            f"{numbers.ms((int(one['end']) - int(one['intended'])) / 1e6)} ms",
            _word(METHODS, one["method"]),
            str(one["status"] or "–"),
            timeline.node(int(one["entry"])),
            el("code", request_id(timeline, one)) if timeline.started.get("run_tag") else str(one["seq"]),
        )
        for one in samples[:LOSSES]
    ]
    heads = ("due", "class", "outcome", "known after", "method", "status", "entry node", "request")
    left = len(samples) - len(rows)
    note = f"The first {LOSSES}; {numbers.count(left)} more are in the charts and on disk." if left > 0 else ""
    return el(
        "details",
        el("summary", f"Lost requests, one by one ({numbers.count(len(samples))})"),
        el("p", note, cls="note") if note else None,
        table("Lost requests", heads, rows, figures=(0, 3)),
        cls="more",
    )


def _word(words: Sequence[str], code: Any) -> str:
    return words[int(code)] if int(code) < len(words) else f"?{code}"


def events(timeline: Timeline) -> Html:
    """What the harness did and saw, without what repeats itself."""
    window = whole(timeline)
    shown = ("cutover.", "slice.", "load.", "static.", "cluster.warned", "pod.gone")
    told = [event for event in timeline.events if event.name.startswith(shown) or not is_quiet(event.name)]
    rows = [
        (
            numbers.offset(window.at(event.t)),
            event.name,
            " ".join(f"{key}={value}" for key, value in event.fields.items()),
        )
        for event in told[:EVENTS]
    ]
    left = len(told) - len(rows)
    note = f"The first {EVENTS}; {numbers.count(left)} more are in events.jsonl." if left > 0 else ""
    notes = bullets(timeline.notes) if timeline.notes else None
    return el(
        "details",
        el("summary", f"Everything that happened ({numbers.count(len(told))} events)"),
        el("p", note, cls="note") if note else None,
        notes,
        table("Events, from the switch", ("time", "event", "fields"), rows, figures=(0,)),
        cls="more",
    )

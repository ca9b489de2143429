"""Checks of a run in which something was broken on purpose: how long users felt it, and that it came when asked."""

from __future__ import annotations

from collections.abc import Sequence

from harness.checks.finding import FAIL, INCONCLUSIVE, PASS, Finding
from harness.checks.registry import check
from harness.evidence.faults import faults
from harness.evidence.losses import error_counts, losses
from harness.evidence.outages import Outage, outages
from harness.evidence.timeline import Timeline


@check("outage")
def outage(timeline: Timeline, *, classes: Sequence[str], at_most: float, at_least: float = 0.0) -> Finding:
    """Losses in these classes only; each of their outages and stalls within the bracket, by both its own bounds."""
    ran = [spec.name for spec in timeline.classes]
    others = [name for name in ran if name not in classes and losses(timeline, name).judged]
    if others:
        said = "; ".join(f"{losses(timeline, name).judged} {name}{_errors(timeline, name)}" for name in others)
        return Finding("outage", FAIL, len(others), 0, "classes", f"lost though not expected to: {said}")
    absent = [name for name in classes if not losses(timeline, name).issued]
    if absent or not classes:
        return Finding(
            "outage", INCONCLUSIVE, 0, len(classes), "classes", f"no request of {', '.join(absent) or 'any'}"
        )
    spans = [one for one in outages(timeline) if one.cls in classes]
    said = "; ".join(_told(one) for one in sorted(spans, key=_low, reverse=True)[:4]) or "no outage"
    low = max((_low(one) for one in spans), default=0.0)
    high = max((_high(one) for one in spans), default=0.0)
    shown = low if high == float("inf") else high
    if low > at_most:
        return Finding("outage", FAIL, low, at_most, "s", f"too long: {said}")
    if high < at_least:
        return Finding("outage", FAIL, high, at_least, "s", f"too short for what was to be shown: {said}")
    if high > at_most or low < at_least:
        return Finding("outage", INCONCLUSIVE, shown, at_most, "s", f"its bounds lie on both sides of a limit: {said}")
    return Finding("outage", PASS, shown, at_most, "s", said)


def _low(one: Outage) -> float:
    return one.low_ns / 1e9


def _high(one: Outage) -> float:
    return float("inf") if one.high_ns is None else one.high_ns / 1e9


def _told(one: Outage) -> str:
    most = "the end of the record" if one.high_ns is None else f"{_high(one):.2f} s"
    what = "stalled" if one.stall else f"{one.lost} lost"
    return f"{one.cls} {one.phase} {_low(one):.2f} s to {most} ({what})"


def _errors(timeline: Timeline, name: str) -> str:
    found = error_counts(timeline.of_class(name)).most_common(3)
    return f" ({', '.join(f'{count} {error}' for error, count in found)})" if found else ""


@check("never_empty")
def never_empty(timeline: Timeline) -> Finding:
    """From the load's start to its end the Service always had a ready endpoint, as far as its slices were seen."""
    started, stopped = timeline.first("load.started"), timeline.named("load.stopped")
    since = started.t if started else 0
    until = stopped[-1].t if stopped else timeline.end_ns
    seen = timeline.named("slice.changed")
    empty = [event for event in seen if since <= event.t <= until and not int(event.fields.get("ready") or 0)]
    if empty:
        after = (empty[0].t - since) / 1e9
        text = f"no ready endpoint {after:.1f} s after the load began, and {len(empty) - 1} more times"
        return Finding("never_empty", FAIL, len(empty), 0, "times", text)
    if not seen or not started:
        return Finding("never_empty", INCONCLUSIVE, 0, 0, "times", "the Service's endpoints were never seen")
    return Finding("never_empty", PASS, 0, 0, "times", f"{len(seen)} changes of its endpoints, none to nothing")


@check("fault_timing", standing=True)
def fault_timing(timeline: Timeline, *, within_ms: float = 250.0) -> Finding | None:
    """Each fault that was placed at a move came at the offset that was asked: elsewhere it is another test."""
    late = [
        (abs(one["reached_ms"] - one["asked_ms"]), one)
        for one in faults(timeline)
        if one["move"] and one["reached_ms"] is not None
    ]
    if not late:
        return None
    worst, one = max(late, key=lambda pair: pair[0])
    text = f"{one['kind']} was asked for {one['asked_ms']:+.0f} ms and came at {one['reached_ms']:+.0f} ms"
    if worst <= within_ms:
        return Finding("fault_timing", PASS, worst, within_ms, "ms", text)
    mend = f"; announce the {one['move']} earlier: {one['move']}(lead_s=3)"
    return Finding("fault_timing", INCONCLUSIVE, worst, within_ms, "ms", text + mend)

"""One scenario's element of verdict.json, from its timeline and its findings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from harness.evidence.departures import told as probes
from harness.evidence.faults import faults
from harness.evidence.gaps import gaps
from harness.evidence.ledger import ledger
from harness.evidence.losses import all_judged, losses
from harness.evidence.milestones import milestones, worst
from harness.evidence.outages import Outage, outages
from harness.evidence.reconcile import Reconciled, reconcile
from harness.evidence.socket_summary import socket_numbers
from harness.evidence.statistics import budget, loss_rate_upper, worst_lag
from harness.evidence.tails import tails
from harness.evidence.timeline import Event, Move, Timeline
from harness.evidence.workers import told as told_of_workers


class FindingLike(Protocol):
    """What a record needs of a finding: evidence doesn't depend on the checks that judge it."""

    @property
    def check(self) -> str:
        """The check's name."""

    @property
    def verdict(self) -> str:
        """How it was judged."""

    def to_dict(self) -> dict[str, Any]:
        """As in verdict.json."""


def scenario_record(
    timeline: Timeline,
    findings: Sequence[FindingLike],
    *,
    scenario_id: str = "",
    verdict: str = "",
    seconds: float | None = None,
    attempts: Iterable[Any] = (),
    skipped: Iterable[str] = (),
    unproven: Iterable[str] = (),
    sockets: Mapping[str, Any] | None = None,
    diagnosis: Iterable[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """The record of one scenario; "cutover" and "rollback" hold the latest of each milestone over all such moves.

    Args:
        timeline: the scenario's.
        findings: all of them.
        scenario_id: by default the event `run.started` tells.
        verdict: the overall verdict, from `harness.checks.verdict.overall`.
        seconds: by default the span of the events.
        attempts: earlier and present attempts, as the runner keeps them.
        skipped: what was not done, by name; classes that the application can't serve are added.
        unproven: what nothing could prove, by name; added are "arrivals", with the reason, where they don't reconcile,
            and what can't be known of answers that don't tell their revision.
        sockets: numbers of WebSockets, instead of the timeline's.
        diagnosis: what explains the findings.

    Times ending in `_ms` count from the send of the move's patch (or command); a fault's from the first flip.

    """
    started = timeline.started
    lag = worst_lag(timeline)
    totals, by_class = _samples(timeline)
    flips = [move for move in timeline.flips() if move.acknowledged_ns is not None]
    moves = [_move(timeline, move) for move in flips]
    bad = sum(1 for move in moves if move["lost_something"])
    reconciled = reconcile(timeline, timeline.arrivals) if timeline.arrivals is not None and timeline.loaded else None
    not_proven = [*unproven, *_unproven_revisions(timeline, findings), *_unproven_arrivals(timeline, reconciled)]
    lost = totals["failed"] + totals["unknown"]
    return {
        "id": scenario_id or str(started.get("scenario") or ""),
        "verdict": verdict,
        "expect": str(started.get("expect") or ""),
        "seconds": seconds if seconds is not None else _seconds(timeline.events[:1], timeline.events[-1:]),
        "release_seconds": _release_seconds(timeline),
        "load_seconds": _seconds(timeline.named("load.started")[:1], timeline.named("load.stopped")[-1:]),
        "path": str(started.get("path") or ""),
        "switch": str(used.fields["switch"]) if (used := timeline.first("switch.used")) else "",
        **({"workers": team} if (team := told_of_workers(timeline.events)) else {}),
        "level": timeline.level,
        "seed": started.get("seed", 0),
        "attempts": list(attempts),
        "skipped": [*skipped, *_skipped(timeline)],
        "unproven": not_proven,
        "samples": {**totals, "by_class": by_class},
        "arrivals": reconciled.to_dict() if reconciled is not None else {},
        "lag_p99_ms": None if lag is None else lag[1] / 1e6,
        "slo": budget(timeline),
        "loss_rate_upper_95": loss_rate_upper(lost, totals["issued"]),
        "cutovers": len(flips),
        "cutover_loss_upper_95": loss_rate_upper(bad, len(flips)),
        "cutover": _moves(timeline, "cutover"),
        "rollback": _moves(timeline, "rollback"),
        "moves": moves,
        **gaps(timeline),
        "tails": tail.to_dict() if (tail := tails(timeline)) is not None else {},
        "outages": [_outage(timeline, outage) for outage in outages(timeline)],
        "faults": faults(timeline),
        "probes": probes(timeline),
        "sockets": dict(sockets) if sockets is not None else socket_numbers(timeline),
        "diagnosis": [dict(one) for one in diagnosis],
        "findings": [finding.to_dict() for finding in findings],
    }


def _unproven_revisions(timeline: Timeline, findings: Sequence[FindingLike]) -> list[str]:
    """What needs to know who answered, by name, where no answer tells it."""
    found = [finding.check for finding in findings if finding.verdict == "unproven"]
    silent = timeline.anonymous or bool(timeline.witness)
    found += ["smoke"] if silent and timeline.first("smoke.passed") else []
    return [f"{name}: no answer tells its revision" for name in dict.fromkeys(found)]


def _unproven_arrivals(timeline: Timeline, reconciled: Reconciled | None) -> list[str]:
    if reconciled is not None:
        return [f"arrivals: {reconciled.faults[0]}"] if reconciled.faults else []
    reasons = [str(event.fields.get("reason") or "") for event in timeline.named("arrivals.unkept")]
    return [": ".join(["arrivals", *reasons[-1:]])] if timeline.loaded else []


def _samples(timeline: Timeline) -> tuple[dict[str, int], dict[str, dict[str, Any]]]:
    keys = ("scheduled", "issued", "ok", "failed", "unknown", "unsent", "retriable")
    totals = dict.fromkeys(keys, 0)
    by_class: dict[str, dict[str, Any]] = {}
    for spec, entry in zip(timeline.classes, ledger(timeline), strict=True):
        counts = {
            "scheduled": entry.scheduled,
            "issued": entry.ok + entry.failed + entry.unknown + entry.open,
            "ok": entry.ok,
            "failed": entry.failed,
            "unknown": entry.unknown,
            "unsent": entry.unsent,
            "retriable": losses(timeline, spec.name).retriable,
        }
        for key in keys:
            totals[key] += counts[key]
        by_class[spec.name] = {
            "issued": counts["issued"],
            "ok": entry.ok,
            "failed": entry.failed,
            "unknown": entry.unknown,
            "retriable": counts["retriable"],
            "loss_rate_upper_95": loss_rate_upper(entry.failed + entry.unknown, counts["issued"] - entry.open),
            "rate": spec.rate,
            "resolution_ms": spec.resolution_ns / 1e6 if spec.rate > 0 else None,
        }
    return totals, by_class


def _skipped(timeline: Timeline) -> list[str]:
    """The classes that didn't run, each with its reason."""
    events = timeline.named("class.skipped")
    return list(dict.fromkeys(f"{event.fields.get('cls')}: {event.fields.get('reason')}" for event in events))


def _lost_something(timeline: Timeline, move: Move) -> bool:
    """Whether anything was lost, as its level counts, that was under way at the move or sent before the next one."""
    if timeline.sockets is not None:
        ended = timeline.sockets.lives["ended"][timeline.sockets.bad]
        if np.any((ended >= (move.sent_ns or 0)) & (ended < move.end_ns)):
            return True
    samples = timeline.samples
    sent = np.where(samples["sent"] > 0, samples["sent"], samples["intended"])
    return bool(np.any(all_judged(timeline) & (samples["end"] >= (move.sent_ns or 0)) & (sent < move.end_ns)))


def _moves(timeline: Timeline, name: str) -> dict[str, object]:
    flips = [move for move in timeline.flips() if move.move == name]
    flips = [move for move in flips if not move.refused] or flips  # one that went through later is the one to tell of
    return worst(milestones(timeline, move) for move in flips).to_dict() if flips else {}


def _move(timeline: Timeline, move: Move) -> dict[str, object]:
    """One acknowledged move: what a comparison of runs takes its medians of."""
    lost = _lost_something(timeline, move)
    return {"move": move.move, "lost_something": lost, **milestones(timeline, move).to_dict()}


def _release_seconds(timeline: Timeline) -> float | None:
    """From the first deploy's start to the first cutover's answer; None where there wasn't both."""
    begun = timeline.first("deploy.started")
    moved = next((move for move in timeline.moves() if move.move == "cutover" and move.acknowledged_ns), None)
    if begun is None or moved is None or moved.acknowledged_ns is None:
        return None
    return (moved.acknowledged_ns - begun.t) / 1e9


def _outage(timeline: Timeline, outage: Outage) -> dict[str, Any]:
    where = outage.phase
    if outage.entry is not None:
        where += f", only through {timeline.node(outage.entry)}"
    if outage.pod:
        where += f", only pod {outage.pod}"
    if outage.share < 1:
        where += f", {outage.share:.0%} of the requests"
    if outage.stall:
        where += ", stalled"
    return {
        "class": outage.cls,
        "phase": where,
        "low_ms": outage.low_ns / 1e6,
        "high_ms": None if outage.high_ns is None else outage.high_ns / 1e6,
    }


def _seconds(first: Sequence[Event], last: Sequence[Event]) -> float:
    return (last[0].t - first[0].t) / 1e9 if first and last else 0.0

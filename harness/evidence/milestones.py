"""Milestones of a move, in ms from the moment its patch (or command) was sent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from harness.evidence.samples import OK, Samples
from harness.evidence.timeline import Move, Timeline

FRESH = "fresh"


@dataclass(frozen=True, slots=True)
class Milestones:
    """When a move took effect; None where the record doesn't tell.

    Args:
        acknowledged_ms: the API server's (or the command's) answer.
        slice_ms: the EndpointSlices held the new side's addresses, and the old side's no more.
        nodes_ms: by entry node, the first new answer on a fresh connection through it: an upper bound of its
            programming.
        first_new_ms: the first new answer on a fresh connection, over all nodes.
        last_old_ms: by class, the last old answer; a class without one has no entry.
        mixed_ms: last old less first new answer on fresh connections, 0 if the old ones ended first.

    """

    acknowledged_ms: float | None = None
    slice_ms: float | None = None
    nodes_ms: Mapping[str, float] = field(default_factory=dict)
    first_new_ms: float | None = None
    last_old_ms: Mapping[str, float] = field(default_factory=dict)
    mixed_ms: float | None = None

    def to_dict(self) -> dict[str, object]:
        """As in verdict.json's "cutover" and "rollback"."""
        return {
            "acknowledged_ms": self.acknowledged_ms,
            "slice_ms": self.slice_ms,
            "nodes_ms": dict(self.nodes_ms),
            "first_new_ms": self.first_new_ms,
            "last_old_ms": dict(self.last_old_ms),
            "mixed_ms": self.mixed_ms,
        }


def milestones(timeline: Timeline, move: Move) -> Milestones:
    """The milestones of one move; all unknown if it never was sent."""
    if move.sent_ns is None:
        return Milestones()
    sent = move.sent_ns

    def since(when: int | None) -> float | None:
        return None if when is None else (when - sent) / 1e6

    fresh = timeline.of_class(FRESH)
    new = _answers(timeline, fresh, move, move.to_revision)
    first_new = int(new["end"].min()) if len(new) else None
    nodes = {
        timeline.node(int(entry)): (int(new["end"][new["entry"] == entry].min()) - sent) / 1e6
        for entry in np.unique(new["entry"])
    }
    last_old: dict[str, float] = {}
    for spec in timeline.classes:
        old = _answers(timeline, timeline.of_class(spec.name), move, move.from_revision)
        if len(old):
            last_old[spec.name] = (int(old["end"].max()) - sent) / 1e6
    mixed = None
    if first_new is not None:
        mixed = max(0.0, last_old.get(FRESH, 0.0) - (first_new - sent) / 1e6)
    return Milestones(
        acknowledged_ms=since(move.acknowledged_ns),
        slice_ms=since(_slice_changed(timeline, move)),
        nodes_ms=nodes,
        first_new_ms=since(first_new),
        last_old_ms=last_old,
        mixed_ms=mixed,
    )


def _answers(timeline: Timeline, samples: Samples, move: Move, revision: str) -> Samples:
    """Ok answers with one revision that came after the move's send, sent before the next move."""
    if move.sent_ns is None or revision == "":
        return samples[:0]
    # Sends are never before their intended time, so that nothing later than the move's end is of interest.
    samples = samples[: np.searchsorted(samples["intended"], move.end_ns)]
    keep = (
        (samples["outcome"] == OK)
        & (samples["revision"] == timeline.id_of(revision))
        & (samples["end"] >= move.sent_ns)
        & (samples["sent"] < move.end_ns)
    )
    kept: Samples = samples[keep]
    return kept


def _slice_changed(timeline: Timeline, move: Move) -> int | None:
    if move.sent_ns is None:
        return None
    for event in timeline.named("slice.changed"):
        sides = event.fields.get("sides") or {}
        if move.sent_ns <= event.t < move.end_ns and sides.get(move.to_side) and not sides.get(move.from_side):
            return event.t
    return None


def worst(every: Iterable[Milestones]) -> Milestones:
    """The latest of several moves, number by number: what N cutovers in a row are summed up by."""
    known = list(every)

    def latest(values: Iterable[float | None]) -> float | None:
        return max((value for value in values if value is not None), default=None)

    def by_key(tables: list[Mapping[str, float]]) -> dict[str, float]:
        keys = dict.fromkeys(key for table in tables for key in table)
        return {key: max(table[key] for table in tables if key in table) for key in keys}

    return Milestones(
        acknowledged_ms=latest(one.acknowledged_ms for one in known),
        slice_ms=latest(one.slice_ms for one in known),
        nodes_ms=by_key([one.nodes_ms for one in known]),
        first_new_ms=latest(one.first_new_ms for one in known),
        last_old_ms=by_key([one.last_old_ms for one in known]),
        mixed_ms=latest(one.mixed_ms for one in known),
    )

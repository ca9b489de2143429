"""Checks of kept connections: when they leave the old side, what an idle close costs, and whom affinity keeps where."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from harness.checks.finding import ANONYMOUS, FAIL, INCONCLUSIVE, PASS, UNPROVEN, Finding
from harness.checks.registry import check
from harness.evidence.losses import answered_mask, lost_mask, told_mask
from harness.evidence.milestones import FRESH
from harness.evidence.samples import FLAG_REPLACED, FLAG_RETRIABLE, UNSENT, Samples
from harness.evidence.timeline import SECOND, Move, Timeline

SETTLED_NS = 2 * SECOND
"""After a move, until every node knows of it."""


@check("kept_until_drained")
def kept_until_drained(timeline: Timeline, *, within: float = 3.0, cls: str = "busy") -> Finding:
    """Kept connections stay on the old side until that drains, and are all on the new one `within` seconds later.

    What a Service does: it never moves a connection, so a flip alone leaves them where they are.
    """
    name, unit = "kept_until_drained", "ms"
    if timeline.anonymous:
        return Finding(name, UNPROVEN, None, None, unit, ANONYMOUS)
    moves = [move for move in timeline.flips() if move.move == "cutover"]
    drained = timeline.first("side.drained")
    if not moves or drained is None or drained.t <= (moves[-1].sent_ns or 0) + SETTLED_NS:
        return Finding(name, INCONCLUSIVE, None, 1e3 * within, unit, "no side was drained long enough after a cutover")
    move = moves[-1]
    samples = timeline.of_class(cls)
    samples = samples[told_mask(timeline, samples)]
    before = samples[(samples["sent"] > (move.sent_ns or 0) + SETTLED_NS) & (samples["sent"] < drained.t)]
    after = samples[samples["sent"] > drained.t]
    old = timeline.id_of(move.from_revision)
    late = after[after["revision"] == old]
    last = (int(late["sent"].max()) - drained.t) / 1e6 if len(late) else 0.0
    settled = after[after["sent"] > drained.t + round(within * SECOND)]
    if not len(before) or not len(settled):
        return Finding(name, INCONCLUSIVE, last, 1e3 * within, unit, f"no answer of {cls} before or after the drain")
    stayed = int(np.count_nonzero(before["revision"] == old))
    text = f"{stayed} of {len(before)} {cls} answers came from {move.from_revision} until it drained"
    text += f", the last one sent {last:.0f} ms after that began"
    bad = stayed < len(before) or bool(np.any(settled["revision"] == old))
    return Finding(name, FAIL if bad else PASS, last, 1e3 * within, unit, text)


@check("idle_close")
def idle_close(timeline: Timeline, *, level: str = "") -> Finding:
    """What the server's idle close cost the idle class: nothing but what any client may retry, and that is counted.

    At user level such losses pass, at strict level each one fails. A run in which no connection was closed between
    two requests says nothing.

    Args:
        timeline: the record.
        level: "user" or "strict"; "" is the run's own.

    """
    name, unit = "idle_close", "retriable"
    samples = timeline.of_class("idle")
    samples = samples[samples["outcome"] != UNSENT]
    lost = lost_mask(samples)
    retriable = int(np.count_nonzero(lost & (samples["flags"] & FLAG_RETRIABLE != 0)))
    replaced = int(np.count_nonzero(samples["flags"] & FLAG_REPLACED != 0))
    other = int(np.count_nonzero(lost)) - retriable
    text = f"{len(samples)} idle requests met {retriable + replaced} closed connections: "
    text += f"{replaced} seen before the send (nothing lost), {retriable} retriable by any client"
    strict = (level or timeline.level) == "strict"
    if other or (strict and retriable):
        text += f", {other} lost for good" if other else ", which count at level strict"
        return Finding(name, FAIL, retriable, 0 if strict else None, unit, text)
    if not retriable + replaced:
        return Finding(name, INCONCLUSIVE, 0, 0 if strict else None, unit, text)
    return Finding(name, PASS, retriable, 0 if strict else None, unit, text)


@check("affinity")
def affinity(timeline: Timeline, *, pods: int = 1, within: float = 2.0) -> Finding:
    """Before and after each move, fresh connections of one address reach at most so many pods through each node.

    The first `within` seconds after a move are left out. Kept until the move: the old side's pods are gone from the
    endpoints then, and what a node remembers of them with it.
    """
    name = "affinity"
    fresh = timeline.of_class(FRESH)
    fresh = fresh[answered_mask(fresh) & (fresh["pod"] != 0)]
    said, worst = [], 0
    for label, part in _phases(fresh, timeline.flips(), within):
        counts = {}
        for entry in np.unique(part["entry"]).tolist():
            counts[timeline.node(entry)] = len(np.unique(part["pod"][part["entry"] == entry]))
        if not counts:
            return Finding(name, INCONCLUSIVE, None, pods, "pods", f"no fresh answer tells its pod {label}")
        worst = max(worst, *counts.values())
        said.append(f"{label} {', '.join(f'{node}: {count}' for node, count in sorted(counts.items()))}")
    verdict = PASS if worst <= pods else FAIL
    return Finding(name, verdict, worst, pods, "pods", f"pods per node {'; '.join(said)}")


def _phases(samples: Samples, moves: Sequence[Move], within: float) -> list[tuple[str, Samples]]:
    """The samples before the first move, and after each one."""
    first = moves[0].sent_ns if moves else None
    found = [("before", samples if first is None else samples[samples["sent"] < first])]
    for move in moves:
        start = (move.sent_ns or 0) + round(within * SECOND)
        found.append((f"after the {move.move}", samples[(samples["sent"] > start) & (samples["sent"] < move.end_ns)]))
    return found

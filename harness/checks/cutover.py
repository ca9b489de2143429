"""Checks of a move: it happened, only the new revision answers after it, and it stays so."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from harness.checks.finding import ANONYMOUS, FAIL, INCONCLUSIVE, PASS, UNPROVEN, Finding, Verdict, worst
from harness.checks.identified import MOST_UNKNOWN
from harness.checks.registry import check
from harness.evidence.losses import answered_mask, lost_mask, told_mask
from harness.evidence.milestones import FRESH
from harness.evidence.samples import Samples
from harness.evidence.timeline import SECOND, Move, Timeline

ACKNOWLEDGE_NS = 30 * SECOND
"""In a record that isn't finished, a move without an answer is given this long."""


@dataclass(frozen=True, slots=True)
class _Window:
    """A part of the run in which one revision is expected."""

    start_ns: int
    end_ns: int
    revision: str
    name: str


@check("only")
def only(
    timeline: Timeline,
    *,
    revision: str | None,
    after: str = "cutover",
    classes: Sequence[str] = (FRESH,),
    within: float = 2.0,
) -> Finding:
    """Every answer in the windows shows the expected revision.

    A wrong answer that carries a revision (an application's 5xx) counts as well: it too tells who served. An ok answer
    without any is a fail: it could have come from anywhere. A class without an answer in a window is inconclusive.
    """
    if timeline.anonymous:
        return Finding("only", UNPROVEN, None, None, "answers", ANONYMOUS)
    windows = _windows(timeline, revision, after, within)
    wrong: Counter[str] = Counter()
    judged, silent, latest, untold, widest = 0, [], 0.0, 0, 0.0
    for window in windows:
        for name in classes:
            samples = _sent_in(timeline.of_class(name), window.start_ns, window.end_ns)
            samples = samples[answered_mask(samples)]
            judged += len(samples)
            if not len(samples):
                silent.append(f"{name} after {window.name}")
            told = samples[told_mask(timeline, samples)]
            other = told[told["revision"] != timeline.id_of(window.revision)]
            untold += len(samples) - len(told)
            widest = max(widest, (len(samples) - len(told)) / max(len(samples), 1))
            ids, counts = np.unique(other["revision"], return_counts=True)
            for key, count in zip(ids.tolist(), counts.tolist(), strict=True):
                wrong[timeline.string(key) or "an unknown revision"] += count
            if len(other):
                latest = max(latest, (int(other["sent"].max()) - window.start_ns) / 1e6)
    number = sum(wrong.values())
    expected = revision or "the new revision"
    if number:
        who = ", ".join(f"{count} from {name}" for name, count in wrong.most_common(4))
        text = f"{number} of {judged} answers weren't from {expected} but {who}, the last {latest:.0f} ms too late"
        return Finding("only", FAIL, number, 0, "answers", text)
    if silent or not windows or not classes:
        text = f"no answer of {', '.join(silent)}" if silent else f"no {after} to judge after"
        return Finding("only", INCONCLUSIVE, 0, 0, "answers", text)
    if widest > MOST_UNKNOWN:
        text = f"in a window {timeline.witness} left {widest:.2%} of the answers open, limit {MOST_UNKNOWN:.2%}"
        return Finding("only", INCONCLUSIVE, 0, 0, "answers", text)
    return Finding("only", PASS, 0, 0, "answers", f"all {judged - untold} answers came from {expected}")


def _windows(timeline: Timeline, revision: str | None, after: str, within: float) -> list[_Window]:
    if after == "start":
        # Without a named revision there is nothing that "only" could mean from the start on.
        return [_Window(0, timeline.end_ns + 1, revision, "the start")] if revision else []
    # one that was refused led nobody anywhere; that it was refused is another check's to judge
    moves = [move for move in timeline.moves() if move.move == after and move.sent_ns is not None and not move.refused]
    if revision is not None and any(move.to_revision == revision for move in moves):
        # N cutovers go back and forth: this promise speaks of those that led to its revision.
        moves = [move for move in moves if move.to_revision == revision]
    return [
        _Window(
            (move.decided_ns or 0) + round(within * SECOND), move.end_ns, revision or move.to_revision, f"a {after}"
        )
        for move in moves
    ]


def _sent_in(samples: Samples, start_ns: int, end_ns: int) -> Samples:
    """The samples sent after the start and over before the end: what is under way at the next move is that one's."""
    samples = samples[: np.searchsorted(samples["intended"], end_ns)]
    kept: Samples = samples[(samples["sent"] > start_ns) & (samples["end"] <= end_ns)]
    return kept


@check("no_flip_back")
def no_flip_back(timeline: Timeline, *, within: float = 2.0) -> Finding:
    """From `within` after the first new answer on, no fresh request meets the old revision until the next move.

    A lost request that was sent after the move counts as a new answer when the allowance starts: a loss must not give
    the old side more time. Where the switch lets both sides in for a while, the allowance begins when that ends. Where
    the Service's selector was observed, it must stay what the move made it.
    """
    moves = [move for move in timeline.moves() if move.sent_ns is not None]
    flips = set(timeline.flips())
    fresh = timeline.of_class(FRESH)
    old, said, unseen = 0, [], []
    for number, move in enumerate(moves, 1):
        answers = fresh[(fresh["sent"] > (move.sent_ns or 0)) & (fresh["end"] <= move.end_ns)]
        new = answers[answered_mask(answers) & (answers["revision"] == timeline.id_of(move.to_revision))]
        if timeline.anonymous:
            if moved := _selector_moved(timeline, move):
                old += 1
                said.append(moved)
            continue
        if not len(new):
            if move in flips or not flips:
                unseen.append(f"{move.move} {number}")
            continue
        could_be = answers[lost_mask(answers) & (answers["revision"] == 0)]
        first = min(int(new["end"].min()), int(could_be["end"].min()) if len(could_be) else 2**63 - 1)
        first = max(first, move.narrowed_ns or 0)
        late = answers[answered_mask(answers) & (answers["sent"] > first + round(within * SECOND))]
        back = late[late["revision"] == timeline.id_of(move.from_revision)]
        if len(back) and move.from_revision != move.to_revision:
            old += len(back)
            after = (int(back["sent"].min()) - first) / 1e9
            said.append(f"{len(back)} old answers after {move.move} {number}, from {after:.1f} s on")
        moved = _selector_moved(timeline, move)
        if moved:
            old += 1
            said.append(moved)
    if old:
        return Finding("no_flip_back", FAIL, old, 0, "answers", "; ".join(said))
    if timeline.anonymous and moves:
        text = f"the selector stayed as it was set; {ANONYMOUS}"
        return Finding("no_flip_back", UNPROVEN, None, None, "answers", text)
    if unseen or not moves:
        text = f"no new answer after {', '.join(unseen)}" if unseen else "no move to judge after"
        return Finding("no_flip_back", INCONCLUSIVE, 0, 0, "answers", text)
    return Finding("no_flip_back", PASS, 0, 0, "answers", f"no old answer came back after {len(moves)} moves")


def _selector_moved(timeline: Timeline, move: Move) -> str:
    """What the selector was changed to by somebody else between a move's answer and the next move; "" if it wasn't."""
    if move.acknowledged_ns is None:
        return ""
    seen = timeline.named("selector.observed")
    values = [event.fields.get("value") for event in seen if move.acknowledged_ns < event.t < move.end_ns]
    if move.to_side and any(event.fields.get("value") == move.to_side for event in seen):
        strange = [value for value in values if value != move.to_side]
    else:
        # The switch doesn't name its sides as the selector does: then it must at least stay the same.
        strange = [value for value in values if value != values[0]]
    return f"the selector became {strange[0]!r} though no move was made" if strange else ""


@check("cutover_happened", standing=True)
def cutover_happened(timeline: Timeline, *, refusals_promised: bool = False) -> Finding | None:
    """Each move was acknowledged, and a fresh request sent after that met the new revision. Judged for every move."""
    moves = [move for move in timeline.moves() if not (refusals_promised and move.refused)]
    if not moves:
        return None
    told = [(f"{move.move} {number}", *_happened(timeline, move)) for number, move in enumerate(moves, 1)]
    verdict = worst([one for _, one, _ in told])
    good = sum(1 for _, one, _ in told if one == PASS)
    said = "; ".join(f"{name}: {text}" for name, one, text in told if one != PASS)
    return Finding("cutover_happened", verdict, good, len(moves), "moves", said or f"{good} of {len(moves)} happened")


def _happened(timeline: Timeline, move: Move) -> tuple[Verdict, str]:
    if move.refused:
        return FAIL, f"refused: {move.refused}"
    waited = timeline.end_ns - (move.sent_ns if move.sent_ns is not None else move.planned_ns)
    over = timeline.finished or not move.last
    if move.acknowledged_ns is None:
        missing = "never acknowledged" if move.sent_ns is not None else "never sent"
        return (FAIL, missing) if over or waited > ACKNOWLEDGE_NS else (INCONCLUSIVE, "not acknowledged yet")
    if not move.to_revision or move.from_revision == move.to_revision:
        return INCONCLUSIVE, "both sides have the same revision, so that no answer tells them apart"
    if timeline.anonymous:
        return UNPROVEN, f"acknowledged; {ANONYMOUS}"
    fresh = timeline.of_class(FRESH)
    after = fresh[(fresh["sent"] >= move.acknowledged_ns) & (fresh["sent"] < move.end_ns)]
    after = after[told_mask(timeline, after)]
    new = int(np.count_nonzero(after["revision"] == timeline.id_of(move.to_revision)))
    if new:
        return PASS, ""
    if not len(after):
        return INCONCLUSIVE, "no fresh request was answered after it"
    if not over and timeline.end_ns < move.acknowledged_ns + 2 * SECOND:
        return INCONCLUSIVE, f"no answer from {move.to_revision} yet"
    return FAIL, f"none of {len(after)} fresh answers after it came from {move.to_revision}"


@check("moved_by_tool", standing=True)
def moved_by_tool(timeline: Timeline) -> Finding | None:
    """What decides where users are was written by the switch's own tool alone, as its managedFields say, each time."""
    events = timeline.named("switch.written")
    if not events:
        return None
    strange = [
        f"{event.fields['object']} {event.fields['field']} is held by "
        f"{', '.join(event.fields['managers']) or 'nobody'}, not by {event.fields['tool']} alone"
        for event in events
        if list(event.fields["managers"]) != [event.fields["tool"]]
    ]
    text = "; ".join(dict.fromkeys(strange)) or f"each of {len(events)} moves was written by {events[0].fields['tool']}"
    return Finding("moved_by_tool", FAIL if strange else PASS, len(strange), 0, "moves", text)

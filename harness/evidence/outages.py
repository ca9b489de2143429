"""Outages: spans of losses (and stalls, where nothing fails), each with both its bounds.

A request is lost or answered at an unknown instant between its send and its end. So, for losses f..l, an outage lasted
at least ``send(l) - end(f)``; and an ok request that ended before l was sent was answered before the outage, one that
was sent after f had ended was answered after it: the outage lasted at most from the latest such send to the earliest
such end. A stall has the same upper bound.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.evidence.losses import Mask, lost_mask
from harness.evidence.samples import OK, UNSENT, ClassSpec, Samples
from harness.evidence.timeline import SECOND, Timeline

NEAR_NS = 2 * SECOND
"""An outage that begins this long after a move's send, or earlier, has that move's name as its phase."""

Indexes = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Outage:
    """One outage that one class of users had.

    Args:
        cls: the class.
        phase: "before", "cutover", "rollback", "after cutover", "after rollback".
        low_ns: it lasted at least this long.
        high_ns: and at most this long; None where the record doesn't bound it.
        lost: requests lost in it; 0 for a stall.
        entry: index of the entry node, where only that node's users had it.
        pod: the pod, where only requests to that pod had it.
        share: share of the requests in the span that had it; below 1 for a partial outage whose cause isn't told by
            node or pod: there the bounds are those of the span.
        start_ns: end of the first lost request (send of the first delayed one).
        stall: nothing failed, answers came late.
        since_ns: send of the last request that was answered before it, where `high_ns` counts from; None where the
            record doesn't tell.
        until_ns: end of the first one that was answered after it; None where there is none.

    """

    cls: str
    phase: str
    low_ns: int
    high_ns: int | None
    lost: int
    entry: int | None = None
    pod: str = ""
    share: float = 1.0
    start_ns: int = 0
    stall: bool = False
    since_ns: int | None = None
    until_ns: int | None = None


@dataclass(frozen=True)
class _Lines:
    """One class's attempts by send time, as columns; `bad` are the lost or the delayed, `good` the punctual ones."""

    sent: Indexes
    end: Indexes
    entry: npt.NDArray[np.uint8]
    pod: npt.NDArray[np.uint16]
    bad: Mask
    good: Mask
    stall: bool

    def only(self, keep: Mask | slice) -> _Lines:
        return _Lines(
            self.sent[keep],
            self.end[keep],
            self.entry[keep],
            self.pod[keep],
            self.bad[keep],
            self.good[keep],
            self.stall,
        )


def outages(timeline: Timeline) -> tuple[Outage, ...]:
    """All outages of all classes, by class and start."""
    found: list[Outage] = []
    for spec in timeline.classes:
        samples = timeline.of_class(spec.name)
        lost = _of(timeline, spec, samples, lost_mask(samples), stall=False)
        stalls = _of(timeline, spec, samples, _late_mask(spec, samples), stall=True)
        found += sorted(_without_repeats(lost, stalls), key=lambda outage: outage.start_ns)
    return tuple(replace(outage, phase=phase(timeline, outage.start_ns)) for outage in found)


def phase(timeline: Timeline, at_ns: int) -> str:
    """Which part of the run an instant belongs to."""
    name = "before"
    for move in timeline.moves():
        if move.sent_ns is not None and at_ns >= move.sent_ns:
            name = move.move if at_ns - move.sent_ns <= NEAR_NS else f"after {move.move}"
    return name


def _late_mask(spec: ClassSpec, samples: Samples) -> Mask:
    """Ok answers that took longer than the median by 0.1 s, three lines and the median itself: a stall, no jitter."""
    ok = samples["outcome"] == OK
    if not bool(ok.any()):
        return np.zeros(len(samples), np.bool_)
    took = samples["end"] - samples["sent"]
    median = float(np.median(took[ok]))
    limit = median + max(0.1 * SECOND, 3 * spec.resolution_ns if spec.rate > 0 else 0.0, median)
    return np.asarray(ok & (took > limit))


def _of(timeline: Timeline, spec: ClassSpec, samples: Samples, bad: Mask, *, stall: bool) -> list[Outage]:
    if not bool(bad.any()):
        return []
    on_wire = samples["outcome"] != UNSENT
    good = (samples["outcome"] == OK) & ~bad
    # An attempt without a send time is placed where it was meant to be.
    sent = np.where(samples["sent"] > 0, samples["sent"], samples["intended"])
    order = np.argsort(sent, kind="stable")
    order = order[on_wire[order]]
    lines = _Lines(
        sent[order],
        samples["end"][order],
        samples["entry"][order],
        samples["pod"][order],
        bad[order],
        good[order],
        stall,
    )
    found: list[Outage] = []
    for first, last in _spells(spec, lines):
        found += _near(timeline, spec.name, lines, first, last)
    return found


def _near(timeline: Timeline, name: str, lines: _Lines, first: int, last: int) -> list[Outage]:
    """Describes one spell from its neighbourhood, which is widened until both bounds are found or there is no more."""
    margin = 1024 + 2 * (last - first)
    while True:
        low, high = max(0, first - margin), min(len(lines.sent), last + 1 + margin)
        told = _describe(timeline, name, lines.only(slice(low, high)), first - low, last - low)
        if all(outage.high_ns is not None for outage in told):
            return told
        if low == 0 and high == len(lines.sent):
            return [_asked_since(timeline, outage) for outage in told]
        margin *= 16


def _asked_since(timeline: Timeline, outage: Outage) -> Outage:
    """A pod that had answered nobody was asked from the last move on, so its outage began no earlier."""
    moves = [move.sent_ns for move in timeline.moves() if move.sent_ns is not None and move.sent_ns <= outage.start_ns]
    if not outage.pod or outage.since_ns is not None or outage.until_ns is None or not moves:
        return outage
    return replace(outage, since_ns=moves[-1], high_ns=outage.until_ns - moves[-1])


def _spells(spec: ClassSpec, lines: _Lines) -> Iterator[tuple[int, int]]:
    """Groups of bad ones without a pause of 0.25 s (or eight lines) between them, as (first, last) positions."""
    at = np.flatnonzero(lines.bad)
    pause = max(0.25 * SECOND, 8 * spec.resolution_ns if spec.rate > 0 else 0.0)
    # A bad one reaches from its send to its end: a pause is time in which none was under way.
    reach = np.maximum.accumulate(lines.end[at])
    cuts = np.flatnonzero(lines.sent[at][1:] - reach[:-1] > pause)
    for low, high in zip(np.r_[0, cuts + 1], np.r_[cuts, len(at) - 1], strict=True):
        yield int(at[low]), int(at[high])


def _describe(timeline: Timeline, name: str, lines: _Lines, first: int, last: int) -> list[Outage]:
    """Tells one spell in the fewest pieces: as a whole, by entry node, by pod, else as a share over a span."""
    inside = np.zeros(len(lines.sent), np.bool_)
    inside[first : last + 1] = lines.bad[first : last + 1]
    total = int(np.count_nonzero(inside))
    whole = _runs(lines, inside)
    if len(whole) > 1:
        by_entry = _by(lines, inside, lines.entry)
        if len(by_entry) < len(whole) and not _scattered(total, len(by_entry)):
            return [replace(_bracket(name, part, run), entry=entry) for entry, part, run in by_entry]
        # A delayed answer tells its pod, a lost one doesn't.
        by_pod = _by(lines, inside, lines.pod) if lines.stall else []
        if by_pod and len(by_pod) < len(whole) and not _scattered(total, len(by_pod)):
            return [replace(_bracket(name, part, run), pod=timeline.string(pod)) for pod, part, run in by_pod]
    if not _scattered(total, len(whole)):
        return [_bracket(name, lines, run) for run in whole]
    bad = np.flatnonzero(inside)
    pods = [] if lines.stall else _silent_pods(lines, bad)
    if pods:
        # The oks of the silent pods bound their outage; which pod a lost request was for can't be known.
        keep = inside | (lines.good & np.isin(lines.pod, pods))
        name_of_pods = ", ".join(timeline.string(pod) for pod in pods)
        return [replace(_bracket(name, lines.only(keep), np.flatnonzero(inside[keep])), pod=name_of_pods)]
    asked = int(np.count_nonzero((lines.sent >= lines.sent[bad[0]]) & (lines.sent <= lines.sent[bad[-1]])))
    return [replace(_bracket(name, lines, bad, partial=True), share=total / max(asked, total))]


def _by(lines: _Lines, inside: Mask, column: npt.NDArray[Any]) -> list[tuple[int, _Lines, Indexes]]:
    """The runs within the requests of each node (or pod) that has any, as (node, its requests, run)."""
    found: list[tuple[int, _Lines, Indexes]] = []
    for value in np.unique(column[inside]).tolist():
        keep = column == value
        part = lines.only(keep)
        found += [(value, part, run) for run in _runs(part, inside[keep])]
    return found


def _scattered(total: int, pieces: int) -> bool:
    """Four or more short runs in one spell are no outages one by one, but one partial outage."""
    return pieces >= 4 and total < 8 * pieces


def _runs(lines: _Lines, inside: Mask) -> list[Indexes]:
    """Splits losses wherever a good one proves that the service was up between two of them.

    That is an ok that was sent after a loss of the run had ended, and had itself ended before the next was sent. In a
    stall all answers end together: there, it is an ok wholly between the sends of two delayed ones, or a delayed one
    that ended before the next was sent.
    """
    bad = np.flatnonzero(inside)
    sent = lines.sent[bad]
    end = sent if lines.stall else lines.end[bad]
    came = lines.end[bad]
    good = np.flatnonzero(lines.good)
    by_end = good[np.argsort(lines.end[good], kind="stable")]
    slot = np.searchsorted(sent, lines.end[by_end], side="left")
    # The latest send of the oks that ended between two consecutive losses.
    latest = np.full(len(bad) + 1, -1, np.int64)
    np.maximum.at(latest, slot, lines.sent[by_end])
    runs: list[Indexes] = []
    start, earliest, answered = 0, int(end[0]), int(came[0])
    for index in range(1, len(bad)):
        if latest[index] >= earliest or (lines.stall and answered <= sent[index]):
            runs.append(bad[start:index])
            start, earliest, answered = index, int(end[index]), int(came[index])
        else:
            earliest, answered = min(earliest, int(end[index])), min(answered, int(came[index]))
    runs.append(bad[start:])
    return runs


def _bracket(name: str, lines: _Lines, run: Indexes, *, partial: bool = False) -> Outage:
    """Both bounds of one run of losses (or of delayed answers); of a partial one, those of its span."""
    first_sent, last_sent = int(lines.sent[run[0]]), int(lines.sent[run[-1]])
    first_end = int(lines.end[run].min())
    good_sent, good_end = lines.sent[lines.good], lines.end[lines.good]
    before = good_sent[(good_end <= last_sent) & (good_sent < first_sent)]
    low = float(last_sent - first_end)
    # In a partial outage oks come all the time: only those after the last loss tell that it is over.
    after = good_end[good_sent >= (last_sent if partial or lines.stall else first_end)]
    ends = [int(after.min())] if len(after) else []
    if lines.stall:
        took = lines.end[run] - lines.sent[run]
        usual = float(np.median(good_end - good_sent)) if len(good_end) else 0.0
        # The delay alone overstates a black hole, where TCP sends again only after a time-out of its own.
        low = min(float(took.max()) - usual, last_sent - first_sent - usual)
        if not partial:
            ends.append(first_end)  # the first delayed answer to come is itself a proof that the service was back
    until = min(ends, default=None)
    high = until - int(before.max()) if until is not None and len(before) else None
    return Outage(
        cls=name,
        phase="",
        low_ns=max(0, int(low)),
        high_ns=high,
        lost=0 if lines.stall else len(run),
        start_ns=first_sent if lines.stall else first_end,
        stall=lines.stall,
        since_ns=int(before.max()) if len(before) else None,
        until_ns=until,
    )


def _silent_pods(lines: _Lines, bad: Indexes) -> list[int]:
    """Pods that answered before and after the losses, never between them, and not by chance.

    A pod counts where it should have answered eight times by its share before: it misses that by chance in 0.03 %.
    """
    first_end, last_sent = int(lines.end[bad].min()), int(lines.sent[bad[-1]])
    pod, sent, end = lines.pod[lines.good], lines.sent[lines.good], lines.end[lines.good]
    before, after = pod[end <= first_end], set(pod[sent >= last_sent].tolist())
    between = set(pod[(sent >= first_end) & (end <= last_sent)].tolist())
    asked = int(np.count_nonzero((lines.sent >= first_end) & (lines.sent <= last_sent)))
    keys, counts = np.unique(before, return_counts=True)
    return [
        key
        for key, count in zip(keys.tolist(), counts.tolist(), strict=True)
        if key and key in after and key not in between and asked * count / len(before) >= 8
    ]


def _without_repeats(lost: list[Outage], stalls: list[Outage]) -> list[Outage]:
    """Leaves out stalls within an outage by losses: the answers that came late out of the same span."""

    def within(stall: Outage, outage: Outage) -> bool:
        low, high = outage.start_ns - (outage.high_ns or 0), outage.start_ns + (outage.high_ns or 0)
        return low <= stall.start_ns <= high

    return lost + [stall for stall in stalls if not any(within(stall, outage) for outage in lost)]

"""How long the old side is still in use after a cutover, and what that recommends for its end. Times in ms."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from harness.evidence import socket_record
from harness.evidence.losses import lost_mask
from harness.evidence.milestones import milestones
from harness.evidence.samples import OK
from harness.evidence.sockets import CLASS
from harness.evidence.timeline import Event, Move, Timeline

KEPT = ("busy", "idle")
"""Classes whose connections outlive a request: on some data planes nothing but the old side itself ends them."""
MARGIN = 1.5
"""What is recommended is this much longer than what was seen: one run sees no worst case."""
STEP_SECONDS = 5
"""Recommended seconds are rounded up to a multiple."""
AFTERWARDS_SECONDS = 10
"""Of the grace period, for what comes after the hook: the last answers, the process' end."""
STILL_MS = 2_000.0
"""A tail that ends less than this before the end of the observation had no end of its own."""


@dataclass(frozen=True, slots=True)
class Tails:
    """The old side's last signs of use, in ms from the send of the last cutover; None where there was none.

    Args:
        in_flight_ms: the last answer to a request that was under way when the cutover was sent.
        by_class: by class, the last answer of the old side, or the last instant of a socket on it.
        ended_ms: when the old side was told to go (by retire or drain); None where nobody did.
        seen_ms: how long it was looked at: until the load's end, or the next move.
        cut: classes that lost something after the old side was told to go.
        longest_answer_ms: the longest time that an answer took.

    """

    in_flight_ms: float | None = None
    by_class: Mapping[str, float] = field(default_factory=dict)
    ended_ms: float | None = None
    seen_ms: float = 0.0
    cut: tuple[str, ...] = ()
    longest_answer_ms: float = 0.0

    def by_itself(self, name: str) -> bool:
        """Whether this class left the old side before anybody told it to, and before the look at it ended."""
        last = self.by_class.get(name, 0.0)
        end = self.seen_ms if self.ended_ms is None else self.ended_ms
        return last < end - (STILL_MS if self.ended_ms is None else 0.0)

    def to_dict(self) -> dict[str, Any]:
        """As in verdict.json's "tails"."""
        kept = [self.by_class[name] for name in KEPT if name in self.by_class]
        return {
            "in_flight_ms": self.in_flight_ms,
            "keep_alive_ms": max(kept, default=None),
            "socket_ms": self.by_class.get(CLASS),
            "by_class": dict(self.by_class),
            "ended_ms": self.ended_ms,
            "seen_ms": self.seen_ms,
            "cut": list(self.cut),
            "recommended": recommend(self).to_dict(),
        }


@dataclass(frozen=True, slots=True)
class Recommendation:
    """What the tails recommend. Seconds; None where no number helps, and `why` tells.

    Args:
        scale_down_after: how long after a cutover the old side may be scaled down without a drain.
        pre_stop: the time that a pod's end needs before SIGTERM.
        grace_period: terminationGracePeriodSeconds.
        why: one sentence each.

    """

    scale_down_after: int | None
    pre_stop: int | None
    grace_period: int | None
    why: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """As in verdict.json."""
        return {
            "scale_down_after_seconds": self.scale_down_after,
            "pre_stop_seconds": self.pre_stop,
            "termination_grace_period_seconds": self.grace_period,
            "why": list(self.why),
        }


def tails(timeline: Timeline) -> Tails | None:
    """The tails of the last cutover under load; None where there was none, or no answer tells who gave it."""
    moves = [move for move in timeline.flips() if move.move == "cutover" and move.sent_ns is not None]
    if not moves or timeline.anonymous:
        return None
    move = moves[-1]
    sent = move.sent_ns or 0
    by_class = dict(milestones(timeline, move).last_old_ms)
    last_socket = _last_socket(timeline, move)
    if last_socket is not None:
        by_class[CLASS] = (last_socket - sent) / 1e6
    told = _told_to_go(timeline, move)
    stopped = timeline.named("load.stopped")
    end = min(move.end_ns, stopped[-1].t if stopped else timeline.end_ns)
    return Tails(
        in_flight_ms=_in_flight(timeline, move),
        by_class=by_class,
        ended_ms=None if told is None else (told.t - sent) / 1e6,
        seen_ms=(end - sent) / 1e6,
        cut=() if told is None else _cut(timeline, told.t, end),
        longest_answer_ms=_longest(timeline),
    )


def recommend(tails: Tails) -> Recommendation:
    """From what was seen once to what to set; nothing is recommended from what wasn't seen."""
    staying = sorted(name for name in tails.by_class if not tails.by_itself(name))
    after: int | None = None
    if tails.ended_ms is not None and tails.ended_ms < STILL_MS:
        why = [
            f"told to go {tails.ended_ms / 1e3:.1f} s after the cutover: whether users leave by themselves wasn't seen"
        ]
    elif staying or not tails.by_class:
        why = [_staying(tails, name) for name in staying]
    else:
        why = []
        last = max(tails.by_class.values())
        after = _rounded(last)
        why.append(f"the last answer of the old side came {last / 1e3:.1f} s after the cutover")
    if tails.ended_ms is None:
        return Recommendation(after, None, None, (*why, "the old side wasn't told to go: nothing is known of its end"))
    if tails.cut:
        why.append(f"{', '.join(tails.cut)} lost requests or sockets at its end: it needs a drain, not only more time")
        return Recommendation(after, None, None, tuple(why))
    leaving = max((last - tails.ended_ms for last in tails.by_class.values()), default=0.0)
    needed = max(leaving, tails.longest_answer_ms)
    pre_stop = _rounded(needed)
    why.append(
        f"the last user left {max(leaving, 0.0) / 1e3:.1f} s after the old side was told to go, and the longest answer"
        f" took {tails.longest_answer_ms / 1e3:.1f} s"
    )
    return Recommendation(after, pre_stop, pre_stop + AFTERWARDS_SECONDS, tuple(why))


def lines(told: Mapping[str, Any]) -> list[str]:
    """For people: `Tails.to_dict` in sentences; empty where there is nothing to tell."""
    if not told:
        return []
    parts = [
        f"{words} {told[key] / 1e3:.1f} s"
        for key, words in (
            ("in_flight_ms", "last answer in flight"),
            ("keep_alive_ms", "last on a kept connection"),
            ("socket_ms", "last socket"),
        )
        if told[key] is not None
    ]
    set_to = [
        f"{words} {told['recommended'][key]} s"
        for key, words in (
            ("scale_down_after_seconds", "scale down after"),
            ("pre_stop_seconds", "preStop"),
            ("termination_grace_period_seconds", "terminationGracePeriodSeconds"),
        )
        if told["recommended"][key] is not None
    ]
    found = [f"old side after the cutover: {', '.join(parts) or 'no sign of use'}"]
    found += [f"recommended: {', '.join(set_to)}"] if set_to else []
    return found + [f"  {reason}" for reason in told["recommended"]["why"]]


def _staying(tails: Tails, name: str) -> str:
    what = "sockets" if name == CLASS else f"{name} connections"
    end = tails.seen_ms if tails.ended_ms is None else tails.ended_ms
    text = f"{what} didn't leave the old side by themselves within the {end / 1e3:.1f} s before it was told to go"
    if tails.ended_ms is None:
        text = f"{what} didn't leave the old side by themselves within {end / 1e3:.1f} s"
    if name in (*KEPT, CLASS):
        text += ": no delay helps, only a drain that closes them"
    return text


def _rounded(milliseconds: float) -> int:
    return max(STEP_SECONDS, STEP_SECONDS * math.ceil(MARGIN * milliseconds / 1e3 / STEP_SECONDS))


def _in_flight(timeline: Timeline, move: Move) -> float | None:
    sent = move.sent_ns or 0
    samples = timeline.samples
    under_way = (samples["outcome"] == OK) & (samples["sent"] > 0) & (samples["sent"] < sent) & (samples["end"] >= sent)
    return (int(samples["end"][under_way].max()) - sent) / 1e6 if under_way.any() else None


def _last_socket(timeline: Timeline, move: Move) -> int | None:
    """The last instant at which a socket was open on the old revision, before the next move; CLOCK_MONOTONIC ns."""
    sockets = timeline.sockets
    if sockets is None or move.from_revision not in sockets.strings:
        return None
    sent = move.sent_ns or 0
    lives = sockets.lives
    old = (lives["opened"] > 0) & (lives["revision"] == sockets.strings.index(move.from_revision))
    limit = min(move.end_ns, sockets.end_ns)
    ended = np.where(lives["end"] == socket_record.OPEN, limit, np.minimum(lives["ended"], limit))
    there = old & (ended >= sent) & (lives["opened"] < move.end_ns)
    return int(ended[there].max()) if there.any() else None


def _told_to_go(timeline: Timeline, move: Move) -> Event | None:
    for event in timeline.named("retire.sent", "drain.sent"):
        if event.fields.get("side") == move.from_side and (move.sent_ns or 0) <= event.t < move.end_ns:
            return event
    return None


def _cut(timeline: Timeline, start: int, end: int) -> tuple[str, ...]:
    found = []
    for spec in timeline.classes:
        samples = timeline.of_class(spec.name)
        if np.any(lost_mask(samples) & (samples["end"] >= start) & (samples["end"] < end)):
            found.append(spec.name)
    if timeline.sockets is not None:
        ended = timeline.sockets.lives["ended"][timeline.sockets.bad]
        found += [CLASS] if np.any((ended >= start) & (ended < end)) else []
    return tuple(found)


def _longest(timeline: Timeline) -> float:
    samples = timeline.samples
    good = samples[samples["outcome"] == OK]
    return int((good["end"] - good["sent"]).max()) / 1e6 if len(good) else 0.0

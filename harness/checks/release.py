"""Checks of the release itself: a way back that is kept, a refusal that holds, a watch that rolls back."""

from __future__ import annotations

import numpy as np

from harness.checks.finding import ANONYMOUS, FAIL, INCONCLUSIVE, PASS, UNPROVEN, Finding
from harness.checks.registry import check
from harness.evidence.losses import answered_mask, told_mask
from harness.evidence.milestones import FRESH
from harness.evidence.timeline import Event, Move, Timeline

STAGES = {
    "deploy": ("deploy.failed", "deploy.refused"),
    "smoke": ("smoke.failed", "smoke.refused"),
    "cutover": ("cutover.refused",),
    "rollback": ("cutover.refused",),
    "retire": ("retire.refused",),
}
"""Which events tell of a refusal, by stage."""


@check("idle_side_warm")
def idle_side_warm(timeline: Timeline, *, wanted: int | None = None) -> Finding:
    """Each observation of the side that users left has all pods ready, for as long as it is the way back.

    That is until the next move, its retirement, or the next deploy onto it.
    Each acknowledged move needs an observation. A side that wants no pods isn't warm, however complete it is.
    """
    moves = [move for move in timeline.moves() if move.acknowledged_ns is not None]
    unseen, cold, seen = [], [], 0
    least: tuple[int, int] | None = None
    for number, move in enumerate(moves, 1):
        observed = _observed(timeline, move)
        seen += len(observed)
        if not observed:
            unseen.append(f"{move.move} {number}")
        for event in observed:
            ready = int(event.fields.get("ready") or 0)
            limit = max(1, wanted if wanted is not None else int(event.fields.get("wanted") or 0))
            if least is None or ready - limit < least[0] - least[1]:
                least = (ready, limit)
            if ready < limit:
                after = (event.t - (move.sent_ns or event.t)) / 1e9
                cold.append(
                    f"{ready} of {limit} pods ready on {move.from_side} {after:.1f} s after {move.move} {number}"
                )
    if least is None:
        text = f"nothing observed after {', '.join(unseen)}" if unseen else "no move was acknowledged"
        return Finding("idle_side_warm", INCONCLUSIVE, None, None, "pods", text)
    if cold:
        return Finding("idle_side_warm", FAIL, least[0], least[1], "pods", f"{cold[0]} ({len(cold)} observations)")
    if unseen:
        text = f"nothing observed after {', '.join(unseen)}"
        return Finding("idle_side_warm", INCONCLUSIVE, least[0], least[1], "pods", text)
    return Finding("idle_side_warm", PASS, least[0], least[1], "pods", f"all ready in {seen} observations")


def _observed(timeline: Timeline, move: Move) -> list[Event]:
    """The observations of the side that a move left, while it has to stay warm."""
    start = move.acknowledged_ns or 0
    # Scaled down on purpose, or given another version: either way it is a way back no more.
    given_up = [
        event.t
        for event in timeline.named("retire.done", "deploy.started")
        if event.t >= start and event.fields.get("side", move.from_side) == move.from_side
    ]
    end = min([move.end_ns, *given_up])
    return [
        event
        for event in timeline.named("pods.observed")
        if event.fields.get("side") == move.from_side and start <= event.t < end
    ]


@check("refused")
def refused(timeline: Timeline, *, reason_contains: str = "", stage: str = "smoke", at_first: bool = False) -> Finding:
    """The stage refused, for that reason, and no move brought users to it afterwards.

    With `at_first` a move of that name follows that is acknowledged, and no fresh user met the new revision before.
    """
    names = STAGES.get(stage, (f"{stage}.refused", f"{stage}.failed"))
    events = [event for event in timeline.named(*names) if _is_of(event, stage)]
    reasons = [str(event.fields.get("reason") or event.fields.get("detail") or "") for event in events]
    fitting = [event for event, reason in zip(events, reasons, strict=True) if reason_contains in reason]
    count = float(len(fitting))
    if not fitting:
        if events:
            text = f"{stage} was refused, but for: {'; '.join(reasons)}"
            return Finding("refused", FAIL, count, 1, "refusals", text)
        verdict = FAIL if timeline.first("scenario.finished") else INCONCLUSIVE
        return Finding("refused", verdict, count, 1, "refusals", f"{stage} wasn't refused")
    said = f"{stage} was refused: {reasons[events.index(fitting[0])]}"
    if at_first:
        return _passed_later(timeline, stage, fitting[0], said)
    passed = [event for event in timeline.named("cutover.sent") if event.t >= fitting[0].t]
    if stage != "retire" and passed:
        return Finding("refused", FAIL, count, 1, "refusals", f"{stage} was refused, and users were moved all the same")
    return Finding("refused", PASS, count, 1, "refusals", said)


def _is_of(event: Event, stage: str) -> bool:
    """Whether a refusal is of that stage: cutover and rollback share an event, which names the move."""
    return stage not in ("cutover", "rollback") or event.fields.get("move", "cutover") == stage


def _passed_later(timeline: Timeline, stage: str, refusal: Event, said: str) -> Finding:
    """Users stayed where they were by the refusal, until the same move went through."""
    later = [move for move in timeline.moves() if move.move == stage and (move.sent_ns or 0) > refusal.t]
    done = next((move for move in later if move.acknowledged_ns is not None), None)
    if done is None:
        verdict = FAIL if timeline.first("scenario.finished") else INCONCLUSIVE
        return Finding("refused", verdict, 0, 1, "moves", f"{said}; and no {stage} went through later")
    if timeline.anonymous:
        return Finding("refused", UNPROVEN, None, None, "moves", f"{said}; {ANONYMOUS}")
    sent = done.sent_ns or 0
    since = max((move.sent_ns or 0 for move in timeline.moves() if (move.sent_ns or 0) < refusal.t), default=0)
    fresh = timeline.of_class(FRESH)
    met = answered_mask(fresh) & (fresh["revision"] == timeline.id_of(done.to_revision))
    early = int(np.count_nonzero(met & (fresh["sent"] > since) & (fresh["end"] < sent)))
    if early:
        return Finding("refused", FAIL, early, 0, "answers", f"{said}; and {early} users met {done.to_revision} before")
    text = f"{said}; it went through {(sent - refusal.t) / 1e9:.1f} s later"
    return Finding("refused", PASS, 1, 1, "moves", text)


@check("rolled_back_by_watch")
def rolled_back_by_watch(timeline: Timeline) -> Finding:
    """After a breach a rollback was sent and acknowledged, and fresh users were answered by what it led to."""
    name = "rolled_back_by_watch"
    breach = timeline.first("watch.breached")
    over = timeline.finished
    if breach is None:
        verdict = FAIL if timeline.first("watch.finished") and over else INCONCLUSIVE
        return Finding(name, verdict, 0, 1, "rollbacks", "the watch saw no breach")
    why = str(breach.fields.get("detail") or breach.fields.get("check") or "no reason given")
    moves = [move for move in timeline.moves() if move.sent_ns is not None and move.sent_ns >= breach.t]
    backs = [move for move in moves if move.move == "rollback"]
    if not backs or backs[0].acknowledged_ns is None:
        text = f"breached ({why}), and the rollback was never {'acknowledged' if backs else 'sent'}"
        return Finding(name, FAIL if over else INCONCLUSIVE, 0, 1, "rollbacks", text)
    back = backs[0]
    if moves[0] is not back:
        return Finding(name, FAIL, 0, 1, "rollbacks", f"breached ({why}), and a {moves[0].move} came first")
    fresh = timeline.of_class(FRESH)
    after = fresh[(fresh["sent"] >= (back.acknowledged_ns or 0)) & (fresh["sent"] < back.end_ns)]
    after = after[told_mask(timeline, after)]
    if not len(after):
        return Finding(name, INCONCLUSIVE, 0, 1, "rollbacks", f"breached ({why}); no answer after the rollback")
    if timeline.anonymous:
        return Finding(name, UNPROVEN, None, None, "rollbacks", f"breached ({why}); rolled back; {ANONYMOUS}")
    if not np.any(after["revision"] == timeline.id_of(back.to_revision)):
        text = f"breached ({why}); no answer after the rollback came from {back.to_revision}"
        return Finding(name, FAIL if over else INCONCLUSIVE, 0, 1, "rollbacks", text)
    took = ((back.acknowledged_ns or 0) - breach.t) / 1e9
    return Finding(name, PASS, 1, 1, "rollbacks", f"breached ({why}); rolled back {took:.1f} s later")

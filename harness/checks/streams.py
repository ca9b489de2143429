"""Checks of what is under way: answers that outlast a flip, and HTTP/2 connections that end with a word."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from harness.checks.finding import ANONYMOUS, FAIL, INCONCLUSIVE, PASS, UNPROVEN, Finding
from harness.checks.registry import check
from harness.evidence.losses import lost_mask, told_mask
from harness.evidence.samples import ERRORS, FLAG_GOAWAY, FLAG_REPLACED, OK
from harness.evidence.timeline import Timeline

MULTIPLEXED = ("h2", "h2_slow")
CUT = tuple(ERRORS.index(name) for name in ("closed", "reset", "truncated", "goaway_cut"))
"""How a sample ends whose connection did."""


@check("finishes_where_it_began")
def finishes_where_it_began(timeline: Timeline, *, classes: Sequence[str], at_least: int = 3) -> Finding:
    """What is in flight as a move's patch is sent is answered, wholly, by the side that users come from.

    Fewer than `at_least` of each class in flight at a move prove too little; a class that didn't run proves nothing.
    """
    moves = [move for move in timeline.flips() if move.sent_ns is not None]
    total = 0
    wrong: list[str] = []
    thin: list[str] = []
    for number, move in enumerate(moves, 1):
        for name in classes:
            samples = timeline.of_class(name)
            flying = samples[(samples["sent"] > 0) & (samples["sent"] < move.sent_ns) & (samples["end"] > move.sent_ns)]
            total += len(flying)
            if len(flying) < at_least:
                thin.append(f"{len(flying)} of {name} in flight at {move.move} {number}, {at_least} wanted")
            lost = int(np.count_nonzero(lost_mask(flying)))
            strange = flying["revision"] != timeline.id_of(move.from_revision)
            moved = int(np.count_nonzero(strange & (flying["outcome"] == OK) & told_mask(timeline, flying)))
            if lost:
                wrong.append(f"{lost} of {len(flying)} {name} in flight at {move.move} {number} were lost")
            if moved and not timeline.anonymous:
                text = f"{moved} of {len(flying)} {name} in flight at {move.move} {number}"
                wrong.append(f"{text} were answered by another revision than {move.from_revision}")
    if wrong:
        return Finding("finishes_where_it_began", FAIL, len(wrong), 0, "faults", "; ".join(wrong))
    if thin or not moves:
        text = "; ".join(thin) or "no move was made"
        return Finding("finishes_where_it_began", INCONCLUSIVE, total, at_least, "requests", text)
    if timeline.anonymous:
        return Finding("finishes_where_it_began", UNPROVEN, total, at_least, "requests", f"none lost; {ANONYMOUS}")
    text = f"{total} in flight at {len(moves)} moves, all answered where they began"
    return Finding("finishes_where_it_began", PASS, total, at_least, "requests", text)


@check("goaway_first")
def goaway_first(timeline: Timeline, *, classes: Sequence[str] = MULTIPLEXED) -> Finding:
    """The server closes no HTTP/2 connection without a GOAWAY before, and none on which it still owes an answer.

    Seen is a close on which something was in flight, or after which something was to be sent (RFC 9113 6.8, 9.1).
    """
    left = rude = 0
    told: dict[str, int] = {}
    for name in classes:
        samples = timeline.of_class(name)
        replaced = (samples["flags"] & FLAG_REPLACED) != 0
        polite = (samples["flags"] & FLAG_GOAWAY) != 0
        cut = np.isin(samples["error"], CUT) & lost_mask(samples)
        left += int(np.count_nonzero(replaced & polite))
        silent = replaced & ~polite & ~cut
        rude += int(np.count_nonzero(silent)) + len(np.unique(samples["conn"][cut]))
        for code in np.unique(samples["error"][cut]).tolist():
            told[ERRORS[code]] = told.get(ERRORS[code], 0) + int(np.count_nonzero(samples["error"][cut] == code))
        if count := int(np.count_nonzero(silent)):
            told["closed while idle"] = told.get("closed while idle", 0) + count
    if rude:
        shown = ", ".join(f"{count} {what}" for what, count in told.items())
        return Finding("goaway_first", FAIL, rude, 0, "connections", f"{rude} closed without a word or amidst: {shown}")
    if not left:
        return Finding("goaway_first", INCONCLUSIVE, 0, 0, "connections", "the server closed no HTTP/2 connection")
    return Finding("goaway_first", PASS, 0, 0, "connections", f"{left} connections were left after a GOAWAY")

"""Checks of WebSockets: closed cleanly, back soon and not all at once, no message lost, doubled or out of order."""

from __future__ import annotations

import numpy as np

from harness.checks.finding import ANONYMOUS, FAIL, INCONCLUSIVE, PASS, UNPROVEN, Finding
from harness.checks.registry import check
from harness.evidence.socket_summary import socket_text
from harness.evidence.sockets import Sockets
from harness.evidence.timeline import Timeline

NONE = "no WebSocket ran"


@check("sockets_clean")
def sockets_clean(timeline: Timeline, *, on: str | None = None, reconnect: float = 2.5, peak: float = 0.2) -> Finding:
    """No message lost, doubled, out of order or unacknowledged; closes by 1012 or 1001 only; all back, soon, spread.

    Measured is the number of faults found. `reconnect` bounds the 99th percentile from a close's detection to the next
    101, in seconds; `peak` the reconnects within any 100 ms, as a share of all sockets. With `on` every socket is open
    on that revision at the end of the load.
    """
    sockets = timeline.sockets
    if sockets is None or not len(sockets.lives):
        return Finding("sockets_clean", INCONCLUSIVE, None, 0, "faults", NONE)
    messages, found = sockets.messages, sockets.reconnects
    bad = int(np.count_nonzero(sockets.bad))
    counts = {
        f"connections that ended badly ({socket_text(timeline)})": bad,
        "messages lost": messages.lost,
        "messages doubled": messages.doubled,
        "messages out of order": messages.disordered,
        "messages or acknowledgements of nobody": messages.foreign,
        "messages never acknowledged": messages.unacknowledged,
        "sockets that never came back": found.never if sockets.finished else 0,
    }
    said = [f"{count} {words}" for words, count in counts.items() if count]
    total = sum(counts.values())
    p99 = float(np.percentile(found.back, 99)) / 1e9 if len(found.back) else 0.0
    if p99 > reconnect:
        total += 1
        said.append(f"99 % came back within {p99:.2f} s, limit {reconnect:g} s")
    share = sockets.peak() / max(sockets.count, 1)
    if share > peak:
        total += 1
        said.append(f"{share:.0%} came back within 100 ms, limit {peak:.0%}")
    others, unknown = _elsewhere(sockets, on)
    total += others
    said += [f"{others} of {sockets.count} are not open on {on} at the end"] if others else []
    closed = len(found.closed)
    text = f"{messages.due} messages came and {messages.sent} were acknowledged over {sockets.count} sockets"
    back = f"; {closed} were closed and came back, 99 % within {p99:.2f} s, at most {share:.0%} of all in 100 ms"
    text += back if closed else "; none was closed"
    if total:
        return Finding("sockets_clean", FAIL, total, 0, "faults", "; ".join(said))
    if on is not None and (unknown or timeline.anonymous):
        verdict = UNPROVEN if timeline.anonymous else INCONCLUSIVE
        reason = ANONYMOUS if timeline.anonymous else f"{unknown} handshakes told no revision"
        return Finding("sockets_clean", verdict, 0, 0, "faults", f"{text}; {reason}")
    return Finding("sockets_clean", PASS, 0, 0, "faults", text)


def _elsewhere(sockets: Sockets, on: str | None) -> tuple[int, int]:
    """How many sockets aren't open on this revision at the end, and how many of the open ones tell no revision."""
    if on is None:
        return 0, 0
    at_end = sockets.revisions_at(sockets.end_ns)
    return sockets.count - at_end[on] - at_end[""], at_end[""]


@check("sockets_ledger", standing=True)
def sockets_ledger(timeline: Timeline) -> Finding | None:
    """The sockets' record holds every life and every message that the client counted; else the run proves nothing."""
    sockets = timeline.sockets
    wanted = any(event.fields.get("sockets") for event in timeline.named("load.started"))
    if sockets is None:
        if not wanted:
            return None
        return Finding("sockets_ledger", INCONCLUSIVE, 1, 0, "faults", "open: the sockets left no record", voids=True)
    faults = list(sockets.faults())
    if timeline.finished and not sockets.finished:
        faults.append("the sockets' record was never closed")
    if faults:
        shown = "; ".join(faults[:4]) + (f"; and {len(faults) - 4} more" if len(faults) > 4 else "")
        return Finding("sockets_ledger", INCONCLUSIVE, len(faults), 0, "faults", f"open: {shown}", voids=True)
    text = (
        f"closes: {len(sockets.lives)} connections, {sockets.messages.received} messages, {sockets.messages.sent} sent"
    )
    return Finding("sockets_ledger", PASS, 0, 0, "faults", text)


@check("sockets_near_flip", standing=True)
def sockets_near_flip(timeline: Timeline, *, sockets: int = 10) -> Finding | None:
    """At least so many sockets were open at each flip; fewer prove nothing of it."""
    record, flips = timeline.sockets, timeline.flips()
    if record is None or not flips:
        return None
    least = min(int(np.count_nonzero(record.open_at(move.sent_ns or 0))) for move in flips)
    verdict = PASS if least >= sockets else INCONCLUSIVE
    return Finding("sockets_near_flip", verdict, least, sockets, "sockets", f"{least} were open at each flip, or more")

"""Peers that vanish without a word: how long until whoever holds a socket to them knows."""

from __future__ import annotations

from harness.checks.finding import FAIL, INCONCLUSIVE, PASS, Finding
from harness.checks.registry import check
from harness.evidence.timeline import Timeline


@check("half_open_noticed")
def half_open_noticed(timeline: Timeline, *, within: float = 3.0) -> Finding:
    """Each socket whose peer fell silent was given up within so many seconds of the peer's last sign of life.

    Without a silent peer nothing is shown, and the finding is inconclusive.
    """
    took = timeline.sockets.detect_ns() if timeline.sockets is not None else None
    if took is None:
        return Finding("half_open_noticed", INCONCLUSIVE, None, within, "s", "no socket's peer fell silent")
    seconds = took / 1e9
    verdict = PASS if seconds <= within else FAIL
    return Finding(
        "half_open_noticed", verdict, seconds, within, "s", f"the last one was noticed after {seconds:.2f} s"
    )

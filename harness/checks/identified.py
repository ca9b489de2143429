"""Where a witness tells who answered: that it tells it of all but a few, and nothing that answers deny."""

from __future__ import annotations

from harness.checks.finding import INCONCLUSIVE, PASS, Finding
from harness.checks.registry import check
from harness.evidence.timeline import Timeline

MOST_UNKNOWN = 0.001
"""Share of the ok answers whose pod the witness may leave open: in what a check looks at, and over all."""


@check("identified", standing=True)
def identified(timeline: Timeline, *, most_unknown: float = MOST_UNKNOWN) -> Finding | None:
    """The share of ok answers that the witness leaves open; what an answer's own word for its pod denies voids it.

    None where answers tell for themselves who gave them, or nothing does.
    """
    if not timeline.witness or not timeline.loaded or not timeline.finished:
        return None
    joined = timeline.joined
    if joined is None or not joined.answered:
        text = f"{timeline.witness}: not kept" if joined is None else "no answer to be told of"
        return Finding("identified", INCONCLUSIVE, None, most_unknown, "share", text)
    if joined.contradicted:
        text = f"of {joined.contradicted} answers {timeline.witness} name another pod than they do"
        return Finding("identified", INCONCLUSIVE, joined.contradicted, 0, "answers", text, voids=True)
    share = 1 - joined.known / joined.answered
    text = f"{timeline.witness} told the pod of {joined.known} of {joined.answered} ok answers"
    text += "".join(f"; {fault}" for fault in joined.faults[:2])
    return Finding("identified", PASS if share <= most_unknown else INCONCLUSIVE, share, most_unknown, "share", text)

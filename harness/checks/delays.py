"""The check of delays: an outage that loses nothing, because everything waits for its end, is one all the same."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from harness.checks.finding import FAIL, INCONCLUSIVE, PASS, Finding
from harness.checks.registry import check
from harness.evidence.losses import all_judged, answered_mask
from harness.evidence.timeline import SECOND, Timeline

BEFORE_NS = SECOND


@check("answered_within")
def answered_within(
    timeline: Timeline,
    *,
    seconds: float,
    after: float | None = 3.0,
    classes: Sequence[str] = ("fresh", "busy", "idle", "post", "tls", "h2"),
) -> Finding:
    """Every request is answered within `seconds` of when it was due; one that counts as lost never is.

    Where a Service has no endpoint, the kernel refuses connections only as often as it may send such a message
    (icmp_ratelimit, 1 a second); all others get no answer at all and try again after 1, 3 and 7 s (RFC 6298). Requests
    with a time-out of 5 s then come through, late, and none is lost.

    Judged are requests that were due from 1 s before each move until `after` seconds after it; all of them with None.
    A selector that somebody changed by hand is a move of users as well.
    """
    samples = timeline.samples
    wanted = np.isin(samples["cls"], [spec.code for spec in timeline.classes if spec.name in classes])
    lost = all_judged(timeline)
    wanted &= answered_mask(samples) | lost
    if after is not None:
        near = np.zeros(len(samples), bool)
        for sent in (*(move.sent_ns or 0 for move in timeline.flips()), *_by_hand(timeline)):
            near |= (samples["intended"] >= sent - BEFORE_NS) & (samples["intended"] <= sent + round(after * SECOND))
        wanted &= near
    judged = samples[wanted]
    if not len(judged):
        return Finding("answered_within", INCONCLUSIVE, None, None, "s", "no answer to judge")
    took = (judged["end"] - judged["intended"]) / SECOND
    late = int(np.count_nonzero((took > seconds) | lost[wanted]))
    slowest = int(took.argmax())
    spec = next(spec for spec in timeline.classes if spec.code == judged["cls"][slowest])
    text = f"{late or 'none'} of {len(judged)} requests {'were' if late != 1 else 'was'} not answered in time"
    text += f"; the slowest, of {spec.name}, took {took[slowest] * 1e3:.0f} ms"
    return Finding("answered_within", FAIL if late else PASS, float(took[slowest]), seconds, "s", text)


def _by_hand(timeline: Timeline) -> list[int]:
    """When, under load, the Service's selector was seen to change its value; by the release's own moves too."""
    began = timeline.first("load.started")
    seen = timeline.named("selector.observed")
    changed = [one.t for last, one in pairwise(seen) if one.fields.get("value") != last.fields.get("value")]
    return [t for t in changed if began is not None and t >= began.t]

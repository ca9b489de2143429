"""What is judged where several workers sent the load: their clocks, and that together they kept to the schedule."""

from __future__ import annotations

import numpy as np

from harness.checks.finding import INCONCLUSIVE, PASS, Finding
from harness.checks.registry import check
from harness.evidence.clocks import UNCERTAINTY_LIMIT_NS
from harness.evidence.timeline import Timeline
from harness.evidence.workers import workers_of

RATE_LIMIT = 0.01


@check("workers", standing=True)
def workers(timeline: Timeline) -> Finding | None:
    """Each worker's clock is known within 5 ms, drift included, and all together sent within 1 % of the plan's rate.

    Whether each was there to the end is the ledger's to say.
    """
    found = list(workers_of(timeline.events).values())
    if not found:
        return None
    limit = UNCERTAINTY_LIMIT_NS / 1e6
    widest = max(found, key=lambda worker: worker.clock.uncertainty_ns)
    open_ms = widest.clock.uncertainty_ns / 1e6
    if not widest.clock.trusted:
        drift = f", {abs(widest.clock.drift_ns) / 1e6:.1f} ms of drift included" if widest.clock.drift_ns else ""
        text = f"the clock of worker {widest.number} is known only within {open_ms:.1f} ms{drift}"
        return Finding("workers", INCONCLUSIVE, open_ms, limit, "ms", text)
    planned, sent = rates(timeline)
    text = f"{len(found)} workers sent {sent:.2f} of {planned:g} requests/s, their clocks known within {open_ms:.1f} ms"
    kept = planned > 0 and abs(sent / planned - 1) <= RATE_LIMIT
    return Finding("workers", PASS if kept else INCONCLUSIVE, open_ms, limit, "ms", text)


def rates(timeline: Timeline) -> tuple[float, float]:
    """Requests per second of all classes together: by the plan, and by the record.

    Of each class the record tells how many left within the time from its first to its last one: n of them span n - 1
    steps of the schedule. A class of fewer than two tells nothing, and is in neither sum.
    """
    planned = sent = 0.0
    for spec in timeline.classes:
        samples = timeline.of_class(spec.name)
        times = samples["sent"][samples["sent"] > 0]
        if len(times) > 1 and (span := int(np.ptp(times))):
            planned += spec.rate
            sent += (len(times) - 1) * 1e9 / span
    return planned, sent

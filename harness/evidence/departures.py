"""When users left a pod and when they came back, per entry node: its probes held against the answers it gave."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from harness.evidence.losses import answered_mask
from harness.evidence.probe_specs import readiness_paths
from harness.evidence.probes import ProbeRecord, Span, unready
from harness.evidence.samples import UNSENT, Samples
from harness.evidence.timeline import SECOND, Timeline

BEFORE_NS: Final = 5 * SECOND
"""Who got no new request within this time before isn't served anyway, so nothing shows by its getting none."""


@dataclass(frozen=True)
class Departure:
    """What users noticed of one span in which a pod wasn't ready. Times in ms; nodes by name.

    Args:
        span: the pod and the time.
        until_ns: its end, or the end of the load.
        before: new requests per node in the 5 s before it.
        last: by node, the last new request, counted from the last good probe.
        again: by node, the first new request, counted from the first good probe after it.

    """

    span: Span
    until_ns: int
    before: Mapping[str, int]
    last: Mapping[str, float]
    again: Mapping[str, float]

    def to_dict(self) -> dict[str, Any]:
        """As in verdict.json."""
        back = self.span.back
        return {
            "pod": self.span.pod,
            "unready_ms": None if back is None else (back - self.span.since) / 1e6,
            "last_new_ms": dict(self.last),
            "first_again_ms": dict(self.again),
        }


def window(timeline: Timeline) -> tuple[int, int]:
    """The first and the last instant at which users were asked for, in ns; (0, 0) without load."""
    intended = timeline.samples["intended"]
    return (int(intended.min()), int(intended.max())) if len(intended) else (0, 0)


def readiness(timeline: Timeline) -> set[str]:
    """The paths that readiness probes asked for, on any side and at any time of the run."""
    sides = [event.fields.get("sides") or {} for event in timeline.named("probes.applied")]
    return {path for one in sides for specs in one.values() for path in readiness_paths(specs)}


def records(timeline: Timeline) -> tuple[ProbeRecord, ...]:
    """The pods' records of probes; none where none were kept."""
    return timeline.probes or ()


def spans(timeline: Timeline) -> tuple[Span, ...]:
    """When pods weren't ready, pod by pod."""
    paths = readiness(timeline)
    return tuple(span for record in records(timeline) for span in unready(record, paths))


def new_requests(timeline: Timeline, pod: str) -> Samples:
    """Requests that somebody chose this pod for, and that it answered, by the time they were sent.

    Behind a Service that is the first one on each connection; a proxy chooses anew for each request.
    """
    samples = timeline.samples
    mine = answered_mask(samples) & (samples["pod"] == timeline.id_of(pod)) & (samples["outcome"] != UNSENT)
    if timeline.started.get("path") != "ingress":
        mine &= samples["nth"] == 1
    chosen: Samples = samples[mine]
    return chosen[np.argsort(chosen["sent"], kind="stable")]


def departures(timeline: Timeline) -> tuple[Departure, ...]:
    """Of each span that began under load, at a pod that users were sent to until then."""
    first, last = window(timeline)
    found = []
    for span in spans(timeline):
        if span.starting or not first < span.since < last:
            continue
        until = min(last, span.back if span.back is not None else last)
        chosen = new_requests(timeline, span.pod)
        before = _within(chosen, span.since - BEFORE_NS, span.since)
        if len(before):
            during = _within(chosen, span.since, until)
            after = _within(chosen, span.back, last) if span.back is not None else chosen[:0]
            found.append(
                Departure(
                    span,
                    until,
                    {node: len(part) for node, part in _by_node(timeline, before).items()},
                    {node: _ms(part["sent"][-1], span.since) for node, part in _by_node(timeline, during).items()},
                    {node: _ms(part["sent"][0], span.back or 0) for node, part in _by_node(timeline, after).items()},
                )
            )
    return tuple(found)


def last_by_node(timeline: Timeline, pod: str, since: int) -> dict[str, float]:
    """By node, the last new request to a pod, in ms after `since`; nodes without one are left out."""
    later = _within(new_requests(timeline, pod), since, 2**63 - 1)
    return {node: _ms(part["sent"][-1], since) for node, part in _by_node(timeline, later).items()}


def told(timeline: Timeline) -> dict[str, Any]:
    """The key "probes" of a scenario's record; empty where no probes were recorded."""
    if timeline.probes is None:
        return {}
    restarts = {one.pod: len(one.starts) - 1 for one in timeline.probes if len(one.starts) > 1}
    return {"not_ready": [one.to_dict() for one in departures(timeline)], "restarts": restarts}


def _within(samples: Samples, start: int, end: int) -> Samples:
    """Sent after `start` and not after `end`; the samples are in this order."""
    low, high = np.searchsorted(samples["sent"], [start, end], side="right")
    return samples[low:high]


def _by_node(timeline: Timeline, samples: Samples) -> dict[str, Samples]:
    return {timeline.node(int(one)): samples[samples["entry"] == one] for one in np.unique(samples["entry"])}


def _ms(when: Any, since: int) -> float:
    return (int(when) - since) / 1e6

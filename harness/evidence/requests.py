"""A request by its id: ``<run tag>-<class>-<seq>``, as it was sent, recorded and written down by whoever got it."""

from __future__ import annotations

from typing import Any

import numpy as np

from harness.evidence.samples import Samples
from harness.evidence.timeline import Timeline


def request_id(timeline: Timeline, sample: Any) -> str:
    """The id that the sample's request carried."""
    code = int(sample["cls"])
    name = next((spec.name for spec in timeline.classes if spec.code == code), f"?{code}")
    return f"{timeline.started.get('run_tag') or ''}-{name}-{int(sample['seq'])}"


def parts(ident: str) -> tuple[str, str, int] | None:
    """Run tag, class and seq of a request's id; None if it is none of a load's."""
    tag, _, rest = ident.partition("-")
    name, _, seq = rest.rpartition("-")
    return (tag, name, int(seq)) if tag and name and seq.isascii() and seq.isdigit() else None


def samples_of(timeline: Timeline, ident: str) -> Samples:
    """The samples with this id: one in an honest record, none if the request isn't of this scenario."""
    found = parts(ident)
    if found is None or found[0] != timeline.started.get("run_tag"):
        return timeline.samples[:0]
    samples = timeline.of_class(found[1])
    kept: Samples = samples[np.asarray(samples["seq"] == found[2])]
    return kept

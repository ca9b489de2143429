"""Who answered, where no answer tells it: a record is joined with what a witness on its way has written down."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from harness.evidence import proxied, tracked
from harness.evidence import samples as layout
from harness.evidence.samples import Samples
from harness.evidence.timeline import Timeline


def testified(timeline: Timeline, texts: Mapping[str, str], faults: Sequence[str]) -> Timeline:
    """Joined with what the application's witness has told.

    Args:
        timeline: the record.
        texts: what was kept of the witness, by the file's name.
        faults: what is known to be missing of it.

    """
    if timeline.started.get("identity") == "conntrack":
        return tracked.join(timeline, texts, list(faults))
    classes = {spec.name: spec.code for spec in timeline.classes}
    tag = str(timeline.started.get("run_tag") or "")
    return proxied.join(timeline, proxied.parse(texts.values(), tag, classes, list(faults)))


def ports_of(samples: Samples, source: int) -> npt.NDArray[np.void]:
    """The ports that a file's connections had, as its samples say on disk."""
    known = samples[(samples["source"] > 0) & (samples["conn"] > 0)]
    _, first = np.unique(known["conn"], return_index=True)
    made = np.zeros(len(first), layout.PORT)
    made["source"], made["conn"], made["port"] = source, known["conn"][first], known["source"][first]
    return made

"""The ledger: scheduled = issued + unsent; issued = ok + failed + unknown + open; at the end open = 0, unsent = 0."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from harness.evidence.samples import UNSENT, Samples
from harness.evidence.timeline import Timeline


@dataclass(frozen=True, slots=True)
class Entry:
    """One class's line in the ledger.

    Args:
        name: the class.
        scheduled: by its closing, else what the samples show.
        issued: attempts on the wire, by its closing, else by the samples.
        ok: answered.
        failed: wrong answer, or never on the wire.
        unknown: sent, and no complete answer.
        unsent: over the in-flight bound.
        open: without an outcome at the end.
        faults: why it doesn't close; empty if it does.

    """

    name: str
    scheduled: int
    issued: int
    ok: int
    failed: int
    unknown: int
    unsent: int
    open: int
    faults: tuple[str, ...]


def ledger(timeline: Timeline) -> tuple[Entry, ...]:
    """One line for each class of the run."""
    return tuple(_entry(timeline, spec.name) for spec in timeline.classes)


def _entry(timeline: Timeline, name: str) -> Entry:
    spec = timeline.spec(name)
    samples = timeline.of_class(name)
    counts = np.bincount(samples["outcome"], minlength=UNSENT + 1)
    ok, failed, unknown, unsent = (int(count) for count in counts[: UNSENT + 1])
    strange = int(counts[UNSENT + 1 :].sum())
    issued = ok + failed + unknown
    faults: list[str] = []
    if strange:
        faults.append(f"{strange} samples have an outcome that doesn't exist")
    twice = _twice(samples)
    if twice:
        faults.append(f"{twice} samples were recorded twice")
    if spec is None or spec.scheduled is None or spec.issued is None or spec.unsent is None or spec.open is None:
        faults.append("it was never closed")
        return Entry(name, issued + unsent, issued, ok, failed, unknown, unsent, 0, tuple(faults))
    if spec.scheduled != spec.issued + spec.unsent:
        faults.append(f"scheduled {spec.scheduled} is not issued {spec.issued} + unsent {spec.unsent}")
    if spec.issued != issued + spec.open:
        faults.append(f"issued {spec.issued} is not ok {ok} + failed {failed} + unknown {unknown} + open {spec.open}")
    if spec.unsent != unsent:
        faults.append(f"unsent {spec.unsent} is not the {unsent} unsent samples")
    if spec.open:
        faults.append(f"{spec.open} are still open")
    if spec.unsent:
        faults.append(f"{spec.unsent} were never sent")
    return Entry(name, spec.scheduled, spec.issued, ok, failed, unknown, spec.unsent, spec.open, tuple(faults))


def _twice(samples: Samples) -> int:
    """How many samples repeat the number of another one of the same file and class."""
    if len(samples) < 2:
        return 0
    # Within one file seq grows with the intended time: only where it doesn't is a sort needed.
    if bool(np.all(samples["source"] == samples["source"][0])):
        seq = samples["seq"]
        if not bool(np.all(np.diff(seq.astype(np.int64)) > 0)):
            return len(seq) - len(np.unique(seq))
        return 0
    # Both fit one number: a seq of 48 bits lasts for 44,000 years at 200/s.
    keys = (samples["source"].astype(np.uint64) << np.uint64(48)) | samples["seq"]
    return len(keys) - len(np.unique(keys))

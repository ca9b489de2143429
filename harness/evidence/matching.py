"""Which sample an arrival belongs to: request ids as numbers, searched by the million."""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt

from harness.evidence.arrivals import SEQ_BITS, Facts
from harness.evidence.samples import Samples

Keys = npt.NDArray[np.uint64]


class Sources:
    """Loads that ran one after the other number their requests anew: the time tells whose an arrival is.

    Args:
        samples: those of all loads.

    Attributes:
        overlap: two of them ran at the same time, so that nothing tells their requests apart.

    """

    def __init__(self, samples: Samples) -> None:
        spans = []
        for source in np.unique(samples["source"]).tolist():
            mine = samples[(samples["source"] == source) & (samples["sent"] > 0)]
            if len(mine):
                spans.append((int(mine["sent"].min()), int(mine["end"].max()), source))
        spans.sort()
        self.overlap = any(one[1] > other[0] for one, other in itertools.pairwise(spans))
        self._starts = np.asarray([span[0] for span in spans], np.int64)
        self._numbers = np.asarray([span[2] for span in spans] or [0], np.uint64)

    def keys_of_samples(self, samples: Samples) -> Keys:
        """One key per sample; no two samples of an intact record share one."""
        return _keys(samples["source"].astype(np.uint64), samples["cls"], samples["seq"])

    def keys_of(self, facts: Facts) -> Keys:
        """One key per fact: that of its request, if there was one."""
        which = np.maximum(np.searchsorted(self._starts, facts["t"], side="right") - 1, 0)
        return _keys(self._numbers[which], facts["cls"], facts["seq"])


def _keys(source: Keys, cls: npt.NDArray[np.uint8], seq: Keys) -> Keys:
    return np.asarray((((source << np.uint64(8)) | cls.astype(np.uint64)) << np.uint64(SEQ_BITS)) | seq)


def owners_of(wanted: Keys, keys: Keys) -> npt.NDArray[np.int64]:
    """For each wanted key the index of the key that equals it, or -1."""
    if not len(keys):
        return np.full(len(wanted), -1)
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    place = np.minimum(np.searchsorted(ordered, wanted), len(keys) - 1)
    return np.asarray(np.where(ordered[place] == wanted, order[place], -1))

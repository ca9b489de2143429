"""The longest gaps without a good answer: over all, by class, by entry node, and on one connection."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import numpy as np

from harness.evidence.samples import OK, Samples
from harness.evidence.timeline import Timeline

ONE_PER_REQUEST = frozenset({"fresh", "slow", "post"})
"""Classes that open a connection per request: there a connection has no gap."""


def longest_gap(samples: Samples, rate: float) -> float | None:
    """The largest difference of consecutive ends of ok samples less 1/rate, in ns and never below 0.

    None for fewer than two ok samples: a gap has two ends.
    """
    ends = np.sort(samples["end"][samples["outcome"] == OK])
    if len(ends) < 2:
        return None
    return max(0.0, float(np.diff(ends).max()) - (1e9 / rate if rate > 0 else 0.0))


def longest_gap_by(samples: Samples, column: str) -> Mapping[int, float]:
    """The longest gap for each value of a column ("conn", "entry"), in ns; groups of one ok sample are left out.

    Taken off is the time until the group's next request was due, whatever became of that: a further connection, which
    is used only now and then, shows no gap where nothing was asked of it.

    Args:
        samples: of one class, by intended time.
        column: which groups.

    """
    found: dict[int, float] = {}
    order = np.argsort(samples[column], kind="stable")
    keys = samples[column][order]
    cuts = [0, *(np.flatnonzero(np.diff(keys)) + 1).tolist(), len(keys)]
    for start, stop in pairwise(cuts):
        if stop - start < 2:
            continue
        group = samples[order[start:stop]]
        good = np.flatnonzero(group["outcome"] == OK)
        if len(good) < 2:
            continue
        good = good[np.argsort(group["end"][good], kind="stable")]
        until_next = np.diff(group["intended"], append=group["intended"][-1])
        waited = np.diff(group["end"][good]) - until_next[good[:-1]]
        found[int(keys[start])] = max(0.0, float(waited.max()))
    return found


def gaps(timeline: Timeline) -> dict[str, dict[str, float] | dict[str, dict[str, float]]]:
    """The keys "gaps", "gaps_by_node" and "gaps_by_connection" of a scenario's record, all in ms.

    "gaps" has each class, and "all" for all of them together; "gaps_by_connection" the worst connection of each class
    whose connections live on. Whoever has fewer than two good answers has no entry.
    """
    longest: dict[str, float] = {}
    by_node: dict[str, dict[str, float]] = {}
    by_connection: dict[str, float] = {}
    every = timeline.samples
    if len(every):
        # Once the last request was due, only the slow answers are still to come: that is the load's end, no gap.
        every = every[every["end"] <= every["intended"].max()]
    over_all = longest_gap(every, sum(spec.rate for spec in timeline.classes))
    if over_all is not None:
        longest["all"] = over_all / 1e6
    for spec in timeline.classes:
        samples = timeline.of_class(spec.name)
        gap = longest_gap(samples, spec.rate)
        if gap is None:
            continue
        longest[spec.name] = gap / 1e6
        nodes = longest_gap_by(samples, "entry")
        by_node[spec.name] = {timeline.node(entry): value / 1e6 for entry, value in nodes.items()}
        kept = {} if spec.name in ONE_PER_REQUEST else longest_gap_by(samples, "conn")
        if kept:
            by_connection[spec.name] = max(kept.values()) / 1e6
    return {"gaps": longest, "gaps_by_node": by_node, "gaps_by_connection": by_connection}

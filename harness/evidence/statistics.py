"""Numbers with their formulas: bounds of a rate, lag, error budget."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from harness.evidence.losses import losses
from harness.evidence.samples import UNSENT, ClassSpec, Samples
from harness.evidence.timeline import SECOND, Timeline

LEAD_NS = 2 * SECOND
"""The lag is judged from this long before the first flip."""


def loss_rate_upper(lost: int, total: int, confidence: float = 0.95) -> float:
    """The one-sided upper bound of a rate, after `lost` of `total`, by Clopper and Pearson (Biometrika 26, 1934).

    For nothing lost it is 1 - (1 - confidence)^(1/total), about 3/total at 95 %. Requests inside one cutover depend on
    each other: for them the unit of evidence is the cutover. No evidence bounds nothing: the answer is 1.

    Raises:
        ValueError: lost outside 0..total, or a confidence outside (0, 1).

    """
    if not 0 <= lost <= total or not 0 < confidence < 1:
        raise ValueError(f"no bound for {lost} of {total} at {confidence}")
    if lost == total:
        return 1.0
    if lost == 0:
        return float(-np.expm1(np.log1p(-confidence) / total))
    # Imported here: most runs lose nothing, and scipy takes longer to import than they take to judge.
    from scipy.special import betaincinv

    return float(betaincinv(lost + 1, total - lost, confidence))


def lag_p99(samples: Samples) -> float | None:
    """The 99th percentile of (sent - intended), in ns, by numpy's default rule; None without a sent sample."""
    samples = samples[samples["outcome"] != UNSENT]
    if not len(samples):
        return None
    # An attempt without a send time was late by at most the time of its end.
    left = np.where(samples["sent"] > 0, samples["sent"], samples["end"])
    return float(np.percentile(left - samples["intended"], 99))


def judged_window(timeline: Timeline) -> tuple[int, int]:
    """Where the lag counts: from 2 s before the first flip to the end of the watch, (from, to) in ns.

    Without a flip all of the load counts; without a watch, until the end of the record. A breach ends a watch.
    """
    flips = [move.sent_ns for move in timeline.flips() if move.sent_ns is not None]
    watched = max((event.t for event in timeline.named("watch.finished", "watch.breached")), default=None)
    # A flip after the last watch counts too: until the end of the record.
    whole = watched is None or any(flip > watched for flip in flips)
    return (min(flips) - LEAD_NS if flips else 0), (timeline.end_ns if whole or watched is None else watched)


def lag_by_class(timeline: Timeline) -> Mapping[ClassSpec, float]:
    """The lag's 99th percentile in ns for each class that sent anything in the judged window."""
    start, stop = judged_window(timeline)
    lags: dict[ClassSpec, float] = {}
    for spec in timeline.classes:
        samples = timeline.of_class(spec.name)
        low = np.searchsorted(samples["intended"], start, side="left")
        high = np.searchsorted(samples["intended"], stop, side="right")
        lag = lag_p99(samples[low:high])
        if lag is not None:
            lags[spec] = lag
    return lags


def worst_lag(timeline: Timeline) -> tuple[ClassSpec, float] | None:
    """The class that lags most, measured in its own line spacing, and its 99th percentile in ns."""
    return max(lag_by_class(timeline).items(), key=lambda item: item[1] * item[0].rate, default=None)


def burn(lost: int, total: int, slo: float) -> float | None:
    """How fast the error budget burns: (lost/total) / (1 - slo); 1 spends it exactly. None without evidence.

    Raises:
        ValueError: an SLO outside [0, 1).

    """
    if not 0 <= slo < 1:
        raise ValueError(f"an SLO is in [0, 1), not {slo}")
    return lost / total / (1 - slo) if total else None


def budget(timeline: Timeline) -> dict[str, Any] | None:
    """What the run spent of its error budget; None where no objective was given (`run.started` has it).

    Counted is what counts at the run's level; what it lets pass is told as "retriable".
    """
    target = timeline.started.get("slo")
    if target is None:
        return None
    counts = [losses(timeline, spec.name) for spec in timeline.classes]
    lost, issued = sum(one.judged for one in counts), sum(one.issued for one in counts)
    return {
        "target": target,
        "burn": burn(lost, issued, float(target)),
        "lost": lost,
        "issued": issued,
        "retriable": sum(one.allowed for one in counts),
    }

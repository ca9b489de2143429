"""What counts as lost, in one place: lost = failed + unknown, and which losses a level lets pass."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harness.evidence.samples import ERRORS, FAILED, FLAG_RETRIABLE, OK, UNKNOWN, UNSENT, Samples
from harness.evidence.sockets import CLASS
from harness.evidence.timeline import Timeline

Mask = npt.NDArray[np.bool_]

USER_CLASSES = frozenset({"idle", "h2", "h2_slow"})
"""Judged at user level by what RFC 9110 9.2.2 and RFC 9113 8.7 let any client retry; of all others every attempt is."""


@dataclass(frozen=True, slots=True)
class Losses:
    """One class's attempts.

    Args:
        issued: attempts on the wire.
        ok: answered as they should be.
        lost: failed + unknown, retriable ones included.
        retriable: how many of `lost` any client may retry.
        allowed: how many of `lost` the level lets pass; they are stated, never hidden.

    """

    issued: int
    ok: int
    lost: int
    retriable: int
    allowed: int

    @property
    def judged(self) -> int:
        """The losses that count against the class."""
        return self.lost - self.allowed


def lost_mask(samples: Samples) -> Mask:
    """Which samples are lost: failed or unknown."""
    outcome = samples["outcome"]
    return np.asarray((outcome == FAILED) | (outcome == UNKNOWN))


def answered_mask(samples: Samples) -> Mask:
    """Which samples tell who answered: ok ones, and wrong answers that carry a revision all the same."""
    return np.asarray((samples["outcome"] == OK) | ((samples["outcome"] != UNSENT) & (samples["revision"] != 0)))


def told_mask(timeline: Timeline, samples: Samples) -> Mask:
    """Which samples may be judged by who answered: as `answered_mask`, but for gaps of the record.

    Where a witness tells it (`Timeline.witness`), an answer that it leaves open is a gap of the record and says
    nothing of the application; how many there may be is judged by itself. Else an answer without a revision could have
    come from anywhere, and that is the application's fault.
    """
    mask = answered_mask(samples)
    return mask & (samples["revision"] != 0) if timeline.witness else mask


def judged_mask(timeline: Timeline, name: str, samples: Samples) -> Mask:
    """Which samples of class `name` are losses that count at the timeline's level."""
    lost = lost_mask(samples)
    if name in USER_CLASSES and timeline.level == "user":
        lost &= (samples["flags"] & FLAG_RETRIABLE) == 0
    return lost


def all_judged(timeline: Timeline) -> Mask:
    """Which of `Timeline.samples` are losses that count at the timeline's level, over all classes."""
    samples = timeline.samples
    lost = lost_mask(samples)
    if timeline.level == "user":
        codes = [spec.code for spec in timeline.classes if spec.name in USER_CLASSES]
        lost &= ~(np.isin(samples["cls"], codes) & ((samples["flags"] & FLAG_RETRIABLE) != 0))
    return lost


def ran(timeline: Timeline) -> tuple[str, ...]:
    """The classes that ran, WebSockets included."""
    sockets = (CLASS,) if timeline.sockets is not None else ()
    return (*(spec.name for spec in timeline.classes), *sockets)


def losses(timeline: Timeline, name: str) -> Losses:
    """Counts one class; of WebSockets the attempts to connect and the messages of both directions."""
    if name == CLASS and timeline.sockets is not None:
        issued, gone = timeline.sockets.attempts, timeline.sockets.losses
        return Losses(issued, max(issued - gone, 0), gone, 0, 0)
    samples = timeline.of_class(name)
    lost = lost_mask(samples)
    count = int(np.count_nonzero(lost))
    retriable = int(np.count_nonzero(lost & ((samples["flags"] & FLAG_RETRIABLE) != 0)))
    return Losses(
        issued=int(np.count_nonzero(samples["outcome"] != UNSENT)),
        ok=int(np.count_nonzero(samples["outcome"] == OK)),
        lost=count,
        retriable=retriable,
        allowed=count - int(np.count_nonzero(judged_mask(timeline, name, samples))),
    )


def error_counts(samples: Samples) -> Counter[str]:
    """How often each error class occurs among lost samples."""
    codes, counts = np.unique(samples["error"][lost_mask(samples)], return_counts=True)
    return Counter(
        {
            ERRORS[code] if code < len(ERRORS) else f"?{code}": int(count)
            for code, count in zip(codes.tolist(), counts.tolist(), strict=True)
        }
    )

"""One line of the self-test: what was injected on one kind of connection, and what the record says of it. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from harness.evidence.samples import ERRORS, FLAG_RETRIABLE, OK, UNSENT, Samples


@dataclass(frozen=True, slots=True)
class Row:
    """One mode on one kind of connection.

    Args:
        mode: as in `harness.client.misbehave`, with the kind of connection.
        error: the class it must be told as.
        injected: misbehaviors that the server counts.
        reported: lost samples of that class in the record.
        lost: lost samples in the record.
        issued: requests handed to the client.
        recorded: samples in the record.
        arrivals: requests that the server saw.
        distinct: different request ids among them.
        retriable: samples flagged as retriable.
        passed: all of it fits.

    """

    mode: str
    error: str
    injected: int
    reported: int
    lost: int
    issued: int
    recorded: int
    arrivals: int
    distinct: int
    retriable: int
    passed: bool


def told(row: Row) -> str:
    """The row in words."""
    return (
        f"{row.mode}: injected {row.injected}, reported {row.reported} as {row.error} of {row.lost} lost, "
        f"issued {row.issued}, recorded {row.recorded}, arrivals {row.arrivals} ({row.distinct} ids), "
        f"retriable {row.retriable}"
    )


def judged(
    mode: str,
    error: str,
    issued: int,
    samples: Samples,
    seen: dict[str, int],
    *,
    count: int,
    every: int,
    retriable: bool,
    arrives: bool = True,
) -> Row:
    """The row of one mode.

    Args:
        mode: its name.
        error: the class it must be told as.
        issued: requests handed to the client.
        samples: the record of it.
        seen: the server's own counts.
        count: requests there must be.
        every: each so many-th of them is answered badly.
        retriable: whether the losses must be flagged so, or mustn't.
        arrives: whether a request ever gets as far as that the server can count it.

    """
    bad = samples[samples["outcome"] != OK]
    injected = seen.get("injected", 0) if arrives else count // every
    reported = int(np.count_nonzero(bad["error"] == ERRORS.index(error)))
    flagged = int(np.count_nonzero(samples["flags"] & FLAG_RETRIABLE))
    arrivals, distinct = seen.get("arrivals", 0), seen.get("distinct", 0)
    counts = {issued, len(samples), len(np.unique(samples["seq"])), *([arrivals, distinct] if arrives else [])}
    passed = (
        counts == {count}
        and (arrives or arrivals == 0)
        and injected == count // every
        and reported == injected == len(bad)
        and flagged == (injected if retriable else 0)
        and not np.any(samples["outcome"] == UNSENT)
    )
    return Row(
        mode=mode,
        error=error,
        injected=injected,
        reported=reported,
        lost=len(bad),
        issued=issued,
        recorded=len(samples),
        arrivals=arrivals,
        distinct=distinct,
        retriable=flagged,
        passed=passed,
    )

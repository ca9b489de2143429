"""What the application wrote down of its probes: when each process began, what the kubelet asked, and what it heard.

One file per pod, ``<pod>.probes``, beside the record of arrivals and on the same clock:

    S <CLOCK_MONOTONIC ns> <pod> <revision>     a process began the record, or went on with it
    H <CLOCK_MONOTONIC ns> <path> <status>      a probe came; status 0: it got no answer
    E <CLOCK_MONOTONIC ns>                      the process ends by itself

Kubernetes' own condition times have steps of 1 s; what users see within one is measured by these.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from harness.evidence.arrivals import BROKEN

SUFFIX: Final = ".probes"
HIT: Final = np.dtype([("t", "<i8"), ("path", "<u2"), ("status", "<u2")])
Hits = npt.NDArray[np.void]
"""One-dimensional array of dtype `HIT`."""
Times = npt.NDArray[np.int64]

_LINE: Final = re.compile(
    rb"^(?:S (\d{1,18}) ([!-~]+) [!-~]+|H (\d{1,18}) ([!-~]+) (\d{1,3})|E (\d{1,18}))$", re.MULTILINE
)


@dataclass(frozen=True)
class ProbeRecord:
    """One pod's record; times are CLOCK_MONOTONIC ns, in order.

    Args:
        pod: whose.
        starts: of each process.
        ends: of each process that ended by itself.
        hits: all probes; `path` is an index into `paths`.
        paths: what was asked for.
        faults: why it isn't whole; what it holds is true all the same.

    """

    pod: str
    starts: Times = field(default_factory=lambda: np.zeros(0, np.int64))
    ends: Times = field(default_factory=lambda: np.zeros(0, np.int64))
    hits: Hits = field(default_factory=lambda: np.zeros(0, HIT))
    paths: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()

    def of(self, paths: Collection[str]) -> Hits:
        """The hits of these paths."""
        codes = [code for code, path in enumerate(self.paths) if path in paths]
        found: Hits = self.hits[np.isin(self.hits["path"], codes)]
        return found


@dataclass(frozen=True)
class Span:
    """A time in which a pod wasn't ready, by its own record, in ns.

    Args:
        pod: whose.
        since: the last good probe before it; of a process that starts, its start.
        back: the first good probe after it; None where none came.
        starting: it begins with the pod's first process, which never was ready before.

    """

    pod: str
    since: int
    back: int | None
    starting: bool


def parse(name: str, raw: bytes) -> ProbeRecord:
    """One file's record.

    Args:
        name: the file's name.
        raw: all of it: a pod of one hour leaves 200 KiB.

    """
    broken = name.endswith(BROKEN)
    pod = name.removesuffix(BROKEN).removesuffix(SUFFIX)
    faults = [f"the application gave the record of {pod}'s probes up"] if broken else []
    whole, _, torn = raw.rpartition(b"\n")
    starts: list[int] = []
    ends: list[int] = []
    hits: list[tuple[int, int, int]] = []
    paths: dict[str, int] = {}
    strangers: set[bytes] = set()
    found = 0
    for start, who, hit, path, status, end in _LINE.findall(whole):
        found += 1
        if start:
            starts.append(int(start))
            strangers |= {who} - {pod.encode()}
        elif hit:
            hits.append((int(hit), paths.setdefault(path.decode(), len(paths)), int(status)))
        else:
            ends.append(int(end))
    damaged = len(whole.split(b"\n")) - found if whole else 0
    faults += [f"the record of {pod}'s probes is by {who.decode()}" for who in sorted(strangers)]
    faults += [] if starts else [f"the record of {pod}'s probes lacks its beginning"]
    faults += [f"{damaged} lines of {pod}'s probes are no facts"] if damaged else []
    faults += [f"the last line of {pod}'s probes is torn"] if torn else []
    column = np.array(sorted(hits), HIT) if hits else np.zeros(0, HIT)
    return ProbeRecord(pod, _times(starts), _times(ends), column, tuple(paths), tuple(faults))


def unready(record: ProbeRecord, readiness: Collection[str]) -> tuple[Span, ...]:
    """When the pod wasn't ready, in order.

    Args:
        record: the pod's.
        readiness: the paths that its readiness probe asks for.

    """
    spans: list[Span] = []
    good: int | None = None
    since: int | None = None
    starting = True
    for t, state in _states(record, readiness):
        if state == "good":
            if since is not None:
                spans.append(Span(record.pod, since, t, starting))
            good, since, starting = t, None, False
        elif since is None:
            since = t if good is None else good
    if since is not None:
        spans.append(Span(record.pod, since, None, starting))
    return tuple(spans)


def _states(record: ProbeRecord, readiness: Collection[str]) -> Iterator[tuple[int, str]]:
    """What each line says of readiness, in order: a start and an end are as good as a failed probe."""
    # Kubernetes takes 200 to 399 for success.
    hits = [(int(one["t"]), "good" if 200 <= one["status"] < 400 else "bad") for one in record.of(readiness)]
    changes = [(int(t), "bad") for t in (*record.starts, *record.ends)]
    return iter(sorted([*hits, *changes]))


def _times(values: Iterable[int]) -> Times:
    return np.array(sorted(values), np.int64)

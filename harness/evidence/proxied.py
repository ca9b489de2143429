"""Who answered, where no answer tells it: the proxy's own log of requests, joined with the samples by request id. Pure.

One file per proxy, ``<proxy>.answers``, one line a request of the run's load that the proxy was done with:

    U <CLOCK_MONOTONIC ns> <request id> <response flags> <upstream>     upstream: ip:port, "-" where there was none

The time is that of the request's arrival at the proxy, from its wall clock: it only tells loads of one run apart. Which
pod an address was, the record's own `pod.changed` and `pod.gone` tell. What can't be joined stays unknown.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from harness.evidence.answerers import UNCLEAR, has_answer, told
from harness.evidence.arrivals import FACT, Facts
from harness.evidence.matching import Sources, owners_of
from harness.evidence.samples import Samples
from harness.evidence.timeline import Timeline

SUFFIX: Final = ".answers"
_LINE: Final = re.compile(r"U (\d{1,18}) (\S+) (\S+) (\S+)")


@dataclass(frozen=True)
class Answers:
    """What the proxies tell of the load's requests.

    Args:
        facts: one per line, dtype `harness.evidence.arrivals.FACT`.
        upstream: of each fact, the index in `addresses`; `UNCLEAR` where the answer wasn't an upstream's.
        addresses: ``ip:port``.
        faults: what keeps the lines from being all.

    """

    facts: Facts = field(default_factory=lambda: np.zeros(0, FACT))
    upstream: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    addresses: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()


def parse(texts: Iterable[str], tag: str, classes: Mapping[str, int], faults: Iterable[str] = ()) -> Answers:
    """The lines of all files.

    Args:
        texts: the files' content.
        tag: the run's, with which the ids of the load begin.
        classes: code by name of the classes that ran.
        faults: what is missing of the files.

    """
    addresses: dict[str, int] = {}
    rows: list[tuple[int, int, int]] = []
    upstream: list[int] = []
    said = list(faults)
    strange = 0
    for line in (line for text in texts for line in text.splitlines()):
        match = _LINE.fullmatch(line)
        name, _, seq = match[2].removeprefix(f"{tag}-").rpartition("-") if match else ("", "", "")
        if match is None or not re.fullmatch(r"0|[1-9]\d{0,11}", seq):
            strange += 1
        elif name in classes:
            rows.append((int(match[1]), int(seq), classes[name]))
            passed_on = match[3] == "-" and match[4] != "-"
            upstream.append(addresses.setdefault(match[4], len(addresses)) if passed_on else UNCLEAR)
    if strange:
        said.append(f"{strange} lines are torn or tell of no request")
    return Answers(np.asarray(rows, FACT), np.asarray(upstream, np.int64), tuple(addresses), tuple(said))


def join(timeline: Timeline, answers: Answers) -> Timeline:
    """The timeline with the revision and the pod of every answer that the log tells without doubt.

    That is: its id is in the log, all of its lines name one upstream and no flag, and of all pods ever seen exactly one
    had that address at any time from its send to its end, with an image of the application's. An answer's own word
    for its pod stays, and is compared.
    """
    return told(timeline, _upstreams(timeline.samples, answers), answers.addresses, answers.faults)


def _upstreams(samples: Samples, answers: Answers) -> npt.NDArray[np.int64]:
    """For each sample that has an answer the number of its upstream, else `UNCLEAR`."""
    sources = Sources(samples)
    wanted, keys = sources.keys_of_samples(samples), sources.keys_of(answers.facts)
    place = owners_of(wanted, keys)
    found = np.full(len(samples), UNCLEAR)
    if len(keys) and not sources.overlap:
        order = np.lexsort((answers.upstream, keys))
        disagree = (np.diff(keys[order]) == 0) & (np.diff(answers.upstream[order]) != 0)
        doubtful = np.isin(wanted, keys[order][1:][disagree])
        found = np.where((place >= 0) & ~doubtful & has_answer(samples), answers.upstream[place], UNCLEAR)
    return np.asarray(found, np.int64)

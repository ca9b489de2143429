"""Who answered, where no answer tells it: the proxy's own log of requests, joined with the samples by request id. Pure.

One file per proxy, ``<proxy>.answers``, one line a request of the run's load that the proxy was done with:

    U <CLOCK_MONOTONIC ns> <request id> <response flags> <upstream>     upstream: ip:port, "-" where there was none

The time is that of the request's arrival at the proxy, from its wall clock: it only tells loads of one run apart. Which
pod an address was, the record's own `pod.changed` and `pod.gone` tell. What can't be joined stays unknown.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from harness.evidence.arrivals import FACT, Facts
from harness.evidence.matching import Sources, owners_of
from harness.evidence.samples import OK, Samples
from harness.evidence.timeline import Joined, Timeline

SUFFIX: Final = ".answers"
UNCLEAR: Final = -1
"""Instead of an upstream's number: the proxy itself answered, or two lines for one request disagree."""
FOREVER: Final = 2**63 - 1
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


@dataclass(frozen=True)
class Life:
    """A pod while it may have had its address.

    Args:
        pod: its name.
        ip: its address.
        revision: the version whose image it runs; "" where that is none of the application's.
        since_ns: when it was first seen.
        until_ns: when it was seen to be gone.

    """

    pod: str
    ip: str
    revision: str
    since_ns: int
    until_ns: int


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


def lives(timeline: Timeline) -> tuple[Life, ...]:
    """The pods that were seen with an address, by the record's own events."""
    container, image = (str(timeline.started.get(key) or "") for key in ("container", "image"))
    since: dict[str, int] = {}
    found: dict[str, Life] = {}
    done: list[Life] = []
    for event in timeline.named("pod.changed", "pod.gone"):
        pod = str(event.fields.get("pod") or "")
        if event.name == "pod.gone":
            if (life := found.pop(pod, None)) is not None:
                done.append(replace(life, until_ns=event.t))
            since.pop(pod, None)
            continue
        first = since.setdefault(pod, event.t)
        if ip := str(event.fields.get("ip") or ""):
            revision = version_of(str((event.fields.get("images") or {}).get(container) or ""), image)
            found[pod] = Life(pod, ip, revision, first, FOREVER)
    return (*done, *found.values())


def version_of(image: str, pattern: str) -> str:
    """The version that an image name has where the pattern has ``{version}``; "" where it doesn't fit."""
    head, word, tail = pattern.partition("{version}")
    fits = bool(word) and image.startswith(head) and image.endswith(tail) and len(image) > len(head) + len(tail)
    return image[len(head) : len(image) - len(tail)] if fits else ""


def join(timeline: Timeline, answers: Answers) -> Timeline:
    """The timeline with the revision and the pod of every answer that the log tells without doubt.

    That is: its id is in the log, all of its lines name one upstream and no flag, and of all pods ever seen exactly one
    had that address at any time from its send to its end, with an image of the application's. An answer's own word
    for its pod stays, and is compared.
    """
    samples = timeline.samples.copy()
    owner = _upstreams(samples, answers)
    strings = list(timeline.strings)
    pod, revision = np.zeros(len(samples), np.uint16), np.zeros(len(samples), np.uint16)
    every = lives(timeline)
    for number, address in enumerate(answers.addresses):
        mine = np.flatnonzero(owner == number)
        here = [life for life in every if life.ip == address.rpartition(":")[0].strip("[]")]
        count = np.zeros(len(mine), np.int64)
        for life in here:
            then = (samples["sent"][mine] <= life.until_ns) & (samples["end"][mine] >= life.since_ns)
            count += then
            pod[mine[then]] = _id(strings, life.pod)
            revision[mine[then]] = _id(strings, life.revision)
        pod[mine[count != 1]] = revision[mine[count != 1]] = 0
    pod[revision == 0] = 0
    ok = samples["outcome"] == OK
    other = (pod != 0) & (samples["pod"] != 0) & (samples["pod"] != pod)
    revision[other] = 0  # what two witnesses tell differently nobody knows
    known = revision != 0
    samples["revision"] = np.where(samples["revision"] == 0, revision, samples["revision"])
    samples["pod"] = np.where(samples["pod"] == 0, pod, samples["pod"])
    answered, told, denied = (int(np.count_nonzero(mask)) for mask in (ok, ok & known, ok & other))
    counts = Joined(answered, told, denied, answers.faults)
    return replace(timeline, samples=samples, strings=tuple(strings), joined=counts)


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
        found = np.where((place >= 0) & ~doubtful & _answered(samples), answers.upstream[place], UNCLEAR)
    return np.asarray(found, np.int64)


def _answered(samples: Samples) -> npt.NDArray[np.bool_]:
    return np.asarray((samples["sent"] > 0) & (samples["status"] > 0))


def _id(strings: list[str], text: str) -> int:
    if text not in strings:
        strings.append(text)
    return strings.index(text)

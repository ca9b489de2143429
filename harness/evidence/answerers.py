"""Who answered, where no answer tells it: from the address of a pod to the pod, and its version. Pure.

Which pod an address was, the record's own `pod.changed` and `pod.gone` tell. What isn't beyond doubt stays unknown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from harness.evidence.samples import OK, Samples
from harness.evidence.timeline import Joined, Timeline

UNCLEAR: Final = -1
"""Instead of an address' number: nobody's, or told in two ways."""
FOREVER: Final = 2**63 - 1


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


def told(timeline: Timeline, owner: npt.NDArray[np.int64], addresses: Sequence[str], faults: Sequence[str]) -> Timeline:
    """The timeline with the revision and the pod of every answer of which they are beyond doubt.

    That is: of all pods ever seen exactly one had the address at any time from the request's send to its end, with an
    image of the application's. An answer's own word for its pod stays, and is compared.

    Args:
        timeline: samples, and the pods' lives.
        owner: for each sample the number of the address that answered, or `UNCLEAR`.
        addresses: ``ip:port``.
        faults: what keeps the witness' word from being whole.

    """
    samples = timeline.samples.copy()
    strings = list(timeline.strings)
    pod, revision = np.zeros(len(samples), np.uint16), np.zeros(len(samples), np.uint16)
    every = lives(timeline)
    for number, address in enumerate(addresses):
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
    answered, clear, denied = (int(np.count_nonzero(mask)) for mask in (ok, ok & known, ok & other))
    counts = Joined(answered, clear, denied, tuple(faults))
    return replace(timeline, samples=samples, strings=tuple(strings), joined=counts)


def has_answer(samples: Samples) -> npt.NDArray[np.bool_]:
    """Which samples had an answer of any kind."""
    return np.asarray((samples["sent"] > 0) & (samples["status"] > 0))


def _id(strings: list[str], text: str) -> int:
    if text not in strings:
        strings.append(text)
    return strings.index(text)

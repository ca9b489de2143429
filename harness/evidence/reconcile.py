"""Arrivals against samples, by request id: what arrived twice, unasked or never, and which POSTs were applied.

Everything is one sort and a few searches over arrays: a million requests take about a second.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from harness.evidence.arrivals import FACT, Arrivals, Facts
from harness.evidence.matching import Sources, owners_of
from harness.evidence.samples import FAILED, METHODS, OK, UNKNOWN, UNSENT
from harness.evidence.timeline import Timeline

SHOWN: Final = 3
"""Ids told of each kind of contradiction."""
YES: Final = 1
NO: Final = 0
UNTOLD: Final = -1

Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Reconciled:
    """What the records say of the samples. Counts are requests unless told otherwise.

    Args:
        issued: attempts on the wire, by the samples.
        arrived: how many of them arrived at least once.
        failed_elsewhere: failed, and never arrived (refused, answered by a proxy).
        unknown_elsewhere: unknown, and never arrived.
        twice: arrivals beyond the first of a request: somebody sent it again.
        unasked: arrivals under our tag of what was never sent, by the samples.
        unheard: answered ok by a pod whose record goes on and lacks it: the answer came from somewhere else.
        posts_ok: POSTs that were answered ok.
        posts_applied: POSTs that were applied, whatever their outcome.
        posts_twice: applications beyond the first of a POST.
        posts_lost: POSTs answered 2xx that arrived and were never applied.
        unknown_applied: POSTs of unknown outcome that were applied.
        unknown_not_applied: that were not, by records that are whole.
        unknown_untold: of which the records can't tell.
        applied: YES, NO or UNTOLD for each sample of the timeline; says something of POSTs only.
        told: of each contradiction, the first ids and where they arrived.
        faults: why the records can't vouch for everything; empty if they do.

    """

    issued: int
    arrived: int
    failed_elsewhere: int
    unknown_elsewhere: int
    twice: int
    unasked: int
    unheard: int
    posts_ok: int
    posts_applied: int
    posts_twice: int
    posts_lost: int
    unknown_applied: int
    unknown_not_applied: int
    unknown_untold: int
    applied: npt.NDArray[np.int8] = field(compare=False, repr=False)
    told: dict[str, tuple[str, ...]]
    faults: tuple[str, ...]

    @property
    def contradictions(self) -> int:
        """What can't be in an honest run."""
        return self.twice + self.unasked + self.unheard + self.posts_twice + self.posts_lost

    def to_dict(self) -> dict[str, Any]:
        """As in verdict.json."""
        return {
            "issued": self.issued,
            "arrived": self.arrived,
            "never_arrived": {
                "ok": self.issued - self.arrived - self.failed_elsewhere - self.unknown_elsewhere,
                "failed": self.failed_elsewhere,
                "unknown": self.unknown_elsewhere,
            },
            "twice": self.twice,
            "unasked": self.unasked,
            "unheard": self.unheard,
            "posts": {
                "ok": self.posts_ok,
                "applied": self.posts_applied,
                "twice": self.posts_twice,
                "lost": self.posts_lost,
                "unknown": {
                    "applied": self.unknown_applied,
                    "not_applied": self.unknown_not_applied,
                    "untold": self.unknown_untold,
                },
            },
        }


def reconcile(timeline: Timeline, arrivals: Arrivals) -> Reconciled:
    """Matches every arrival with its request."""
    return _Matching(timeline, arrivals).result()


class _Matching:
    """The columns that all questions share. "Owner" is a fact's sample, by index; -1 where nobody sent it."""

    def __init__(self, timeline: Timeline, arrivals: Arrivals) -> None:
        self.timeline = timeline
        self.samples = samples = timeline.samples
        self.records = records = sorted(arrivals.records, key=lambda record: record.pod)
        self.pods = sorted({record.pod for record in records})
        self.classes = {spec.code: spec.name for spec in timeline.classes}
        index = {pod: number for number, pod in enumerate(self.pods)}
        self.last = np.zeros(len(self.pods), np.int64)
        self.whole = np.ones(len(self.pods), np.bool_)
        for record in records:
            number = index[record.pod]
            self.last[number] = max(self.last[number], record.last_ns)
            self.whole[number] &= not record.faults
        # who answered, as an index into pods; -1: a pod without a record
        texts = np.asarray([*(index.get(text, -1) for text in timeline.strings), -1], np.int64)
        self.answerer = texts[np.minimum(samples["pod"], len(texts) - 1)]
        self.sources = Sources(samples)
        self.arrived, self.arrived_at = self._facts([record.arrived for record in records], index)
        self.applied, _ = self._facts([record.applied for record in records], index)
        keys = self.sources.keys_of_samples(samples)
        self.arrived_owner = owners_of(self.sources.keys_of(self.arrived), keys)
        self.applied_owner = owners_of(self.sources.keys_of(self.applied), keys)
        self.faults = [*arrivals.faults, *(fault for record in records for fault in record.faults)]

    def _facts(self, parts: list[Facts], index: dict[str, int]) -> tuple[Facts, Ints]:
        where = [np.full(len(part), index[one.pod]) for part, one in zip(parts, self.records, strict=True)]
        return np.concatenate([np.zeros(0, FACT), *parts]), np.concatenate([np.zeros(0, np.int64), *where])

    def result(self) -> Reconciled:
        samples = self.samples
        outcome = samples["outcome"]
        issued = outcome != UNSENT
        # A failure without a status never reached the wire: refused, no connection, not a byte taken by the kernel.
        sent = issued & ~((outcome == FAILED) & (samples["status"] == 0))
        arrivals, applications = self._counts(self.arrived_owner), self._counts(self.applied_owner)
        there = sent & (arrivals > 0)
        undecided = self._undecided()
        heard = self._heard(there)
        ok = outcome == OK
        unheard, beyond = ok & ~heard & ~undecided, ok & ~heard & undecided
        post = samples["method"] == METHODS.index("POST")
        promised = post & ok & heard & (samples["status"] // 100 == 2) & (applications == 0)
        open_ended = promised & undecided
        self._tell_faults(beyond | open_ended, int(np.count_nonzero((applications > 0) & (arrivals == 0))))
        unasked, strangers = self._unasked(sent)
        repeated = np.flatnonzero(there & (arrivals > 1))
        again = np.flatnonzero(applications > 1)
        lost = np.flatnonzero(promised & ~undecided)
        applied = np.where(applications > 0, YES, UNTOLD if self.faults else NO).astype(np.int8)
        unknown = applied[post & (outcome == UNKNOWN)]
        elsewhere = issued & ~there
        return Reconciled(
            issued=int(np.count_nonzero(issued)),
            arrived=int(np.count_nonzero(issued & there)),
            failed_elsewhere=int(np.count_nonzero(elsewhere & (outcome == FAILED))),
            unknown_elsewhere=int(np.count_nonzero(elsewhere & (outcome == UNKNOWN))),
            twice=int((arrivals[repeated] - 1).sum()),
            unasked=unasked,
            unheard=int(np.count_nonzero(unheard)),
            posts_ok=int(np.count_nonzero(post & ok)),
            posts_applied=int(np.count_nonzero(post & (applications > 0))),
            posts_twice=int((applications[again] - 1).sum()),
            posts_lost=len(lost),
            unknown_applied=int(np.count_nonzero(unknown == YES)),
            unknown_not_applied=int(np.count_nonzero(unknown == NO)),
            unknown_untold=int(np.count_nonzero(unknown == UNTOLD)),
            applied=applied,
            told={
                "twice": tuple(self._twice(int(one)) for one in repeated[:SHOWN]),
                "unasked": strangers,
                "unheard": tuple(self._elsewhere(int(one)) for one in np.flatnonzero(unheard)[:SHOWN]),
                "posts_twice": tuple(self._name(int(one)) for one in again[:SHOWN]),
                "posts_lost": tuple(self._name(int(one)) for one in lost[:SHOWN]),
            },
            faults=tuple(self.faults),
        )

    def _counts(self, owners: Ints) -> Ints:
        return np.bincount(owners[owners >= 0], minlength=len(self.samples)).astype(np.int64)

    def _heard(self, there: Mask) -> Mask:
        """The pod that answered has the arrival; where an answer doesn't tell its pod, any pod has."""
        known = self.arrived_owner >= 0
        own, where = self.arrived_owner[known], self.arrived_at[known]
        by_itself = np.zeros(len(self.samples), np.bool_)
        by_itself[own[self.answerer[own] == where]] = True
        return np.asarray(np.where(self.samples["pod"] == 0, there, by_itself))

    def _undecided(self) -> Mask:
        """Whose answer came when a record that should have it isn't known to go on: it may simply end too early."""
        if not len(self.pods):
            return np.ones(len(self.samples), np.bool_)
        told = self.answerer >= 0
        last, whole = self.last[self.answerer], self.whole[self.answerer]
        anonymous = (self.samples["pod"] == 0) & self.whole.all() & (self.samples["end"] < self.last.min())
        return np.asarray(~np.where(told, whole & (self.samples["end"] < last), anonymous))

    def _tell_faults(self, beyond: Mask, holes: int) -> None:
        """What the records lack, as far as the samples and the events show it."""
        timeline = self.timeline
        used = np.unique(self.samples["pod"]).tolist()
        served = {str(pod) for event in timeline.named("pods.entered") for pod in event.fields.get("pods") or ()}
        served |= {timeline.string(key) for key in used if key}
        without = sorted(served - set(self.pods))
        self.faults += [f"there is no record of {', '.join(without)}"] if without else []
        intact = {pod for pod, whole in zip(self.pods, self.whole, strict=True) if whole}
        for key in np.unique(self.samples["pod"][beyond]).tolist():
            pod, count = timeline.string(key), int(np.count_nonzero(beyond & (self.samples["pod"] == key)))
            if pod in intact:
                self.faults.append(f"the record of {pod} ends before its last {count} answers")
            elif not self.faults:
                self.faults.append(f"the records may lack the last {count} answers, which don't tell their pods")
        self.faults += [f"{holes} POSTs were applied and hadn't arrived"] if holes else []
        self.faults += ["two loads ran at once under one tag"] if self.sources.overlap else []

    def _unasked(self, sent: Mask) -> tuple[int, tuple[str, ...]]:
        """How many arrivals nobody had sent, and the first of their ids."""
        strange = [one for record in self.records for one in record.strange]
        owned = np.append(sent, False)  # an owner of -1 is the last one
        nobodys = self.arrived[~owned[self.arrived_owner]]
        orphans = self.applied[~owned[self.applied_owner]]
        # applied without a line of its arrival: still one that nobody had sent
        orphans = orphans[~np.isin(self.sources.keys_of(orphans), self.sources.keys_of(nobodys))]
        ids = [self._id(one) for one in (*nobodys[:SHOWN], *orphans[:SHOWN])]
        return len(strange) + len(nobodys) + len(orphans), tuple([*strange[:SHOWN], *ids][:SHOWN])

    def _name(self, owner: int) -> str:
        return self._id(self.samples[owner])

    def _id(self, one: np.void) -> str:
        """Class and number, without the run's tag."""
        return f"{self.classes.get(int(one['cls']), '?')}-{int(one['seq'])}"

    def _twice(self, owner: int) -> str:
        mine = np.flatnonzero(self.arrived_owner == owner)
        mine = mine[np.lexsort((self.arrived_at[mine], self.arrived["t"][mine]))]
        first, last = self.arrived["t"][mine[[0, -1]]]
        places = " and ".join(self.pods[int(self.arrived_at[one])] for one in mine)
        return f"{self._name(owner)} at {places} within {(last - first) / 1e6:.1f} ms"

    def _elsewhere(self, owner: int) -> str:
        places = sorted({self.pods[int(one)] for one in self.arrived_at[self.arrived_owner == owner]})
        who = self.timeline.string(int(self.samples["pod"][owner])) or "somebody"
        return f"{self._name(owner)} answered by {who}, arrived {'at ' + ', '.join(places) if places else 'nowhere'}"

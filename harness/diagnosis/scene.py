"""What a timeline tells about a release that went wrong, looked up once for all rules.

Events of what was broken on purpose are left out: a diagnosis has to find causes by their traces alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from harness.diagnosis.lint import Facts
from harness.diagnosis.lives import Life, lives
from harness.evidence.losses import all_judged, answered_mask
from harness.evidence.milestones import FRESH
from harness.evidence.samples import ERRORS, OK, Samples
from harness.evidence.timeline import SECOND, Event, Move, Timeline

TOLD_ON_PURPOSE = ("fault.", "procedure.", "promise.", "mutant.")
LATE_S = 0.9
"""As the promise answered_within."""
DESCRIBED = ("side", "service", "policy", "budget", "ingress")
NO_ANSWER = ("connect_refused", "connect_timeout", "connect_reset", "unreachable")
"""Nobody took the connection."""
CUT = ("idle_reset", "idle_closed", "reset", "closed", "truncated")
"""A connection that had been taken ended before its answer did."""


@dataclass(frozen=True)
class Refusal:
    """One stage that didn't let a release through."""

    stage: str
    reason: str
    t: int


class Scene:
    """One failed scenario.

    Args:
        timeline: its record.
        failed: names of the checks that failed.

    """

    def __init__(self, timeline: Timeline, failed: frozenset[str]) -> None:
        kept = tuple(one for one in timeline.events if not one.name.startswith(TOLD_ON_PURPOSE))
        self.timeline = replace(timeline, events=kept)
        self.failed = failed

    # -- the sides ----------------------------------------------------------------------------------------------------

    @cached_property
    def move(self) -> Move | None:
        """The first cutover that was sent under load."""
        return next((move for move in self.timeline.flips() if move.move == "cutover"), None)

    @cached_property
    def old(self) -> str:
        """The side that users were on at first."""
        installed = self.timeline.first("install.ready")
        known = str(installed.fields.get("side") or "") if installed else ""
        return known or (self.move.from_side if self.move else "")

    @cached_property
    def new(self) -> str:
        """The other side; where not even the first version came up, the side of its pods."""
        if self.refused("install"):
            return next((life.side for life in self.lives), "")
        return next((side for side in self.all_facts.sides if side != self.old), self.move.to_side if self.move else "")

    @cached_property
    def revisions(self) -> tuple[str, str]:
        """The version that users were on at first, and the one that was released."""
        installed, deployed = self.timeline.first("install.ready"), self.timeline.named("deploy.started")
        old = str(installed.fields.get("version") or "") if installed else ""
        new = str(deployed[0].fields.get("version") or "") if deployed else ""
        return old or (self.move.from_revision if self.move else ""), new or (
            self.move.to_revision if self.move else ""
        )

    @cached_property
    def all_facts(self) -> Facts:
        """Everything that was described, the newest of each object."""
        return self._facts(None)

    @cached_property
    def facts(self) -> Facts:
        """What was described before users were moved; else everything."""
        return self._facts(self.moved_ns)

    def _facts(self, before_ns: int | None) -> Facts:
        names = [f"{name}.described" for name in DESCRIBED]
        told = [one for one in self.timeline.named(*names) if before_ns is None or one.t <= before_ns]
        return Facts.of([(one.name, one.fields) for one in told])

    @property
    def here(self) -> Mapping[str, Any]:
        """The new side's facts; empty where they aren't known."""
        return self.facts.side(self.new)

    @property
    def there(self) -> Mapping[str, Any]:
        """The old side's facts; empty where they aren't known."""
        return self.facts.side(self.old)

    @cached_property
    def lives(self) -> tuple[Life, ...]:
        """The pods, as they lived and died."""
        return lives(self.timeline)

    def pods(self, side: str) -> tuple[Life, ...]:
        """The pods of one side."""
        return tuple(life for life in self.lives if life.side == side)

    def size(self, side: str) -> int | None:
        """How many pods a side was last seen to want when users were moved, or at the end where they never were."""
        until = self.moved_ns + SECOND if self.moved_ns is not None else self.timeline.end_ns
        seen = [
            one.fields["replicas"]
            for one in self.timeline.named("pods.observed")
            if one.fields.get("side") == side and "replicas" in one.fields and one.t <= until
        ]
        return int(seen[-1]) if seen else self.facts.side(side).get("replicas")

    def shrunk(self, side: str) -> int | None:
        """To how many pods a side was scaled once users had been moved; None where it kept its size."""
        for one in self.timeline.named("pods.observed"):
            there = one.fields.get("side") == side and one.fields.get("exists", True) and "replicas" in one.fields
            if there and self.moved_ns is not None and one.t >= self.moved_ns:
                replicas = int(one.fields["replicas"])
                if replicas < int(one.fields.get("wanted") or 0):
                    return replicas
        return None

    # -- the switch ---------------------------------------------------------------------------------------------------

    @cached_property
    def selections(self) -> tuple[Event, ...]:
        """Observations of the Service's selector, each that differs from the one before."""
        kept: list[Event] = []
        for one in self.timeline.named("selector.observed"):
            if not kept or one.fields.get("selector", one.fields.get("value")) != kept[-1].fields.get(
                "selector", kept[-1].fields.get("value")
            ):
                kept.append(one)
        return tuple(kept)

    @cached_property
    def moved_ns(self) -> int | None:
        """When users were first pointed at the new side, by whomever; None where they never were."""
        by_hand = [one.t for one in self.selections if self.new and one.fields.get("value") == self.new]
        sent = self.move.sent_ns if self.move else None
        known = [t for t in (*by_hand[:1], sent) if t is not None]
        return min(known) if known else None

    @cached_property
    def slices(self) -> tuple[Event, ...]:
        """What the Service's endpoints were after users had been moved."""
        return tuple(one for one in self.timeline.named("slice.changed") if one.t >= (self.moved_ns or 0))

    @cached_property
    def refusals(self) -> tuple[Refusal, ...]:
        """What was refused, in order."""
        found = []
        for one in self.timeline.events:
            stage, _, verb = one.name.partition(".")
            if verb in ("refused", "failed") and stage in ("deploy", "smoke", "cutover", "retire"):
                reason = str(one.fields.get("reason") or one.fields.get("detail") or "")
                found.append(Refusal(stage, reason, one.t))
        raised = self.timeline.first("scenario.raised")
        if raised is not None and not self.timeline.first("install.ready"):
            found.append(Refusal("install", str(raised.fields.get("error") or ""), raised.t))
        return tuple(found)

    def refused(self, *stages: str) -> str:
        """Why the first of these stages was refused; "" where none was."""
        return next((one.reason or "no reason given" for one in self.refusals if one.stage in stages), "")

    @cached_property
    def warnings(self) -> tuple[str, ...]:
        """What the cluster warned of, as reason: message."""
        told = self.timeline.named("cluster.warned")
        return tuple(f"{one.fields.get('reason')}: {one.fields.get('message')}" for one in told)

    @cached_property
    def static(self) -> Mapping[str, str]:
        """Faults that a cutover was refused for by the objects, text by id."""
        refused = self.refused("cutover")
        found: dict[str, str] = {}
        for one in self.timeline.named("static.checked"):
            for fault in one.fields.get("faults") or ():
                if fault.get("refuses") and f"({fault['id']})" in refused:
                    found[str(fault["id"])] = str(fault["text"])
        return found

    # -- requests -----------------------------------------------------------------------------------------------------

    @cached_property
    def lost(self) -> Samples:
        """Lost requests that count, by their intended time."""
        kept = self.timeline.samples[all_judged(self.timeline)]
        return kept[np.argsort(kept["intended"], kind="stable")]

    @cached_property
    def late(self) -> Samples:
        """Requests that were answered well and late; slow ones are meant to take long."""
        samples = self.timeline.samples
        slow = [spec.code for spec in self.timeline.classes if spec.name == "slow"]
        took = samples["end"] - samples["intended"]
        kept: Samples = samples[(samples["outcome"] == OK) & (took > LATE_S * SECOND) & ~np.isin(samples["cls"], slow)]
        return kept

    @cached_property
    def answered(self) -> Samples:
        """Requests that tell who answered."""
        return self.timeline.samples[answered_mask(self.timeline.samples)]

    @cached_property
    def errors(self) -> Counter[str]:
        """How often each error occurs among the lost requests."""
        return Counter(ERRORS[code] if code < len(ERRORS) else "?" for code in self.lost["error"].tolist())

    def errors_of(self, samples: Samples) -> Counter[str]:
        """How often each error occurs among some requests."""
        return Counter(ERRORS[code] if code < len(ERRORS) else "?" for code in samples["error"].tolist())

    @cached_property
    def wrong(self) -> Samples:
        """Lost requests that the application answered with an error; not what pods say while they end."""
        kept = self.lost[np.isin(self.lost["error"], [ERRORS.index("app_5xx"), ERRORS.index("unexpected_status")])]
        ending = np.zeros(len(kept), bool)
        for life in self.lives:
            if life.stopping_ns is not None:
                ending |= (kept["pod"] == self.timeline.id_of(life.pod)) & (kept["end"] >= life.stopping_ns)
        return kept[~ending]

    @cached_property
    def no_answer(self) -> int:
        """Lost requests whose connection nobody took."""
        return sum(self.errors[name] for name in NO_ANSWER)

    @cached_property
    def cut(self) -> int:
        """Lost requests whose connection ended under them."""
        return sum(self.errors[name] for name in CUT)

    @cached_property
    def fresh_after(self) -> Samples:
        """Requests on new connections, sent after users had been moved."""
        fresh = self.timeline.of_class(FRESH)
        return fresh[fresh["sent"] > (self.moved_ns if self.moved_ns is not None else 2**62)]

    @cached_property
    def lost_before_move(self) -> int:
        """Lost requests that were over before users were moved (all of them where they never were)."""
        return int(np.count_nonzero(self.lost["end"] < (self.moved_ns if self.moved_ns is not None else 2**62)))

    def answers_of(self, samples: Samples) -> Counter[str]:
        """How many of some requests each revision answered."""
        kept = samples[answered_mask(samples)]
        ids, counts = np.unique(kept["revision"], return_counts=True)
        return Counter({self.timeline.string(i): n for i, n in zip(ids.tolist(), counts.tolist(), strict=True)})

    @cached_property
    def new_answers(self) -> int:
        """Answers on new connections by the released version, after users had been moved to it."""
        return self.answers_of(self.fresh_after)[self.revisions[1]]

    @cached_property
    def total_s(self) -> float:
        """The longest span in seconds in which every new connection was lost or late, once users had been moved."""
        longest, begun, last = 0, 0, 0
        for one in self.fresh_after:
            bad = one["outcome"] != OK or one["end"] - one["intended"] > LATE_S * SECOND
            begun = 0 if not bad else begun or int(one["intended"])
            last = int(one["intended"])
            longest = max(longest, last - begun if begun else 0)
        return longest / SECOND

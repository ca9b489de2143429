"""One running scenario: its folder and record, judged once from what is on disk."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from harness.checks.caught import explained
from harness.checks.finding import Finding
from harness.checks.promise import Promise
from harness.checks.registry import judge
from harness.checks.verdict import overall
from harness.cluster import answered, arrivals, proxy_log
from harness.cluster.kube import Kube
from harness.config import Config
from harness.errors import ReleaseError
from harness.evidence.losses import all_judged, lost_mask
from harness.evidence.store import read
from harness.evidence.summary import scenario_record
from harness.journal import Journal
from harness.mutants import score
from harness.release.changed import Change
from harness.report.terminal import failure_text
from harness.run import Inconclusive, RunState

WATCH_LOST_SHARE = 0.01
"""Share of the samples since the watch began that may be lost before the watch rolls back."""
WATCH_SAMPLES = 50
"""Samples before a breach is looked for: a share of a handful says nothing."""


@dataclass
class Scenario:
    """What a scenario's fixtures share: identity, record, and the judgement at the end.

    Args:
        node_id: pytest's id.
        folder: this attempt's evidence.
        journal: open record in ``folder``.
        config: the application's configuration.
        path: "service" or "ingress".
        promises: as declared, with placeholders resolved.
        run: where the record goes.
        started: monotonic seconds.
        changes: to the manifests, as the scenario's marker says.
        at_end: called, last in first out, before the record is judged: observers stop, final facts are read.
        static: a cutover may be refused for what the cluster's objects show.

    """

    node_id: str
    folder: Path
    journal: Journal
    config: Config
    path: str
    promises: Sequence[Promise]
    run: RunState
    started: float
    changes: Sequence[Change] = ()
    at_end: list[Callable[[], None]] = field(default_factory=list)
    static: bool = True

    failed: bool = False
    namespace: str = ""

    @property
    def run_tag(self) -> str:
        """Prefix of this attempt's request ids: unique, and fit for a header."""
        return hashlib.sha256(str(self.folder).encode()).hexdigest()[:12]

    @property
    def expect(self) -> str:
        """What the promises amount to: no_loss, refused, loses, or bounded."""
        checks = {promise.check for promise in self.promises}
        # A twin promises losses only where its promise is about losses: a budget holds for all others.
        checks |= {f"red {promise.params.get('of')}" for promise in self.promises if promise.check == "red"}
        loses = [(name, "loses") for name in ("loses", "red nothing_lost", "red answered_within", "red slo")]
        for check, word in (*loses, ("refused", "refused"), ("nothing_lost", "no_loss")):
            if check in checks:
                return word
        return "bounded"

    def breached(self) -> Finding | None:
        """What the watch may ask at any time: too many requests lost since it began, by the record so far."""
        timeline = read(self.folder)
        began = [event.t for event in timeline.named("watch.started")]
        if not began:
            return None
        # just after a rollback some nodes still lead to the side that users are taken away from
        back = [move.sent_ns for move in timeline.moves() if move.move == "rollback" and move.sent_ns]
        settles = round(self.config.limits.cutover_seconds * 1e9)
        start = max([began[-1], *(sent + settles for sent in back)])
        samples = timeline.samples
        since = samples["intended"] >= start
        count, lost = int(since.sum()), int((all_judged(timeline) & since).sum())
        if count < WATCH_SAMPLES or lost <= WATCH_LOST_SHARE * count:
            return None
        detail = f"{lost} of {count} requests lost since the watch began"
        return Finding("watch", "fail", lost / count, WATCH_LOST_SHARE, "share", detail)

    def keep_arrivals(self, ledger: Path | None, namespace: str) -> None:
        """Make what the application wrote down part of the record, or say why there is nothing.

        Args:
            ledger: the host's folder with one folder per namespace, or None where the cluster has none.
            namespace: the scenario's.

        """
        if self.config.ledger is None:
            self.journal.event("arrivals.unkept", reason=f"{self.config.app.name} keeps no record")
        elif ledger is None:
            self.journal.event("arrivals.unkept", reason="the cluster has no folder for records")
        else:
            arrivals.keep(ledger / namespace, self.folder, self.journal)

    def keep_proxy_log(self, kube: Kube) -> None:
        """Make what the ingress proxy says of lost requests part of the record, where any was lost.

        Args:
            kube: of a cluster whose ingress is ours.

        """
        if self.path == "ingress" and lost_mask(read(self.folder).samples).any():
            proxy_log.keep(kube, self.run_tag, self.journal)

    def keep_answers(self, kube: Kube) -> None:
        """Make what the ingress proxy says of who answered part of the record, where there was load.

        Args:
            kube: of a cluster whose ingress is ours.

        """
        if self.loaded:
            samples = read(self.folder).samples
            answered.keep(kube, self.folder, self.run_tag, int((samples["sent"] > 0).sum()), self.journal)

    @property
    def loaded(self) -> bool:
        """True once users were there: from then on there is something to judge."""
        return read(self.folder).first("load.started") is not None

    def conclude(self, raised: BaseException | None) -> None:
        """End the record, judge it, keep the result, and raise once if the verdict isn't a pass.

        Args:
            raised: the release's error that ended the body, if any.

        Raises:
            pytest.fail.Exception: the verdict is fail.
            Inconclusive: the verdict is inconclusive.

        """
        self.failed = True  # until it is judged
        if raised is not None:
            self.journal.event("scenario.raised", error=str(raised))
        if broken := self._end():
            first, *others = broken
            _note(first, others)
            if raised is not None:
                first.add_note(f"  before that the scenario had ended with: {raised}")
            raise first
        timeline = read(self.folder)
        findings = list(judge(timeline, self.promises))
        verdict = overall(findings)
        self.failed = verdict != "pass"
        record = {
            **scenario_record(
                timeline,
                findings,
                scenario_id=self.node_id,
                diagnosis=explained(timeline, self.promises, findings),
            ),
            **score.entry(timeline, verdict, time.monotonic() - self.started),
            "verdict": verdict,
            "seconds": round(time.monotonic() - self.started, 1),
            "evidence": str(self.folder),
        }
        self.run.add(self.node_id, record)
        repeat = self.run.repeat(self.node_id)
        if verdict == "fail":
            error = pytest.fail.Exception(failure_text(record, timeline, repeat), pytrace=False)
            raise error from (raised if isinstance(raised, ReleaseError) else None)
        if verdict == "inconclusive":
            raise Inconclusive(failure_text(record, timeline, repeat))

    def abandon(self, error: Exception) -> None:
        """The harness broke: keep the evidence, judge nothing."""
        self.failed = True
        self.journal.event("scenario.broke", error=str(error))
        _note(error, self._end())  # the error that is being raised is the one to read

    def _end(self) -> list[Exception]:
        """End everything and the record, whatever breaks on the way; returns what did, in order."""
        broken: list[Exception] = []
        while self.at_end:
            try:
                self.at_end.pop()()
            except Exception as error:  # the others must still end
                broken.append(error)
        self.journal.event("scenario.finished")
        return broken


def _note(error: Exception, others: Sequence[Exception]) -> None:
    for other in others:
        error.add_note(f"  after that: {str(other) or type(other).__name__}")


def resolve(promise: Promise, config: Config) -> Promise:
    """``promise`` with a scenario's words for versions replaced by the configuration's versions."""

    def one(value: Any) -> Any:
        return config.version(value) if isinstance(value, str) else value

    return Promise(promise.check, {key: one(value) for key, value in promise.params.items()})

"""The report of a run that was judged again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.checks.finding import INCONCLUSIVE, Finding, Verdict, worst
from harness.checks.verdict import overall
from harness.evidence.summary import scenario_record
from harness.evidence.timeline import Timeline
from harness.recheck import Limits
from harness.report import files

OTHER = "recheck.html"
"""Where other limits than the run's own were used, or only a part was judged: the run's own report stays."""


class Rechecked:
    """Collects the records of one run as `harness.recheck.recheck` judges them, and writes the page.

    Args:
        folder: what is judged: a run's folder or a scenario's.
        limits: by which.

    """

    def __init__(self, folder: Path, limits: Limits) -> None:
        self._folder = folder
        self._limits = limits
        self._runs: set[Path] = set()
        self._records: dict[str, dict[str, Any]] = {}
        self._told: dict[Path, Mapping[str, Any]] = {}

    def see(self, record: Path, timeline: Timeline, findings: tuple[Finding, ...]) -> None:
        """Take one record's findings; a later attempt at a scenario takes the place of an inconclusive one."""
        run = record.resolve().parent
        self._runs.add(run)
        before = self._stored(run, record)
        made = scenario_record(timeline, findings)
        name = str(before.get("id") or made["id"] or record.name)
        verdict = overall(findings)
        earlier = self._records.get(name)
        attempts = [*(earlier["attempts"] if earlier else []), {"verdict": verdict, "evidence": str(record)}]
        if earlier and earlier["verdict"] != INCONCLUSIVE:
            verdict = worst([earlier["verdict"], verdict])
        # What the findings don't decide is as it was told then: how long it took, what was not proven.
        kept = {key: before[key] for key in ("seconds", "sockets") if before.get(key)}
        if self._own:
            kept |= {key: before[key] for key in ("diagnosis",) if before.get(key)}
        self._records[name] = made | kept | {"id": name, "verdict": verdict, "evidence": str(record.resolve())}
        self._records[name]["attempts"] = attempts

    def write(self, verdict: Verdict) -> Path | None:
        """Write the page of the run; None where several runs were judged, or where it couldn't be written."""
        if len(self._runs) != 1:
            return None
        (run,) = self._runs
        told = self._document(run)
        document = {**told, "verdict": verdict, "scenarios": list(self._records.values())}
        document.setdefault("run", run.name)
        if self._own and self._folder.resolve() == run:
            return files.write_report(run, document)
        return files.write_report(run, document, name=OTHER, note=self._note(told))

    @property
    def _own(self) -> bool:
        return self._limits == Limits()

    def _note(self, told: Mapping[str, Any]) -> str:
        limits, said = self._limits, []
        if limits.level:
            said.append(f"level {limits.level}")
        if limits.slo is not None:
            said.append(f"objective {100 * limits.slo:.6g} %")
        said += [f"{one.check}.{one.param}={one.value}" for one in limits.limits]
        if limits.promises:
            said.append(f"promises {', '.join(promise.check for promise in limits.promises)}")
        by = f"by {'; '.join(said)}" if said else "in part"
        return f"Judged again {by}. The run's own verdict was: {told.get('verdict', 'not told')}."

    def _stored(self, run: Path, record: Path) -> Mapping[str, Any]:
        """The scenario's element of the run's verdict.json, where there is one."""
        for one in self._document(run).get("scenarios") or ():
            if Path(str(one.get("evidence") or "")).name == record.name:
                return dict(one)
        return {}

    def _document(self, run: Path) -> Mapping[str, Any]:
        if run not in self._told:
            try:
                told = json.loads((run / "verdict.json").read_text())
            except (OSError, ValueError):  # a run that was killed has none
                told = {}
            self._told[run] = told if isinstance(told, dict) else {}
        return self._told[run]

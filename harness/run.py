"""The state of one pytest run: its folder, the scenarios' records, what broke, the clock."""

from __future__ import annotations

import shlex
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness import options
from harness.files import write_atomically
from harness.mutants import score
from harness.report import junit, metrics, switches
from harness.report.artifacts import Run, verdict_document

if TYPE_CHECKING:
    from harness.instrument import Instrument
    from harness.scenario import Scenario


class Inconclusive(Exception):
    """The evidence doesn't suffice for a verdict."""


class RunState:
    """Collects what the verdict is made of; owned by the plugin, written by it at the end.

    Args:
        config: pytest's configuration.

    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._run: Run | None = None
        self._started = time.monotonic()
        self._junit: Path | None = None
        self._attempts: dict[str, int] = {}
        self._others: dict[str, bool] = {}
        self.scenarios: dict[str, dict[str, Any]] = {}
        self.skipped: dict[str, str] = {}
        self.errors: dict[str, str] = {}
        self.mutants: dict[str, str] = {}
        self.raised: list[BaseException | None] = []
        self.environment: dict[str, Any] = {}
        self.instrument: Instrument | None = None
        self.timed_out = False
        self.notes: list[str] = []
        self._running = ""

    @property
    def run(self) -> Run:
        """The run's folder, made when the first scenario needs it."""
        if self._run is None:
            root = Path(self._config.getoption("--bg-artifacts"))
            root = root if root.is_absolute() else self._config.rootpath / root
            self._run = Run(root, self._config.getoption("--bg-keep-runs"))
        return self._run

    def record_junit(self) -> None:
        """Have junit.xml written into the run's folder, unless the user has one written elsewhere."""
        self._junit = junit.record(self._config, self.folder)

    @property
    def folder(self) -> Path:
        """Where the evidence is."""
        return self.run.folder

    @property
    def began(self) -> bool:
        """True if there is anything to tell about a scenario."""
        return bool(self.scenarios or self.skipped or self.errors)

    @property
    def time_limit(self) -> float:
        """Wall-clock limit in seconds."""
        return float(self._config.getoption("--bg-time-limit"))

    @property
    def others_failed(self) -> bool:
        """True if a test that is no scenario failed, or a file couldn't be collected."""
        return any(self._others.values())

    def other_failed(self, what: str, *, failed: bool) -> None:
        """Note how a phase of a plain test ended; the last word counts, for plugins that try such tests again."""
        self._others[what] = failed

    def repeat(self, node_id: str) -> str:
        """The command that runs one scenario again, where and as it ran."""
        arguments = [str(one) for one in self._config.invocation_params.args]
        return shlex.join(["pytest", node_id, *options.repeating(arguments, self._config._parser)])

    def attempt(self, node_id: str) -> int:
        """1 for the first attempt of a scenario, 2 for its repetition."""
        return self._attempts.get(node_id, 0) + 1

    def again(self, node_id: str) -> None:
        """The scenario's attempt is over and another one follows."""
        self._attempts[node_id] = self.attempt(node_id)

    def begin(self, node_id: str) -> None:
        """A scenario's record begins; it ends by `add` or `broke`."""
        self._running = node_id

    def add(self, node_id: str, record: Mapping[str, Any]) -> None:
        """Keep the record of a judged scenario; an earlier attempt's stays inside ``attempts``."""
        self._running = ""
        fresh = dict(record)
        earlier = self.scenarios.get(node_id)
        short = {"verdict": fresh["verdict"], "evidence": fresh.get("evidence", "")}
        fresh["attempts"] = [*(earlier["attempts"] if earlier else []), short]
        self.scenarios[node_id] = fresh

    def broke(self, node_id: str, error: BaseException) -> None:
        """The harness broke while it ran ``node_id``; the scenario has no verdict."""
        self._running = ""
        # what broke first is what to read: the teardown of the same scenario often breaks for the same reason
        self.errors.setdefault(node_id, str(error).splitlines()[0] if str(error) else type(error).__name__)
        self.raised.append(error)

    def document(self) -> dict[str, Any]:
        """verdict.json as data."""
        config = self._config
        tier = config.getoption("-m") or config.getoption("--bg-tier")
        return verdict_document(
            self.run.id,
            tier,
            time.monotonic() - self._started,
            self.environment,
            self.instrument.record() if self.instrument else {"self_test": "skipped", "injected": 0, "reported": 0},
            list(self.scenarios.values()),
            [f"{node_id}: {text}" for node_id, text in self.errors.items()],
            [{"id": node_id, "reason": reason} for node_id, reason in self.skipped.items()],
        )

    def write(self, *, latest: bool) -> dict[str, Any]:
        """Write verdict.json and report.html; ``latest`` also moves artifacts/latest/ to them and to junit.xml."""
        document = self.document()
        self.run.write_verdict(document, latest=latest)
        from harness.report.files import write_report  # here: a pytest run without scenarios has no use for it

        if mutants := score.document(document["scenarios"], self._unjudged()):
            self.run.write_other("mutants.json", mutants, latest=latest)
        if self._config.getoption("--bg-switch"):
            self.run.write_other("switches.json", switches.document(document["scenarios"]), latest=latest)
        figures = self.folder / metrics.NAME
        write_atomically(figures, metrics.exposition(document))
        for path in (self._junit, figures):
            if latest and path is not None and path.exists():
                self.run.link_latest(path)
        write_report(self.run.folder, document, latest=latest)
        return document

    def _unjudged(self) -> list[str]:
        """Ids of mutants without a verdict: the harness broke, or the run ended before."""
        return [one for node_id, one in self.mutants.items() if node_id not in {**self.scenarios, **self.skipped}]

    def interrupted(self) -> None:
        """Somebody ended the run: the scenario that ran has evidence and no verdict."""
        if self._running:
            self.errors.setdefault(self._running, "interrupted, so it has no verdict")

    def out_of_time(self) -> None:
        """The wall-clock limit is over: whatever was judged so far isn't the whole."""
        self.timed_out = True
        self.errors["the run"] = f"did not end within {self.time_limit:.0f} s (--bg-time-limit)"
        self.raised.append(None)


RUN = pytest.StashKey[RunState]()
CURRENT: pytest.StashKey[Scenario] = pytest.StashKey()
"""In an item's stash while the item's scenario has its record open."""

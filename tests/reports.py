"""Runs on disk for the tests of the report, with all that a chart can show."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from harness.checks.promise import Promise
from harness.checks.registry import judge
from harness.checks.verdict import overall
from harness.evidence.samples import UNKNOWN
from harness.evidence.summary import scenario_record
from harness.evidence.timeline import Timeline
from harness.report.artifacts import verdict_document
from harness.words import nothing_lost, only
from tests.simulated import CODES, Down, Flip, World, changed, event, play, write

EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'&"
"""Text that must never become markup, wherever it stands."""
DIAGNOSIS = {
    "id": "evicted-at-flip",
    "symptom": "fresh connections were refused right after the switch",
    "cause": "a green pod was evicted 100 ms after users reached it",
    "mend": "add a preStop sleep",
}
MUTANTS = {
    "mutants": [
        {"id": "m3", "source": "M3", "caught_by": "nothing_lost", "expected": "fail", "got": "fail",
         "caught": True, "seconds": 31.2},
        {"id": "m5", "source": "M5", "caught_by": "", "expected": "fail", "got": "pass",
         "caught": False, "seconds": 29},
    ],
    "unjudged": ["m6", "m7"],
    "score": 0.25,
    "false_alarms": {"runs": 20, "alarms": 1},
}  # fmt: skip
SPREAD = {"median": 84, "max": 160}
SWITCHES = {
    "switches": {
        "selector": {
            "paths": {
                "service": {
                    "repeats": 10,
                    "lost": {"fresh": 3},
                    "first_new_ms": SPREAD,
                    "mixed_ms": {},
                    "rollback_first_ms": SPREAD,
                    "release_s": {"median": 9.1, "max": 11},
                }
            }
        }
    }
}


def faulty() -> Timeline:
    """An outage at the flip under a fault, one through a single node, a stall, unknown outcomes, a drain, a SIGTERM."""
    pods = [
        event(2.0, "pods.observed", side="green", ready=4, wanted=4),
        event(4.4, "pods.observed", side="green", ready=3, wanted=4),
        event(6.9, "pods.observed", side="green", ready=4, wanted=4),
    ]
    told = [
        event(-0.05, "slice.changed", addresses=4, ready=4, sides={"blue": 4, "green": 0}),
        event(3.0, "deploy.started", side="green", version="v2"),
        event(3.4, "deploy.ready", side="green", version="v2", ready=4, wanted=4),
        event(4.1, "fault.injected", kind="evict pod", target="green-0"),
        event(4.35, "fault.confirmed", kind="evict pod", target="green-0"),
        event(7.5, "fault.healed", kind="evict pod", target="green-0"),
        event(4.2, "drain.started", side="blue"),
        event(6.2, "drain.finished", side="blue"),
        event(6.3, "pod.changed", pod="blue-0", side="blue", stopping=True),
        event(6.4, "pod.changed", pod="blue-1", side="blue", stopping=True),
        event(7.0, "pod.gone", pod="blue-0", side="blue"),
    ]
    downs = (Down(4.3, 4.62), Down(6, 6.3, entry=1), Down(8, 8.4, stall=True))
    timeline = play(World(downs=downs, events=[*told, *pods]))
    busy = (timeline.samples["cls"] == CODES["busy"]) & (timeline.samples["outcome"] != 0)
    return changed(timeline, np.flatnonzero(busy), outcome=UNKNOWN, error=7)


def there_and_back() -> Timeline:
    """A cutover and a rollback, with nothing lost."""
    return play(World(seconds=20, flips=[Flip(4), Flip(12, "rollback", "v1")], slo=0.999))


def many(count: int = 12) -> Timeline:
    """Moves to and fro, three seconds apart, of which the fourth loses something."""
    moves = [
        Flip(3 + 3 * k, "rollback" if k % 2 else "cutover", "v1" if k % 2 else "v2", (0.2 + 0.01 * k, 0.3, 0.25))
        for k in range(count)
    ]
    return play(World(seconds=4 + 3 * count, flips=moves, downs=(Down(12.1, 12.3),)))


def run(root: Path, scenarios: Sequence[tuple[str, Timeline, dict[str, Any]]]) -> tuple[Path, dict[str, Any]]:
    """A run's folder with the scenarios' evidence and verdict.json, as the harness leaves them."""
    folder = root / "20261127-110000-aaaa"
    folder.mkdir(parents=True)
    records = []
    for name, timeline, more in scenarios:
        evidence = folder / name
        evidence.mkdir()
        write(evidence, timeline)
        promises: list[Promise] = [nothing_lost(), only("v2", classes=["fresh"], within=2.0)]
        findings = judge(timeline, promises)
        record = scenario_record(timeline, findings, scenario_id=f"scenarios/test_x.py::{name}[service]")
        record |= {"verdict": overall(findings), "seconds": 24.0, "evidence": str(evidence), **more}
        records.append(record)
    environment = {"kubernetes": "v1.36.3", "nodes": 3, "restricted": True, "setup_seconds": {"cluster": 30.3}}
    instrument = {"self_test": "pass", "injected": 90, "reported": 90}
    document = verdict_document(folder.name, "fast", 61.0, environment, instrument, records, [])
    (folder / "verdict.json").write_text(json.dumps(document))
    return folder, document

"""What a person reads, line by line."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.checks.registry import judge
from harness.checks.verdict import overall
from harness.evidence.samples import FLAG_RETRIABLE, UNKNOWN
from harness.evidence.summary import scenario_record
from harness.report.terminal import events_around_first_loss, failure_text, finding_line, scenario_line, summary
from harness.words import nothing_lost
from tests.simulated import CODES, Down, Flip, World, changed, event, having, play

REPEAT = "pytest 'scenarios/test_x.py::test_y[service]' --bg-strict"
CALM = play(World())
OUTAGE = play(World(downs=(Down(6.0, 6.2),)))


def record(timeline: Any, scenario: str = "scenarios/test_x.py::test_y[service]") -> dict[str, Any]:
    findings = judge(timeline, [nothing_lost()])
    made = scenario_record(timeline, findings, scenario_id=scenario)
    return {**made, "verdict": overall(findings), "evidence": "artifacts/run/x"}


class Reporter:
    """The part of pytest's terminal reporter that the summary uses."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.colors: dict[str, set[str]] = {}

    def write_sep(self, _sign: str, title: str, **_markup: bool) -> None:
        self.lines.append(title)

    def write_line(self, line: str, **markup: bool) -> None:
        self.lines.append(line)
        self.colors[line] = {name for name, on in markup.items() if on}


def document(*records: dict[str, Any], errors: tuple[str, ...] = (), verdict: str = "pass") -> dict[str, Any]:
    return {
        "verdict": verdict,
        "scenarios": list(records),
        "harness_errors": list(errors),
        "not_covered": ["DNS", "TLS"],
        "skipped": [],
    }


def shown(made: dict[str, Any], *arguments: str) -> Reporter:
    reporter = Reporter()
    summary(reporter, made, Path("artifacts/run"), arguments)
    return reporter


@pytest.mark.parametrize(
    ("measured", "limit", "text"),
    [
        (3, 0, "fail         nothing_lost       measured 3 requests, limit 0  three were lost"),
        (0.123456789, 0.5, "fail         nothing_lost       measured 0.123457 requests, limit 0.5  three were lost"),
        (None, 0, "fail         nothing_lost        three were lost"),
        (3, None, "fail         nothing_lost        three were lost"),
    ],
)
def test_a_finding_is_one_line(measured: float | None, limit: float | None, text: str) -> None:
    finding = {
        "check": "nothing_lost",
        "verdict": "fail",
        "measured": measured,
        "limit": limit,
        "unit": "requests",
        "detail": "three were lost",
    }
    assert finding_line(finding) == text


def test_a_failure_names_what_failed_and_what_happened_around_the_first_loss() -> None:
    lines = failure_text(record(OUTAGE), OUTAGE, REPEAT).splitlines()
    assert lines[0] == "FAIL: scenarios/test_x.py::test_y[service]"
    assert [line.split()[:2] for line in lines[1:2]] == [["fail", "nothing_lost"]]
    assert not any(line.strip().startswith("pass ") for line in lines)
    assert "  around the first lost request:" in lines
    assert any("+0.0 ms  first lost request sim-" in line for line in lines)
    assert any("ms  cutover.sent move=cutover" in line for line in lines)
    assert lines[-3] == "  evidence: artifacts/run/x"
    assert re.fullmatch(r"  follow it: bluegreen trace artifacts/run/x sim-[a-z]+-\d+", lines[-2])
    assert lines[-1] == f"  repeat: {REPEAT}"


def test_a_failure_names_the_classes_that_did_not_run() -> None:
    skipped = having(OUTAGE, event(-0.2, "class.skipped", cls="slow", reason="no [request.slow] in x.toml"))
    assert "  not covered here: slow: no [request.slow] in x.toml" in failure_text(record(skipped), skipped, REPEAT)


def test_without_a_loss_there_is_nothing_around_it() -> None:
    assert events_around_first_loss(CALM) == []
    assert "around" not in failure_text(record(CALM), CALM, REPEAT)


def test_only_what_is_near_the_first_loss_is_told_in_order_of_time() -> None:
    busy = having(OUTAGE, event(5.99, "near"), event(3.9, "far"), event(6.1, "pods.observed", side="blue"))
    lines = events_around_first_loss(busy)
    offsets = [float(line.split()[0]) for line in lines]
    assert offsets == sorted(offsets)
    assert all(abs(offset) <= 2000 for offset in offsets)
    names = [line.split()[2] for line in lines]
    assert "near" in names
    assert not {"far", "pods.observed"} & set(names)


def test_a_scenario_is_one_line_with_the_times_of_both_moves() -> None:
    both = play(World(flips=(Flip(4.0), Flip(8.0, move="rollback", to_revision="v1"))))
    line = scenario_line(record(both))
    assert line.startswith("pass         test_x.py::test_y[service]  0 lost of ")
    assert ", first new answer 3" in line
    assert ", back after 3" in line
    assert "first new answer" not in scenario_line(record(play(World(flips=()))))
    assert " lost of " in scenario_line(record(OUTAGE))
    assert "  0 lost of" not in scenario_line(record(OUTAGE))


def test_the_summary_ends_with_verdict_evidence_limits_and_the_command() -> None:
    made = shown(document(record(CALM)), "scenarios/", "-k", "one or two")
    assert made.lines[0] == "blue-green verdict"
    assert made.lines[-5:] == [
        "verdict: pass (1 of 1 scenarios)",
        "evidence: 1 cutovers and rollbacks; artifacts/run",
        "unproven: arrivals",
        "not covered: DNS; TLS",
        "repeat: pytest scenarios/ -k 'one or two'",
    ]
    assert made.colors["verdict: pass (1 of 1 scenarios)"] == {"bold", "green"}


def test_what_was_skipped_is_not_covered() -> None:
    skipped = [{"id": "scenarios/test_x.py::test_z[ingress]", "reason": "there is none"}]
    made = shown({**document(record(CALM)), "skipped": skipped})
    assert "not covered: test_x.py::test_z[ingress] (there is none); DNS; TLS" in made.lines


def test_what_did_not_run_is_skipped_by_name_and_never_in_silence() -> None:
    calm = play(World(classes=("fresh", "busy", "idle")))
    told = record(having(calm, event(-0.2, "class.skipped", cls="slow", reason="no [request.slow] in x.toml")))
    assert told["skipped"] == ["slow: no [request.slow] in x.toml"]
    assert "skipped: slow: no [request.slow] in x.toml" in shown(document(told, told)).lines


def test_the_retriable_and_the_burn_stand_beside_the_losses() -> None:
    timeline = play(World(slo=0.99))
    idle = np.flatnonzero(timeline.samples["cls"] == CODES["idle"])[:3]
    line = scenario_line(record(changed(timeline, idle, outcome=UNKNOWN, flags=FLAG_RETRIABLE)))
    assert "  3 lost of " in line
    assert " (3 retriable, level user), burns 0.00 of its error budget (99 %)" in line
    assert "retriable" not in scenario_line(record(CALM)) and "burns" not in scenario_line(record(CALM))


def test_the_first_loss_is_the_first_that_counts() -> None:
    idle = np.flatnonzero(OUTAGE.samples["cls"] == CODES["idle"])[:1]
    both = changed(OUTAGE, idle, outcome=UNKNOWN, flags=FLAG_RETRIABLE)
    assert events_around_first_loss(both) == events_around_first_loss(OUTAGE)
    alone = changed(CALM, idle, outcome=UNKNOWN, flags=FLAG_RETRIABLE)
    assert any("first lost request" in line for line in events_around_first_loss(alone))


def test_the_summary_says_why_a_scenario_is_inconclusive() -> None:
    late = record(play(World(lag_ms=60)))
    made = shown(document(late, record(OUTAGE), verdict="fail"))
    reasons = [line for line in made.lines if line.startswith("    inconclusive")]
    assert len(reasons) == sum(one["verdict"] == "inconclusive" for one in late["findings"])
    assert any(" lag " in line for line in reasons)
    assert made.colors["verdict: fail (0 of 2 scenarios)"] == {"bold", "red"}


def test_the_summary_names_what_broke_in_the_harness() -> None:
    made = shown(document(errors=("test_x.py::test_y: no engine",), verdict="inconclusive"))
    assert "harness      test_x.py::test_y: no engine" in made.lines
    assert "verdict: inconclusive (0 of 0 scenarios; harness errors: 1)" in made.lines
    assert "evidence: artifacts/run" in made.lines

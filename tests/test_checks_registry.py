"""Promises as data, the registry, the verdict, and negative twins."""

from __future__ import annotations

import json

import numpy as np
import pytest

from harness.checks.finding import Finding, Verdict
from harness.checks.promise import Promise, promises_of
from harness.checks.promises import (
    answered_within,
    cutover_happened,
    enough,
    idle_side_warm,
    inconclusive,
    loses,
    never_served,
    no_flip_back,
    nothing_lost,
    only,
    red,
    refused,
    rolled_back_by_watch,
    steady_generator,
)
from harness.checks.registry import bind, check, checks, judge
from harness.checks.verdict import overall
from harness.errors import ConfigurationError
from harness.evidence.timeline import Timeline
from tests.simulated import Down, Flip, World, changed, event, having, play

CALM = play(World())
EVERY = (
    nothing_lost(),
    nothing_lost(classes=["fresh"]),
    answered_within(0.5, classes=["fresh"]),
    only("v2", classes=["fresh", "post"]),
    no_flip_back(),
    idle_side_warm(4),
    cutover_happened(),
    never_served("v3"),
    refused("because"),
    loses("slow", at_most_ms=50),
    rolled_back_by_watch(),
    enough(2000),
    red(only("v2", classes=["fresh"])),
    inconclusive(enough(2000)),
)


@pytest.mark.parametrize("promise", EVERY, ids=lambda promise: promise.check)
def test_a_promise_survives_the_journal(promise: Promise) -> None:
    stored = json.loads(json.dumps(promise.to_dict()))
    timeline = having(CALM, event(0, "promise.declared", **stored))
    assert promises_of(timeline) == (promise,) == (Promise.from_dict(stored),)
    assert judge(timeline, promises_of(timeline)) == judge(timeline, [promise])


@pytest.mark.parametrize("promise", EVERY, ids=lambda promise: promise.check)
def test_no_promise_is_kept_by_an_empty_record(promise: Promise) -> None:
    finding = judge(Timeline(), [promise])[0]
    assert finding.verdict != "pass" and finding.check == promise.check
    assert finding.limit is None or finding.measured is not None
    assert list(finding.to_dict()) == ["check", "verdict", "measured", "limit", "unit", "detail"]


def test_a_misspelt_check_gets_the_nearest_name() -> None:
    with pytest.raises(ConfigurationError, match="nothing_lose") as caught:
        judge(CALM, [Promise("nothing_lose")])
    assert "nothing_lost" in caught.value.mend
    with pytest.raises(ConfigurationError, match="classs"):
        judge(CALM, [Promise("nothing_lost", {"classs": ["fresh"]})])
    with pytest.raises(ConfigurationError):
        judge(CALM, [Promise("enough")])
    with pytest.raises(ConfigurationError):
        judge(CALM, [Promise("red", {"of": "nothing_lose"})])
    assert bind(nothing_lost()).name == "nothing_lost"


def test_two_checks_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="nothing_lost"):
        check("nothing_lost")(lambda timeline: None)
    assert {name for name, one in checks().items() if one.standing} == {
        "arrivals",
        "completed",
        "ledger",
        "lag",
        "self_test",
        "near_flip",
        "sockets_ledger",
        "sockets_near_flip",
        "slo",
        "cutover_happened",
        "cluster_answers",
        "faults_healed",
        "identified",
        "fault_timing",
        "moved_by_tool",
        "workers",
    }


def test_what_is_promised_is_judged_once() -> None:
    names = [one.check for one in judge(CALM, [cutover_happened(), nothing_lost()])]
    assert names[:2] == ["cutover_happened", "nothing_lost"] and names.count("cutover_happened") == 1


def test_a_promised_red_is_not_held_against_the_scenario() -> None:
    stuck = play(World(flips=[Flip(4, happens=False)]))
    assert overall(judge(stuck, [])) == "fail"
    assert overall(judge(stuck, [red(cutover_happened()), red(only("v2"))])) == "pass"


def test_a_twin_passes_only_where_its_check_fails() -> None:
    down = play(World(downs=[Down(6, 6.2)]))
    assert judge(down, [red(nothing_lost())])[0].verdict == "pass"
    assert judge(CALM, [red(nothing_lost())])[0].verdict == "fail"
    assert judge(Timeline(), [red(nothing_lost())])[0].verdict == "inconclusive"
    assert judge(Timeline(), [red(cutover_happened())])[0].verdict == "inconclusive"


def test_a_twin_of_a_check_that_never_fails_passes_only_where_it_cannot_tell() -> None:
    issued = len(CALM.of_class("fresh"))
    assert judge(CALM, [inconclusive(enough(issued + 1))])[0].verdict == "pass"
    assert judge(CALM, [inconclusive(enough(issued))])[0].verdict == "fail"
    assert judge(CALM, [inconclusive(nothing_lost())])[0].verdict == "fail"
    assert judge(CALM, [inconclusive(steady_generator())])[0].verdict == "fail"
    late = changed(CALM, np.ones(len(CALM.samples), bool), sent=CALM.samples["sent"] + 40_000_000)
    findings = judge(late, [inconclusive(steady_generator())])
    assert findings[0].verdict == "pass" and "lag" not in {finding.check for finding in findings[1:]}


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        ([], "inconclusive"),
        (["pass"], "pass"),
        (["pass", "inconclusive"], "inconclusive"),
        (["inconclusive", "fail", "pass"], "fail"),
    ],
)
def test_the_worst_finding_wins(verdicts: list[Verdict], expected: str) -> None:
    assert overall(Finding("x", one) for one in verdicts) == expected


def test_only_a_broken_instrument_beats_a_fail() -> None:
    lost = Finding("nothing_lost", "fail", 1, 0)
    assert overall([lost, Finding("lag", "inconclusive"), Finding("near_flip", "inconclusive")]) == "fail"
    assert overall([lost, Finding("self_test", "inconclusive")]) == "fail"
    assert overall([lost, Finding("ledger", "inconclusive", voids=True)]) == "inconclusive"

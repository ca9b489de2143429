"""Outages with both bounds, and faults at the wrong moment; each rule with its negative twin."""

from __future__ import annotations

from typing import Any

import pytest

from harness.checks.finding import FAIL, INCONCLUSIVE, PASS
from harness.checks.promise import Promise
from harness.checks.promises import never_empty, outage
from harness.checks.registry import bind, judge
from harness.evidence.timeline import Timeline
from tests.simulated import Down, World, event, having, play

FLIPPED = {"flips": (), "classes": ("fresh", "post")}


def found(timeline: Timeline, promise: Promise) -> tuple[str, float | None]:
    finding = bind(promise).rule(timeline, **promise.params)
    assert finding is not None
    return finding.verdict, finding.measured


def world(*downs: Down, **change: Any) -> Timeline:
    return play(World(**{"flips": (), "classes": ("fresh", "post"), "downs": downs, **change}))


@pytest.mark.parametrize(
    ("at_least", "at_most", "verdict"),
    [
        (0.0, 1.5, PASS),
        (0.8, 1.5, PASS),
        (0.0, 0.5, FAIL),  # it lasted longer
        (2.0, 5.0, FAIL),  # it didn't last that long
        (0.0, 1.0, INCONCLUSIVE),  # POSTs, 0.1 s apart, don't tell on which side of a second it was
        (1.0, 5.0, INCONCLUSIVE),
    ],
)
def test_an_outage_is_judged_by_both_its_bounds(at_least: float, at_most: float, verdict: str) -> None:
    promise = outage(["fresh", "post"], at_most=at_most, at_least=at_least)
    assert found(world(Down(5.0, 6.0)), promise)[0] == verdict


def test_a_class_that_was_not_named_may_not_lose() -> None:
    assert found(world(Down(5.0, 6.0)), outage(["fresh"], at_most=5))[0] == FAIL
    assert found(world(), outage(["fresh"], at_most=5)) == (PASS, 0.0)


def test_a_stall_is_an_outage_in_which_nothing_fails() -> None:
    assert found(world(Down(5.0, 6.0, stall=True)), outage(["fresh", "post"], at_most=0.5))[0] == FAIL
    assert found(world(Down(5.0, 6.0, stall=True)), outage(["fresh", "post"], at_most=2))[0] == PASS


def test_without_an_outage_nothing_shows_that_there_was_to_be_one() -> None:
    assert found(world(), outage(["fresh"], at_most=5, at_least=0.1)) == (FAIL, 0.0)


def test_a_class_that_never_ran_and_an_end_that_never_came_leave_it_open() -> None:
    assert found(world(), outage(["slow"], at_most=5))[0] == INCONCLUSIVE
    assert found(world(), outage([], at_most=5))[0] == INCONCLUSIVE
    assert found(world(Down(5.0, 13.0)), outage(["fresh", "post"], at_most=20))[0] == INCONCLUSIVE


def placed(asked: float, reached: float) -> Timeline:
    named = {"id": "1", "kind": "pod-killed"}
    injected = event(4.1, "fault.injected", **named, move="cutover", asked_ms=asked, reached_ms=reached)
    return having(play(World()), injected, event(4.3, "fault.confirmed", **named, effect="gone"),
                  event(8, "fault.healed", **named))  # fmt: skip


@pytest.mark.parametrize(
    ("reached", "verdict"), [(101.0, PASS), (60.0, PASS), (400.0, INCONCLUSIVE), (-200.0, INCONCLUSIVE)]
)
def test_a_fault_at_another_moment_than_asked_leaves_it_open(reached: float, verdict: str) -> None:
    timing = {one.check: one for one in judge(placed(100, reached), [outage(["fresh"], at_most=1)])}["fault_timing"]
    assert timing.verdict == verdict and timing.measured == abs(reached - 100)


def test_without_a_placed_fault_there_is_no_moment_to_judge() -> None:
    blocks = having(play(World()), event(4.1, "fault.injected", kind="x"), event(4.3, "fault.confirmed", kind="x"))
    assert "fault_timing" not in {one.check for one in judge(blocks, [outage(["fresh"], at_most=1)])}


def test_a_service_without_a_ready_endpoint_under_load_is_told() -> None:
    slices = [event(4, "slice.changed", addresses=4, ready=4, sides={"green": 4})]
    empty = event(5, "slice.changed", addresses=4, ready=0, sides={"green": 4})
    assert found(having(world(), *slices), never_empty())[0] == PASS
    assert found(having(world(), *slices, empty), never_empty()) == (FAIL, 1)
    before = event(-1, "slice.changed", addresses=0, ready=0, sides={})
    assert found(having(world(), *slices, before), never_empty())[0] == PASS
    assert found(world(), never_empty())[0] == INCONCLUSIVE

"""An outage that everything waited for loses nothing, and is found by its delays."""

from __future__ import annotations

import numpy as np
import pytest

from harness.checks.finding import FAIL, INCONCLUSIVE, PASS, Finding
from harness.checks.promises import answered_within, nothing_lost
from harness.checks.registry import judge
from harness.evidence.samples import FLAG_RETRIABLE, UNKNOWN
from harness.evidence.timeline import Timeline
from tests.simulated import CODES, Down, Flip, World, changed, event, having, play


def finding(timeline: Timeline, **more: float | None) -> Finding:
    return judge(timeline, [answered_within(**more)])[0]  # type: ignore[arg-type]


def test_a_calm_run_answers_in_time() -> None:
    assert finding(play(World())).verdict == "pass"
    assert finding(Timeline()).verdict == "inconclusive"


@pytest.mark.parametrize("start", [3.1, 4.0, 5.9])
def test_a_stall_near_a_move_loses_nothing_and_is_told(start: float) -> None:
    timeline = play(World(downs=[Down(start, start + 1.0, stall=True)]))
    assert judge(timeline, [nothing_lost()])[0].verdict == "pass"
    told = finding(timeline)
    assert told.verdict == "fail" and told.measured is not None and 0.9 < told.measured < 1.2
    assert "not answered in time" in told.detail


def test_what_happens_far_from_every_move_is_judged_only_when_asked() -> None:
    timeline = play(World(seconds=14, downs=[Down(9, 10.5, stall=True)]))
    assert finding(timeline).verdict == "pass"
    assert finding(timeline, after=None).verdict == "fail"
    assert finding(timeline, after=None, seconds=2.0).verdict == "pass"
    assert finding(play(World(flips=[])), after=None).verdict == "pass"
    assert finding(play(World(flips=[]))).verdict == "inconclusive"
    assert (
        finding(play(World(flips=[Flip(4), Flip(9.5, "rollback", "v1")], downs=[Down(9, 10.5, stall=True)]))).verdict
        == "fail"
    )


def test_a_lost_request_is_never_answered_in_time_unless_its_loss_is_allowed() -> None:
    calm = play(World(flips=[Flip(4)]))
    near = (calm.samples["intended"] > calm.flips()[0].sent_ns) & (calm.samples["cls"] == CODES["fresh"])
    assert finding(changed(calm, int(np.flatnonzero(near)[0]), outcome=UNKNOWN)).verdict == "fail"
    idle = (calm.samples["intended"] > calm.flips()[0].sent_ns) & (calm.samples["cls"] == CODES["idle"])
    lost = changed(calm, int(np.flatnonzero(idle)[0]), outcome=UNKNOWN, flags=FLAG_RETRIABLE)
    assert finding(lost).verdict == "pass"


def test_slow_answers_take_what_they_take() -> None:
    assert finding(play(World(slow_s=3.0))).verdict == "pass"


def test_a_move_that_somebody_made_by_hand_is_one_as_well() -> None:
    selected = [event(0.01, "selector.observed", value="blue"), event(4.0, "selector.observed", value="green")]
    timeline = play(World(flips=(), downs=(Down(4.5, 6.0, stall=True),)))
    assert judge(timeline, [answered_within()])[0].verdict == INCONCLUSIVE
    assert judge(having(timeline, *selected), [answered_within()])[0].verdict == FAIL
    later = [selected[0], event(11.0, "selector.observed", value="green")]
    assert judge(having(timeline, *later), [answered_within()])[0].verdict == PASS

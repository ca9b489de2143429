"""Checks of the release itself; each is shown green, red and undecided."""

from __future__ import annotations

from harness.checks.finding import Finding
from harness.checks.promise import Promise
from harness.checks.promises import idle_side_warm, refused, rolled_back_by_watch
from harness.checks.registry import judge
from harness.evidence.samples import UNKNOWN
from harness.evidence.timeline import Event, Timeline
from tests.simulated import Flip, World, at, changed, event, having, play, without

CALM = play(World())
BREACHED = World(flips=[Flip(3), Flip(6, "rollback", "v1")])
BREACH = event(5, "watch.breached", check="nothing_lost", measured=9, limit=0, detail="9 lost")


def found(timeline: Timeline, promise: Promise) -> Finding:
    return judge(timeline, [promise])[0]


def pods(seconds: float, ready: int, wanted: int = 4, side: str = "blue") -> Event:
    return event(seconds, "pods.observed", side=side, ready=ready, wanted=wanted)


def test_the_idle_side_is_warm() -> None:
    assert found(CALM, idle_side_warm()).verdict == "pass"
    assert found(CALM, idle_side_warm(4)).verdict == "pass"
    assert found(CALM, idle_side_warm(5)).verdict == "fail"


def test_one_cold_observation_is_a_fail() -> None:
    finding = found(having(CALM, pods(8, 3)), idle_side_warm())
    assert finding.verdict == "fail" and (finding.measured, finding.limit) == (3, 4) and "blue" in finding.detail


def test_a_side_that_wants_no_pods_is_not_warm() -> None:
    assert found(having(CALM, pods(8, 0, 0)), idle_side_warm()).verdict == "fail"


def test_the_other_side_and_a_retired_one_are_not_asked() -> None:
    assert found(having(CALM, pods(8, 1, side="green")), idle_side_warm()).verdict == "pass"
    assert found(having(CALM, event(8, "retire.done", side="blue"), pods(9, 0, 0)), idle_side_warm()).verdict == "pass"
    assert found(having(CALM, pods(2, 0, 4)), idle_side_warm()).verdict == "pass"
    renewed = having(CALM, event(8, "deploy.started", side="blue", version="v3"), pods(9, 0, 4))
    assert found(renewed, idle_side_warm()).verdict == "pass"
    elsewhere = having(CALM, event(8, "deploy.started", side="green", version="v3"), pods(9, 0, 4))
    assert found(elsewhere, idle_side_warm()).verdict == "fail"


def test_each_move_needs_an_observation() -> None:
    assert found(without(CALM, "pods.observed"), idle_side_warm()).verdict == "inconclusive"
    assert found(play(World(flips=())), idle_side_warm()).verdict == "inconclusive"
    two = play(World(flips=[Flip(3), Flip(7)]))
    events = tuple(one for one in two.events if one.name != "pods.observed" or one.t < at(7))
    assert found(Timeline(events), idle_side_warm()).verdict == "inconclusive"


def test_a_refusal() -> None:
    still = play(World(flips=()))
    smoke = having(still, event(5, "smoke.failed", side="green", version="v2", detail="HTTP 500 from /"))
    assert found(smoke, refused()).verdict == "pass"
    assert found(smoke, refused("500")).verdict == "pass"
    assert found(smoke, refused("timed out")).verdict == "fail"
    assert found(smoke, refused(stage="cutover")).verdict == "fail"
    assert found(still, refused()).verdict == "fail"
    assert found(without(still, "scenario.finished"), refused()).verdict == "inconclusive"


def test_a_refusal_that_did_not_hold_is_a_fail() -> None:
    moved = having(CALM, event(2, "smoke.failed", side="green", version="v2", detail="HTTP 500"))
    finding = found(moved, refused("500"))
    assert finding.verdict == "fail" and "moved all the same" in finding.detail
    before = having(CALM, event(8, "smoke.failed", side="blue", version="v3", detail="HTTP 500"))
    assert found(before, refused("500")).verdict == "pass"


def test_refusals_of_each_stage() -> None:
    still = play(World(flips=()))
    for stage, name in (("deploy", "deploy.failed"), ("cutover", "cutover.refused"), ("retire", "retire.refused")):
        told = having(still, event(5, name, side="green", reason=f"{stage}: because"))
        assert found(told, refused("because", stage=stage)).verdict == "pass"
    retire = having(CALM, event(2, "retire.refused", side="blue", open=3, arrivals=9, reason="still in use"))
    assert found(retire, refused(stage="retire")).verdict == "pass"


def refused_at(seconds: float, move: str = "cutover") -> Event:
    return event(seconds, "cutover.refused", move=move, reason="PATCH: 429 Too many requests")


AT_FIRST = refused("429", stage="cutover", at_first=True)
TWICE = World(flips=[Flip(3, happens=False, acknowledged=False), Flip(7)])


def test_a_move_that_is_refused_at_first_goes_through_later() -> None:
    finding = found(having(play(TWICE), refused_at(3.05)), AT_FIRST)
    assert finding.verdict == "pass" and "429" in finding.detail and "4.0 s later" in finding.detail
    assert found(having(play(TWICE), refused_at(3.05)), refused("429", stage="cutover")).verdict == "fail"
    never = having(play(World(flips=[Flip(3, happens=False, acknowledged=False)])), refused_at(3.05))
    assert found(never, AT_FIRST).verdict == "fail"
    assert found(without(never, "scenario.finished"), AT_FIRST).verdict == "inconclusive"
    assert found(play(TWICE), AT_FIRST).verdict == "fail"


def test_a_refused_move_that_took_effect_all_the_same_is_found_by_whom_users_met() -> None:
    secretly = World(flips=[Flip(3, acknowledged=False), Flip(7)])
    finding = found(having(play(secretly), refused_at(3.05)), AT_FIRST)
    assert finding.verdict == "fail" and "met v2 before" in finding.detail


def test_a_rollback_that_is_refused_is_no_cutover_that_is() -> None:
    back = World(
        flips=[Flip(2), Flip(5, "rollback", "v1", happens=False, acknowledged=False), Flip(8, "rollback", "v1")]
    )
    timeline = having(play(back), refused_at(5.05, "rollback"))
    assert found(timeline, refused("429", stage="rollback", at_first=True)).verdict == "pass"
    assert found(timeline, AT_FIRST).verdict == "fail"
    names = {one.check: one.verdict for one in judge(timeline, [refused("429", stage="rollback", at_first=True)])}
    assert names["cutover_happened"] != "fail"


def test_the_watch_rolled_back() -> None:
    finding = found(having(play(BREACHED), BREACH), rolled_back_by_watch())
    assert finding.verdict == "pass" and "9 lost" in finding.detail


def test_a_watch_that_saw_nothing_did_not_roll_back() -> None:
    assert found(play(BREACHED), rolled_back_by_watch()).verdict == "fail"
    assert found(without(CALM, "watch.started", "watch.finished"), rolled_back_by_watch()).verdict == "inconclusive"


def test_a_breach_without_a_rollback_is_a_fail() -> None:
    assert found(having(CALM, BREACH), rolled_back_by_watch()).verdict == "fail"
    running = without(having(CALM, BREACH), "scenario.finished", "load.stopped")
    assert found(running, rolled_back_by_watch()).verdict == "inconclusive"
    unanswered = play(World(flips=[Flip(3), Flip(6, "rollback", "v1", acknowledged=False)]))
    assert found(having(unanswered, BREACH), rolled_back_by_watch()).verdict == "fail"
    onwards = play(World(flips=[Flip(3), Flip(6, "cutover", "v3"), Flip(9, "rollback", "v1")]))
    assert found(having(onwards, BREACH), rolled_back_by_watch()).verdict == "fail"


def test_a_rollback_that_users_did_not_get_is_a_fail() -> None:
    stuck = play(World(flips=[Flip(3), Flip(6, "rollback", "v1", happens=False)]))
    assert found(having(stuck, BREACH), rolled_back_by_watch()).verdict == "fail"
    timeline = having(play(BREACHED), BREACH)
    gone = changed(timeline, timeline.samples["sent"] >= at(6), outcome=UNKNOWN, revision=0)
    assert found(gone, rolled_back_by_watch()).verdict == "inconclusive"

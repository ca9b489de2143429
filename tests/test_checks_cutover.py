"""Checks of a move; each is shown green, red and undecided."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from harness.checks.finding import Finding
from harness.checks.promise import Promise
from harness.checks.promises import CUTOVER, ROLLBACK, START, cutover_happened, no_flip_back, only
from harness.checks.registry import judge
from harness.evidence.samples import FAILED, UNKNOWN
from harness.evidence.timeline import Timeline
from tests.simulated import CODES, Down, Flip, World, at, changed, event, having, play, without

CALM = play(World())
BACK = play(World(flips=[Flip(3), Flip(7, "rollback", "v1")]))


def found(timeline: Timeline, promise: Promise) -> Finding:
    return judge(timeline, [promise])[0]


def sent(timeline: Timeline, start: float, end: float, name: str = "fresh") -> Any:
    samples = timeline.samples
    inside = (samples["sent"] >= at(start)) & (samples["sent"] < at(end)) & (samples["cls"] == CODES[name])
    return np.flatnonzero(inside)


def test_only_the_new_revision_after_the_cutover() -> None:
    finding = found(CALM, only("v2"))
    assert (finding.verdict, finding.measured) == ("pass", 0) and "all 1200 answers" in finding.detail


@pytest.mark.parametrize("revision", ["v1", "v3"])
def test_one_other_answer_after_the_allowance_is_a_fail(revision: str) -> None:
    one = changed(CALM, sent(CALM, 6.5, 7)[:1], revision=CALM.id_of(revision))
    finding = found(one, only("v2"))
    assert finding.verdict == "fail" and finding.measured == 1 and f"1 from {revision}" in finding.detail


def test_an_answer_without_revision_is_an_unknown_one() -> None:
    finding = found(changed(CALM, sent(CALM, 6.5, 7)[:1], revision=0), only("v2"))
    assert finding.verdict == "fail" and "an unknown revision" in finding.detail


def test_a_wrong_answer_that_tells_its_revision_counts() -> None:
    one = changed(CALM, sent(CALM, 6.5, 7)[:1], revision=CALM.id_of("v1"), outcome=FAILED)
    assert found(one, only("v2")).verdict == "fail"


def test_the_allowance_is_the_authors() -> None:
    late = play(World(flips=[Flip(4, delays=(0.3, 0.5, 2.5))]))
    assert found(late, only("v2")).verdict == "fail"
    assert found(late, only("v2", within=2.6)).verdict == "pass"
    assert found(CALM, only("v2", within=0.4)).verdict == "fail"


def test_only_judges_the_named_classes() -> None:
    # A busy connection stays on the old side: that is how established connections are.
    assert found(CALM, only("v2", classes=["fresh", "busy"])).verdict == "fail"
    assert found(CALM, only("v2", classes=["fresh", "post"])).verdict == "pass"
    assert found(CALM, only("v2", classes=["fresh", "websocket"])).verdict == "inconclusive"
    assert found(CALM, only("v2", classes=[])).verdict == "inconclusive"


def test_only_without_answers_or_moves_is_inconclusive() -> None:
    assert found(CALM, only("v2", after=ROLLBACK)).verdict == "inconclusive"
    assert found(CALM, only("v2", within=60)).verdict == "inconclusive"
    gone = changed(CALM, sent(CALM, 6, 12), outcome=UNKNOWN, revision=0)
    assert found(gone, only("v2")).verdict == "inconclusive"
    assert found(Timeline(), only("v2", after=START)).verdict == "inconclusive"


def test_only_ends_with_the_next_move() -> None:
    assert found(BACK, only("v2", after=CUTOVER)).verdict == "pass"
    assert found(BACK, only("v1", after=ROLLBACK)).verdict == "pass"
    assert found(BACK, only("v1", after=CUTOVER)).verdict == "fail"
    assert found(BACK, only("v2", after=ROLLBACK)).verdict == "fail"


def test_what_is_under_way_at_the_next_move_is_that_moves() -> None:
    last = sent(BACK, 6.9, 7)[-1:]
    overtaken = changed(BACK, last, revision=BACK.id_of("v1"), end=at(7.01))
    assert found(overtaken, only("v2")).verdict == "pass"
    assert found(changed(overtaken, last, end=at(6.999)), only("v2")).verdict == "fail"


def test_only_of_many_cutovers() -> None:
    many = play(World(seconds=16, flips=[Flip(3), Flip(6, to_revision="v1"), Flip(9), Flip(12, to_revision="v1")]))
    for revision in ("v1", "v2", None):
        assert found(many, only(revision)).verdict == "pass"
    stuck = play(World(flips=[Flip(3), Flip(7, to_revision="v1", happens=False)]))
    assert found(stuck, only("v2")).verdict == "pass"
    assert found(stuck, only(None)).verdict == "fail"


def test_only_from_the_start() -> None:
    still = play(World(flips=()))
    assert found(still, only("v1", after=START)).verdict == "pass"
    assert found(changed(still, sent(still, 0, 1)[:1], revision=2), only("v1", after=START)).verdict == "fail"
    assert found(CALM, only("v1", after=START)).verdict == "fail"


def test_no_flip_back() -> None:
    assert found(CALM, no_flip_back()).verdict == "pass"
    assert found(BACK, no_flip_back()).verdict == "pass"
    one = changed(CALM, sent(CALM, 9, 10)[:1], revision=CALM.id_of("v1"))
    finding = found(one, no_flip_back())
    assert finding.verdict == "fail" and "old answers after cutover 1" in finding.detail


def test_a_loss_gives_the_old_side_no_more_time() -> None:
    # The first new answers are lost: the allowance starts with them all the same.
    old = sent(CALM, 6.4, 6.5)
    back = changed(CALM, old, revision=CALM.id_of("v1"))
    first = changed(back, sent(CALM, 4, 5.5), outcome=UNKNOWN, revision=0)
    assert found(back, no_flip_back()).verdict == "fail"
    assert found(first, no_flip_back()).verdict == "fail"


def test_the_mixed_window_is_allowed() -> None:
    mixed = play(World(flips=[Flip(4, delays=(0.1, 1.0, 1.9))]))
    assert found(mixed, no_flip_back()).verdict == "pass"
    assert found(mixed, no_flip_back(within=0.5)).verdict == "fail"


def test_a_second_writer_of_the_selector_is_a_flip_back() -> None:
    finding = found(having(CALM, event(8, "selector.observed", value="blue")), no_flip_back())
    assert finding.verdict == "fail" and "'blue'" in finding.detail
    assert found(having(CALM, event(8, "selector.observed", value=None)), no_flip_back()).verdict == "fail"
    renamed = without(CALM, "selector.observed")
    stable = having(renamed, event(5, "selector.observed", value="b"), event(9, "selector.observed", value="b"))
    assert found(stable, no_flip_back()).verdict == "pass"
    assert found(having(stable, event(10, "selector.observed", value="a")), no_flip_back()).verdict == "fail"


def test_no_flip_back_without_a_move_or_a_new_answer_is_inconclusive() -> None:
    assert found(play(World(flips=())), no_flip_back()).verdict == "inconclusive"
    assert found(play(World(flips=[Flip(4, happens=False)])), no_flip_back()).verdict == "inconclusive"
    assert found(Timeline(), no_flip_back()).verdict == "inconclusive"


def test_moves_before_the_load_need_no_answers_of_their_own() -> None:
    prepared = play(World(flips=[Flip(-4), Flip(-3, "rollback", "v1"), Flip(5)]))
    assert found(prepared, no_flip_back()).verdict == "pass"


def test_the_cutover_happened() -> None:
    assert found(CALM, cutover_happened()).verdict == "pass"
    assert found(BACK, cutover_happened()).measured == 2


def test_a_cutover_that_nobody_noticed_did_not_happen() -> None:
    finding = found(play(World(flips=[Flip(4, happens=False)])), cutover_happened())
    assert finding.verdict == "fail" and finding.measured == 0 and "came from v2" in finding.detail


def test_each_move_must_have_happened() -> None:
    finding = found(play(World(flips=[Flip(3), Flip(7, "rollback", "v1", happens=False)])), cutover_happened())
    assert finding.verdict == "fail" and (finding.measured, finding.limit) == (1, 2) and "rollback 2" in finding.detail


def test_an_answer_that_never_came_is_a_fail() -> None:
    assert found(play(World(flips=[Flip(4, acknowledged=False)])), cutover_happened()).verdict == "fail"
    never_sent = without(CALM, "cutover.sent", "cutover.acknowledged")
    assert found(never_sent, cutover_happened()).verdict == "fail"


def test_a_refused_move_is_a_fail_unless_its_refusal_is_promised() -> None:
    refused = having(
        without(CALM, "cutover.sent", "cutover.acknowledged"),
        event(4, "cutover.refused", move="cutover", reason="forbidden"),
    )
    finding = found(refused, cutover_happened())
    assert finding.verdict == "fail" and "forbidden" in finding.detail
    names = [one.check for one in judge(refused, [Promise("refused", {"stage": "cutover"})])]
    assert "cutover_happened" not in names


def test_only_asks_nothing_of_a_move_that_was_refused() -> None:
    twice = play(World(flips=[Flip(3, happens=False, acknowledged=False), Flip(7)]))
    assert found(twice, only("v2")).verdict == "fail"
    refused = having(twice, event(3.05, "cutover.refused", move="cutover", reason="429"))
    assert found(refused, only("v2")).verdict == "pass"
    assert found(refused, cutover_happened()).verdict == "fail", "without a promise it is still no good move"


def test_a_cutover_nobody_watched_is_inconclusive() -> None:
    gone = changed(CALM, sent(CALM, 4, 12), outcome=UNKNOWN, revision=0)
    assert found(gone, cutover_happened()).verdict == "inconclusive"
    assert found(play(World(classes=("busy",))), cutover_happened()).verdict == "inconclusive"
    assert found(play(World(flips=())), cutover_happened()).verdict == "inconclusive"
    assert found(play(World(flips=[Flip(4, to_revision="v1")])), cutover_happened()).verdict == "inconclusive"


def test_what_can_still_come_is_not_held_against_a_prefix() -> None:
    def until(seconds: float, timeline: Timeline = CALM) -> Timeline:
        events = tuple(one for one in timeline.events if one.t <= at(seconds))
        return replace(timeline, events=events, samples=timeline.samples[timeline.samples["end"] <= at(seconds)])

    assert found(until(3.5), cutover_happened()).verdict == "inconclusive"
    assert found(until(4.01), cutover_happened()).verdict == "inconclusive"
    assert found(until(4.2), cutover_happened()).verdict == "inconclusive"
    assert found(until(4.6), cutover_happened()).verdict == "pass"
    never = play(World(flips=[Flip(4, happens=False)]))
    assert found(until(5, never), cutover_happened()).verdict == "inconclusive"
    assert found(until(8, never), cutover_happened()).verdict == "fail"
    silent = play(World(seconds=60, flips=[Flip(4, acknowledged=False)]))
    assert found(until(20, silent), cutover_happened()).verdict == "inconclusive"
    assert found(until(50, silent), cutover_happened()).verdict == "fail"


def test_an_outage_at_the_flip_is_no_flip_back() -> None:
    assert found(play(World(downs=[Down(4.0, 4.4)])), no_flip_back()).verdict == "pass"

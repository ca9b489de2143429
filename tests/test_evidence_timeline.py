"""The timeline: order, lookups, and moves put together from their events."""

from __future__ import annotations

import numpy as np
import pytest

from harness.evidence import samples as layout
from harness.evidence.samples import ClassSpec
from harness.evidence.timeline import Timeline
from tests.simulated import Flip, World, at, event, having, play, without


def test_samples_are_kept_by_class_and_time_and_can_not_be_written() -> None:
    timeline = play(World(seconds=4, flips=()))
    mixed = Timeline(timeline.events, timeline.samples[::-1].copy(), timeline.strings, timeline.classes)
    assert np.array_equal(mixed.samples, timeline.samples)
    assert len(mixed.of_class("busy")) == 200 and np.shares_memory(mixed.of_class("busy"), mixed.samples)
    assert len(mixed.of_class("websocket")) == 0
    with pytest.raises(ValueError, match="read-only"):
        mixed.samples["end"][0] = 1


def test_names_and_ids() -> None:
    timeline = play(World(seconds=1, flips=()))
    assert timeline.node(1) == "worker" and timeline.node(9) == "9"
    assert timeline.string(1) == "v1" and timeline.string(0) == "" and timeline.string(999) == "?999"
    assert timeline.id_of("v1") == 1 and timeline.id_of("nobody") == -1 and timeline.id_of("") == -1


def test_moves_are_paired_in_order_and_end_where_the_next_was_sent() -> None:
    timeline = play(World(flips=[Flip(3), Flip(6, "rollback", "v1"), Flip(9)]))
    moves = timeline.moves()
    assert [move.move for move in moves] == ["cutover", "rollback", "cutover"]
    assert [move.sent_ns for move in moves] == [at(3), at(6), at(9)]
    assert [move.acknowledged_ns for move in moves] == [at(3.02), at(6.02), at(9.02)]
    assert [move.end_ns for move in moves] == [at(6), at(9), timeline.end_ns + 1]
    assert [(move.from_revision, move.to_revision) for move in moves] == [("v1", "v2"), ("v2", "v1"), ("v1", "v2")]
    assert [move.last for move in moves] == [False, False, True]
    assert moves[0].planned_ns == at(3)


def test_a_missing_answer_is_not_taken_from_the_next_move() -> None:
    moves = play(World(flips=[Flip(3, acknowledged=False), Flip(6), Flip(9)])).moves()
    assert [move.acknowledged_ns for move in moves] == [None, at(6.02), at(9.02)]


def test_a_refused_move_and_a_refused_verb() -> None:
    planned = event(3, "cutover.planned", at_ns=at(4), move="cutover", from_revision="v1", to_revision="v2")
    timeline = Timeline((planned, event(4, "cutover.refused", move="cutover", reason="forbidden")))
    assert [move.refused for move in timeline.moves()] == ["forbidden"]
    # An illegal move is refused before it is planned: it never was one.
    assert Timeline((event(4, "cutover.refused", move="cutover", reason="no smoke"),)).moves() == ()


def test_a_send_without_its_plan_is_a_move_all_the_same() -> None:
    moves = Timeline((event(1, "cutover.sent", move="cutover"),)).moves()
    assert len(moves) == 1 and moves[0].sent_ns == at(1) and moves[0].to_revision == ""


def test_moves_before_the_load_are_no_flips() -> None:
    timeline = having(without(play(World(flips=[Flip(3), Flip(6)])), "load.started"), event(5, "load.started"))
    assert [move.sent_ns for move in timeline.moves()] == [at(3), at(6)]
    assert [move.sent_ns for move in timeline.flips()] == [at(6)]


def test_an_empty_timeline_answers_everything() -> None:
    timeline = Timeline()
    assert timeline.moves() == () and timeline.end_ns == 0 and not timeline.loaded and not timeline.finished
    assert timeline.level == "user" and timeline.named("x") == () and timeline.first("x") is None


def test_a_class_knows_its_resolution() -> None:
    assert ClassSpec("fresh", 0, 200.0).resolution_ns == 5e6
    assert ClassSpec("odd", 0, 0.0).resolution_ns == float("inf")
    assert not ClassSpec("fresh", 0, 200.0).closed and ClassSpec("fresh", 0, 200.0, scheduled=0).closed


def test_samples_of_a_class_that_is_not_declared_stay() -> None:
    timeline = Timeline(samples=layout.empty(3))
    assert len(timeline.samples) == 3 and timeline.loaded

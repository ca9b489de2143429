"""Milestones of a move against the simulated truth, and the record of a scenario."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.checks.promises import no_flip_back, nothing_lost
from harness.checks.registry import judge
from harness.checks.verdict import overall
from harness.evidence.milestones import milestones, worst
from harness.evidence.statistics import loss_rate_upper
from harness.evidence.summary import scenario_record
from harness.evidence.timeline import Timeline
from tests.simulated import Down, Flip, World, at, event, having, play

SCENARIO_KEYS = (
    "id verdict expect seconds release_seconds load_seconds path switch level seed attempts skipped unproven samples "
    "arrivals lag_p99_ms slo loss_rate_upper_95 cutovers cutover_loss_upper_95 cutover rollback moves gaps "
    "gaps_by_node gaps_by_connection tails outages faults probes sockets diagnosis findings"
)
SAMPLE_KEYS = "scheduled issued ok failed unknown unsent retriable by_class"
CLASS_KEYS = "issued ok failed unknown retriable loss_rate_upper_95 rate resolution_ms"
MOVE_KEYS = "acknowledged_ms slice_ms nodes_ms first_new_ms last_old_ms mixed_ms"


@given(st.lists(st.floats(0.0, 1.5), min_size=3, max_size=3), st.integers(0, 1000))
@settings(max_examples=20)
def test_milestones_are_the_flips_truth(delays: list[float], seed: int) -> None:
    timeline = play(World(flips=[Flip(5, delays=tuple(delays))], seed=seed))
    found = milestones(timeline, timeline.moves()[0])
    assert found.acknowledged_ms == pytest.approx(20) and found.slice_ms == pytest.approx(50)
    for node, delay in zip(("control-plane", "worker", "worker2"), delays, strict=True):
        # Each node is asked 66 times a second.
        assert 0 <= found.nodes_ms[node] - delay * 1e3 <= 1e3 / 66 + 5
    assert found.first_new_ms == min(found.nodes_ms.values())
    assert -20 <= found.last_old_ms.get("fresh", 0.0) - max(delays) * 1e3 <= 20
    assert found.mixed_ms is not None and abs(found.mixed_ms - (max(delays) - min(delays)) * 1e3) < 45
    assert found.last_old_ms["busy"] > 6_500 and found.last_old_ms["slow"] > 1_500


def test_a_move_that_was_never_sent_has_no_milestones() -> None:
    planned = event(1, "cutover.planned", at_ns=at(2), move="cutover", from_revision="v1", to_revision="v2")
    timeline = Timeline((planned,))
    assert milestones(timeline, timeline.moves()[0]).to_dict() == {
        "acknowledged_ms": None,
        "slice_ms": None,
        "nodes_ms": {},
        "first_new_ms": None,
        "last_old_ms": {},
        "mixed_ms": None,
    }


def test_a_slice_with_both_sides_is_not_there_yet() -> None:
    flip = Flip(5)
    timeline = play(World(flips=[flip]))
    mixed = event(5.001, "slice.changed", addresses=8, ready=8, sides={"blue": 4, "green": 4})
    assert milestones(having(timeline, mixed), timeline.moves()[0]).slice_ms == pytest.approx(50)


def test_a_moves_answers_end_with_the_next_move() -> None:
    timeline = play(World(flips=[Flip(4), Flip(8, "rollback", "v1")]))
    first, second = (milestones(timeline, move) for move in timeline.moves())
    assert first.last_old_ms["fresh"] < 600 and second.last_old_ms["fresh"] < 600
    both = worst([first, second])
    assert both.first_new_ms == max(first.first_new_ms or 0, second.first_new_ms or 0)
    assert both.nodes_ms["worker"] == max(first.nodes_ms["worker"], second.nodes_ms["worker"])


def test_the_record_has_exactly_the_keys_of_the_schema() -> None:
    timeline = play(World(flips=[Flip(4), Flip(8, "rollback", "v1")], downs=[Down(5.5, 5.7), Down(2, 2.4, stall=True)]))
    findings = judge(timeline, [nothing_lost()])
    record = scenario_record(timeline, findings, scenario_id="a::b", verdict=overall(findings))
    assert list(record) == SCENARIO_KEYS.split()
    assert list(record["samples"]) == SAMPLE_KEYS.split()
    assert list(record["samples"]["by_class"]["fresh"]) == CLASS_KEYS.split()
    for name in ("cutover", "rollback"):
        assert list(record[name]) == MOVE_KEYS.split()
    assert all(list(one) == ["class", "phase", "low_ms", "high_ms"] for one in record["outages"])
    assert list(record["findings"][0]) == ["check", "verdict", "measured", "limit", "unit", "detail"]
    assert json.loads(json.dumps(record, allow_nan=False)) == record
    assert (record["id"], record["verdict"], record["path"], record["level"]) == ("a::b", "fail", "service", "user")
    assert record["cutovers"] == 2 and record["load_seconds"] == pytest.approx(12.2)
    fresh = record["samples"]["by_class"]["fresh"]
    assert fresh["resolution_ms"] == 5.0 and fresh["issued"] == 2400 and fresh["failed"] == 40
    samples = record["samples"]
    assert samples["scheduled"] == samples["issued"] + samples["unsent"]
    assert samples["issued"] == samples["ok"] + samples["failed"] + samples["unknown"]
    lost = samples["failed"] + samples["unknown"]
    assert record["loss_rate_upper_95"] == loss_rate_upper(lost, samples["issued"])
    assert record["cutover_loss_upper_95"] == loss_rate_upper(1, 2)
    assert {one["phase"] for one in record["outages"] if one["class"] == "fresh"} == {"before, stalled", "cutover"}
    assert record["unproven"] == ["arrivals"]


def test_partial_outages_name_where_they_were() -> None:
    downs = [Down(5, 6, entry=1), Down(8, 9, pod=2)]
    record = scenario_record(play(World(flips=(), downs=downs, classes=("fresh",))), [])
    assert [one["phase"] for one in record["outages"]] == ["before, only through worker", "before, only pod blue-2"]


def test_faults_are_told_from_the_flip() -> None:
    timeline = having(
        play(World(flips=[Flip(4)])),
        event(4.1, "fault.injected", kind="evict"),
        event(4.4, "fault.confirmed", kind="evict"),
        event(6, "fault.healed", kind="evict"),
        event(7, "fault.injected", kind="pause", asked_ms=50),
    )
    told = {"target": "", "move": "", "effect": ""}
    assert scenario_record(timeline, [])["faults"] == [
        {"kind": "evict", "asked_ms": 100.0, "reached_ms": 400.0, "healed": True, **told},
        {"kind": "pause", "asked_ms": 50, "reached_ms": None, "healed": False, **told},
    ]


def test_a_move_that_went_through_is_told_of_and_not_the_one_that_was_refused_before() -> None:
    once = scenario_record(play(World(flips=[Flip(7)])), [])["cutover"]
    twice = play(World(flips=[Flip(3, happens=False, acknowledged=False), Flip(7)]))
    refused = event(3.05, "cutover.refused", move="cutover", reason="429")
    told = scenario_record(having(twice, refused), [])["cutover"]
    assert told["acknowledged_ms"] == once["acknowledged_ms"] and told["first_new_ms"] == once["first_new_ms"]
    never = play(World(flips=[Flip(3, happens=False, acknowledged=False)]))
    assert scenario_record(having(never, refused), [])["cutover"]["acknowledged_ms"] is None


def test_a_record_without_load_claims_nothing() -> None:
    record = scenario_record(Timeline((event(0, "run.started", scenario="x"), event(1, "scenario.finished"))), [])
    assert record["loss_rate_upper_95"] == 1.0 and record["cutover_loss_upper_95"] == 1.0
    assert record["cutover"] == {} and record["lag_p99_ms"] is None and record["unproven"] == []
    json.dumps(record, allow_nan=False)


def test_a_cutover_before_the_load_is_no_evidence() -> None:
    timeline = play(World(flips=[Flip(-1), Flip(6, "rollback", "v1")]))
    record = scenario_record(timeline, judge(timeline, [no_flip_back()]))
    assert record["cutovers"] == 1 and record["cutover"] == {} and record["rollback"] != {}

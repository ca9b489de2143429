"""Tails: how long the old side is in use after a cutover, and what follows from that."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.evidence.samples import FAILED
from harness.evidence.summary import scenario_record
from harness.evidence.tails import MARGIN, Tails, lines, recommend, tails
from harness.evidence.timeline import Timeline
from tests.simulated import Flip, World, at, changed, event, having, play
from tests.simulated_sockets import Close, Story, with_sockets

FLIP = 4.0
CALM = play(World(seconds=14.0, flips=(Flip(FLIP),)))


def staying(name: str, until: float, timeline: Timeline = CALM) -> Timeline:
    """Of the kept classes this one is answered by the old side until then, the others not at all after the flip."""
    sent = timeline.samples["sent"]
    for other in ("busy", "idle"):
        spec = timeline.spec(other)
        assert spec is not None
        which = (timeline.samples["cls"] == spec.code) & (sent > at(until if other == name else FLIP))
        timeline = changed(timeline, which, revision=timeline.id_of("v2"))
    return timeline


def told(timeline: Timeline) -> Tails:
    found = tails(timeline)
    assert found is not None
    return found


def test_a_run_without_a_cutover_has_no_tails() -> None:
    assert tails(play(World(flips=()))) is None
    assert scenario_record(play(World(flips=())), [])["tails"] == {}


def test_the_last_answers_are_told_by_class_from_the_cutover_on() -> None:
    found = told(having(staying("busy", 9.0), event(8.5, "retire.sent", side="blue")))
    assert found.by_class["busy"] == pytest.approx(5_000, abs=60)
    assert found.ended_ms == pytest.approx(4_500)
    assert found.by_class["fresh"] < 1_000
    assert found.in_flight_ms == pytest.approx(2_000, abs=300)  # a slow answer of 2 s, four a second
    assert not found.by_itself("busy")
    assert found.by_itself("fresh")
    record = found.to_dict()
    assert record["keep_alive_ms"] == found.by_class["busy"]
    assert record["socket_ms"] is None


def test_where_all_leave_by_themselves_a_delay_is_recommended() -> None:
    advice = recommend(told(having(staying("busy", 6.0), event(10.0, "retire.sent", side="blue"))))
    assert advice.scale_down_after == 5  # 1.5 times 2.x s, in steps of 5 s
    assert (advice.pre_stop, advice.grace_period) == (5, 15)


def test_where_kept_connections_stay_no_delay_helps_and_the_drain_s_time_is_recommended() -> None:
    advice = recommend(told(having(staying("busy", 12.0), event(8.0, "retire.sent", side="blue"))))
    assert advice.scale_down_after is None
    assert any("busy connections" in reason and "no delay helps" in reason for reason in advice.why)
    assert (advice.pre_stop, advice.grace_period) == (10, 20)  # 1.5 times the 4 s that it took, in steps of 5 s


def test_an_old_side_that_is_told_to_go_at_once_tells_nothing_of_leaving_by_itself() -> None:
    advice = recommend(told(having(staying("busy", 8.0), event(4.1, "retire.sent", side="blue"))))
    assert (advice.scale_down_after, advice.pre_stop) == (None, 10)
    assert "wasn't seen" in advice.why[0]
    assert not any("no delay helps" in reason for reason in advice.why)


def test_sockets_count_until_their_last_instant_on_the_old_side() -> None:
    closes = [Close(socket, 9.0 + socket / 100) for socket in range(12)]
    timeline = with_sockets(CALM, Story(seconds=12.0, closes=closes))
    found = told(having(timeline, event(8.0, "drain.sent", side="blue")))
    assert found.by_class["websocket"] == pytest.approx(5_110, abs=20)
    assert found.to_dict()["socket_ms"] == found.by_class["websocket"]
    assert any("sockets" in reason and "no delay helps" in reason for reason in recommend(found).why)
    stay = told(with_sockets(CALM, Story(seconds=13.5)))
    assert not stay.by_itself("websocket")
    assert recommend(stay).pre_stop is None


def test_what_is_cut_at_the_end_is_no_time_to_recommend() -> None:
    spec = CALM.spec("slow")
    assert spec is not None
    which = np.flatnonzero((CALM.samples["cls"] == spec.code) & (CALM.samples["end"] > at(8.5)))[:1]
    cut = changed(CALM, which, outcome=FAILED)
    found = told(having(cut, event(8.0, "retire.sent", side="blue")))
    assert found.cut == ("slow",)
    advice = recommend(found)
    assert (advice.pre_stop, advice.grace_period) == (None, None)
    assert any("needs a drain" in reason for reason in advice.why)
    assert told(having(cut, event(8.0, "retire.sent", side="green"))).cut == ()


def test_it_is_told_to_people_and_in_the_record() -> None:
    timeline = having(staying("busy", 12.0), event(8.0, "retire.sent", side="blue"))
    record = scenario_record(timeline, [])["tails"]
    assert record == told(timeline).to_dict()
    text = "\n".join(lines(record))
    assert "last on a kept connection 8.0 s" in text
    assert "preStop 10 s, terminationGracePeriodSeconds 20 s" in text
    assert lines({}) == []


times = st.floats(0, 100_000)


@given(
    by_class=st.dictionaries(st.sampled_from(["fresh", "busy", "idle", "slow", "post", "websocket"]), times),
    ended=st.none() | times,
    longest=times,
)
def test_what_is_recommended_is_never_shorter_than_what_was_seen(
    by_class: dict[str, float], ended: float | None, longest: float
) -> None:
    seen = Tails(by_class=by_class, ended_ms=ended, seen_ms=200_000, longest_answer_ms=longest)
    advice = recommend(seen)
    if advice.scale_down_after is not None:
        assert advice.scale_down_after * 1e3 >= MARGIN * max(by_class.values())
    if ended is None:
        assert advice.pre_stop is None
    else:
        assert advice.pre_stop is not None
        assert advice.grace_period is not None
        assert advice.grace_period > advice.pre_stop
        assert advice.pre_stop * 1e3 >= max([longest, *(last - ended for last in by_class.values())])
    assert recommend(replace(seen, cut=("slow",))).pre_stop is None
    assert advice.why

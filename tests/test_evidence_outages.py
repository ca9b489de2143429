"""Every outage that the simulated service had lies in its bracket."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from harness.evidence import samples as layout
from harness.evidence.outages import Outage, outages
from harness.evidence.samples import ClassSpec
from harness.evidence.timeline import Timeline
from tests.simulated import MS, RATES, Down, Flip, World, at, play

FRESH_LINE = 1e9 / RATES["fresh"]


def told(timeline: Timeline, cls: str) -> list[Outage]:
    return [outage for outage in outages(timeline) if outage.cls == cls]


def holds(outage: Outage, down: Down) -> bool:
    return outage.low_ns <= down.ns and (outage.high_ns is None or down.ns <= outage.high_ns)


spans = st.floats(0.02, 0.9)


@given(st.lists(spans, min_size=1, max_size=3), st.integers(0, 1000), st.floats(0.5, 8.0))
@settings(max_examples=25)
def test_total_outages_are_bracketed_in_every_class(lengths: list[float], seed: int, response_ms: float) -> None:
    downs = [Down(2.0 + 3.0 * k + 0.003, 2.003 + 3.0 * k + length) for k, length in enumerate(lengths)]
    world = World(seconds=12, flips=[Flip(0.5)], downs=downs, seed=seed, response_ms=response_ms)
    timeline = play(world)
    # A class in which requests overlap for longer than an outage lasts can't tell two of them apart: "slow" isn't here.
    for cls in ("fresh", "busy", "post", "idle"):
        found = told(timeline, cls)
        for down in downs:
            near = [one for one in found if at(down.start) <= one.start_ns <= at(down.end) + 10 * MS]
            arrived = timeline.of_class(cls)["error"] == layout.ERRORS.index("connect_refused")
            ends = timeline.of_class(cls)["end"][arrived]
            if np.any((ends >= at(down.start)) & (ends <= at(down.end) + 10 * MS)):
                assert len(near) == 1, (cls, near)
                assert holds(near[0], down) and near[0].share == 1 and near[0].lost > 0
            else:
                assert near == []
    for down in downs:
        one = next(one for one in told(timeline, "fresh") if at(down.start) <= one.start_ns <= at(down.end) + 10 * MS)
        assert one.high_ns is not None
        assert one.high_ns - one.low_ns <= 2 * FRESH_LINE + 4 * response_ms * 1.3 * MS + 5 * MS


def test_a_refused_outage_is_bracketed_tightly() -> None:
    one = told(play(World(classes=("fresh",), downs=[Down(7, 7.5)])), "fresh")[0]
    assert one.high_ns is not None and one.high_ns - one.low_ns <= 2 * FRESH_LINE + 2 * 2 * MS + 5 * MS


def test_a_pod_that_users_are_pointed_at_while_it_stalls_is_bounded_by_the_move() -> None:
    world = World(flips=[Flip(4)], downs=[Down(4.0, 6.0, stall=True, pod=0)], classes=("fresh",))
    (one,) = (one for one in told(play(world), "fresh") if one.pod == "green-0")
    assert one.since_ns == at(4.0) and one.high_ns is not None
    assert one.low_ns <= 2.0 * 1e9 <= one.high_ns + 50 * MS
    assert one.high_ns <= 2.1 * 1e9, "users were pointed at it only then"


@given(st.integers(10, 150), st.integers(0, 100_000))
@settings(max_examples=60)
def test_requests_that_overlap_and_overtake_each_other_are_bracketed(length_ms: int, seed: int) -> None:
    # What happens to a request is decided anywhere between its send and its end, and they take up to 80 ms.
    rng = np.random.default_rng(seed)
    samples = layout.empty(400)
    samples["sent"] = samples["intended"] = at(0) + np.arange(400) * 5 * MS
    arrival = samples["sent"] + rng.integers(0, 40 * MS, 400)
    samples["end"] = arrival + rng.integers(0, 40 * MS, 400)
    begin, end = at(1), at(1) + length_ms * MS
    lost = (arrival >= begin) & (arrival < end)
    samples["outcome"][lost] = layout.UNKNOWN
    assume(lost.any())
    found = outages(Timeline(samples=samples, classes=(ClassSpec("fresh", 0, 200.0),)))
    assert len(found) == 1 and found[0].lost == np.count_nonzero(lost)
    assert found[0].low_ns <= end - begin and found[0].high_ns is not None and end - begin <= found[0].high_ns


def test_an_answer_that_outlived_the_outage_is_no_answer_from_before_it() -> None:
    # Down from 10 to 20 ms; the third request was sent at 10.9 ms, reached the service at 20.4 and was answered.
    sent, end = (0.0, 5.0, 10.9, 11.0, 18.0, 20.1), (0.5, 5.5, 20.6, 12.0, 19.0, 20.5)
    samples = layout.empty(6)
    samples["sent"] = samples["intended"] = np.asarray(sent) * MS + at(1)
    samples["end"] = np.asarray(end) * MS + at(1)
    samples["outcome"][3:5] = layout.UNKNOWN
    found = outages(Timeline(samples=samples, classes=(ClassSpec("fresh", 0, 200.0),)))
    assert [(one.low_ns, one.high_ns) for one in found] == [(6 * MS, 15_500_000)]


def test_a_loss_that_took_long_to_be_noticed_is_bounded_all_the_same() -> None:
    timeline = play(World(seconds=60, flips=(), classes=("fresh",)))
    samples = timeline.samples.copy()
    samples["outcome"][2000], samples["end"][2000] = layout.UNKNOWN, samples["end"][2000] + 20_000 * MS
    found = outages(Timeline(samples=samples, classes=timeline.classes))
    assert [one.low_ns for one in found] == [0]
    assert found[0].high_ns is not None and 20_000 * MS < found[0].high_ns < 20_100 * MS


@given(st.floats(0.3, 1.5), st.integers(0, 2), st.integers(0, 1000))
@settings(max_examples=20)
def test_one_nodes_outage_is_told_for_that_node(length: float, entry: int, seed: int) -> None:
    down = Down(6.0, 6.0 + length, entry=entry)
    found = told(play(World(downs=[down], seed=seed, classes=("fresh",))), "fresh")
    assert len(found) == 1 and found[0].entry == entry and holds(found[0], down)


@given(st.floats(0.4, 2.0), st.integers(0, 3), st.integers(0, 1000))
@settings(max_examples=20)
def test_one_backends_outage_is_told_for_that_pod(length: float, pod: int, seed: int) -> None:
    down = Down(6.0, 6.0 + length, pod=pod)
    found = told(play(World(flips=(), downs=[down], seed=seed, classes=("fresh",))), "fresh")
    assert len(found) == 1 and found[0].pod == f"blue-{pod}" and holds(found[0], down)
    assert found[0].high_ns is not None
    # The dead pod's own line is a quarter of the class's, and it is chosen by chance.
    assert found[0].high_ns - found[0].low_ns <= 100 * FRESH_LINE


def test_two_backends_outage_is_told_for_both() -> None:
    downs = [Down(6, 7, pod=1), Down(6, 7, pod=2)]
    found = told(play(World(flips=(), downs=downs, classes=("fresh",))), "fresh")
    assert [one.pod for one in found] == ["blue-1, blue-2"] and holds(found[0], downs[0])


def test_a_partial_outage_of_nobody_in_particular_is_a_share_of_a_span() -> None:
    timeline = play(World(flips=(), classes=("fresh",)))
    samples = timeline.samples.copy()
    hit = np.flatnonzero((samples["sent"] >= at(6)) & (samples["sent"] < at(8)))[::4]
    samples["outcome"][hit] = layout.UNKNOWN
    found = outages(Timeline(samples=samples, strings=timeline.strings, classes=timeline.classes))
    assert len(found) == 1 and found[0].pod == "" and found[0].entry is None and found[0].lost == len(hit)
    assert 0.24 < found[0].share < 0.26 and found[0].high_ns is not None
    assert 1.9e9 < found[0].low_ns <= found[0].high_ns < 2.1e9


@given(st.floats(0.4, 2.0), st.integers(0, 1000))
@settings(max_examples=20)
def test_a_stall_is_an_outage_in_which_nothing_failed(length: float, seed: int) -> None:
    down = Down(6.0, 6.0 + length, stall=True)
    timeline = play(World(downs=[down], seed=seed, jitter=0.1, classes=("fresh", "busy")))
    for cls in ("fresh", "busy"):
        found = told(timeline, cls)
        assert len(found) == 1 and found[0].stall and found[0].lost == 0 and holds(found[0], down)
        assert found[0].low_ns > down.ns - 0.25e9


def test_a_stalled_pod_is_told_for_that_pod() -> None:
    down = Down(6, 7, stall=True, pod=3)
    found = told(play(World(flips=(), downs=[down], classes=("fresh",))), "fresh")
    assert [one.pod for one in found] == ["blue-3"] and holds(found[0], down)


def test_an_outage_at_the_edge_of_the_record_has_no_upper_bound() -> None:
    for down in (Down(-1, 1), Down(11, 13)):
        found = told(play(World(downs=[down], classes=("fresh",))), "fresh")
        assert [one.high_ns for one in found] == [None] and found[0].low_ns > 0


def test_everything_lost_is_one_outage_without_upper_bound() -> None:
    found = told(play(World(downs=[Down(-1, 99)], classes=("fresh",))), "fresh")
    assert len(found) == 1 and found[0].lost == 2400 and found[0].high_ns is None


@pytest.mark.parametrize(
    ("start", "phase"),
    [(1, "before"), (4.5, "cutover"), (7, "after cutover"), (8.1, "rollback"), (11, "after rollback")],
)
def test_phases(start: float, phase: str) -> None:
    world = World(flips=[Flip(4), Flip(8, "rollback", "v1")], downs=[Down(start, start + 0.2)], classes=("fresh",))
    assert [one.phase for one in told(play(world), "fresh")] == [phase]


def test_a_lone_loss_may_have_been_no_outage_at_all() -> None:
    timeline = play(World(flips=(), classes=("fresh",)))
    samples = timeline.samples.copy()
    samples["outcome"][1000] = layout.UNKNOWN
    found = outages(Timeline(samples=samples, classes=timeline.classes))
    assert [(one.low_ns, one.lost) for one in found] == [(0, 1)]
    assert found[0].high_ns is not None and found[0].high_ns < 3 * FRESH_LINE


def test_scattered_losses_in_a_long_record_each_get_their_bracket() -> None:
    timeline = play(World(seconds=60, flips=(), classes=("fresh",)))
    samples = timeline.samples.copy()
    samples["outcome"][500::1000] = layout.UNKNOWN
    found = outages(Timeline(samples=samples, classes=timeline.classes))
    assert len(found) == 12 and all(one.lost == 1 and one.high_ns is not None for one in found)


@given(st.integers(2, 400), st.integers(0, 1000))
@settings(max_examples=25)
def test_arbitrary_outcomes_keep_low_below_high(count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    samples = layout.empty(count)
    samples["intended"] = at(0) + np.arange(count) * 5 * MS
    samples["sent"] = samples["intended"] + rng.integers(0, 2 * MS, count)
    samples["end"] = samples["sent"] + rng.integers(1, 300 * MS, count)
    samples["outcome"] = rng.choice([0, 1, 2, 3], count, p=[0.5, 0.2, 0.2, 0.1])
    samples["entry"], samples["pod"] = rng.integers(0, 3, count), rng.integers(0, 3, count)
    samples["sent"][samples["outcome"] == layout.UNSENT] = 0
    lost = np.isin(samples["outcome"], (layout.FAILED, layout.UNKNOWN))
    assume(lost.any())
    found = outages(Timeline(samples=samples, classes=(ClassSpec("fresh", 0, 200.0),)))
    assert sum(one.lost for one in found) == np.count_nonzero(lost)
    assert all(one.low_ns >= 0 and 0 < one.share <= 1 for one in found)
    assert all(one.high_ns is None or one.low_ns <= one.high_ns for one in found)

"""Numbers against their definitions: bounds, gaps, lag, burn."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.evidence import samples as layout
from harness.evidence.gaps import gaps, longest_gap, longest_gap_by
from harness.evidence.ledger import ledger
from harness.evidence.statistics import (
    budget,
    burn,
    judged_window,
    lag_by_class,
    lag_p99,
    loss_rate_upper,
    worst_lag,
)
from tests.simulated import MS, RATES, Down, Flip, World, at, changed, event, having, play, without


def test_nothing_lost_is_the_rule_of_three() -> None:
    assert loss_rate_upper(0, 59) <= 0.05 < loss_rate_upper(0, 58)
    assert loss_rate_upper(0, 299) <= 0.01 < loss_rate_upper(0, 298)
    assert loss_rate_upper(0, 10_000) == pytest.approx(3 / 10_000, rel=0.01)


def test_the_bound_is_clopper_and_pearsons() -> None:
    from scipy.stats import beta, binom

    for lost, total in ((1, 10), (3, 100), (7, 4000), (99, 100)):
        bound = loss_rate_upper(lost, total)
        assert bound == pytest.approx(float(beta.ppf(0.95, lost + 1, total - lost)))
        assert float(binom.cdf(lost, total, bound)) == pytest.approx(0.05)


def test_no_evidence_bounds_nothing() -> None:
    assert loss_rate_upper(0, 0) == 1.0
    assert loss_rate_upper(5, 5) == 1.0


@pytest.mark.parametrize(("lost", "total", "confidence"), [(-1, 5, 0.95), (6, 5, 0.95), (0, 5, 1.0), (0, 5, 0.0)])
def test_an_impossible_bound_is_refused(lost: int, total: int, confidence: float) -> None:
    with pytest.raises(ValueError, match="no bound"):
        loss_rate_upper(lost, total, confidence)


@given(st.integers(0, 50), st.integers(1, 50))
@settings(max_examples=40)
def test_more_losses_never_lower_the_bound(lost: int, more: int) -> None:
    assert loss_rate_upper(lost, 100) <= loss_rate_upper(min(100, lost + more), 100)


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=60))
@settings(max_examples=40)
def test_the_lag_is_numpys_percentile(lags: list[int]) -> None:
    samples = layout.empty(len(lags))
    samples["intended"] = 10**12
    samples["sent"] = samples["intended"] + lags
    assert lag_p99(samples) == float(np.percentile(lags, 99))


def test_the_lag_leaves_unsent_out_and_takes_the_end_for_a_missing_send() -> None:
    samples = layout.empty(2)
    samples["intended"], samples["sent"], samples["end"] = 100, (0, 0), (5_000, 900)
    samples["outcome"] = (layout.UNSENT, layout.FAILED)
    assert lag_p99(samples) == 800
    assert lag_p99(samples[:1]) is None


def test_the_lag_counts_from_two_seconds_before_the_flip_to_the_end_of_the_watch() -> None:
    timeline = play(World(seconds=20, flips=[Flip(6)]))
    assert judged_window(timeline) == (at(4), at(20))
    fresh = timeline.samples["cls"] == 0
    slow_start = fresh & (timeline.samples["intended"] < at(3.9))
    late = changed(timeline, slow_start, sent=timeline.samples["intended"][slow_start] + 500 * MS)
    assert lag_by_class(late)[late.classes[0]] < MS
    lagging = changed(timeline, fresh, sent=timeline.samples["intended"][fresh] + 50 * MS)
    found = worst_lag(lagging)
    assert found is not None and found[0].name == "fresh" and found[1] == 50 * MS


def test_a_breach_ends_a_watch_and_a_later_flip_goes_on_to_the_end() -> None:
    timeline = having(without(play(World(seconds=20, flips=[Flip(6)])), "watch.finished"), event(9, "watch.breached"))
    assert judged_window(timeline) == (at(4), at(9))
    back = having(timeline, event(10, "cutover.sent", move="rollback"))
    assert judged_window(back) == (at(4), back.end_ns)
    assert judged_window(play(World(flips=())))[0] == 0


def test_the_longest_gap() -> None:
    samples = layout.empty(5)
    samples["end"] = (10 * MS, 15 * MS, 20 * MS, 60 * MS, 65 * MS)
    assert longest_gap(samples, 200) == 35 * MS
    samples["outcome"][2] = layout.UNKNOWN
    assert longest_gap(samples, 200) == 40 * MS
    assert longest_gap(samples[:1], 200) is None
    assert longest_gap(samples[:2], 200) == 0


def test_gaps_by_entry_show_the_node_that_was_out() -> None:
    timeline = play(World(flips=(), classes=("fresh",), downs=[Down(5, 5.5, entry=1)]))
    by_entry = longest_gap_by(timeline.of_class("fresh"), "entry")
    assert set(by_entry) == {0, 1, 2}
    assert 480 * MS < by_entry[1] < 520 * MS and by_entry[0] < 5 * MS and by_entry[2] < 5 * MS
    whole = longest_gap(timeline.of_class("fresh"), 200)
    assert whole is not None and whole < 10 * MS
    assert longest_gap_by(layout.empty(), "conn") == {}


def test_the_budget_burns() -> None:
    assert burn(1, 1000, 0.999) == pytest.approx(1.0)
    assert burn(0, 10, 0.99) == 0 and burn(0, 0, 0.99) is None
    with pytest.raises(ValueError, match="SLO"):
        burn(1, 2, 1.0)


def test_the_ledger_counts_each_class() -> None:
    timeline = play(World(seconds=5, flips=(), downs=[Down(2, 2.5)]))
    for line in ledger(timeline):
        assert line.faults == ()
        assert line.scheduled == line.issued + line.unsent
        assert line.issued == line.ok + line.failed + line.unknown + line.open
    assert ledger(timeline)[0].failed == 100


@given(st.randoms(use_true_random=False))
@settings(max_examples=10)
def test_a_sample_recorded_twice_or_dropped_opens_the_ledger(chance: random.Random) -> None:
    timeline = play(World(seconds=3, flips=(), classes=("fresh",)))
    index = chance.randrange(len(timeline.samples))
    repeated = changed(timeline, index, seq=timeline.samples["seq"][index - 1])
    assert any("twice" in fault for fault in ledger(repeated)[0].faults)
    several = changed(repeated, 0, source=1)
    assert any("twice" in fault for fault in ledger(several)[0].faults) or index in (0, 1)
    from dataclasses import replace

    dropped = replace(timeline, samples=np.delete(timeline.samples, index))
    assert any("issued 600 is not" in fault for fault in ledger(dropped)[0].faults)
    assert not math.isnan(loss_rate_upper(0, len(dropped.samples)))


def test_the_record_has_the_longest_gap_of_each_class_node_and_kept_connection() -> None:
    timeline = play(World(flips=(), downs=[Down(5, 5.5)]))
    told = gaps(timeline)
    assert set(told) == {"gaps", "gaps_by_node", "gaps_by_connection"}
    assert set(told["gaps"]) == {"all", "fresh", "busy", "idle", "slow", "post"}
    for name in ("fresh", "busy"):
        assert 470 < told["gaps"][name] < 530, name  # type: ignore[operator]
    # A slow answer that was under way came in the midst of the outage: over all there was one good answer more.
    assert 200 < told["gaps"]["all"] < 500  # type: ignore[operator]
    assert set(told["gaps_by_node"]["fresh"]) == {"control-plane", "worker", "worker2"}  # type: ignore[arg-type]
    assert set(told["gaps_by_connection"]) == {"busy", "idle"}
    assert gaps(play(World(classes=()))) == {"gaps": {}, "gaps_by_node": {}, "gaps_by_connection": {}}


def test_a_connection_has_a_gap_only_where_something_was_asked_of_it() -> None:
    samples = layout.empty(20)
    samples["intended"] = samples["end"] = np.arange(20) * 100 * MS
    samples["conn"] = np.repeat([1, 2, 3], [10, 8, 2])
    samples["intended"][-1] = samples["end"][-1] = 9_000 * MS  # a further connection, used again much later
    samples["end"][5] += 50 * MS
    samples["outcome"][12:14] = layout.UNKNOWN
    assert longest_gap_by(samples, "conn") == {1: 50 * MS, 2: 200 * MS, 3: 0}


def test_the_slow_answers_after_the_loads_end_are_no_gap() -> None:
    told = gaps(play(World(flips=(), rates={**RATES, "slow": 1.0}, slow_s=5.0)))
    assert told["gaps"]["all"] < 10  # type: ignore[operator]


@given(st.integers(100, 900), st.integers(0, 10_000))
@settings(max_examples=15)
def test_a_gap_is_never_shorter_than_the_outage_less_a_line(length_ms: int, seed: int) -> None:
    down = Down(5, 5 + length_ms / 1000)
    longest = longest_gap(play(World(flips=(), classes=("fresh",), downs=[down], seed=seed)).of_class("fresh"), 200)
    assert longest is not None and down.ns - 10 * MS <= longest <= down.ns + 15 * MS


def test_the_budget_counts_what_counts_at_the_level_and_tells_the_rest() -> None:
    for level, lost in (("user", 0), ("strict", 3)):
        timeline = play(World(level=level, slo=0.999))
        idle = np.flatnonzero(timeline.samples["cls"] == 2)[:3]
        spent = budget(changed(timeline, idle, outcome=layout.UNKNOWN, flags=layout.FLAG_RETRIABLE))
        assert spent is not None
        assert (spent["lost"], spent["retriable"], spent["target"]) == (lost, 3 - lost, 0.999)
        assert spent["burn"] == pytest.approx(lost / spent["issued"] / 0.001)
    assert budget(play(World())) is None
    nothing = budget(play(World(classes=(), slo=0.999)))
    assert nothing is not None and nothing["burn"] is None

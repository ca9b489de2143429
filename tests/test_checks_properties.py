"""Properties of all checks together: a loss never improves anything, and no order or repetition changes an answer."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.checks.finding import VERDICTS
from harness.checks.promises import (
    START,
    enough,
    idle_side_warm,
    never_served,
    no_flip_back,
    nothing_lost,
    only,
    rolled_back_by_watch,
)
from harness.checks.registry import judge
from harness.checks.verdict import overall
from harness.evidence import samples as layout
from harness.evidence.outages import outages
from harness.evidence.summary import scenario_record
from harness.evidence.timeline import Timeline
from tests.simulated import CODES, RATES, Down, Flip, World, changed, event, having, play

# `loses` and `red` aren't here: they promise the opposite.
PROMISES = (
    nothing_lost(),
    only("v2"),
    only("v1", after="rollback"),
    only("v2", after=START),
    no_flip_back(),
    idle_side_warm(),
    never_served("v3"),
    rolled_back_by_watch(),
    enough(2000),
)
WORLDS = {
    "calm": World(),
    "strict": World(level="strict"),
    "late": World(flips=[Flip(4, delays=(0.2, 2.4, 0.3))]),
    "never": World(flips=[Flip(4, happens=False)]),
    "back": World(flips=[Flip(3), Flip(7, "rollback", "v1")]),
    "down": World(downs=[Down(4.1, 4.3), Down(8, 8.5, entry=1)]),
    "thin": World(rates={"fresh": 60.0, "busy": 20.0, "idle": 1.0, "slow": 1.0, "post": 3.0}),
    "unanswered": World(flips=[Flip(4, acknowledged=False)]),
    "objective": World(slo=0.999, path="ingress"),
    "strict objective": World(slo=0.9, level="strict", downs=[Down(4.1, 4.3)]),
}
TIMELINES = {name: play(world) for name, world in WORLDS.items()}
TIMELINES["breached"] = having(TIMELINES["back"], event(5, "watch.breached", detail="lost"))
worlds = st.sampled_from(sorted(TIMELINES))


def ranks(timeline: Timeline) -> dict[str, int]:
    found = judge(timeline, PROMISES)
    return {f"{number} {one.check}": VERDICTS.index(one.verdict) for number, one in enumerate(found)}


BEFORE = {name: ranks(timeline) for name, timeline in TIMELINES.items()}


def expected(timeline: Timeline) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    """Ok samples that break no promise by their revision: those that do are themselves what is to be found."""
    samples = timeline.samples
    wrong = np.zeros(len(samples), np.bool_)
    for move in timeline.moves():
        sent = move.sent_ns or 0
        inside = (samples["sent"] > sent) & (samples["sent"] < move.end_ns)
        wrong |= inside & (samples["revision"] != timeline.id_of(move.to_revision))
    return np.flatnonzero((samples["outcome"] == layout.OK) & ~wrong)


@given(worlds, st.data())
@settings(max_examples=60)
def test_losing_an_ok_sample_never_improves_any_finding(name: str, data: st.DataObject) -> None:
    timeline = TIMELINES[name]
    candidates = expected(timeline)
    index = int(candidates[data.draw(st.integers(0, len(candidates) - 1))])
    outcome = data.draw(st.sampled_from([layout.FAILED, layout.UNKNOWN]))
    flags = data.draw(st.sampled_from([0, layout.FLAG_RETRIABLE]))
    lost = changed(timeline, index, outcome=outcome, error=7, revision=0, pod=0, first_byte=0, flags=flags)
    after = ranks(lost)
    assert {key: after[key] for key in BEFORE[name]} == {
        key: max(rank, after[key]) for key, rank in BEFORE[name].items()
    }


@given(worlds, st.data())
@settings(max_examples=40)
def test_a_wrong_answer_that_tells_its_revision_never_improves_any_finding(name: str, data: st.DataObject) -> None:
    timeline = TIMELINES[name]
    index = data.draw(st.integers(0, len(timeline.samples) - 1))
    after = ranks(changed(timeline, index, outcome=layout.FAILED, error=13))
    assert all(after[key] >= rank for key, rank in BEFORE[name].items())


@given(worlds, st.integers(0, 10_000), st.floats(0.001, 1.0))
@settings(max_examples=30)
def test_losing_any_part_of_the_record_never_improves_the_verdict(name: str, seed: int, share: float) -> None:
    timeline = TIMELINES[name]
    which = np.random.default_rng(seed).random(len(timeline.samples)) < share
    which &= timeline.samples["cls"] != 2  # idle may lose what is retriable
    lost = changed(timeline, which, outcome=layout.UNKNOWN, error=7, revision=0, pod=0)
    before, after = overall(judge(timeline, PROMISES)), overall(judge(lost, PROMISES))
    assert VERDICTS.index(after) >= VERDICTS.index(before)
    if which.any():
        assert after == "fail"


@pytest.mark.parametrize("world", [{"lag_ms": 60.0}, {"rates": WORLDS["thin"].rates}])
def test_neither_lag_nor_thin_evidence_hides_a_loss(world: dict[str, Any]) -> None:
    unsure = play(World(**world))
    assert overall(judge(unsure, [nothing_lost()])) == "inconclusive"
    for name in RATES:
        index = np.flatnonzero(unsure.samples["cls"] == CODES[name])[3]
        lost = changed(unsure, index, outcome=layout.UNKNOWN, error=7, revision=0, pod=0)
        assert overall(judge(lost, [nothing_lost()])) == "fail"


@given(worlds, st.integers(0, 10_000))
@settings(max_examples=20)
def test_the_order_of_samples_and_events_does_not_matter(name: str, seed: int) -> None:
    timeline = TIMELINES[name]
    rng = np.random.default_rng(seed)
    events = tuple(timeline.events[index] for index in rng.permutation(len(timeline.events)))
    mixed = replace(timeline, samples=rng.permutation(timeline.samples), events=events)
    assert judge(mixed, PROMISES) == judge(timeline, PROMISES)
    assert outages(mixed) == outages(timeline)


@pytest.mark.parametrize("name", sorted(TIMELINES))
def test_judging_is_pure(name: str) -> None:
    timeline = TIMELINES[name]
    samples = timeline.samples.copy()
    first = judge(timeline, PROMISES), scenario_record(timeline, [])
    assert (judge(timeline, PROMISES), scenario_record(timeline, [])) == first
    assert np.array_equal(samples, timeline.samples)


@given(worlds, st.floats(-3, 14))
@settings(max_examples=40)
def test_any_prefix_can_be_judged(name: str, seconds: float) -> None:
    from tests.simulated import at

    timeline = TIMELINES[name]
    prefix = replace(
        timeline,
        events=tuple(one for one in timeline.events if one.t <= at(seconds)),
        samples=timeline.samples[timeline.samples["end"] <= at(seconds)],
    )
    found = judge(prefix, PROMISES)
    scenario_record(prefix, found)
    if name in ("calm", "strict", "thin"):
        # What isn't wrong in the whole run isn't wrong in any part of it.
        judged = [one for one in found if one.check not in ("only", "rolled_back_by_watch")]
        assert [one for one in judged if one.verdict == "fail"] == []

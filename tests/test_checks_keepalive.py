"""Checks of kept connections on simulated timelines."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.checks.finding import FAIL, INCONCLUSIVE, PASS, Finding
from harness.checks.promise import Promise
from harness.checks.promises import affinity, idle_close, kept_until_drained
from harness.checks.registry import bind
from harness.evidence.samples import FLAG_REPLACED, FLAG_RETRIABLE, UNKNOWN
from harness.evidence.timeline import Timeline
from tests.simulated import Flip, World, at, changed, event, having, play

FLIPPED = play(World(seconds=16, flips=(Flip(4.0),)))
DRAINED = event(9.0, "side.drained", side="blue", pods=[])


def judged(timeline: Timeline, promise: Promise) -> Finding:
    finding = bind(promise).rule(timeline, **promise.params)
    assert finding is not None
    return finding


def moved(cls: str, since: float, timeline: Timeline = FLIPPED) -> Timeline:
    """The class's requests after that instant are answered by the new side."""
    samples = timeline.samples
    mine = (samples["cls"] == (timeline.spec(cls) or timeline.classes[0]).code) & (samples["sent"] > at(since))
    return changed(timeline, mine, revision=timeline.id_of("v2"), pod=timeline.id_of("green-0"))


@given(st.floats(0.1, 6.0))
def test_busy_connections_stay_until_the_drain_and_leave_in_time(after: float) -> None:
    finding = judged(having(moved("busy", 9.0 + after), DRAINED), kept_until_drained(within=3.0))
    assert finding.verdict == (PASS if after <= 3.0 else FAIL)
    assert finding.measured == pytest.approx(after * 1e3, abs=25)


def test_what_leaves_before_the_drain_isnt_what_a_service_does() -> None:
    finding = judged(having(moved("busy", 7.0), DRAINED), kept_until_drained())
    assert finding.verdict == FAIL
    assert "busy answers came from v1" in finding.detail


def test_without_a_drain_or_a_cutover_nothing_is_told() -> None:
    assert judged(FLIPPED, kept_until_drained()).verdict == INCONCLUSIVE
    assert judged(having(play(World(flips=())), DRAINED), kept_until_drained()).verdict == INCONCLUSIVE
    early = event(5.0, "side.drained", side="blue", pods=[])
    assert judged(having(FLIPPED, early), kept_until_drained()).verdict == INCONCLUSIVE
    assert judged(having(FLIPPED, event(15.9, "side.drained")), kept_until_drained()).verdict == INCONCLUSIVE


@given(retriable=st.integers(0, 6), replaced=st.integers(0, 6), other=st.integers(0, 3))
def test_retriable_losses_are_counted_pass_for_users_and_fail_when_strict(
    retriable: int, replaced: int, other: int
) -> None:
    timeline = FLIPPED
    index = np.flatnonzero(timeline.samples["cls"] == (timeline.spec("idle") or timeline.classes[0]).code)
    cuts = np.split(index, np.cumsum([retriable, replaced, other]))
    timeline = changed(timeline, cuts[0], outcome=UNKNOWN, flags=FLAG_RETRIABLE)
    timeline = changed(timeline, cuts[1], flags=FLAG_REPLACED)
    timeline = changed(timeline, cuts[2], outcome=UNKNOWN)
    user, strict = judged(timeline, idle_close()), judged(timeline, idle_close("strict"))
    assert user.measured == strict.measured == retriable
    assert f"{replaced} seen before the send (nothing lost), {retriable} retriable" in user.detail
    nothing = INCONCLUSIVE if retriable + replaced == 0 else PASS
    assert user.verdict == (FAIL if other else nothing)
    assert strict.verdict == (FAIL if other or retriable else nothing)
    assert user.limit is None
    assert strict.limit == 0


def pinned(timeline: Timeline) -> Timeline:
    """Through each node, one pod of the side that answers."""
    for entry in range(3):
        for side, revision in (("blue", "v1"), ("green", "v2")):
            samples = timeline.samples
            mine = (samples["entry"] == entry) & (samples["revision"] == timeline.id_of(revision))
            timeline = changed(timeline, mine, pod=timeline.id_of(f"{side}-{entry}"))
    return timeline


def test_affinity_is_told_per_node_before_and_after_the_move() -> None:
    finding = judged(pinned(FLIPPED), affinity())
    assert (finding.verdict, finding.measured) == (PASS, 1)
    assert finding.detail.startswith("pods per node before control-plane: 1, worker: 1, worker2: 1; after the cutover")
    spread = judged(FLIPPED, affinity())
    assert (spread.verdict, spread.measured) == (FAIL, 4)
    assert judged(changed(FLIPPED, np.arange(len(FLIPPED.samples)), pod=0), affinity()).verdict == INCONCLUSIVE

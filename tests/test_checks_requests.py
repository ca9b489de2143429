"""Checks of single requests; each is shown green, red and undecided."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from harness.checks.finding import Finding
from harness.checks.promise import Promise
from harness.checks.promises import enough, loses, never_served, nothing_lost, only
from harness.checks.registry import judge
from harness.evidence import samples as layout
from harness.evidence.samples import ERRORS, FAILED, FLAG_RETRIABLE, UNKNOWN
from harness.evidence.timeline import Timeline
from tests.simulated import CODES, Down, World, at, changed, play

CALM = play(World())


def found(timeline: Timeline, promise: Promise) -> Finding:
    return judge(timeline, [promise])[0]


def of(timeline: Timeline, name: str) -> Any:
    return np.flatnonzero(timeline.samples["cls"] == CODES[name])


def losing(name: str, count: int = 1, outcome: int = UNKNOWN, flags: int = 0, timeline: Timeline = CALM) -> Timeline:
    which = of(timeline, name)[5 : 5 + count]
    return changed(timeline, which, outcome=outcome, error=ERRORS.index("reset"), revision=0, pod=0, flags=flags)


def test_nothing_lost() -> None:
    finding = found(CALM, nothing_lost())
    assert (finding.verdict, finding.measured, finding.limit) == ("pass", 0, 0)


@pytest.mark.parametrize("name", ["fresh", "busy", "slow", "post", "idle"])
@pytest.mark.parametrize("outcome", [FAILED, UNKNOWN])
def test_one_lost_request_of_any_class_is_a_fail(name: str, outcome: int) -> None:
    finding = found(losing(name, outcome=outcome), nothing_lost())
    assert finding.verdict == "fail" and finding.measured == 1
    assert f"1 of {len(of(CALM, name))} {name} (1 reset)" in finding.detail


@pytest.mark.parametrize("name", ["fresh", "busy", "slow", "post"])
def test_what_is_retriable_still_counts_where_every_attempt_is_judged(name: str) -> None:
    assert found(losing(name, flags=FLAG_RETRIABLE), nothing_lost()).verdict == "fail"


def test_idle_at_user_level_may_lose_what_any_client_may_retry_and_says_so() -> None:
    finding = found(losing("idle", 2, flags=FLAG_RETRIABLE), nothing_lost())
    assert finding.verdict == "pass" and "2 of 24 idle were lost, retriable" in finding.detail
    assert "let pass at level user (2 reset)" in finding.detail


@pytest.mark.parametrize("level", ["user", "strict"])
@pytest.mark.parametrize("name", ["idle", "busy"])
def test_the_retriable_are_told_with_their_level_whether_they_count_or_not(name: str, level: str) -> None:
    timeline = losing(name, 2, flags=FLAG_RETRIABLE, timeline=play(World(level=level)))
    finding = found(timeline, nothing_lost())
    passes = level == "user" and name == "idle"
    assert finding.verdict == ("pass" if passes else "fail")
    assert finding.measured == (0 if passes else 2)
    assert f"2 of {len(of(CALM, name))} {name} were lost, retriable by any client" in finding.detail
    assert f"{'let pass' if passes else 'counted'} at level {level}" in finding.detail


def test_one_idle_loss_that_is_not_retriable_counts_beside_those_that_are() -> None:
    finding = found(losing("idle", 1, timeline=losing("idle", 3, flags=FLAG_RETRIABLE)), nothing_lost())
    assert finding.verdict == "fail" and finding.measured == 1
    assert "2 of 24 idle were lost, retriable" in finding.detail


def test_on_the_ingress_path_it_says_where_idle_connections_end() -> None:
    ingress = play(World(path="ingress"))
    assert "idle connections end at the proxy" in found(ingress, nothing_lost()).detail
    assert "idle connections" not in found(ingress, nothing_lost(classes=["fresh"])).detail
    assert "idle connections" not in found(CALM, nothing_lost()).detail


@pytest.mark.parametrize("name", ["post", "slow"])
def test_only_judges_post_and_slow_as_what_they_are_fresh_connections(name: str) -> None:
    assert found(CALM, only("v2", classes=[name])).verdict == "pass"
    late = of(CALM, name)
    late = late[CALM.samples["sent"][late] > at(6.5)][:1]
    finding = found(changed(CALM, late, revision=CALM.id_of("v1")), only("v2", classes=[name]))
    assert finding.verdict == "fail" and finding.measured == 1
    # Begun before the flip, a slow answer ends on the old side; sent within the allowance, either side may give it.
    early = of(CALM, name)
    early = early[(CALM.samples["sent"][early] > at(4)) & (CALM.samples["sent"][early] < at(5.9))]
    assert found(changed(CALM, early, revision=CALM.id_of("v1")), only("v2", classes=[name])).verdict == "pass"


def test_busy_and_idle_connections_stay_on_the_old_side_and_only_says_so_where_it_is_asked() -> None:
    assert found(CALM, only("v2")).verdict == "pass"
    for name in ("busy", "idle"):
        assert found(CALM, only("v2", classes=[name])).verdict == "fail"


def test_idle_at_strict_level_may_not() -> None:
    strict = play(World(level="strict"))
    assert found(losing("idle", flags=FLAG_RETRIABLE, timeline=strict), nothing_lost()).verdict == "fail"


def test_only_the_named_classes_are_judged() -> None:
    assert found(losing("busy"), nothing_lost(classes=["fresh"])).verdict == "pass"
    assert found(losing("busy"), nothing_lost(classes="busy")).verdict == "fail"


def test_no_evidence_is_never_a_pass() -> None:
    assert found(Timeline(), nothing_lost()).verdict == "inconclusive"
    only_busy = play(World(classes=("busy",)))
    assert found(only_busy, nothing_lost(classes=["fresh", "busy"])).verdict == "inconclusive"
    assert found(only_busy, nothing_lost(classes=[])).verdict == "inconclusive"
    all_unsent = changed(CALM, of(CALM, "fresh"), outcome=layout.UNSENT)
    assert found(all_unsent, nothing_lost(classes=["fresh"])).verdict == "inconclusive"
    # Every single idle request lost, all of them retriable: nothing shows that the service was there.
    gone = losing("idle", 24, flags=FLAG_RETRIABLE)
    gone = changed(gone, of(gone, "idle"), outcome=UNKNOWN, flags=FLAG_RETRIABLE)
    assert found(gone, nothing_lost(classes=["idle"])).verdict == "inconclusive"


def test_loses_passes_only_if_exactly_these_lose() -> None:
    slow = losing("slow")
    assert found(slow, loses("slow")).verdict == "pass"
    assert found(slow, loses("slow", "post")).verdict == "fail"
    assert found(slow, loses()).verdict == "fail"
    assert found(losing("fresh", timeline=slow), loses("slow")).verdict == "fail"
    assert found(slow, loses(may=["slow"])).verdict == "pass"
    assert found(CALM, loses(may=["slow"])).verdict == "pass"
    assert found(losing("fresh", timeline=slow), loses("slow", may=["fresh"])).verdict == "pass"
    assert found(losing("fresh", timeline=slow), loses("slow", may=["busy"])).verdict == "fail"
    assert found(losing("fresh"), loses("slow", may=["fresh"])).verdict == "fail"
    assert found(CALM, loses("slow")).verdict == "fail"
    assert found(CALM, loses()).verdict == "pass"


def test_loses_needs_the_class_to_have_run() -> None:
    assert found(CALM, loses("websocket")).verdict == "inconclusive"
    assert found(Timeline(), loses()).verdict == "inconclusive"


def test_loses_within_a_bound() -> None:
    down = play(World(downs=[Down(7, 7.5)], classes=("fresh",)))
    assert found(down, loses("fresh", at_most_ms=600)).verdict == "pass"
    finding = found(down, loses("fresh", at_most_ms=400))
    assert finding.verdict == "fail" and finding.measured is not None and 400 < finding.measured <= 500
    assert found(down, loses("fresh", at_most_ms=500)).verdict == "inconclusive"
    to_the_end = play(World(downs=[Down(11.9, 13)], classes=("fresh",)))
    assert found(to_the_end, loses("fresh", at_most_ms=500)).verdict == "inconclusive"


def test_enough() -> None:
    assert found(CALM, enough(2400)).verdict == "pass"
    assert found(CALM, enough(2401)).verdict == "inconclusive"
    assert found(CALM, enough(0, "websocket")).verdict == "inconclusive"
    assert found(losing("fresh", 100), enough(2400)).verdict == "pass"
    assert found(changed(CALM, of(CALM, "fresh")[:1], outcome=layout.UNSENT), enough(2400)).verdict == "inconclusive"


def test_never_served() -> None:
    assert found(CALM, never_served("v3")).verdict == "pass"
    finding = found(CALM, never_served("v2"))
    assert finding.verdict == "fail" and finding.measured is not None and finding.measured > 1000
    once = changed(CALM, of(CALM, "post")[3:4], revision=CALM.id_of("v3"), outcome=FAILED)
    assert found(once, never_served("v3")).verdict == "fail"


def test_never_served_needs_answers_that_tell_their_revision() -> None:
    assert found(Timeline(), never_served("v3")).verdict == "inconclusive"
    assert found(changed(CALM, of(CALM, "post")[:1], revision=0), never_served("v3")).verdict == "inconclusive"

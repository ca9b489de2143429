"""Checks of probes on simulated timelines: a pod that leaves by its readiness, or doesn't."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.checks.finding import FAIL, INCONCLUSIVE, PASS, UNPROVEN, Finding
from harness.checks.promise import Promise
from harness.checks.promises import (
    deleted_leaves_first,
    hung_restarted,
    not_ready_gets_nothing,
    not_restarted,
    ready_before_served,
    same_probes,
)
from harness.checks.registry import bind
from harness.evidence.probes import ProbeRecord, parse
from harness.evidence.summary import scenario_record
from harness.evidence.timeline import Event, Timeline
from tests.simulated import NODES, World, at, changed, event, having, play, without

CALM = play(World(seconds=16, flips=()))
SPECS = {"api": {"readinessProbe": {"httpGet": {"path": "/readyz"}, "periodSeconds": 1}}}
APPLIED = event(-1, "probes.applied", verb="install", side="blue", sides={"blue": SPECS, "green": SPECS}, missing=[])


def judged(timeline: Timeline, promise: Promise) -> Finding:
    finding = bind(promise).rule(timeline, **promise.params)
    assert finding is not None
    return finding


def probes(pod: str, *told: tuple[float, str]) -> ProbeRecord:
    """A record, from (seconds, "good" | "bad" | "start" | "end")."""
    forms = {
        "good": "H {} /readyz 200",
        "bad": "H {} /readyz 503",
        "start": f"S {{}} {pod} v1",
        "end": "E {}",
    }
    return parse(f"{pod}.probes", "".join(f"{forms[what].format(at(t))}\n" for t, what in told).encode())


def steady(pod: str, start: float = -9.0, end: float = 16.0) -> list[tuple[float, str]]:
    """A pod that is ready all the time, probed each second."""
    return [(start, "start"), *((t, "good") for t in np.arange(start + 1, end, 1.0).tolist())]


def unready(since: float, back: float | None) -> list[tuple[float, str]]:
    """A pod whose last good probe is at `since`, and the next one at `back`."""
    kept = [(t, what) for t, what in steady("") if t <= since or (back is not None and t >= back)]
    return sorted([*kept, *((t, "bad") for t in np.arange(since + 1, back or 16.0, 1.0).tolist())])


def world(told: Sequence[tuple[float, str]], away: Mapping[int, tuple[float, float]] | None = None) -> Timeline:
    """Blue-0 with this record; through each entry, between these seconds, blue-1 serves in its place."""
    timeline = replace(CALM, probes=(probes("blue-0", *told), probes("blue-1", *steady("blue-1"))))
    timeline = having(timeline, APPLIED)
    samples = timeline.samples
    mine = samples["pod"] == timeline.id_of("blue-0")
    for entry, (start, end) in (away or {}).items():
        gone = mine & (samples["entry"] == entry) & (samples["nth"] == 1)
        gone &= (samples["sent"] > at(start)) & (samples["sent"] < at(end))
        timeline = changed(timeline, gone, pod=timeline.id_of("blue-1"))
    return timeline


EVERYWHERE = dict.fromkeys(range(len(NODES)), (6.2, 10.3))
LEFT = world(unready(4.0, 10.0), EVERYWHERE)


def test_a_pod_that_is_left_in_time_and_comes_back_passes_with_its_numbers() -> None:
    finding = judged(LEFT, not_ready_gets_nothing(within=3.0))
    assert finding.verdict == PASS
    assert finding.measured is not None
    assert 2_000 < finding.measured <= 2_200
    assert finding.limit == 3_000
    for node in NODES:
        assert f"{node} +" in finding.detail
    assert "first again" in finding.detail
    (told,) = scenario_record(LEFT, [])["probes"]["not_ready"]
    assert (told["pod"], told["unready_ms"]) == ("blue-0", 6_000)
    assert set(told["last_new_ms"]) == set(told["first_again_ms"]) == set(NODES)
    assert max(told["last_new_ms"].values()) == finding.measured
    assert all(300 <= ms < 700 for ms in told["first_again_ms"].values())


def test_one_node_that_goes_on_sending_fails_and_is_named() -> None:
    finding = judged(world(unready(4.0, 10.0), {**EVERYWHERE, 1: (7.5, 10.3)}), not_ready_gets_nothing(within=3.0))
    assert finding.verdict == FAIL
    assert "worker +33" in finding.detail


def test_a_pod_that_is_kept_though_unready_fails() -> None:
    finding = judged(world(unready(4.0, 10.0)), not_ready_gets_nothing())
    assert finding.verdict == FAIL
    assert finding.measured is not None
    assert finding.measured > 5_900


def test_a_pod_that_is_never_used_again_fails() -> None:
    forgotten = {entry: (6.2, 99.0 if entry == 2 else 10.3) for entry in range(3)}
    finding = judged(world(unready(4.0, 10.0), forgotten), not_ready_gets_nothing())
    assert finding.verdict == FAIL
    assert "got nothing within 3 s through worker2" in finding.detail
    moved = having(
        world(unready(4.0, 10.0), forgotten),
        event(10.5, "cutover.planned"),
        event(11.0, "cutover.sent", move="cutover"),
    )
    assert judged(moved, not_ready_gets_nothing()).verdict == PASS, "users were moved: nobody owes it any"


@pytest.mark.parametrize(
    "timeline",
    [
        world(steady("blue-0")),
        world(unready(4.0, 6.0), dict.fromkeys(range(3), (5.0, 7.0))),  # a wink: no longer than what is allowed
        world(unready(14.5, None)),  # the load ended too soon
        without(LEFT, "probes.applied"),
        replace(LEFT, probes=(*(LEFT.probes or ()), parse("green-0.probes", b""))),
    ],
    ids=["always ready", "a wink", "at the end", "no readiness known", "a record without a beginning"],
)
def test_what_shows_nothing_is_inconclusive(timeline: Timeline) -> None:
    assert judged(timeline, not_ready_gets_nothing()).verdict == INCONCLUSIVE


def test_a_pod_that_nobody_used_before_shows_nothing_by_getting_none() -> None:
    idle = replace(LEFT, probes=(probes("green-0", *unready(4.0, 10.0)),))
    assert judged(idle, not_ready_gets_nothing()).verdict == INCONCLUSIVE


@settings(max_examples=30)
@given(leaves=st.tuples(*[st.floats(0.2, 5.5)] * 3), within=st.floats(0.5, 5.0))
def test_the_verdict_follows_the_slowest_node(leaves: tuple[float, ...], within: float) -> None:
    away = {entry: (4.0 + seconds, 10.3) for entry, seconds in enumerate(leaves)}
    finding = judged(world(unready(4.0, 10.0), away), not_ready_gets_nothing(within=within))
    slowest = max(leaves)
    assert finding.measured is not None
    assert finding.measured <= slowest * 1e3
    if slowest <= within:
        assert finding.verdict == PASS
    elif slowest > within + 0.5:
        assert finding.verdict == FAIL


def test_no_user_meets_a_pod_before_it_is_ready() -> None:
    starting = [(4.0, "start"), (5.0, "bad"), (8.0, "good"), (9.0, "good")]
    away = dict.fromkeys(range(3), (-9.0, 8.2))
    good = judged(world(starting, away), ready_before_served())
    assert (good.verdict, good.measured) == (PASS, 0)
    assert "ready 4.0 s after its start" in good.detail
    early = judged(world(starting, {**away, 1: (-9.0, 7.0)}), ready_before_served())
    assert early.verdict == FAIL
    assert "by blue-0" in early.detail
    never = judged(world([(4.0, "start")], dict.fromkeys(range(3), (-9.0, 5.0))), ready_before_served())
    assert never.verdict == FAIL, "without a readiness probe every answer comes before the first good one"
    assert judged(LEFT, ready_before_served()).verdict == INCONCLUSIVE


def test_a_deleted_pod_leaves_and_then_ends() -> None:
    gone = dict.fromkeys(range(3), (4.4, 99.0))
    told = [*unready(4.0, None)[:-4], (12.0, "end")]
    deleted = event(4.0, "pod.deleted", pod="blue-0")
    good = judged(having(world(told, gone), deleted), deleted_leaves_first(within=3.0))
    assert good.verdict == PASS
    assert "it ended after 8000 ms" in good.detail
    kept = judged(having(world(told), deleted), deleted_leaves_first(within=3.0))
    assert kept.verdict == FAIL
    hasty = [(t, what) for t, what in told if t < 4.2] + [(4.2, "end")]
    assert judged(having(world(hasty, gone), deleted), deleted_leaves_first(within=3.0)).verdict == FAIL
    late = event(14.0, "pod.deleted", pod="blue-0")
    assert judged(having(world(told, gone), late), deleted_leaves_first()).verdict == INCONCLUSIVE
    assert judged(world(told, gone), deleted_leaves_first()).verdict == INCONCLUSIVE


def hung(t: float, pod: str) -> Event:
    return event(t, "fault.injected", kind="pod-hung", target=pod)


def test_a_hung_pod_begins_anew_and_no_other_does() -> None:
    anew = [*((t, what) for t, what in steady("") if t <= 5.0), (9.0, "start"), (11.0, "good")]
    timeline = having(world(anew), hung(3.0, "blue-0"))
    found = judged(timeline, hung_restarted(within=20.0))
    assert (found.verdict, found.measured) == (PASS, 6.0)
    assert judged(timeline, hung_restarted(within=5.0)).verdict == FAIL
    assert judged(timeline, not_restarted()).verdict == PASS, "it was meant to be"
    assert judged(world(anew), not_restarted()).verdict == FAIL
    assert judged(having(world(anew), event(1, "pod.drained", pod="blue-0")), not_restarted()).verdict == PASS
    stays = having(world(steady("")), hung(3.0, "blue-0"))
    assert judged(stays, hung_restarted(within=20.0)).verdict == FAIL
    unready_again = having(world(anew[:-1]), hung(3.0, "blue-0"))
    assert "never ready again" in judged(unready_again, hung_restarted(within=20.0)).detail
    assert judged(LEFT, hung_restarted(within=20.0)).verdict == INCONCLUSIVE
    assert judged(having(replace(LEFT, probes=(probes("blue-0", (0, "start")),)), hung(3, "blue-0")),
                  not_restarted()).verdict == INCONCLUSIVE  # fmt: skip


def test_probes_of_both_sides_are_the_same_or_named() -> None:
    assert judged(LEFT, same_probes()).verdict == PASS
    assert judged(CALM, same_probes()).verdict == INCONCLUSIVE
    drifted: dict[str, Any] = {"api": {"readinessProbe": {"httpGet": {"path": "/"}, "periodSeconds": 1}}}
    look = event(3, "probes.applied", side="green", sides={"blue": SPECS, "green": drifted}, missing=["no readiness"])
    finding = judged(having(LEFT, look), same_probes())
    assert (finding.verdict, finding.measured) == (FAIL, 2)
    assert "blue and green differ in api.readinessProbe.httpGet.path: /readyz and /" in finding.detail
    assert "green: no readiness" in finding.detail


def test_without_a_record_nothing_of_it_is_proven_but_what_the_objects_say() -> None:
    for promise in (not_ready_gets_nothing(), ready_before_served(), deleted_leaves_first(), not_restarted(),
                    hung_restarted(9.0)):  # fmt: skip
        assert judged(replace(LEFT, probes=None), promise).verdict == UNPROVEN
    assert scenario_record(CALM, [])["probes"] == {}

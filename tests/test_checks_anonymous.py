"""An application whose answers don't tell their version: what can't be known is unproven by name, never a pass."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from harness.checks.promise import Promise
from harness.checks.promises import (
    ROLLBACK,
    cutover_happened,
    inconclusive,
    never_served,
    no_flip_back,
    nothing_lost,
    only,
    red,
    rolled_back_by_watch,
)
from harness.checks.registry import judge
from harness.checks.verdict import overall
from harness.config_model import NEEDS_REVISION
from harness.evidence.summary import scenario_record
from harness.evidence.timeline import Event, Timeline
from tests.simulated import Flip, World, changed, event, play


def anonymous(world: World) -> Timeline:
    made = play(world)
    mute = changed(made, np.arange(len(made.samples)), revision=0)
    events = [
        Event(one.t, one.name, {**one.fields, "identity": "none"}) if one.name == "run.started" else one
        for one in mute.events
    ]
    return replace(mute, events=tuple(events))


CALM = anonymous(World())
BACK = anonymous(
    World(
        flips=[Flip(3), Flip(7, "rollback", "v1")],
        events=[event(6.5, "watch.breached", check="watch", detail="2 % lost"), event(2, "smoke.passed")],
    )
)
PROMISES = (
    cutover_happened(),
    never_served("v2"),
    no_flip_back(),
    only("v2"),
    rolled_back_by_watch(),
)


def test_exactly_the_checks_that_the_configuration_names_are_unproven() -> None:
    findings = judge(BACK, [nothing_lost(), *PROMISES])
    assert {one.check for one in findings if one.verdict == "unproven"} == set(NEEDS_REVISION) - {"smoke"}
    assert {one.check for one in findings if one.verdict in ("fail", "inconclusive")} <= {"near_flip"}
    record = scenario_record(BACK, findings)
    named = {one.split(":")[0] for one in record["unproven"]}
    assert named == {*NEEDS_REVISION, "arrivals"}


def test_the_rest_decides() -> None:
    findings = judge(CALM, [nothing_lost(), only("v2")])
    assert [one.verdict for one in findings[:2]] == ["pass", "unproven"]
    assert overall(findings) == "pass"


@pytest.mark.parametrize("promise", [only("v2"), red(only("v2")), inconclusive(only("v2")), only("v1", after=ROLLBACK)])
def test_a_scenario_of_which_nothing_can_be_proven_is_no_pass(promise: Promise) -> None:
    findings = judge(CALM, [promise])
    assert findings[0].verdict == "inconclusive"
    assert overall(findings) == "inconclusive"


def test_what_can_be_seen_without_a_version_still_fails() -> None:
    moved = replace(CALM, events=(*CALM.events, *(event(t, "selector.observed", value=v) for t, v in SEEN)))
    assert judge(moved, [nothing_lost(), no_flip_back()])[1].verdict == "fail"
    silent = anonymous(World(flips=[Flip(4, acknowledged=False)]))
    assert judge(silent, [nothing_lost(), cutover_happened()])[1].verdict == "fail"
    assert judge(CALM, [nothing_lost(), rolled_back_by_watch()])[1].verdict == "fail"


SEEN = [(5.0, "green"), (6.0, "blue")]

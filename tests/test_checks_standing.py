"""What is always judged; each is shown green, red (or undecided), and absent where it doesn't apply."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from harness.checks.finding import Finding
from harness.checks.registry import judge
from harness.checks.verdict import overall
from harness.evidence import samples as layout
from harness.evidence.timeline import SECOND, Timeline
from tests.simulated import CODES, MS, Flip, World, at, changed, event, having, play, without

CALM = play(World())
STANDING = ("cutover_happened", "ledger", "lag", "self_test", "near_flip", "cluster_answers")


def found(timeline: Timeline, name: str) -> Finding | None:
    return next((one for one in judge(timeline, []) if one.check == name), None)


def verdict(timeline: Timeline, name: str) -> str:
    finding = found(timeline, name)
    return finding.verdict if finding else "absent"


def of(name: str) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    return np.flatnonzero(CALM.samples["cls"] == CODES[name])


def test_a_calm_run_passes_them_all() -> None:
    findings = judge(CALM, [])
    assert {one.check for one in findings} == set(STANDING)
    assert {one.verdict for one in findings} == {"pass"} and overall(findings) == "pass"


@pytest.mark.parametrize(
    "closing",
    [
        {"scheduled": None, "issued": None, "unsent": None, "open": None},
        {"issued": 2399},
        {"scheduled": 2401},
        {"open": 1, "issued": 2401, "scheduled": 2401},
        {"unsent": 1, "scheduled": 2401},
    ],
)
def test_an_open_ledger_voids_the_run(closing: dict[str, int | None]) -> None:
    classes = (replace(CALM.classes[0], **closing), *CALM.classes[1:])  # type: ignore[arg-type]
    finding = found(replace(CALM, classes=classes), "ledger")
    assert finding is not None and finding.verdict == "inconclusive" and finding.voids and "fresh" in finding.detail


def test_requests_that_were_never_sent_open_the_ledger() -> None:
    unsent = changed(CALM, of("post")[:3], outcome=layout.UNSENT, sent=0)
    post = replace(CALM.classes[4], issued=117, unsent=3)
    finding = found(replace(unsent, classes=(*CALM.classes[:4], post)), "ledger")
    assert finding is not None and finding.voids and "3 were never sent" in finding.detail


def test_a_damaged_record_and_a_load_without_record_open_the_ledger() -> None:
    noted = found(replace(CALM, notes=("samples-7.bin: cut",)), "ledger")
    assert noted is not None and noted.voids and "samples-7.bin: cut" in noted.detail
    assert verdict(replace(CALM, classes=(), samples=layout.empty()), "ledger") == "inconclusive"
    assert verdict(Timeline(), "ledger") == "absent"
    strange = changed(CALM, of("post")[:1], outcome=9)
    assert verdict(strange, "ledger") == "inconclusive"


def test_lag_is_judged_per_class_against_two_lines() -> None:
    late = of("fresh")[-30:]
    assert verdict(changed(CALM, late, sent=CALM.samples["intended"][late] + 11 * MS), "lag") == "inconclusive"
    assert verdict(changed(CALM, late, sent=CALM.samples["intended"][late] + 9 * MS), "lag") == "pass"
    busy = of("busy")[-30:]
    assert verdict(changed(CALM, busy, sent=CALM.samples["intended"][busy] + 11 * MS), "lag") == "pass"
    early = of("fresh")[:300]
    assert verdict(changed(CALM, early, sent=CALM.samples["intended"][early] + 99 * MS), "lag") == "pass"
    assert verdict(Timeline(), "lag") == "absent"
    none_sent = changed(CALM, np.arange(len(CALM.samples)), outcome=layout.UNSENT)
    assert verdict(none_sent, "lag") == "inconclusive"


def test_the_self_test() -> None:
    untested = without(CALM, "instrument.tested")
    assert verdict(untested, "self_test") == "inconclusive"
    assert verdict(having(untested, event(-1, "instrument.tested", result="skipped")), "self_test") == "inconclusive"
    skipped = found(having(untested, event(-1, "instrument.tested", result="skipped")), "self_test")
    assert skipped is not None and not skipped.voids
    failed = event(-1, "instrument.tested", result="fail", injected=9, reported=8, detail="rst: 1 missing")
    finding = found(having(CALM, failed), "self_test")
    assert finding is not None and finding.voids and finding.verdict == "inconclusive"
    assert (finding.measured, finding.limit) == (8, 9) and "rst" in finding.detail


def test_thin_evidence_near_a_flip() -> None:
    thin = play(World(rates={"fresh": 70.0, "busy": 50.0, "idle": 2.0, "slow": 4.0, "post": 10.0}))
    finding = found(thin, "near_flip")
    assert finding is not None and finding.verdict == "inconclusive" and finding.limit == 300
    assert finding.measured is not None and 270 <= finding.measured < 300
    second = play(World(flips=[Flip(4), Flip(11)]))
    late = found(second, "near_flip")
    assert late is not None and late.verdict == "pass"
    at_the_end = play(World(flips=[Flip(4), Flip(11.9)]))
    assert verdict(at_the_end, "near_flip") == "pass"
    after_the_load = play(World(flips=[Flip(4), Flip(13.9)]))
    assert verdict(after_the_load, "near_flip") == "inconclusive"


def test_near_flip_asks_only_classes_that_ran_and_flips_under_load() -> None:
    assert verdict(play(World(classes=("fresh", "busy"))), "near_flip") == "pass"
    assert verdict(play(World(flips=())), "near_flip") == "absent"
    assert verdict(play(World(flips=[Flip(-1.2)])), "near_flip") == "absent"
    unheard = replace(CALM, classes=(), samples=layout.empty())
    assert verdict(unheard, "near_flip") == "inconclusive"


def test_slow_requests_count_while_they_are_under_way() -> None:
    long = play(World(slow_s=6.0, flips=[Flip(8)]))
    samples = long.of_class("slow")
    near = (samples["sent"] <= at(10)) & (samples["end"] >= at(6))
    assert np.count_nonzero(near) > 2 * np.count_nonzero(np.abs(samples["sent"] - at(8)) <= 2 * SECOND)
    assert verdict(long, "near_flip") == "pass"


def test_slow_requests_that_are_not_slow_tell_nothing_of_a_flip() -> None:
    finding = found(play(World(slow_s=0.5)), "near_flip")
    assert (
        finding is not None
        and finding.verdict == "inconclusive"
        and "0 slow near cutover 1, 5 wanted" in finding.detail
    )


def test_every_class_has_enough_near_a_flip_right_after_the_start_and_right_before_the_end() -> None:
    assert verdict(play(World(flips=[Flip(1.0)], slow_s=3.0)), "near_flip") == "pass"
    assert verdict(play(World(seconds=4.0, flips=[Flip(1.0)], slow_s=3.0)), "near_flip") == "pass"


def test_the_error_budget_is_judged_only_where_an_objective_was_given() -> None:
    assert verdict(CALM, "slo") == "absent"
    bounded = World(slo=0.999)
    assert verdict(play(bounded), "slo") == "pass"
    issued = len(play(bounded).samples)
    for lost, expected in ((issued // 1000, "pass"), (issued // 1000 + 1, "fail")):
        timeline = changed(play(bounded), np.arange(lost), outcome=layout.UNKNOWN, error=7, revision=0)
        finding = found(timeline, "slo")
        assert finding is not None and finding.verdict == expected and finding.limit == 1
        assert finding.measured == pytest.approx(lost / issued / 0.001)
        assert f"{lost} of {issued} requests lost at an objective of 99.9 %" in finding.detail


def test_what_a_level_lets_pass_is_told_beside_the_budget() -> None:
    for level, expected in (("user", "pass"), ("strict", "fail")):
        timeline = play(World(slo=0.9999, level=level))
        timeline = changed(timeline, of("idle")[:2], outcome=layout.UNKNOWN, flags=layout.FLAG_RETRIABLE)
        finding = found(timeline, "slo")
        assert finding is not None and finding.verdict == expected
        assert ("2 more, retriable" in finding.detail) is (level == "user")


def test_a_scenario_that_promises_losses_is_told_its_burn_and_not_failed_for_it() -> None:
    world = play(World(slo=0.999))
    started = replace(world.events[0], fields={**world.events[0].fields, "expect": "loses"})
    lost = changed(replace(world, events=(started, *world.events[1:])), of("fresh")[:99], outcome=layout.FAILED)
    finding = found(lost, "slo")
    assert finding is not None and finding.verdict == "pass" and finding.limit is None
    assert finding.measured is not None and finding.measured > 10 and "promises losses" in finding.detail
    assert verdict(play(World(slo=0.999, classes=(), flips=())), "slo") == "inconclusive"


def test_the_cluster_answers_as_before() -> None:
    assert verdict(without(CALM, "cluster.answers"), "cluster_answers") == "inconclusive"
    assert (
        verdict(having(CALM, event(30, "cluster.answers", ok=False, detail="node gone")), "cluster_answers") == "fail"
    )
    assert verdict(having(CALM, event(0, "cluster.answers", ok=False)), "cluster_answers") == "pass"


def test_faults_are_seen_and_healed() -> None:
    assert verdict(CALM, "faults_healed") == "absent"
    injected, confirmed = event(4, "fault.injected", kind="evict"), event(5, "fault.confirmed", kind="evict")
    healed = event(6, "fault.healed", kind="evict")
    assert verdict(having(CALM, injected, confirmed, healed), "faults_healed") == "pass"
    assert verdict(having(CALM, injected, confirmed), "faults_healed") == "fail"
    assert verdict(having(CALM, injected, healed), "faults_healed") == "inconclusive"
    broken = event(6, "fault.healed", kind="evict", ok=False)
    assert verdict(having(CALM, injected, confirmed, broken), "faults_healed") == "fail"
    twice = (event(7, "fault.injected", kind="evict"), event(8, "fault.confirmed", kind="evict"))
    assert verdict(having(CALM, injected, confirmed, healed, *twice), "faults_healed") == "fail"
    running = without(having(CALM, injected, confirmed), "scenario.finished")
    assert verdict(running, "faults_healed") == "inconclusive"

"""The check of the gate itself, and what mutants.json says of it."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from harness.checks.caught import caught_by, explained, got
from harness.checks.finding import FAIL, INCONCLUSIVE, PASS
from harness.checks.promise import promises_of
from harness.checks.promises import GATE, caught, nothing_lost, red
from harness.checks.registry import judge
from harness.checks.verdict import overall
from harness.evidence.timeline import Timeline
from harness.mutants import score
from harness.report.terminal import diagnosis_lines
from tests.broken import Record
from tests.simulated import Down, Flip, World, event, having, play, without
from tests.test_diagnosis_rules import no_readiness_probe, refused_for, secret_missing, version_fails_smoke


def verdict(timeline: Timeline, expected: str, by: str) -> tuple[str, str]:
    (finding,) = judge(timeline, [caught(expected, by=by)])
    return finding.verdict, finding.detail


def test_a_broken_release_that_is_caught_for_the_right_reason_passes() -> None:
    assert verdict(no_readiness_probe().done, "no-readiness-probe", "traffic")[0] == PASS
    assert verdict(secret_missing().done, "secret-missing", "refusal")[0] == PASS
    assert verdict(version_fails_smoke().done, "version-fails-smoke", "smoke")[0] == PASS
    assert verdict(refused_for("pdb-blocks").done, "pdb-blocks", "static")[0] == PASS


def test_the_wrong_reason_and_the_wrong_part_of_the_gate_fail() -> None:
    assert verdict(no_readiness_probe().done, "cold-start", "traffic") == (
        FAIL,
        verdict(no_readiness_probe().done, "cold-start", "traffic")[1],
    )
    assert (
        "diagnosed as no-readiness-probe, not as cold-start"
        in verdict(no_readiness_probe().done, "cold-start", "traffic")[1]
    )
    assert "caught by traffic, not by smoke" in verdict(no_readiness_probe().done, "no-readiness-probe", "smoke")[1]


def test_a_survivor_fails() -> None:
    found, detail = verdict(Record().ready().done, "no-readiness-probe", "traffic")
    assert found == FAIL
    assert "got through" in detail


def test_a_record_that_proves_nothing_is_no_catch() -> None:
    timeline = having(
        without(no_readiness_probe().done, "instrument.tested"), event(-1, "instrument.tested", result="fail")
    )
    assert verdict(timeline, "no-readiness-probe", "traffic")[0] == INCONCLUSIVE


def test_losses_that_the_gate_is_there_to_find_are_not_held_against_the_scenario_twice() -> None:
    timeline = having(no_readiness_probe().done, event(12.1, "scenario.raised", error="the release was refused"))
    assert len(judge(timeline, [caught("no-readiness-probe", by="traffic")])) == 1


def test_what_users_met_counts_before_what_refused() -> None:
    timeline = version_fails_smoke().done
    assert caught_by(timeline, ["nothing_lost", "completed"]) == "traffic"
    assert caught_by(timeline, ["completed"]) == "smoke"
    assert caught_by(without(timeline, "smoke.failed"), ["completed"]) == "refusal"


def test_a_negative_twin_that_fails_has_nothing_to_explain() -> None:
    timeline = Record().ready().done
    promises = [red(nothing_lost())]
    findings = judge(timeline, promises)
    assert overall(findings) == FAIL
    assert explained(timeline, promises, findings) == []


@settings(max_examples=40)
@given(
    st.floats(2.0, 6.0),
    st.lists(st.floats(0.0, 1.0), min_size=3, max_size=3),
    st.lists(st.tuples(st.floats(0.5, 10.0), st.floats(0.01, 2.0)), max_size=2),
    st.integers(0, 1000),
)
def test_no_diagnosis_for_a_passing_timeline_and_one_for_each_failing_one(
    flip: float, delays: list[float], downs: list[tuple[float, float]], seed: int
) -> None:
    world = World(flips=(Flip(flip, delays=delays),), downs=[Down(t, t + d) for t, d in downs], seed=seed)
    timeline = play(world)
    findings = judge(timeline, GATE)
    told = explained(timeline, GATE, findings)
    assert bool(told) == (overall(findings) == FAIL)
    if told:
        assert told[0]["id"] == "unknown" or told[0]["likely"]


def applied(expected: str, gate: str = "traffic", id_: str = "x") -> Any:
    return event(-2, "mutant.applied", id=id_, source="M3", expected=expected, gate=gate)


def test_what_a_mutants_record_says() -> None:
    timeline = having(no_readiness_probe().done, applied("no-readiness-probe"))
    assert score.entry(timeline, "pass", 12.34) == {
        "mutant": {
            "id": "x", "source": "M3", "gate": "traffic", "caught_by": "traffic", "expected": "no-readiness-probe",
            "got": "no-readiness-probe", "caught": True, "seconds": 12.3,
        }
    }  # fmt: skip
    assert score.entry(no_readiness_probe().done, "pass", 1.0) == {}
    twin = having(Record().ready().done, applied(""))
    assert score.entry(twin, "pass", 1.0)["mutant"] | {} == {
        "id": "x", "source": "M3", "gate": "traffic", "caught_by": "", "expected": "", "got": "", "caught": False,
        "seconds": 1.0,
    }  # fmt: skip
    assert got(twin) == ("", "")


def record(expected: str, verdict: str) -> dict[str, Any]:
    timeline = having((no_readiness_probe() if expected else Record().ready()).done, applied(expected))
    return {"verdict": verdict, **score.entry(timeline, verdict, 1.0)}


def test_the_score_and_the_false_alarms() -> None:
    told = score.document(
        [record("no-readiness-probe", "pass"), record("no-readiness-probe", "fail"), record("", "pass"),
         record("", "fail"), record("", "inconclusive"), {"verdict": "fail"}]
    )  # fmt: skip
    assert told["score"] == 0.5
    assert [one["caught"] for one in told["mutants"]] == [True, False]
    assert told["false_alarms"] == {"runs": 3, "alarms": 1, "inconclusive": 1}
    assert score.document([{"verdict": "pass"}]) == {}
    assert score.document([record("", "pass")])["score"] is None


def test_a_mutant_without_a_verdict_was_not_caught() -> None:
    told = score.document([record("no-readiness-probe", "pass"), record("", "pass")], ["a", "b", "c"])
    assert (told["score"], told["unjudged"]) == (0.25, ["a", "b", "c"])
    assert len(told["mutants"]) == 1
    assert score.document([], ["a"])["score"] == 0
    assert score.document([record("no-readiness-probe", "pass")])["unjudged"] == []


def test_the_promise_reads_back_from_the_record() -> None:
    promise = caught("cold-start", by="traffic")
    timeline = Timeline((event(0, "promise.declared", **promise.to_dict()),))
    assert promises_of(timeline) == (promise,)


def test_a_person_reads_cause_mend_and_what_speaks_against_the_others() -> None:
    timeline = no_readiness_probe().done
    told = explained(timeline, [caught("no-readiness-probe", by="traffic")], [])
    lines = "\n".join(diagnosis_lines(told))
    assert "likely cause: no-readiness-probe (M3)" in lines
    assert "mend: give both sides the same readiness probe" in lines
    assert lines.count("less likely: ") == 2
    assert diagnosis_lines([]) == []

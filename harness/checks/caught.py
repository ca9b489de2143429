"""The check of the gate itself: a release that is broken on purpose turns it red, and for the right reason."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from harness.checks.finding import FAIL, INCONCLUSIVE, PASS, Finding
from harness.checks.promise import Promise
from harness.checks.promises import GATE
from harness.checks.registry import check, judge
from harness.checks.verdict import overall
from harness.diagnosis.ranking import UNKNOWN, diagnose
from harness.evidence.timeline import Timeline

NAME = "caught"
TWINS = ("red", "inconclusive", NAME)
"""Where these fail the release went too well: there is nothing to explain."""
BY_USERS = ("nothing_lost", "answered_within", "only", "no_flip_back", "idle_side_warm", "cutover_happened", "arrivals")
"""Checks that fail by what happens once users are there."""


@check(NAME, whole=True)
def caught(timeline: Timeline, *, expected: str, by: str) -> Finding:
    """The gate's promises and the standing checks fail, by this part of the gate, and this is the likeliest cause."""
    findings = judge(timeline, GATE)
    verdict = overall(findings)
    failed = _failed(findings)
    said = "; ".join(f"{one.check}: {one.detail}" for one in findings if one.verdict == FAIL)
    if verdict == INCONCLUSIVE:
        said = "; ".join(f"{one.check}: {one.detail}" for one in findings if one.verdict == INCONCLUSIVE)
        return Finding(NAME, INCONCLUSIVE, None, 1, "mutants", f"the gate can't tell: {said}")
    if verdict != FAIL:
        return Finding(NAME, FAIL, 0, 1, "mutants", "the gate stayed green: a broken release got through")
    part, got = caught_by(timeline, failed), _likeliest(timeline, failed)
    if part != by:
        return Finding(NAME, FAIL, 0, 1, "mutants", f"caught by {part}, not by {by}: {said}")
    if got != expected:
        return Finding(NAME, FAIL, 0, 1, "mutants", f"diagnosed as {got}, not as {expected}: {said}")
    return Finding(NAME, PASS, 1, 1, "mutants", f"caught by {part} as {got}: {said}")


def caught_by(timeline: Timeline, failed: Iterable[str]) -> str:
    """The part of the gate that turned red: what users met counts first, then the earliest that refused."""
    if set(failed) & set(BY_USERS):
        return "traffic"
    if timeline.named("smoke.failed"):
        return "smoke"
    reasons = [str(one.fields.get("reason") or "") for one in timeline.named("cutover.refused")]
    faults = [fault for one in timeline.named("static.checked") for fault in one.fields.get("faults") or ()]
    if any(f"({fault['id']})" in reason for fault in faults for reason in reasons):
        return "static"
    return "refusal"


def got(timeline: Timeline) -> tuple[str, str]:
    """Which part of the gate turned red on a record, and the likeliest cause; ("", "") where none did."""
    failed = _failed(judge(timeline, GATE))
    return (caught_by(timeline, failed), _likeliest(timeline, failed)) if failed else ("", "")


def explained(timeline: Timeline, promises: Iterable[Promise], findings: Sequence[Finding]) -> list[dict[str, Any]]:
    """Why a scenario failed, or why the gate turned red where that is what it promises; empty where all went well."""
    if any(promise.check == NAME for promise in promises):
        findings = judge(timeline, GATE)
    return diagnose(timeline, _failed(findings))


def _failed(findings: Iterable[Finding]) -> list[str]:
    return [one.check for one in findings if one.verdict == FAIL and one.check not in TWINS]


def _likeliest(timeline: Timeline, failed: Iterable[str]) -> str:
    return str(next(iter(diagnose(timeline, failed)), {"id": UNKNOWN})["id"])

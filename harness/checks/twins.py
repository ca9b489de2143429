"""Negative twins: a check that is shown to turn red, or to say that it can't tell, where its promise is broken."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.checks.finding import FAIL, INCONCLUSIVE, PASS, UNPROVEN, Finding, Verdict
from harness.checks.promise import Promise
from harness.checks.registry import bind, check
from harness.evidence.timeline import Timeline


@check("red")
def red(timeline: Timeline, *, of: str, **params: Any) -> Finding:
    """Passes only where the check `of` fails with these parameters; an inconclusive one shows nothing.

    Raises:
        ConfigurationError: a check or a parameter that doesn't exist.

    """
    finding = _judged(timeline, of, params)
    verdict = {FAIL: PASS, PASS: FAIL, UNPROVEN: UNPROVEN}.get(finding.verdict, INCONCLUSIVE)
    return _turned("red", verdict, of, finding)


@check("inconclusive")
def inconclusive(timeline: Timeline, *, of: str, **params: Any) -> Finding:
    """Passes only where the check `of` says that it can't tell: for checks whose worst answer that is.

    Raises:
        ConfigurationError: a check or a parameter that doesn't exist.

    """
    finding = _judged(timeline, of, params)
    # A record without a request leaves everything open: that shows nothing of this check.
    if finding.verdict == UNPROVEN:
        return _turned("inconclusive", UNPROVEN, of, finding)
    verdict = FAIL if finding.verdict != INCONCLUSIVE else PASS if len(timeline.samples) else INCONCLUSIVE
    return _turned("inconclusive", verdict, of, finding)


def _judged(timeline: Timeline, of: str, params: Mapping[str, Any]) -> Finding:
    finding = bind(Promise(of, params)).rule(timeline, **params)
    return finding or Finding(of, INCONCLUSIVE, detail="nothing of the kind happened in this run")


def _turned(name: str, verdict: Verdict, of: str, finding: Finding) -> Finding:
    text = f"{of} was {finding.verdict}: {finding.detail}"
    return Finding(name, verdict, finding.measured, finding.limit, finding.unit, text)

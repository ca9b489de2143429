"""Negative twins: a check that is shown to turn red where its promise is broken."""

from __future__ import annotations

from typing import Any

from harness.checks.finding import FAIL, INCONCLUSIVE, PASS, Finding
from harness.checks.promise import Promise
from harness.checks.registry import bind, check
from harness.evidence.timeline import Timeline


@check("red")
def red(timeline: Timeline, *, of: str, **params: Any) -> Finding:
    """Passes only where the check `of` fails with these parameters; an inconclusive one shows nothing.

    Raises:
        ConfigurationError: a check or a parameter that doesn't exist.

    """
    finding = bind(Promise(of, params)).rule(timeline, **params)
    if finding is None:
        return Finding("red", INCONCLUSIVE, detail=f"{of}: nothing of the kind happened in this run")
    verdict = INCONCLUSIVE if finding.verdict == INCONCLUSIVE else PASS if finding.verdict == FAIL else FAIL
    text = f"{of} was {finding.verdict}: {finding.detail}"
    return Finding("red", verdict, finding.measured, finding.limit, finding.unit, text)

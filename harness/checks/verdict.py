"""The verdict of a scenario: the worst finding wins, and no evidence is never a pass."""

from __future__ import annotations

from collections.abc import Iterable

from harness.checks.finding import INCONCLUSIVE, UNPROVEN, Finding, Verdict, worst


def overall(findings: Iterable[Finding]) -> Verdict:
    """The worst finding wins: fail > inconclusive > pass.

    Fail beats inconclusive, so that neither lag nor thin evidence hides a lost request. Only an instrument that proved
    unreliable (a failed self-test, an open ledger: `Finding.voids`) makes the whole inconclusive. What is unproven, by
    the configuration's own consent, counts for nothing: the others decide.
    """
    found = list(findings)
    if any(finding.voids for finding in found):
        return INCONCLUSIVE
    return worst([finding.verdict for finding in found if finding.verdict != UNPROVEN])

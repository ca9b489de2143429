"""A finding: what a check measured, against what limit, and the verdict that follows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

Verdict = Literal["pass", "unproven", "inconclusive", "fail"]

PASS: Final[Verdict] = "pass"  # noqa: S105
UNPROVEN: Final[Verdict] = "unproven"
"""Of a finding only: it can't be known of this application, which its configuration accepted by name."""
INCONCLUSIVE: Final[Verdict] = "inconclusive"
FAIL: Final[Verdict] = "fail"
ANONYMOUS: Final = "no answer tells its revision"
VERDICTS: Final[tuple[Verdict, ...]] = ("pass", "unproven", "inconclusive", "fail")
"""From best to worst."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The answer of one check.

    Args:
        check: the check's name.
        verdict: "pass", "unproven", "inconclusive" or "fail".
        measured: a number in `unit`; None where there was nothing to measure.
        limit: what it was held against, in `unit`; None where there is no number for it.
        unit: of both.
        detail: one sentence for people.
        voids: the whole run proves nothing, whatever else was found: a failed self-test, an open ledger.

    """

    check: str
    verdict: Verdict
    measured: float | None = None
    limit: float | None = None
    unit: str = ""
    detail: str = ""
    voids: bool = False

    def to_dict(self) -> dict[str, Any]:
        """As in verdict.json."""
        return {
            "check": self.check,
            "verdict": self.verdict,
            "measured": self.measured,
            "limit": self.limit,
            "unit": self.unit,
            "detail": self.detail,
        }


def worst(verdicts: list[Verdict]) -> Verdict:
    """The worst of some verdicts; inconclusive if there is none."""
    return max(verdicts, key=VERDICTS.index) if verdicts else INCONCLUSIVE

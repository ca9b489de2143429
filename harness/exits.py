"""The exit code of a run of scenarios: what each outcome counts for, and which of several wins. Nowhere else."""

from __future__ import annotations

from collections.abc import Iterable

from harness.errors import (
    EXIT_CONFIGURATION,
    EXIT_FAIL,
    EXIT_HARNESS,
    EXIT_INCONCLUSIVE,
    EXIT_PASS,
    ConfigurationError,
)

OF_VERDICT = {"pass": EXIT_PASS, "fail": EXIT_FAIL, "inconclusive": EXIT_INCONCLUSIVE}
ORDER = (EXIT_FAIL, EXIT_CONFIGURATION, EXIT_HARNESS, EXIT_INCONCLUSIVE, EXIT_PASS)
"""The first of these that occurred. What was proven broken comes first, whatever else went wrong beside it: a lost
request stays lost where another scenario's cluster died. Then what the user can mend, then what the harness must; that
the rest isn't enough evidence goes without saying there."""


def exit_code(verdict: str, *, others_failed: bool, errors: Iterable[BaseException | None]) -> int:
    """The exit code of a run.

    Args:
        verdict: of all scenarios together: "pass", "fail" or "inconclusive".
        others_failed: a test that is no scenario failed, or a file couldn't be collected.
        errors: what kept scenarios from a verdict; None where it was the run's time limit.

    """
    codes = [OF_VERDICT[verdict]]
    codes += [EXIT_FAIL] if others_failed else []
    codes += [EXIT_CONFIGURATION if isinstance(error, ConfigurationError) else EXIT_HARNESS for error in errors]
    return min(codes, key=ORDER.index)

"""The checks by name, and `judge`, which runs the promised and the standing ones over a timeline."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from harness.checks.finding import INCONCLUSIVE, UNPROVEN, Finding
from harness.checks.promise import Promise
from harness.errors import ConfigurationError
from harness.evidence.timeline import Timeline

Rule = Callable[..., Finding | None]
R = TypeVar("R", bound=Rule)


@dataclass(frozen=True, slots=True)
class Check:
    """A registered check.

    Args:
        name: what promises call it.
        rule: a pure function of a timeline and the promise's parameters; None means "doesn't apply here", which only
            a standing check may answer.
        standing: judged in every scenario, promised or not.
        whole: judges the whole run itself, the standing checks included: none of them is judged beside it.

    """

    name: str
    rule: Rule
    standing: bool
    whole: bool = False


_CHECKS: dict[str, Check] = {}


def check(name: str, *, standing: bool = False, whole: bool = False) -> Callable[[R], R]:
    """Registers a rule under a name.

    Raises:
        ValueError: two rules with the same name.

    """

    def register(rule: R) -> R:
        if name in _CHECKS:
            raise ValueError(f"two checks are called {name}")
        _CHECKS[name] = Check(name, rule, standing, whole)
        return rule

    return register


def checks() -> Mapping[str, Check]:
    """All registered checks by name."""
    return dict(_CHECKS)


def bind(promise: Promise) -> Check:
    """The check that a promise means, once its name and parameters are known to fit.

    Raises:
        ConfigurationError: no such check (the nearest right name is given), or a parameter that it doesn't have.

    """
    found = _CHECKS.get(promise.check)
    if found is None:
        near = difflib.get_close_matches(promise.check, _CHECKS, 1)
        mend = f"did you mean {near[0]}?" if near else f"one of {', '.join(sorted(_CHECKS))}"
        raise ConfigurationError(f"there is no check called {promise.check}", mend)
    try:
        inspect.signature(found.rule).bind(None, **promise.params)
    except TypeError as error:
        raise ConfigurationError(
            f"the promise {promise.check} can't be judged: {error}", f"it takes {inspect.signature(found.rule)}"
        ) from error
    return found


def judge(
    timeline: Timeline, promises: Iterable[Promise], limits: Mapping[str, Mapping[str, Any]] | None = None
) -> tuple[Finding, ...]:
    """Judges what was promised and what is always judged, in this order.

    A prefix of a run may be judged at any time: what can still come is inconclusive until then.

    Args:
        timeline: the record.
        promises: as declared.
        limits: parameters of standing checks by the check's name, instead of their defaults.

    Raises:
        ConfigurationError: a promise that no check can judge.

    """
    declared = tuple(promises)
    findings: list[Finding] = []
    # A check whose failure is itself promised ("red") isn't held against the scenario a second time.
    spoken_for = {promise.check for promise in declared} | {str(promise.params.get("of", "")) for promise in declared}
    for promise in declared:
        finding = bind(promise).rule(timeline, **promise.params)
        if finding is None:
            finding = Finding(promise.check, INCONCLUSIVE, detail="nothing of the kind happened in this run")
        findings.append(finding)
    if findings and all(finding.verdict == UNPROVEN for finding in findings):
        # What a scenario is there for can't be known of this application: that is no evidence, and never a pass.
        findings = [replace(finding, verdict=INCONCLUSIVE) for finding in findings]
    if any(_CHECKS[promise.check].whole for promise in declared):
        return tuple(findings)
    for name, standing in _CHECKS.items():
        if standing.standing and name not in spoken_for:
            finding = standing.rule(timeline, **_context(name, declared), **(limits or {}).get(name, {}))
            if finding is not None:
                findings.append(finding)
    return tuple(findings)


def _context(name: str, declared: Iterable[Promise]) -> dict[str, Any]:
    """A promised refusal of a move is no move that failed to happen."""
    refusal = any(
        promise.check == "refused" and promise.params.get("stage") in ("cutover", "rollback") for promise in declared
    )
    return {"refusals_promised": True} if refusal and name == "cutover_happened" else {}

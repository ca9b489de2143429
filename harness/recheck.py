"""Judge stored runs again, by the limits that they were recorded with or by others. No cluster, no clock."""

from __future__ import annotations

import difflib
import re
import runpy
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from harness.checks.finding import INCONCLUSIVE, Finding, Verdict, worst
from harness.checks.promise import Promise, promises_of
from harness.checks.registry import checks, judge
from harness.checks.verdict import overall
from harness.errors import ConfigurationError
from harness.evidence.store import read
from harness.evidence.timeline import Event, Timeline
from harness.limits import Limit
from harness.report.terminal import finding_line


@dataclass(frozen=True)
class Limits:
    """What is to be judged otherwise than it was recorded.

    Attributes:
        level: "user" or "strict"; "" as recorded.
        slo: objective as a share; None as recorded.
        limits: single parameters of checks.
        promises: instead of all that were declared; none of them: as declared.

    """

    level: str = ""
    slo: float | None = None
    limits: Sequence[Limit] = ()
    promises: Sequence[Promise] = ()


Seen = Callable[[Path, Timeline, tuple[Finding, ...]], None]
"""Is told of each record: its folder, the record, its findings."""


def recheck(folder: Path, limits: Limits, seen: Seen | None = None) -> tuple[Verdict, list[str]]:
    """The verdict of the scenarios below ``folder``, judged now from what is on disk, and each finding on a line.

    Args:
        folder: a scenario's, a run's, or one above.
        limits: what is to be judged otherwise than it was recorded.
        seen: is told of each record as it is judged, so that nobody has to keep them all in memory.

    Raises:
        ConfigurationError: nothing is stored there, or a limit that bears on no scenario there.
        LoadError: a record that can't be read.

    """
    records = sorted((path.parent for path in folder.rglob("events.jsonl")), key=_in_order)
    if not records:
        raise ConfigurationError(f"no stored scenario in {folder}", "give a folder below artifacts/")
    found: dict[Path, tuple[Finding, ...]] = {}
    scenarios: dict[Path, str] = {}
    bearing: set[Limit] = set()
    ran: set[str] = set()
    for record in records:
        timeline = read(record)
        scenarios[record] = str(timeline.started.get("scenario") or "")
        ran |= {spec.name for spec in timeline.classes}
        found[record] = judged(timeline, limits)
        if seen is not None:
            seen(record, timeline, found[record])
        bearing |= {one for one in limits.limits if _bears(one, limits.promises or promises_of(timeline))}
    _refuse_idle(limits.limits, bearing, ran)
    verdicts: dict[tuple[Path, str], Verdict] = {}
    said: list[str] = []
    for record, findings in found.items():
        verdict = overall(findings)
        # Only what was inconclusive is ever run again: a later attempt takes the place of such a one, and of no other.
        key = record.parent, scenarios[record] or record.name
        before = verdicts.get(key, INCONCLUSIVE)
        verdicts[key] = verdict if before == INCONCLUSIVE else worst([before, verdict])
        said.append(f"{verdict:<12} {record.name}")
        said += [f"  {finding_line(finding.to_dict())}" for finding in findings]
    whole = worst(list(verdicts.values()))
    return whole, [*said, f"verdict: {whole}"]


def load_checks(file: Path) -> None:
    """Run a file that registers checks (`harness.checks.registry.check`).

    Raises:
        ConfigurationError: it isn't there, or can't be run.

    """
    try:
        runpy.run_path(str(file))
    except Exception as error:  # it is the user's code
        raise ConfigurationError(f"{file} can't be run: {error!r}", "give the file that scenarios import") from error


def _in_order(record: Path) -> tuple[str, int]:
    """By name, and attempts of one scenario as they were made."""
    attempt = re.search(r"\.attempt(\d+)", record.name)
    return re.sub(r"\.attempt\d+", "", str(record)), int(attempt[1]) if attempt else 1


def judged(timeline: Timeline, limits: Limits) -> tuple[Finding, ...]:
    """One record's findings by these limits; by none given, those of its own run."""
    changed = _started(timeline, limits)
    declared = tuple(limits.promises) or promises_of(timeline)
    standing: dict[str, dict[str, object]] = {}
    for one in limits.limits:
        declared = tuple(_with(promise, one) for promise in declared)
        standing.setdefault(one.check, {})[one.param] = one.value
    return judge(changed, declared, standing)


def _started(timeline: Timeline, limits: Limits) -> Timeline:
    """The record as if its run had been started at that level, with that objective."""
    fields: dict[str, object] = {"level": limits.level} if limits.level else {}
    if limits.slo is not None:
        fields["slo"] = limits.slo
    if not fields:
        return timeline
    first = timeline.first("run.started") or Event(0, "run.started")
    others = tuple(event for event in timeline.events if event is not first)
    return replace(timeline, events=(Event(first.t, first.name, {**first.fields, **fields}), *others))


def _with(promise: Promise, limit: Limit) -> Promise:
    """A promise with one of its limits changed; a negative twin holds its promise's limits."""
    if limit.check not in (promise.check, promise.params.get("of")):
        return promise
    return Promise(promise.check, {**promise.params, limit.param: limit.value})


def _bears(limit: Limit, declared: Iterable[Promise]) -> bool:
    names = {promise.check for promise in declared} | {promise.params.get("of") for promise in declared}
    return limit.check in names or checks()[limit.check].standing


def _refuse_idle(limits: Iterable[Limit], bearing: set[Limit], ran: set[str]) -> None:
    """A limit without effect would be a check that isn't made, in silence."""
    for one in limits:
        if one not in bearing:
            raise ConfigurationError(f"no scenario here promises {one.check}", "judge it too with --promise")
        names = one.value if one.param == "classes" else (one.value,) if one.param in ("cls",) else ()
        for name in names or ():
            if name not in ran:
                near = difflib.get_close_matches(str(name), sorted(ran), n=1, cutoff=0.4)
                mend = f"did you mean {near[0]}?" if near else f"there ran {', '.join(sorted(ran)) or 'none'}"
                raise ConfigurationError(f"no class called {name} ran here", mend)

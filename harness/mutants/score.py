"""What became of the mutants of a run, as in mutants.json. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from harness.checks.caught import got
from harness.evidence.timeline import Timeline

SCHEMA = 1


def entry(timeline: Timeline, verdict: str, seconds: float) -> dict[str, Any]:
    """For the record of a mutant's or twin's scenario the key "mutant"; for any other nothing."""
    applied = timeline.first("mutant.applied")
    if applied is None:
        return {}
    by, cause = got(timeline)
    expected = str(applied.fields.get("expected") or "")
    told = {
        "id": str(applied.fields.get("id") or ""),
        "source": str(applied.fields.get("source") or ""),
        "gate": str(applied.fields.get("gate") or ""),
        "caught_by": by,
        "expected": expected,
        "got": cause,
        "caught": bool(expected) and verdict == "pass",
        "seconds": round(seconds, 1),
    }
    return {"mutant": told}


def document(records: Iterable[Mapping[str, Any]], unjudged: Sequence[str] = ()) -> dict[str, Any]:
    """mutants.json as data; empty where no mutant was to run.

    A twin is an alarm where the gate turned red on it. A mutant of which the gate couldn't tell wasn't caught, and
    one without a verdict wasn't either: a score over the others alone would say more than was seen.

    Args:
        records: the run's scenarios.
        unjudged: ids of mutants that were to be caught and have no record.

    """
    kept = [record for record in records if "mutant" in record]
    if not kept and not unjudged:
        return {}
    twins = [record for record in kept if not record["mutant"]["expected"]]
    told = [dict(record["mutant"]) for record in kept if record["mutant"]["expected"]]
    caught, total = sum(1 for one in told if one["caught"]), len(told) + len(unjudged)
    return {
        "schema": SCHEMA,
        "mutants": told,
        "unjudged": list(unjudged),
        "score": caught / total if total else None,
        "false_alarms": {
            "runs": len(twins),
            "alarms": sum(1 for record in twins if record["verdict"] == "fail"),
            "inconclusive": sum(1 for record in twins if record["verdict"] == "inconclusive"),
        },
    }

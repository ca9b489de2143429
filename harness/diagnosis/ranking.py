"""The likeliest causes of a timeline, best first, each with what speaks for and against it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import harness.diagnosis.rules  # noqa: F401 - registers them
from harness.diagnosis.rule import Case, Rule, rules
from harness.diagnosis.scene import Scene
from harness.evidence.timeline import Timeline

SHOWN: Final = 3
UNKNOWN: Final = "unknown"


def diagnose(timeline: Timeline, failed: Iterable[str]) -> list[dict[str, Any]]:
    """Why a scenario failed: the likeliest cause, then the two next best.

    Args:
        timeline: the record; nothing else is known.
        failed: names of the checks that failed. If none did, there is nothing to explain, and the answer is empty.

    Returns:
        Dicts with the strings "id", "source", "symptom", "cause", "mend", the lists "for" and "against", and "likely":
        False for what the record rules out. The first is always likely, or its id is "unknown".

    """
    names = frozenset(failed)
    if not names:
        return []
    scene = Scene(timeline, names)
    cases = [(one, _assessed(one, scene)) for one in rules().values()]
    likely = sorted((pair for pair in cases if not pair[1].ruled_out), key=_order)
    # What misses just something is worth telling too: it is what a person would think of next.
    near = sorted((pair for pair in cases if pair[1].ruled_out and pair[1].pro), key=_order)
    told = [_told(one, case, likely=True) for one, case in likely]
    told = told or [_unknown(names)]
    told += [_told(one, case, likely=False) for one, case in near]
    return told[:SHOWN]


def _assessed(one: Rule, scene: Scene) -> Case:
    case = Case()
    one.assess(scene, case)
    return case


def _order(pair: tuple[Rule, Case]) -> tuple[float, str]:
    return -pair[1].score, pair[0].id


def _told(one: Rule, case: Case, *, likely: bool) -> dict[str, Any]:
    return {
        "id": one.id,
        "source": one.source,
        "symptom": one.symptom,
        "cause": one.cause,
        "mend": one.mend,
        "likely": likely,
        "for": case.pro,
        "against": case.con,
    }


def _unknown(failed: Iterable[str]) -> dict[str, Any]:
    return {
        "id": UNKNOWN,
        "source": "",
        "symptom": f"{', '.join(sorted(failed))} failed",
        "cause": "nothing in the record tells why",
        "mend": "look at the events around the first lost request, and at the dump of the namespace",
        "likely": False,
        "for": [],
        "against": [],
    }

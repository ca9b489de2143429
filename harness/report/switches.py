"""switches.json: the mechanisms of a cutover side by side, from the records of the scenarios that ran with each."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Record = Mapping[str, Any]


def document(records: Sequence[Record]) -> dict[str, Any]:
    """Per switch and path: moves under load, what was lost in them by class, and the spread of their milestones.

    Counted are scenarios that promise that nothing is lost; where something broken on purpose is what a scenario is
    about, its losses say nothing of the switch. Times are ms from the moment the command was sent, but for
    ``release_s``: seconds from the first deploy's start to the first cutover's answer.
    """
    names = dict.fromkeys(str(one["switch"]) for one in records if one.get("switch"))
    table: dict[str, Any] = {}
    for name in names:
        of_it = [one for one in records if one.get("switch") == name and one.get("expect") == "no_loss"]
        paths = dict.fromkeys(str(one["path"]) for one in of_it)
        table[name] = {"paths": {path: _cell([one for one in of_it if one["path"] == path]) for path in paths}}
    return {"switches": table}


def _cell(records: Sequence[Record]) -> dict[str, Any]:
    moves = [move for one in records for move in one.get("moves") or ()]
    cutovers = [move for move in moves if move["move"] == "cutover"]
    rollbacks = [move for move in moves if move["move"] == "rollback"]
    lost: Counter[str] = Counter()
    for one in records:
        for cls, line in one["samples"]["by_class"].items():
            lost[cls] += line["failed"] + line["unknown"]
        sockets = one.get("sockets") or {}
        if sockets:
            lost["websocket"] += int(sockets.get("bad") or 0)
    return {
        "repeats": len(moves),
        "verdicts": dict(Counter(str(one["verdict"]) for one in records)),
        "lost": dict(lost),
        "acknowledged_ms": spread(move["acknowledged_ms"] for move in cutovers),
        "first_new_ms": spread(move["first_new_ms"] for move in cutovers),
        "mixed_ms": spread(move["mixed_ms"] for move in cutovers),
        "last_old_ms": spread(move["last_old_ms"].get("fresh") for move in cutovers),
        "rollback_first_ms": spread(move["first_new_ms"] for move in rollbacks),
        "rollback_mixed_ms": spread(move["mixed_ms"] for move in rollbacks),
        "release_s": spread(one.get("release_seconds") for one in records),
    }


def spread(values: Iterable[float | None]) -> dict[str, float]:
    """Median, smallest and largest; empty where there is none."""
    known = [value for value in values if value is not None]
    if not known:
        return {}
    return {"median": round(statistics.median(known), 3), "min": round(min(known), 3), "max": round(max(known), 3)}

"""How many WebSockets are open at each side, over time."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from harness.evidence.timeline import Timeline
from harness.report.html.series import Step
from harness.report.html.tones import Tones


def open_by_side(timeline: Timeline, tones: Tones) -> list[Step]:
    """Each change of a side's number of open sockets, as `series.steps` takes them; empty where none ran.

    A side is known by the revision that the handshake's answer told.
    """
    sockets: Any = getattr(timeline, "sockets", None)
    if sockets is None or not len(sockets.lives):
        return []
    lives = sockets.lives[sockets.lives["opened"] > 0]
    side_of = {key: tones.places.get(sockets.text(key), "") for key in np.unique(lives["revision"]).tolist()}
    changes: list[tuple[int, str, int]] = []
    for opened, ended, revision in zip(
        lives["opened"].tolist(), lives["ended"].tolist(), lives["revision"].tolist(), strict=True
    ):
        changes.append((opened, side_of[revision], 1))
        if ended > 0:
            changes.append((ended, side_of[revision], -1))
    now: Counter[str] = Counter()
    found: list[Step] = []
    for t, side, change in sorted(changes):
        now[side] += change
        found.append((t, side, float(now[side]), None))
    return found

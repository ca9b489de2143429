"""Every misbehavior on every n-th request: what was injected, what each tool reports, what really arrived."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from benchmarks import ours
from benchmarks.running import Broken, window
from benchmarks.tools import CONNECTIONS, Tool, Work
from harness.client.misbehave import MODES
from harness.client.plan import ClassPlan
from harness.client.selftest import ERROR_OF, SILENT
from harness.client.toy_process import ToyProcess
from harness.cluster.store import Store
from harness.evidence.losses import lost_mask
from harness.evidence.samples import ERRORS, UNSENT
from harness.evidence.timeline import Timeline

EVERY: Final = 100
COUNT: Final = 1000
TIMEOUT_S: Final = 1.0
RATE: Final = 500.0

Rows = dict[str, Any]


def of_tool(tool: Tool, store: Store) -> tuple[Rows, dict[str, str]]:
    """All modes of one tool: counts by mode, and the reason for each that it couldn't answer."""
    rows: Rows = {}
    reasons: dict[str, str] = {}
    with window(store) as top, ToyProcess() as toy:
        for mode in MODES:
            (folder := top / mode).mkdir()
            path = f"/{mode}/kept"
            url = f"http://127.0.0.1:{toy.port}{path}?every={EVERY}"
            # a tool that is bounded by time gets enough of it for its time-outs
            seconds = 3 * TIMEOUT_S if mode == "hang" else 1.0
            try:
                told, _ = tool.run(Work((url,), folder, count=COUNT, seconds=seconds, timeout_s=TIMEOUT_S))
            except Broken as error:
                rows[mode], reasons[f"modes.{mode}"] = None, str(error)
                continue
            rows[mode] = _row(toy.report().get(path, {}), told.reported, told.issued)
    return rows, reasons


def of_ours(store: Store) -> tuple[Rows, Rows]:
    """All modes of the project's own load: on kept connections, and on a new one per request."""
    both: tuple[Rows, Rows] = ({}, {})
    with window(store) as top, ToyProcess() as toy:
        for mode in MODES:
            (folder := top / mode).mkdir()
            classes = {
                "busy": ours.kept(RATE, CONNECTIONS, f"/{mode}/busy?every={EVERY}"),
                "fresh": ClassPlan(RATE, path=f"/{mode}/fresh?every={EVERY}"),
            }
            timeline, _ = ours.drive([toy.port], classes, COUNT / RATE, folder, timeout_s=TIMEOUT_S)
            seen = toy.report()
            for rows, name in zip(both, classes, strict=True):
                rows[mode] = _our_row(timeline, name, mode, seen.get(f"/{mode}/{name}", {}))
    return both


def _our_row(timeline: Timeline, name: str, mode: str, seen: dict[str, int]) -> dict[str, int]:
    samples = timeline.of_class(name)
    lost = samples[lost_mask(samples)]
    error = ERROR_OF[mode]
    names = {error}
    if name == "busy" and mode in SILENT:
        names.add(f"idle_{error}")  # cut before the answer's first byte: which of the two depends on the n-th request
    right = np.isin(lost["error"], [ERRORS.index(one) for one in names])
    row = _row(seen, len(lost), int(np.count_nonzero(samples["outcome"] != UNSENT)))
    return {**row, "right_class": int(np.count_nonzero(right))}


def _row(seen: dict[str, int], reported: int, issued: int) -> dict[str, int]:
    return {
        "injected": seen.get("injected", 0),
        "reported": reported,
        "issued": issued,
        "arrivals": seen.get("arrivals", 0),
    }


def right(row: dict[str, int] | None, under_way: int = 0) -> bool:
    """Whether a row is right: what was injected was reported, and nothing was sent behind the user's back.

    Args:
        row: one mode's counts.
        under_way: requests that a tool bounded by time may leave under way at its end; among so few, one may be bad.

    """
    if row is None or not row["injected"]:
        return False
    missed = row["injected"] - row["reported"]
    return row["arrivals"] - row["issued"] <= under_way and 0 <= missed <= min(1, under_way)


def exact(row: dict[str, int]) -> bool:
    """What the project asks of its own instrument: reported = injected, each in its class, and arrivals = issued."""
    same = row["reported"] == row["injected"] == row["right_class"] > 0
    return same and row["arrivals"] == row["issued"]

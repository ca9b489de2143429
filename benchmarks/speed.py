"""What a request costs each tool, and up to which rate an open model keeps its schedule."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from benchmarks import ours
from benchmarks.running import Broken, realtime, window
from benchmarks.servers import server
from benchmarks.tools import CONNECTIONS, Tool, Work
from harness.cluster.store import Store
from harness.evidence.samples import OK

SHORT_S: Final = 2.0
LONG_S: Final = 5.0
LADDER: Final = (500, 1000, 2000, 3000, 4000, 5000, 6000, 8000, 10_000, 12_000, 15_000, 20_000)
RUNG_S: Final = 2.0
LAG_MS: Final = 2.0
"""A rate counts as held where 99 % of its requests leave at most this late."""


def per_cpu_second(tool: Tool, store: Store) -> float:
    """Requests per second of the client's processor time, closed loop, on CONNECTIONS kept connections.

    A long run less a short one: the start of an interpreter, which a longer run would hide, counts for nobody.

    Raises:
        Broken: the tool failed, or lost requests of a healthy server.

    """
    counts, costs = [], []
    with window(store) as top, server() as made:
        for seconds in (SHORT_S, LONG_S):
            (folder := top / f"{seconds:g}").mkdir()
            told, done = tool.run(Work((f"http://127.0.0.1:{made.ports[0]}/ok",), folder, seconds=seconds))
            if told.reported:
                raise Broken(f"{told.reported} of {told.issued} requests to a healthy server failed")
            counts.append(told.issued)
            costs.append(done.cpu_s)
    if costs[1] <= costs[0] or counts[1] <= counts[0]:
        raise Broken(f"a longer run was no more work: {counts} requests in {costs} s")
    return (counts[1] - counts[0]) / (costs[1] - costs[0])


def our_open_cost(store: Store, rate: float = 2000.0) -> float:
    """The same for the project's load as it is used: open model by loadtests/steady.py, at the plan's highest rate."""
    counts, costs = [], []
    with window(store) as top, server() as made:
        for seconds in (SHORT_S, LONG_S):
            (folder := top / f"{seconds:g}").mkdir()
            timeline, done = ours.drive(made.ports, {"busy": ours.kept(rate, CONNECTIONS)}, seconds, folder)
            counts.append(len(timeline.samples))
            costs.append(done.cpu_s)
    return (counts[1] - counts[0]) / (costs[1] - costs[0])


def ladder_of_ours(store: Store) -> list[dict[str, Any]]:
    """The project's load at one rate after the other, until the first that it doesn't keep."""
    rungs: list[dict[str, Any]] = []
    for rate in LADDER:
        with window(store) as folder, server() as made:
            classes = {"busy": ours.kept(float(rate), CONNECTIONS)}
            timeline, _ = ours.drive(made.ports, classes, RUNG_S, folder, prefix=realtime())
        samples = timeline.samples
        good = bool(np.all(samples["outcome"] == OK))
        rungs.append(_rung(rate, samples["sent"] - samples["intended"], good))
        if not rungs[-1]["held"]:
            break
    return rungs


def ladder_of_tool(tool: Tool, store: Store) -> list[dict[str, Any]]:
    """The same for a tool whose record tells when each request left."""
    rungs: list[dict[str, Any]] = []
    for rate in LADDER:
        with window(store) as folder, server() as made:
            url = f"http://127.0.0.1:{made.ports[0]}/ok"
            told, _ = tool.run(Work((url,), folder, rate=float(rate), seconds=RUNG_S, detail=True, prefix=realtime()))
        if told.log is None:
            raise Broken("no record of single requests")
        rungs.append(_rung(rate, told.log.lag, not told.reported))
        if not rungs[-1]["held"]:
            break
    return rungs


def _rung(rate: int, lag: np.ndarray[Any, Any], good: bool) -> dict[str, Any]:
    p99 = float(np.percentile(lag, 99)) / 1e6
    sent = len(lag) / RUNG_S
    return {
        "rate": rate,
        "sent_per_second": round(sent),
        "lag_p99_ms": round(p99, 3),
        "held": bool(good and p99 < LAG_MS and sent >= 0.98 * rate),
    }


def highest(rungs: list[dict[str, Any]]) -> int:
    """The highest rate that was held with all below it; 0 for none."""
    held = [rung["rate"] for rung in rungs if rung["held"]]
    return max(held, default=0)

"""What a request costs each tool, and up to which rate an open model keeps its schedule."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

from benchmarks import ours
from benchmarks.parsers import Ints
from benchmarks.running import Broken, realtime, window
from benchmarks.servers import server
from benchmarks.tools import CONNECTIONS, Tool, Work
from harness.cluster.store import Store
from harness.evidence.samples import OK

SHORT_S: Final = 2.0
LONG_S: Final = 5.0
LADDER: Final = (500, 1000, 2000, 3000, 4000, 5000, 6000, 8000, 10_000, 12_000, 15_000, 20_000)
RUNG_S: Final = 3.0
WARM_S: Final = 1.0
"""The first second of a rung isn't judged, as a run isn't judged before the first flip comes near."""
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

    def one(rate: int, priority: Sequence[str]) -> tuple[Ints, bool]:
        with window(store) as folder, server() as made:
            classes = {"busy": ours.kept(float(rate), CONNECTIONS)}
            timeline, _ = ours.drive(made.ports, classes, RUNG_S, folder, prefix=priority)
        samples = timeline.samples
        return samples["sent"] - samples["intended"], bool(np.all(samples["outcome"] == OK))

    return climb(one)


def ladder_of_tool(tool: Tool, store: Store) -> list[dict[str, Any]]:
    """The same for a tool whose record tells when each request left."""

    def one(rate: int, priority: Sequence[str]) -> tuple[Ints, bool]:
        with window(store) as folder, server() as made:
            url = f"http://127.0.0.1:{made.ports[0]}/ok"
            work = Work((url,), folder, rate=float(rate), seconds=RUNG_S, detail=True, prefix=tuple(priority))
            told, _ = tool.run(work)
        if told.log is None:
            raise Broken("no record of single requests")
        return told.log.lag, not told.reported

    return climb(one)


def climb(one: Callable[[int, Sequence[str]], tuple[Ints, bool]]) -> list[dict[str, Any]]:
    """One rung after the other; the ladder ends at the first rate that is missed twice.

    Once isn't enough: what else the machine does can only make a rate look missed, never kept. The first time has the
    priority that the harness gives its load, the second the usual one: a tool of many threads could starve the server.

    Args:
        one: runs a rate at a priority; gives each request's lag in ns, in the order of the schedule, and whether all
            were answered well.

    """
    rungs: list[dict[str, Any]] = []
    for rate in LADDER:
        for priority in (realtime(), ()):
            lag, good = one(rate, priority)
            rungs.append(_rung(rate, lag, good))
            if rungs[-1]["held"]:
                break
        else:
            break
    return rungs


def _rung(rate: int, lag: Ints, good: bool) -> dict[str, Any]:
    judged = lag[round(rate * WARM_S) :]
    p99 = float(np.percentile(judged, 99)) / 1e6 if len(judged) else None
    sent = len(lag) / RUNG_S
    return {
        "rate": rate,
        "sent_per_second": round(sent),
        "lag_p99_ms": None if p99 is None else round(p99, 3),
        "held": bool(good and p99 is not None and p99 < LAG_MS and sent >= 0.98 * rate),
    }


def highest(rungs: list[dict[str, Any]]) -> int:
    """The highest rate that was held; 0 for none."""
    return max((rung["rate"] for rung in rungs if rung["held"]), default=0)

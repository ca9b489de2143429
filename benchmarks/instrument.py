"""The instrument against other tools: what each reports of what is injected, what it costs, what its judge costs.

Writes artifacts/latest/bench/instrument.json and the tables of docs/instrument.md. Everything is measured in one run,
against the same servers on 127.0.0.1, one tool after the other, on kept connections.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from benchmarks import judging, modes, ours, outages, provide, result, speed, table
from benchmarks.running import Broken, window
from benchmarks.tools import OTHERS, Locust, OurClient, OurClientInTasks, Tool
from harness.client.selftest import in_subprocess
from harness.cluster.store import Store, cache_root
from harness.errors import SetupError

ROOT = Path(__file__).resolve().parents[1]
REPEATS = 3
Entry = dict[str, Any]
T = TypeVar("T")


def main() -> int:
    """Measure everything, write the files, print the table; 1 where a measurement broke or the instrument lied."""
    store = Store(cache_root(), lambda text: print(f"[bench] {text}", flush=True))
    begun = time.monotonic()
    broken: list[str] = []
    tools: dict[str, Entry] = {}
    with store.step(ours.NAME):
        tools[ours.NAME] = _ours(store, broken)
    for kind in OTHERS:
        with store.step(kind.name):
            tools[kind.name] = _other(kind, store)
    numbers: Entry = {
        "date": time.strftime("%Y-%m-%d"),
        "machine": table.machine(),
        "p99_true_ms": round(outages.true_p99_ms(), 1),
        "tools": tools,
        "judge": _or(broken, "judge", lambda: judging.measure(store)),
        "self_test": _or(broken, "self_test", lambda: _self_test(store)),
    }
    numbers["limits"] = table.limits(numbers)
    numbers["seconds"] = round(time.monotonic() - begun)
    numbers["broken"] = broken
    path = result.keep("instrument", numbers)
    table.rewrite(ROOT / "docs" / "instrument.md", numbers)
    print(table.printed(numbers))
    print(f"wrote {path}")
    return 1 if broken or table.dishonest(tools[ours.NAME]) else 0


def _or(broken: list[str], what: str, measure: Callable[[], T]) -> T | None:
    """The measurement, or None with its reason kept: one that broke doesn't take the others with it."""
    try:
        return measure()
    except (Broken, RuntimeError) as error:
        broken.append(f"{what}: {error}")
        print(f"[bench] {what} broke: {error}", flush=True)
        return None


def _ours(store: Store, broken: list[str]) -> Entry:
    """The project's own numbers; here a cell that can't be measured is a measurement that broke."""
    client = OurClient("", provide.installed("pytest-bluegreen"))
    entry: Entry = {"version": client.version, "reasons": {}}
    both = _or(broken, "modes", lambda: modes.of_ours(store))
    entry["modes"], entry["modes_fresh"] = both or (None, None)
    entry["outages"], entry["outages_fresh"] = {}, {}
    entry["p99_error"] = entry["p99_error_fresh"] = None
    for name in outages.LENGTH_S:
        if name == "black_hole" and outages.namespace() is None:
            entry["outages"][name] = entry["outages_fresh"][name] = None
            entry["reasons"][f"outages.{name}"] = outages.NO_NAMESPACE
            continue
        found = _or(broken, f"outages.{name}", lambda name=name: outages.of_ours(name, store))  # type: ignore[misc]
        for cls, key in (("busy", ""), ("fresh", "_fresh")):
            cell, why, p99 = found[cls] if found else (None, "broke", None)
            entry[f"outages{key}"][name] = cell
            if why:
                entry["reasons"][f"outages{key}.{name}"] = why
            if name == "stopped" and p99 is not None:
                entry[f"p99_error{key}"] = _error(p99)
    entry["requests_per_cpu_second"] = _or(broken, "cpu", lambda: round(speed.per_cpu_second(client, store)))
    tasks = OurClientInTasks("", client.version)
    key = "requests_per_cpu_second_in_locust_tasks"
    entry[key] = _or(broken, "cpu in tasks", lambda: round(speed.per_cpu_second(tasks, store)))
    entry["requests_per_cpu_second_open"] = _or(broken, "cpu open", lambda: round(speed.our_open_cost(store)))
    entry["ladder"] = _or(broken, "ladder", lambda: speed.ladder_of_ours(store))
    entry["open_rate"] = speed.highest(entry["ladder"] or [])
    return entry


def _other(kind: type[Tool], store: Store) -> Entry:
    """Another tool's numbers; what it can't answer, or can't be had here for, is null with the reason."""
    reasons: dict[str, str] = {}
    entry: Entry = {"version": None, "bounded": kind.bounded, "reasons": reasons, "modes": None, "outages": None}
    entry |= {"requests_per_cpu_second": None, "open_rate": None, "p99_error": None}
    try:
        if issubclass(kind, Locust):
            tool: Tool = kind("", provide.installed("locust"))
        else:
            tool = kind(*provide.program(kind.name, store))
    except SetupError as error:
        reasons.update(
            dict.fromkeys(("modes", "outages", "requests_per_cpu_second", "open_rate", "p99_error"), str(error))
        )
        return entry
    entry["version"] = tool.version
    entry["modes"], why = modes.of_tool(tool, store)
    reasons.update(why)
    entry["outages"] = {}
    for name in outages.LENGTH_S:
        entry["outages"][name], reason, p99 = outages.of_tool(tool, name, store)
        if reason:
            reasons[f"outages.{name}"] = reason
        if name == "stopped":
            entry["p99_error"] = None if p99 is None else _error(p99)
            if p99 is None:
                reasons["p99_error"] = reason or "it tells no p99"
    try:
        entry["requests_per_cpu_second"] = round(speed.per_cpu_second(tool, store))
    except Broken as error:
        reasons["requests_per_cpu_second"] = str(error)
    if tool.closed:
        reasons["open_rate"] = tool.closed
        return entry
    try:
        entry["ladder"] = speed.ladder_of_tool(tool, store)
        entry["open_rate"] = speed.highest(entry["ladder"])
    except Broken as error:
        reasons["open_rate"] = str(error)
    return entry


def _error(p99_ms: float) -> float:
    return round(p99_ms / outages.true_p99_ms() - 1, 4)


def _self_test(store: Store) -> Entry:
    """The self-test that precedes every load, three times."""
    with window(store):
        runs = [in_subprocess(15.0) for _ in range(REPEATS)]
    if red := [run.detail for run in runs if not run.passed]:
        raise Broken(f"the self-test is red: {red[0]}")
    return {
        "seconds": round(statistics.median(run.seconds for run in runs), 2),
        "injected": runs[0].injected,
        "reported": runs[0].reported,
    }

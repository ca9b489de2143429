"""Outages of a known length, and what each tool's record says about how long they were.

Every tool's record of single requests is read by the same rule: `harness.evidence.outages`.
"""

from __future__ import annotations

import contextlib
import math
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from benchmarks import ours
from benchmarks.parsers import Log
from benchmarks.running import Broken, realtime, window
from benchmarks.servers import Server, server
from benchmarks.tools import CONNECTIONS, Tool, Work
from harness.client.plan import ClassPlan
from harness.cluster.store import Store
from harness.evidence import samples as layout
from harness.evidence.outages import outages as outages_of
from harness.evidence.samples import ClassSpec
from harness.evidence.timeline import Timeline

RATE: Final = 200.0
SECONDS: Final = {"refused": 4.0, "stopped": 10.0, "black_hole": 4.0, "one_backend": 4.0}
"""How long the load runs. Ten late answers of a closed model with ten connections are under 1 % only in a long run."""
BEFORE_S: Final = 1.0
START_S: Final = 20.0
LENGTH_S: Final = {"refused": 0.5, "stopped": 1.0, "black_hole": 0.5, "one_backend": 1.0}
DEAD: Final = 2
"""Which of the four backends dies."""
BOUND: Final = ("refused", "one_backend")
"""Outages in which requests fail at once: their bracket can't be wider than the schedule makes it."""
MS: Final = 1e6
Seen = tuple[dict[str, Any] | None, str, float | None]
"""A bracket, or None with the reason; the tool's p99 in ms."""


@dataclass
class Truth:
    """What was done: ns of its length, and how uncertain that is (the time that doing it took)."""

    length: int = 0
    unsure: int = 0
    errors: list[str] = field(default_factory=list)


def namespace() -> tuple[str, ...] | None:
    """Command prefix that starts a server in a network namespace of its own; None where this machine can't."""
    prefix = ("unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh")
    if not all(shutil.which(name) for name in ("unshare", "nsenter", "ip", "iptables")):
        return None
    tried = subprocess.run([*prefix, "iptables", "-I", "INPUT", "-j", "DROP"], capture_output=True, check=False)
    return prefix if tried.returncode == 0 else None


NO_NAMESPACE: Final = "needs root, unshare, nsenter, ip and iptables: a black hole is made in a namespace of its own"


@contextlib.contextmanager
def scene(name: str) -> Iterator[tuple[Server, tuple[str, ...], Callable[[], Truth]]]:
    """The server of an outage, the prefix of who talks to it, and what makes the outage (it returns afterwards)."""
    prefix = namespace() if name == "black_hole" else ()
    if prefix is None:
        raise Broken(NO_NAMESPACE)
    with server(4 if name == "one_backend" else 1, prefix) as made:
        inside = ("nsenter", "-t", str(made.process.pid), "-n") if prefix else ()
        make = {"stopped": _stop, "black_hole": _hole}.get(name, _refuse)
        yield made, (*inside, *realtime()), lambda: make(made, name, inside)


def _refuse(made: Server, name: str, _: Sequence[str]) -> Truth:
    which = DEAD if name == "one_backend" else 0
    closed = made.ask(f"close {which}")
    time.sleep(LENGTH_S[name])
    return Truth(made.ask(f"open {which}") - closed)


def _stop(made: Server, name: str, _: Sequence[str]) -> Truth:
    made.process.send_signal(signal.SIGSTOP)
    stopped = time.monotonic_ns()
    time.sleep(LENGTH_S[name])
    resumed = time.monotonic_ns()
    made.process.send_signal(signal.SIGCONT)
    return Truth(resumed - stopped)


def _hole(_: Server, name: str, inside: Sequence[str]) -> Truth:
    def rule(verb: str) -> tuple[int, int]:
        begun = time.monotonic_ns()
        subprocess.run([*inside, "iptables", "-w", verb, "INPUT", "-j", "DROP"], check=True, capture_output=True)
        return begun, time.monotonic_ns()

    first = rule("-I")
    time.sleep(LENGTH_S[name])
    last = rule("-D")
    return Truth((sum(last) - sum(first)) // 2, (last[1] - last[0] + first[1] - first[0]) // 2)


def _beside(made: Server, make: Callable[[], Truth]) -> tuple[threading.Thread, Truth]:
    """Makes the outage a while after the first request came."""
    truth = Truth()

    def run() -> None:
        try:
            until = time.monotonic() + START_S
            while not made.arrivals():
                if time.monotonic() > until:
                    raise Broken("no request came")
                time.sleep(0.02)
            time.sleep(BEFORE_S)
            done = make()
            truth.length, truth.unsure = done.length, done.unsure
        except (Broken, OSError, RuntimeError, subprocess.SubprocessError) as error:
            truth.errors.append(str(error))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread, truth


def of_tool(tool: Tool, name: str, store: Store) -> Seen:
    """One outage seen by one tool: its bracket or None with the reason, and its own p99 in ms."""
    blind = tool.blind.get(name, "")
    if name == "one_backend" and tool.targets < 4:
        blind = "it takes one target"
    if blind and name != "stopped":
        return None, blind, None
    try:
        with window(store) as folder, scene(name) as (made, prefix, make):
            urls = tuple(f"http://127.0.0.1:{port}/ok" for port in made.ports)
            work = Work(urls, folder, rate=RATE, seconds=SECONDS[name], detail=not blind, prefix=prefix)
            thread, truth = _beside(made, make)
            told, _ = tool.run(work)
            thread.join(START_S)
    except Broken as error:
        return None, str(error), None
    if truth.errors or not truth.length:
        return None, f"the outage wasn't made: {truth.errors}", None
    if blind or told.log is None:
        return None, blind or "no record of single requests", told.p99_ms
    found, why = bracket(_timeline(told.log), "log", truth, name)
    return found, why, told.p99_ms


def of_ours(name: str, store: Store) -> dict[str, Seen]:
    """One outage seen by the project's own load, as `of_tool`, for kept connections ("busy") and new ones ("fresh").

    Raises:
        Broken: the outage couldn't be made, or the load failed.

    """
    with window(store) as folder, scene(name) as (made, prefix, make):
        # as many kept connections to each of four backends
        count = 12 if len(made.ports) == 4 else CONNECTIONS
        classes = {"busy": ours.kept(RATE, count), "fresh": ClassPlan(RATE)}
        thread, truth = _beside(made, make)
        timeline, _ = ours.drive(made.ports, classes, SECONDS[name], folder, prefix=prefix)
        thread.join(START_S)
    if truth.errors or not truth.length:
        raise Broken(f"the outage wasn't made: {truth.errors}")
    found: dict[str, Seen] = {}
    for cls in classes:
        samples = timeline.of_class(cls)
        p99 = float(np.percentile(samples["end"] - samples["intended"], 99)) / MS
        found[cls] = (*bracket(timeline, cls, truth, name), p99)
    return found


def _timeline(log: Log) -> Timeline:
    """A tool's record as a timeline of one class: what was sent when is all that it knows of its schedule."""
    samples = layout.empty(len(log.sent))
    samples["intended"] = samples["sent"] = log.sent
    samples["end"] = log.end
    samples["outcome"] = np.where(log.ok, layout.OK, layout.UNKNOWN)
    samples["entry"] = log.entry
    count = len(samples)
    return Timeline(samples=samples, classes=(ClassSpec("log", 0, RATE, 0, 5.0, count, count, 0, 0),))


def bracket(timeline: Timeline, cls: str, truth: Truth, name: str) -> tuple[dict[str, Any] | None, str]:
    """The longest outage in a record, against the truth; None with the reason where the record bounds none."""
    seen = [outage for outage in outages_of(timeline) if outage.cls == cls]
    if name == "one_backend":
        named = [outage for outage in seen if outage.entry == DEAD]
        seen = named or seen
    if not seen:
        return None, "it saw no outage"
    longest = max(seen, key=lambda outage: (outage.low_ns, outage.high_ns or math.inf))
    if longest.high_ns is None:
        return None, "it saw no end of the outage: no request succeeded after it"
    low, high = longest.low_ns, longest.high_ns
    told: dict[str, Any] = {
        "true_ms": round(truth.length / MS, 2),
        "low_ms": round(low / MS, 2),
        "high_ms": round(high / MS, 2),
        "contains": bool(low - truth.unsure <= truth.length <= high + truth.unsure),
    }
    if truth.unsure:
        told["true_uncertainty_ms"] = round(truth.unsure / MS, 2)
    if name == "one_backend" and longest.entry != DEAD:
        told["told_as"] = f"{longest.share:.0%} of the requests"
    if name in BOUND:
        told["width_ms"] = round((high - low) / MS, 2)
        told["limit_ms"] = round(width_limit_ms(timeline, cls, name), 2)
    return told, ""


def width_limit_ms(timeline: Timeline, cls: str, name: str) -> float:
    """Two lines of the schedule, two response times, and 5 ms; one of four backends has a fourth of the schedule."""
    samples = timeline.of_class(cls)
    good = samples[samples["outcome"] == layout.OK]
    usual = float(np.median(good["end"] - good["sent"])) / MS
    return 2e3 / (RATE / 4 if name == "one_backend" else RATE) + 2 * usual + 5.0


def true_p99_ms() -> float:
    """The open model's p99 over the stop: a request due while the server stands waits until the stop's end."""
    due = (np.arange(round(RATE * SECONDS["stopped"])) + 0.5) / RATE
    inside = (due >= BEFORE_S) & (due < BEFORE_S + LENGTH_S["stopped"])
    waits = np.where(inside, BEFORE_S + LENGTH_S["stopped"] - due, 0.0)
    return float(np.percentile(waits, 99)) * 1e3

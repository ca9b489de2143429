"""The self-test's second half: a server that is stopped for exactly one second. Requests wait, none is lost."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np

from harness.client.http import Connection
from harness.client.lanes import Lane
from harness.client.misbehave import PAUSE
from harness.client.pacer import Pacer
from harness.client.plan import ClassPlan, Entry, LoadPlan
from harness.client.recorder import Recorder
from harness.client.toy_process import ToyProcess
from harness.evidence.samples import KIND_CLOSING, KIND_SAMPLE, OK, SAMPLE, Samples

TIMEOUT_S: Final = 3.0
STOP_S: Final = 1.0
STOP_AFTER_S: Final = 0.3
TAIL_S: Final = 0.305
"""Load after the stop; no schedule has a request due at the very end, so the count is exact."""
STOP_RATES: Final = {"fresh": 100.0, "busy": 50.0}
SLACK_NS: Final = 25_000_000
"""How late a busy machine may wake this process; how late it woke the stopped one, that tells itself."""
MARGIN_NS: Final = 5_000_000
"""A stop reaches a process that runs on another processor a moment after the call."""


@dataclass(slots=True)
class Setup:
    """The parts under test (broken ones are put in by the tests of this test), and what went wrong."""

    connect: Callable[[str, int, int], Connection] = Connection
    recorder: Callable[[Path], Recorder] = Recorder
    lane: Callable[..., Lane] = Lane
    errors: list[str] = field(default_factory=list)


def guarded(setup: Setup, function: Callable[..., None], *args: object) -> None:
    """Call ``function(setup, *args)``; whatever it raises makes the self-test red instead of dying in its thread."""
    try:
        function(setup, *args)
    except Exception as error:
        setup.errors.append(f"{function.__name__}: {error!r}")


def read_samples(path: Path) -> Samples:
    """The samples of a record, in the order of their ends."""
    raw = np.frombuffer(path.read_bytes(), dtype=SAMPLE)
    samples: Samples = raw[raw["kind"] == KIND_SAMPLE]
    return samples


def stop_a_server(setup: Setup, server: ToyProcess, folder: Path, outcome: dict[str, float]) -> None:
    """Open-model load on a server that is stopped for a second: nothing is lost, and everything due meanwhile waits."""
    record = setup.recorder(folder)
    plan = LoadPlan(
        entries=(Entry("127.0.0.1", server.port, "toy"),),
        hosts=("127.0.0.1",),
        host_header="toy.test",
        path="/ok/stall",
        classes={name: ClassPlan(rate=rate) for name, rate in STOP_RATES.items()},
        run_tag="stall",
        folder=str(folder),
        timeout_s=TIMEOUT_S,
    )
    t0 = time.monotonic_ns() + 20_000_000
    until = t0 + int((STOP_AFTER_S + STOP_S + TAIL_S) * 1e9)
    threads = []
    for code, name in enumerate(plan.classes):
        pacer = Pacer(plan, name, code, record, spawn_thread, connection=setup.connect)
        threads.append(threading.Thread(target=pacer.run, args=(t0, until), daemon=True))
        threads[-1].start()
    time.sleep(STOP_AFTER_S)
    server.process.send_signal(signal.SIGSTOP)
    stopped = time.monotonic_ns()
    time.sleep(STOP_S)
    resumed = time.monotonic_ns()
    server.process.send_signal(signal.SIGCONT)
    for thread in threads:
        thread.join(2 * TIMEOUT_S)
    record.close()
    report = server.report()
    pause = report[PAUSE]["until_ns"] - report[PAUSE]["from_ns"]
    scheduled = sum(int(np.ceil((until - t0) / 1e9 * rate)) for rate in STOP_RATES.values())
    setup.errors += stall_errors(
        read_samples(record.path), (stopped, resumed, pause), scheduled, report.get("/ok/stall", {}), outcome
    )
    closings = np.frombuffer(record.path.read_bytes(), dtype=SAMPLE)["kind"] == KIND_CLOSING
    if np.count_nonzero(closings) != len(STOP_RATES):
        setup.errors.append("stopped server: the ledger is open")


def spawn_thread(function: Callable[..., None], *args: object) -> None:
    """Start a function beside this one."""
    threading.Thread(target=function, args=args, daemon=True).start()


def stall_errors(
    samples: Samples, stop: tuple[int, int, int], scheduled: int, seen: dict[str, int], outcome: dict[str, float]
) -> list[str]:
    """What is wrong with the record of a server that was stopped for a while.

    Args:
        samples: all samples.
        stop: just after it was sent, just before its end was (CLOCK_MONOTONIC ns), and how long it was in ns by the
            server's own word.
        scheduled: how many samples there must be.
        seen: the server's own counts.
        outcome: gets true_ms, low_ms and high_ms.

    """
    stopped, resumed, truth = stop
    errors = []
    if len(samples) != scheduled:
        errors.append(f"stopped server: {len(samples)} samples of {scheduled} scheduled")
    if np.any(samples["outcome"] != OK):
        errors.append(f"stopped server: {np.count_nonzero(samples['outcome'] != OK)} lost, 0 injected")
    if seen.get("arrivals", 0) != scheduled or seen.get("distinct", 0) != scheduled:
        errors.append(f"stopped server: arrivals {seen}, issued {scheduled}")
    during = samples[(samples["intended"] > stopped + MARGIN_NS) & (samples["intended"] < resumed)]
    if len(during) == 0 or np.any(during["end"] < resumed) or np.any(samples["sent"] < samples["intended"]):
        errors.append("stopped server: a sample due meanwhile was over before the server went on")
    if errors:
        return errors
    low, high = stall_bracket(samples)
    outcome.update(true_ms=truth / 1e6, low_ms=low / 1e6, high_ms=high / 1e6)
    if not low - SLACK_NS <= truth <= high + SLACK_NS:
        errors.append(f"stopped server: true {truth / 1e6:.0f} ms is not in {low / 1e6:.0f}..{high / 1e6:.0f} ms")
    if low < 0.5 * truth:
        errors.append(f"stopped server: low {low / 1e6:.0f} ms says nothing of {truth / 1e6:.0f} ms")
    return errors


def stall_bracket(samples: Samples) -> tuple[int, int]:
    """Bounds of the longest stall in ns: requests wait, none fails.

    Not `harness.evidence.outages`, which tells a delayed answer by the median of all: here most requests are delayed
    (one second of 1.6), and a test of the instrument shall not lean on what judges by the instrument.

    With the longest time without an answer from a to b: low is b less the send of the oldest request then waiting,
    less the usual response time; high is b less the latest send of a request answered by a.
    """
    order = np.sort(samples["end"])
    widest = int(np.argmax(np.diff(order)))
    a, b = order[widest], order[widest + 1]
    waiting = samples["sent"][(samples["sent"] < b) & (samples["end"] >= b)]
    usual = int(np.median((samples["end"] - samples["sent"])[samples["end"] <= a]))
    low = int(b) - int(waiting.min()) - usual
    high = int(b) - int(samples["sent"][samples["end"] <= a].max())
    return max(0, low), high

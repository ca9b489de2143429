"""Workers of one load: which file is whose, and how their records become one, on one clock and with one ledger."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from harness.evidence.clocks import Clock, Offset, clock
from harness.evidence.samples import ClassSpec, Samples
from harness.evidence.socket_record import SocketPart, Table
from harness.evidence.timeline import Event

TIMES = ("intended", "sent", "first_byte", "end")
LIVES = ("began", "opened", "heard", "ended")


@dataclass(frozen=True, slots=True)
class Worker:
    """One worker, by the events `worker.joined`, `worker.left` and `worker.lost`.

    Args:
        load: name of the load that it took part in.
        number: its number there, from 0.
        workers: how many there were.
        node: where it ran.
        clock: its clock against the run's.
        left: it ended when it was told to, and all its record was fetched.
        lost: why that isn't so, where it is known.

    """

    load: str
    number: int
    workers: int
    node: str
    clock: Clock
    left: bool = False
    lost: str = ""

    @property
    def stem(self) -> str:
        """What its files' names end with: ``samples-<stem>.bin``."""
        return f"{self.load}-{self.number}"

    @property
    def whole(self) -> bool:
        """Whether it was there to the end of the load."""
        return self.left and not self.lost


def workers_of(events: Iterable[Event]) -> Mapping[str, Worker]:
    """The workers of a run's loads by stem, in the order of their joining; empty for a load of a single process."""
    found: dict[str, Worker] = {}
    began: dict[str, Offset] = {}
    for event in events:
        fields = event.fields
        stem = f"{fields.get('load')}-{fields.get('worker')}"
        if event.name == "worker.joined":
            began[stem] = _offset(fields)
            found[stem] = Worker(
                str(fields["load"]),
                int(fields["worker"]),
                int(fields["workers"]),
                str(fields.get("node") or ""),
                clock(began[stem]),
            )
        elif event.name == "worker.left" and stem in found:
            found[stem] = replace(found[stem], clock=clock(began[stem], _offset(fields)), left=True)
        elif event.name == "worker.lost" and stem in found:
            found[stem] = replace(found[stem], lost=str(fields.get("reason") or "no reason is known"))
    return found


def absences(workers: Mapping[str, Worker], files: Iterable[str], *, finished: bool) -> list[str]:
    """What of the workers' record isn't there, one sentence each: the ledger is open then.

    Args:
        workers: by stem.
        files: names of the sample files that are there.
        finished: the load has ended, so what isn't there will never come.

    """
    there = set(files)
    said = []
    for worker in workers.values():
        who = f"worker {worker.number} of {worker.workers}"
        if worker.lost:
            said.append(f"{who} was lost: {worker.lost}")
        elif finished and not worker.left:
            said.append(f"{who} never ended")
        if finished and f"samples-{worker.stem}.bin" not in there:
            said.append(f"{who} left no record")
    by_load: dict[str, list[Worker]] = {}
    for worker in workers.values():
        by_load.setdefault(worker.load, []).append(worker)
    for load, team in by_load.items():
        if len(team) < team[0].workers:
            said.append(f"of {team[0].workers} workers of {load} {len(team)} joined")
    return said


def told(events: Iterable[Event]) -> list[dict[str, Any]]:
    """As in verdict.json: one element per worker, in the order of their joining."""
    return [
        {
            "load": one.load,
            "worker": one.number,
            "node": one.node,
            "offset_ms": one.clock.offset_ns / 1e6,
            "uncertainty_ms": one.clock.uncertainty_ns / 1e6,
            "drift_ms": None if one.clock.drift_ns is None else one.clock.drift_ns / 1e6,
            "whole": one.whole,
        }
        for one in workers_of(events).values()
    ]


def on_our_clock(samples: Samples, worker: Worker) -> Samples:
    """A worker's samples as the run's: on its clock, entered by its node, its connections told from the others'."""
    moved = samples.copy()
    for column in TIMES:
        _move(moved, column, worker.clock.offset_ns)
    # a worker has one way in, the Service's address, and its node's rules lead on from there
    moved["entry"] = worker.number
    moved["conn"] = moved["conn"] * np.uint32(worker.workers) + np.uint32(worker.number)
    return moved


def class_on_our_clock(spec: ClassSpec, worker: Worker) -> ClassSpec:
    """A worker's class with the run's time of its first request."""
    return replace(spec, t0_ns=spec.t0_ns - worker.clock.offset_ns if spec.t0_ns else 0)


def sockets_on_our_clock(part: SocketPart, worker: Worker) -> SocketPart:
    """A worker's sockets as the run's."""
    by = worker.clock.offset_ns
    lives = part.lives.copy()
    for column in LIVES:
        _move(lives, column, by)
    lives["entry"] = worker.number
    moved: dict[str, Any] = {"lives": lives}
    for name in ("received", "sent", "acked"):
        table: Table = getattr(part, name).copy()
        _move(table, "t", by)
        moved[name] = table
    totals = part.totals
    if totals is not None and totals.stopped:
        totals = replace(totals, stopped=totals.stopped - by)
    began = part.began_ns - by if part.began_ns else 0
    clocks = tuple((monotonic - by, wall) for monotonic, wall in part.clocks)
    return replace(part, clocks=clocks, began_ns=began, totals=totals, **moved)


def _move(table: Any, column: str, by: int) -> None:
    """Take an offset off the times of a column; 0 isn't a time: it says that there was none."""
    values = table[column]
    table[column] = np.where(values != 0, values - by, 0)


def _offset(fields: Mapping[str, Any]) -> Offset:
    return Offset(int(fields["uncertainty_ns"]), int(fields["offset_ns"]))

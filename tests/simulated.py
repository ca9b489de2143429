"""A simulated service behind a Service of two sides: it yields timelines, and the truth about them.

Requests go out on a fixed schedule. Each reaches the service half a response time after its send, and what happens to
it is decided then: which side its node points at, which pod takes it, whether an outage covers that instant.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.evidence import samples as layout
from harness.evidence.arrivals import Arrivals, parse
from harness.evidence.samples import ClassSpec, Samples
from harness.evidence.timeline import SECOND, Event, Timeline

T0 = 1_000 * SECOND
MS = 1_000_000
RATES = {"fresh": 200.0, "busy": 50.0, "idle": 2.0, "slow": 4.0, "post": 10.0}
CODES = {name: code for code, name in enumerate(RATES)}
NODES = ("control-plane", "worker", "worker2")
STRINGS = ("", "v1", "v2", "v3", *(f"{side}-{n}" for side in ("blue", "green") for n in range(4)))


@dataclass(frozen=True)
class Down:
    """An outage as it really was: seconds from the start; refused at once, or stalled until its end."""

    start: float
    end: float
    stall: bool = False
    entry: int | None = None
    pod: int | None = None

    @property
    def ns(self) -> int:
        return round(self.end * SECOND) - round(self.start * SECOND)


@dataclass(frozen=True)
class Flip:
    """A move as it really was: sent `at` seconds from the start, taking effect on each node after its delay."""

    at: float
    move: str = "cutover"
    to_revision: str = "v2"
    delays: Sequence[float] = (0.3, 0.5, 0.4)
    happens: bool = True
    acknowledged: bool = True


@dataclass(frozen=True)
class World:
    """What the simulation plays."""

    seconds: float = 12.0
    flips: Sequence[Flip] = (Flip(4.0),)
    downs: Sequence[Down] = ()
    classes: Sequence[str] = tuple(RATES)
    rates: Mapping[str, float] = field(default_factory=lambda: dict(RATES))
    response_ms: float = 2.0
    jitter: float = 0.3
    lag_ms: float = 0.2
    slow_s: float = 2.0
    seed: int = 0
    level: str = "user"
    path: str = "service"
    slo: float | None = None
    events: Sequence[Event] = ()


def at(seconds: float) -> int:
    """The monotonic instant that lies so many seconds after the start."""
    return T0 + round(seconds * SECOND)


def event(seconds: float, name: str, /, **fields: Any) -> Event:
    return Event(at(seconds), name, fields)


def play(world: World) -> Timeline:
    """The timeline that the harness would have of this world."""
    rng = np.random.default_rng(world.seed)
    parts, specs = [], []
    for name in world.classes:
        samples = _class(world, name, rng)
        specs.append(ClassSpec(name, CODES[name], world.rates[name], T0, 5.0, len(samples), len(samples), 0, 0))
        parts.append(samples)
    joined = np.concatenate(parts) if parts else layout.empty()
    return Timeline(tuple(_events(world)), joined, STRINGS, tuple(specs))


def _class(world: World, name: str, rng: np.random.Generator) -> Samples:
    count = int(world.seconds * world.rates[name])
    samples = layout.empty(count)
    samples["cls"] = CODES[name]
    samples["method"] = layout.METHODS.index("POST" if name == "post" else "GET")
    samples["seq"] = np.arange(count)
    samples["intended"] = T0 + (np.arange(count) * 1e9 / world.rates[name]).astype(np.int64)
    samples["sent"] = samples["intended"] + round(world.lag_ms * MS)
    samples["entry"] = np.arange(count) % len(NODES) if name in ("fresh", "post") else 0
    samples["conn"] = np.arange(count) if name in ("fresh", "post") else 1
    samples["nth"] = 1 if name in ("fresh", "post") else np.arange(count) + 1
    half = world.response_ms * MS / 2 * (1 + world.jitter * rng.uniform(-1, 1, count))
    arrival = samples["sent"] + half.astype(np.int64)
    samples["end"] = arrival + half.astype(np.int64) + (round(world.slow_s * SECOND) if name == "slow" else 0)
    samples["first_byte"] = samples["end"]
    pod = rng.integers(0, 4, count)
    revision, side = _routed(world, name, arrival, samples["entry"])
    samples["revision"] = revision
    samples["pod"] = STRINGS.index("blue-0") + 4 * side + pod
    samples["status"] = 200
    for down in world.downs:
        hit = (arrival >= at(down.start)) & (arrival < at(down.end))
        if down.entry is not None:
            hit &= samples["entry"] == down.entry
        if down.pod is not None:
            hit &= pod == down.pod
        if down.stall:
            samples["end"][hit] += at(down.end) - arrival[hit]
            samples["first_byte"][hit] = samples["end"][hit]
        else:
            _lose(samples, hit, arrival + half.astype(np.int64))
    return samples


def _routed(
    world: World, name: str, arrival: npt.NDArray[np.int64], entry: npt.NDArray[np.uint8]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Revision id and side (0 blue, 1 green) of each request; busy and idle connections stay where they began."""
    revision = np.full(len(arrival), STRINGS.index("v1"))
    side = np.zeros(len(arrival), np.int64)
    if name in ("busy", "idle"):
        return revision, side
    for number, flip in enumerate(world.flips, 1):
        if flip.happens:
            switched = arrival >= at(flip.at) + (np.asarray(flip.delays)[entry] * SECOND).astype(np.int64)
            revision = np.where(switched, STRINGS.index(flip.to_revision), revision)
            side = np.where(switched, number % 2, side)
    return revision, side


def _lose(samples: Samples, hit: npt.NDArray[np.bool_], end: npt.NDArray[np.int64]) -> None:
    samples["outcome"][hit] = layout.FAILED
    samples["error"][hit] = layout.ERRORS.index("connect_refused")
    samples["end"][hit] = end[hit]
    for column in ("first_byte", "revision", "pod", "status"):
        samples[column][hit] = 0


def _events(world: World) -> list[Event]:
    flips = sorted(world.flips, key=lambda flip: flip.at)
    told = [
        event(
            -2,
            "run.started",
            scenario="simulated",
            path=world.path,
            level=world.level,
            slo=world.slo,
            seed=0,
            run_tag="sim",
            wall_ns=0,
            nodes=list(NODES),
            expect="no_loss",
        ),
        event(-1.9, "switch.used", switch="selector"),
        event(-1.5, "instrument.tested", result="pass", injected=9, reported=9, detail=""),
        event(-0.1, "load.started", classes={name: world.rates[name] for name in world.classes}, entries=[]),
        event(0.2, "watch.started", seconds=world.seconds),
        event(world.seconds, "watch.finished", seconds=world.seconds),
        event(world.seconds + 0.1, "load.stopped", exit_code=0),
        event(world.seconds + 0.2, "cluster.answers", ok=True, detail=""),
        event(world.seconds + 0.3, "scenario.finished"),
    ]
    before = "v1"
    for number, flip in enumerate(flips, 1):
        old, new = ("blue", "green") if number % 2 else ("green", "blue")
        told.append(
            event(
                flip.at - 1,
                "cutover.planned",
                at_ns=at(flip.at),
                move=flip.move,
                from_revision=before,
                to_revision=flip.to_revision,
                from_side=old,
                to_side=new,
            )
        )
        told.append(event(flip.at, "cutover.sent", move=flip.move))
        if flip.acknowledged:
            told.append(event(flip.at + 0.02, "cutover.acknowledged", move=flip.move, resource_version="7"))
            told.append(event(flip.at + 0.05, "slice.changed", addresses=4, ready=4, sides={new: 4}))
            told.append(event(flip.at + 0.06, "selector.observed", value=new))
            told += [event(flip.at + k, "pods.observed", side=old, ready=4, wanted=4) for k in (0.1, 1.0, 2.0)]
        before = flip.to_revision
    return [*told, *world.events]


def changed(timeline: Timeline, which: npt.NDArray[Any] | int, **columns: Any) -> Timeline:
    """The same timeline, with some columns of some samples changed."""
    samples = timeline.samples.copy()
    for name, value in columns.items():
        samples[name][which] = value
    return replace(timeline, samples=samples)


def without(timeline: Timeline, *names: str) -> Timeline:
    """The same timeline without the events of these names."""
    return replace(timeline, events=tuple(one for one in timeline.events if one.name not in names))


def having(timeline: Timeline, *events: Event) -> Timeline:
    """The same timeline with further events."""
    return replace(timeline, events=(*timeline.events, *events))


def sample_file(timeline: Timeline, pid: int = 7, keep: npt.NDArray[Any] | None = None) -> bytes:
    """The bytes that a recorder would have written for the timeline's samples (or for those kept)."""
    samples = timeline.samples if keep is None else timeline.samples[keep]
    ids = {spec.name: len(timeline.strings) + spec.code for spec in timeline.classes}
    out = [layout.header_record(pid), layout.clock_record(T0, 0)]
    out += [layout.string_records(number, text) for number, text in enumerate(timeline.strings) if number]
    out += [layout.string_records(number, name) for name, number in ids.items()]
    for spec in timeline.classes:
        out.append(layout.class_record(spec.code, ids[spec.name], spec.rate, spec.t0_ns, spec.timeout_s))
    # A recorder writes samples when they end.
    out.append(samples[np.argsort(samples["end"], kind="stable")].tobytes())
    for spec in timeline.classes:
        count = int(np.count_nonzero(samples["cls"] == spec.code))
        out.append(layout.closing_record(spec.code, count, count, 0, 0))
    return b"".join(out)


def journal(timeline: Timeline) -> bytes:
    """The bytes of events.jsonl."""
    lines = [json.dumps({"t": one.t, "name": one.name, **one.fields}) for one in timeline.events]
    return "".join(f"{line}\n" for line in lines).encode()


Lines = dict[str, list[str]]
"""The lines of each pod's record of arrivals."""


def arrival_lines(timeline: Timeline, tag: str = "sim") -> Lines:
    """What honest pods would have written down: each request that was answered, and each POST among them."""
    told: dict[str, list[tuple[int, str]]] = {}
    names = {spec.code: spec.name for spec in timeline.classes}
    for one in timeline.samples[timeline.samples["pod"] != 0]:
        lines = told.setdefault(timeline.string(int(one["pod"])), [])
        t, ident = int(one["sent"]) + MS // 2, f"{tag}-{names[int(one['cls'])]}-{one['seq']}"
        method = layout.METHODS[one["method"]]
        lines.append((t, f"A {t} {ident} {method} /"))
        if method == "POST":
            lines.append((t + 1, f"P {t + 1} {ident}"))
    return {pod: [f"S {T0 - SECOND} {pod} v1", *(line for _, line in sorted(lines))] for pod, lines in told.items()}


def arrival_files(lines: Lines) -> dict[str, bytes]:
    """The files, by name."""
    return {f"{pod}.arrivals": "".join(f"{line}\n" for line in told).encode() for pod, told in lines.items()}


def recorded(timeline: Timeline, files: Mapping[str, bytes], chunk: int = 1 << 20) -> Timeline:
    """The same timeline, with these records of arrivals, read in chunks of so many bytes."""
    classes = {spec.name: spec.code for spec in timeline.classes}
    records = []
    for name, raw in files.items():
        records.append(parse(name, (raw[i : i + chunk] for i in range(0, len(raw), chunk)), "sim", classes))
    return replace(timeline, arrivals=Arrivals(tuple(records)))


def write(folder: Path, timeline: Timeline, files: Mapping[str, bytes] | None = None) -> None:
    """A run's folder, as the harness leaves it, with records of arrivals where there are any."""
    if files is not None:
        kept = Event(timeline.end_ns, "arrivals.kept", {"files": {name: len(raw) for name, raw in files.items()}})
        timeline = having(timeline, kept)
        (folder / "arrivals").mkdir()
        for name, raw in files.items():
            (folder / "arrivals" / name).write_bytes(raw)
    (folder / "events.jsonl").write_bytes(journal(timeline))
    (folder / "samples-7.bin").write_bytes(sample_file(timeline))

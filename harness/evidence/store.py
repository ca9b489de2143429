"""Reads a run's folder, which becomes a `Timeline`.

That is ``events.jsonl``, ``samples*.bin``, ``sockets*.bin``, ``*.answers`` and ``arrivals/``.
Nothing else in evidence does I/O.

What was cut or damaged is left out, and said in `Timeline.notes`; everything before a cut is kept. The order of files
doesn't matter: they are put in order by their content before they are numbered.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from harness.errors import LoadError
from harness.evidence import probes
from harness.evidence import samples as layout
from harness.evidence.arrivals import Arrivals, parse
from harness.evidence.samples import ClassSpec, Samples
from harness.evidence.socket_record import decode_sockets
from harness.evidence.sockets import Sockets, joined
from harness.evidence.timeline import Event, Timeline
from harness.evidence.witnesses import ports_of, testified
from harness.evidence.workers import (
    Worker,
    absences,
    class_on_our_clock,
    on_our_clock,
    sockets_on_our_clock,
    workers_of,
)

ARRIVALS = "arrivals"
"""Folder, within a run's, of the application's own records."""
CHUNK = 1 << 22
"""Bytes of a record of arrivals that are read at once."""


@dataclass
class Part:
    """One sample file, decoded, with its own string ids and class codes.

    Args:
        pid: the process that wrote it.
        samples: array of dtype `SAMPLE`.
        strings: text by id.
        classes: the classes by code.
        clocks: pairs of (monotonic, wall) in ns.
        notes: what was damaged.
        name: the file's name, for notes.
        load: of the load that several workers sent together, and numbered together; "": it was this file's alone.

    """

    pid: int = 0
    samples: Samples = field(default_factory=layout.empty)
    strings: dict[int, str] = field(default_factory=dict)
    classes: dict[int, ClassSpec] = field(default_factory=dict)
    clocks: list[tuple[int, int]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    name: str = ""
    load: str = ""


def read(folder: Path) -> Timeline:
    """Reads a run's folder, which may still be growing.

    Raises:
        LoadError: no ``events.jsonl``, or a sample file that is no sample file or of a later schema.

    """
    journal = folder / "events.jsonl"
    if not journal.is_file():
        raise LoadError(f"{folder} holds no events.jsonl", "give the folder of one scenario of a run")
    events, notes = parse_events(journal.read_bytes())
    parts = []
    workers = workers_of(events)
    for path in sorted(folder.glob("samples*.bin")):
        raw = np.fromfile(path, dtype=layout.SAMPLE)
        parts.append(placed(_decode(raw, path.stat().st_size % layout.RECORD_SIZE, path.name), workers))
        del raw
    kept = folder / ARRIVALS
    finished = any(event.name in ("load.stopped", "scenario.finished") for event in events)
    notes = (*notes, *absences(workers, [part.name for part in parts], finished=finished))
    timeline = _told(folder, replace(merge(parts, events, notes), sockets=_sockets(folder, workers)))
    return replace(timeline, arrivals=_arrivals(kept, timeline), probes=_probes(kept, timeline))


def placed(part: Part, workers: Mapping[str, Worker]) -> Part:
    """A file of a worker's on the run's clock; any other one stays as it is."""
    worker = workers.get(part.name.partition("-")[2].removesuffix(".bin"))
    if worker is None:
        return part
    by = worker.clock.offset_ns
    return replace(
        part,
        load=worker.load,
        samples=on_our_clock(part.samples, worker),
        classes={code: class_on_our_clock(spec, worker) for code, spec in part.classes.items()},
        clocks=[(monotonic - by, wall) for monotonic, wall in part.clocks],
    )


def _told(folder: Path, timeline: Timeline) -> Timeline:
    """Joined with what a witness tells, where the event `answers.kept` names files of it."""
    kept = timeline.named("answers.kept")
    if not kept:
        return timeline
    texts: dict[str, str] = {}
    faults = [str(fault) for fault in kept[-1].fields.get("faults") or ()]
    for name, size in dict(kept[-1].fields.get("files") or {}).items():
        path = folder / Path(name).name
        raw = path.read_bytes() if path.is_file() else b""
        faults += [f"{name} has {len(raw)} bytes, {size} were kept"] if len(raw) != size else []
        texts[path.name] = raw.decode(errors="replace")
    return testified(timeline, texts, faults)


def _probes(folder: Path, timeline: Timeline) -> tuple[probes.ProbeRecord, ...] | None:
    """The records that the event `probes.kept` names; None without it."""
    kept = timeline.named("probes.kept")
    if not kept:
        return None
    names = [Path(name).name for name in kept[-1].fields.get("files") or {}]
    return tuple(probes.parse(name, (folder / name).read_bytes()) for name in names if (folder / name).is_file())


def _sockets(folder: Path, workers: Mapping[str, Worker]) -> Sockets | None:
    parts = []
    for path in sorted(folder.glob("sockets*.bin")):
        raw = np.fromfile(path, dtype=layout.SAMPLE)
        try:
            part = decode_sockets(raw, path.stat().st_size % layout.RECORD_SIZE, path.name)
            worker = workers.get(path.name.partition("-")[2].removesuffix(".bin"))
            parts.append(part if worker is None else sockets_on_our_clock(part, worker))
        except ValueError as error:
            raise LoadError(str(error), "judge it with the version that recorded it") from None
    return joined(parts)


def _arrivals(folder: Path, timeline: Timeline) -> Arrivals | None:
    """The records that the event `arrivals.kept` names; what became of the files since then is a fault of theirs."""
    kept = timeline.named("arrivals.kept")
    if not kept:
        return None
    fields = kept[-1].fields
    faults = [str(fault) for fault in fields.get("faults") or ()]
    records, tag = [], str(timeline.started.get("run_tag") or "")
    if not tag:
        return Arrivals((), (*faults, "the run has no tag, so no request is known by its id"))
    classes = {spec.name: spec.code for spec in timeline.classes}
    for name, size in dict(fields.get("files") or {}).items():
        path = folder / Path(name).name
        if not path.is_file():
            faults.append(f"{ARRIVALS}/{name} is missing")
            continue
        if path.stat().st_size != size:
            faults.append(f"{ARRIVALS}/{name} has {path.stat().st_size} bytes, {size} were kept")
        records.append(parse(path.name, _chunks(path), tag, classes))
    return Arrivals(tuple(records), tuple(faults))


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            yield chunk


def parse_events(raw: bytes) -> tuple[tuple[Event, ...], tuple[str, ...]]:
    """The events of a journal, and a note for each line that isn't one (the last may be cut)."""
    events: list[Event] = []
    notes: list[str] = []
    lines = raw.split(b"\n")
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
            when, name = int(record.pop("t")), str(record.pop("name"))
        except (ValueError, KeyError, TypeError, AttributeError):
            cut = number == len(lines)
            notes.append(f"events.jsonl: line {number} {'is cut and was' if cut else 'is no event and was'} left out")
            continue
        events.append(Event(when, name, record))
    return tuple(events), tuple(notes)


def decode(raw: bytes, name: str = "samples.bin") -> Part:
    """Decodes the bytes of one sample file; bytes after the last whole record are left out, with a note.

    Raises:
        LoadError: the bytes are no sample file, or of a later schema.

    """
    whole = len(raw) - len(raw) % layout.RECORD_SIZE
    return _decode(np.frombuffer(raw[:whole], dtype=layout.SAMPLE), len(raw) - whole, name)


def _decode(raw: Samples, torn: int, name: str) -> Part:
    part = Part(name=name)
    if torn:
        part.notes.append(f"{name}: the last {torn} bytes are a cut record and were left out")
    if not len(raw):
        part.notes.append(f"{name}: cut before its first record, no samples")
        return part
    header = raw[:1].view(layout.HEADER)[0]
    if int(header["kind"]) != layout.KIND_HEADER or bytes(header["magic"]) != layout.MAGIC:
        raise LoadError(f"{name} is no sample file: it doesn't start with BGS1", "remove it from the run's folder")
    if int(header["schema"]) != layout.SCHEMA:
        raise LoadError(
            f"{name} has schema {int(header['schema'])}, this version reads {layout.SCHEMA}",
            "judge it with the version that recorded it",
        )
    part.pid = int(header["pid"])
    kind = np.ascontiguousarray(raw["kind"])
    # Nearly all records are samples: the others are found once and looked at one by one.
    others = np.flatnonzero(kind != layout.KIND_SAMPLE)
    part.samples = np.delete(raw, others)
    _read_others(part, raw[others])
    return part


def _read_others(part: Part, raw: Samples) -> None:
    kind = raw["kind"]
    known = (layout.KIND_STRING, layout.KIND_CLASS, layout.KIND_CLOSING, layout.KIND_CLOCK, layout.KIND_HEADER)
    unknown = int(np.count_nonzero(~np.isin(kind, known)))
    if unknown:
        part.notes.append(f"{part.name}: {unknown} records of an unknown kind were left out")
    part.strings, cut = layout.texts(raw[kind == layout.KIND_STRING].view(layout.STRING))
    part.notes += [f"{part.name}: {one}" for one in cut]
    for record in raw[kind == layout.KIND_CLASS].view(layout.CLASS):
        code = int(record["cls"])
        name = part.strings.get(int(record["name"]), f"?{code}")
        part.classes[code] = ClassSpec(name, code, float(record["rate"]), int(record["t0"]), float(record["timeout"]))
    for record in raw[kind == layout.KIND_CLOSING].view(layout.CLOSING):
        code = int(record["cls"])
        spec = part.classes.get(code, ClassSpec(f"?{code}", code, 0.0))
        part.classes[code] = replace(
            spec,
            scheduled=int(record["scheduled"]),
            issued=int(record["issued"]),
            unsent=int(record["unsent"]),
            open=int(record["open"]),
        )
    clocks = raw[kind == layout.KIND_CLOCK].view(layout.CLOCK)
    part.clocks = [(int(clock["monotonic"]), int(clock["wall"])) for clock in clocks]


def merge(parts: Iterable[Part], events: Iterable[Event] = (), notes: Iterable[str] = ()) -> Timeline:
    """Makes one timeline of several files' parts, the same for any order of them; the parts stay as they are."""
    ordered = sorted(parts, key=lambda part: (part.pid, part.clocks[:1], part.name), reverse=True)
    strings: dict[str, int] = {"": 0}
    specs: dict[str, ClassSpec] = {}
    said = list(notes)
    joined, ports = layout.empty(), [np.zeros(0, layout.PORT)]
    loads: dict[str, int] = {}
    while ordered:
        # Popped, so that a part that nobody else holds is freed as soon as its samples are copied.
        part = ordered.pop()
        # workers of one load number their requests together: no number is there twice, as if one file held them all
        source = loads.setdefault(part.load or f"file {len(loads)}", len(loads))
        said += part.notes
        classes = dict(part.classes)
        for code in np.unique(part.samples["cls"]).tolist():
            if code not in classes:
                # Kept under a name of its own, which nothing closes: the ledger stays open and says so.
                said.append(f"{part.name}: class {code} isn't defined")
                classes[code] = ClassSpec(f"?{code}", code, 0.0)
        codes = np.zeros(256, np.uint8)
        for code, spec in sorted(classes.items()):
            known = specs.get(spec.name)
            specs[spec.name] = _joined(known, spec) if known else replace(spec, code=len(specs))
            codes[code] = specs[spec.name].code
        samples = part.samples.copy()
        ports.append(ports_of(samples, source))
        samples["source"] = source
        samples["cls"] = codes[samples["cls"]]
        for column in ("revision", "pod"):
            used = np.unique(samples[column]).tolist()
            said += [f"{part.name}: string {key} isn't defined" for key in used if key and key not in part.strings]
            samples[column] = _table(part.strings, used, strings)[samples[column]]
        joined = np.concatenate([joined, samples]) if len(joined) else samples
        del part, samples
    made = Timeline(tuple(events), joined, tuple(strings), tuple(specs.values()), tuple(said))
    return replace(made, ports=np.concatenate(ports))


def _table(texts: Mapping[int, str], used: Sequence[int], strings: dict[str, int]) -> npt.NDArray[np.uint16]:
    """From a file's string ids to the run's; an id that the file never defined becomes a text of its own."""
    table = np.zeros(65536, np.uint16)
    for key in used:
        if key:
            table[key] = strings.setdefault(texts.get(key) or f"?{key}", len(strings))
    return table


def _joined(one: ClassSpec, other: ClassSpec) -> ClassSpec:
    """The same class in two files: rates and counts add up; it is closed only if both are."""

    def total(left: int | None, right: int | None) -> int | None:
        return None if left is None or right is None else left + right

    return ClassSpec(
        one.name,
        one.code,
        one.rate + other.rate,
        min(one.t0_ns, other.t0_ns),
        max(one.timeout_s, other.timeout_s),
        total(one.scheduled, other.scheduled),
        total(one.issued, other.issued),
        total(one.unsent, other.unsent),
        total(one.open, other.open),
    )

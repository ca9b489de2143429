"""A scenario's record as spans, as tracing tools draw them: the scenario, its phases, moves and faults. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from harness.evidence.milestones import milestones
from harness.evidence.socket_summary import lost_sockets
from harness.evidence.timeline import Timeline

Attribute = str | bool | int | float

_PHASES: Final = (
    ("deploy", "deploy.started", ("deploy.ready", "deploy.refused")),
    ("load", "load.started", ("load.stopped",)),
    ("watch", "watch.started", ("watch.finished",)),
)
_EVENTS: Final = ("smoke.passed", "smoke.failed", "watch.breached", "retire.done", "notify.sent", "notify.failed")


@dataclass(frozen=True, slots=True)
class Span:
    """One span; `parent` is an index into the list that it is in, -1 for the root.

    Args:
        name: such as "cutover".
        start_ns: nanoseconds since the epoch.
        end_ns: never before `start_ns`.
        parent: index of the span that holds it.
        attributes: what is known of it.
        events: (nanoseconds since the epoch, name, attributes).
        error: why it counts as failed; "" where it doesn't.

    """

    name: str
    start_ns: int
    end_ns: int
    parent: int = -1
    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    events: tuple[tuple[int, str, Mapping[str, Attribute]], ...] = ()
    error: str = ""


def spans(timeline: Timeline, record: Mapping[str, Any]) -> list[Span]:
    """The spans of one scenario, its root first; none where the record tells no wall-clock time.

    Args:
        timeline: the scenario's.
        record: its element of verdict.json.

    """
    started = timeline.first("run.started")
    if started is None or not started.fields.get("wall_ns"):
        return []
    offset = int(started.fields["wall_ns"]) - started.t
    end = timeline.events[-1].t
    samples = record["samples"]
    failed = [str(one["check"]) for one in record["findings"] if one["verdict"] == "fail"]
    root = Span(
        str(record["id"]),
        started.t + offset,
        end + offset,
        attributes={
            "bluegreen.verdict": str(record["verdict"]),
            "bluegreen.path": str(record["path"]),
            "bluegreen.requests.issued": int(samples["issued"]),
            "bluegreen.requests.lost": int(samples["failed"] + samples["unknown"]),
            "bluegreen.sockets.lost": lost_sockets(record),
        },
        events=tuple((one.t + offset, one.name, attributes(one.fields)) for one in timeline.named(*_EVENTS)),
        error=", ".join(failed) if record["verdict"] == "fail" else "",
    )
    found = [root]
    found += _phases(timeline, offset, end)
    found += _moves(timeline, offset)
    found += _faults(timeline, offset, end)
    return found


def _phases(timeline: Timeline, offset: int, end: int) -> Iterable[Span]:
    for name, begins, ends in _PHASES:
        for event in timeline.named(begins):
            last = next((one for one in timeline.named(*ends) if one.t >= event.t), None)
            bad = str(last.fields.get("reason") or last.name) if last and last.name.endswith(".refused") else ""
            until = last.t if last else end
            yield Span(name, event.t + offset, until + offset, 0, attributes(event.fields), error=bad)


def _moves(timeline: Timeline, offset: int) -> Iterable[Span]:
    for move in timeline.moves():
        if move.sent_ns is None:
            continue
        told = milestones(timeline, move)
        known: dict[str, Attribute] = {
            "bluegreen.from": f"{move.from_side} {move.from_revision}",
            "bluegreen.to": f"{move.to_side} {move.to_revision}",
        }
        marks = {"acknowledged": told.acknowledged_ms, "slice": told.slice_ms, "first_new": told.first_new_ms}
        known |= {f"bluegreen.{name}_ms": value for name, value in marks.items() if value is not None}
        over = max([0.0, *(value for value in marks.values() if value is not None)])
        events = tuple(
            (move.sent_ns + offset + round(value * 1e6), name, dict[str, Attribute]())
            for name, value in marks.items()
            if value is not None
        )
        start = move.sent_ns + offset
        yield Span(move.move, start, start + round(over * 1e6), 0, known, events, error=move.refused)


def _faults(timeline: Timeline, offset: int, end: int) -> Iterable[Span]:
    healed = list(timeline.named("fault.healed"))
    for event in timeline.named("fault.injected"):
        own = [one for one in healed if one.fields.get("kind") == event.fields.get("kind") and one.t >= event.t]
        if own:
            healed.remove(own[0])
        until = own[0].t if own else end
        yield Span(f"fault {event.fields.get('kind')}", event.t + offset, until + offset, 0, attributes(event.fields))


def attributes(fields: Mapping[str, Any]) -> dict[str, Attribute]:
    """An event's fields as attributes: numbers and texts as they are, all else as text."""
    return {
        f"bluegreen.{key}": value if isinstance(value, str | bool | int | float) else str(value)
        for key, value in fields.items()
        if value is not None
    }

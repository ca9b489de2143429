"""The timeline: all samples and events of a run on one clock, immutable."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from harness.evidence.arrivals import Arrivals
from harness.evidence.probes import ProbeRecord
from harness.evidence.samples import PORT, ClassSpec, Samples, empty
from harness.evidence.sockets import Sockets

SECOND = 1_000_000_000
Ports = np.ndarray[Any, np.dtype[np.void]]
WITNESSES = {"envoy": "the proxy's log", "conntrack": "the nodes' tables of connections"}
"""What tells who answered, where answers don't, by `[identity] revision`."""


@dataclass(frozen=True, slots=True)
class Event:
    """One thing the harness did or saw.

    Args:
        t: CLOCK_MONOTONIC in ns.
        name: for example "cutover.acknowledged".
        fields: whatever the event carries.

    """

    t: int
    name: str
    fields: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Move:
    """One cutover or rollback, put together from its events. Times in ns; None means that it didn't happen.

    Args:
        move: "cutover" or "rollback".
        planned_ns: the announced instant.
        sent_ns: when the patch (or command) was sent.
        acknowledged_ns: when its answer came.
        narrowed_ns: where the switch lets both sides in for a while: when it began to take the old one out.
        by_command: a command made it, which took its time before it changed anything.
        from_revision: what users saw before.
        to_revision: what they shall see after.
        from_side: the side that becomes idle.
        to_side: the side that becomes active.
        end_ns: when the next move was sent, or the end of the record.
        refused: the reason, where the move was refused.
        last: no other move was sent after this one.

    """

    move: str
    planned_ns: int
    sent_ns: int | None
    acknowledged_ns: int | None
    from_revision: str
    to_revision: str
    from_side: str
    to_side: str
    end_ns: int
    refused: str = ""
    last: bool = True
    narrowed_ns: int | None = None
    by_command: bool = False

    @property
    def decided_ns(self) -> int | None:
        """From when on users are meant to reach only the new side, give or take the allowance."""
        if self.by_command:
            return self.acknowledged_ns
        return self.sent_ns if self.narrowed_ns is None else self.narrowed_ns


@dataclass(frozen=True, slots=True)
class Joined:
    """How many answers the witness tells the pod of, where no answer does so itself.

    Args:
        answered: ok answers, all of which should be in it.
        known: those whose pod and revision it tells.
        contradicted: those whose answer names another pod than it does.
        faults: what keeps what it tells from being whole.

    """

    answered: int
    known: int
    contradicted: int
    faults: tuple[str, ...] = ()


@dataclass(frozen=True)
class Timeline:
    """Everything that is known of a run.

    Samples are kept class by class, and by intended time within a class, whatever order they came in.

    Args:
        events: in order of time.
        samples: array of dtype `harness.evidence.samples.SAMPLE`.
        strings: string by id; id 0 is "" (not known).
        classes: the classes that ran.
        notes: what was damaged or missing on disk, one sentence each.
        arrivals: what the application wrote down; None where no record was kept.
        sockets: the WebSockets; None where none ran.
        probes: what it wrote down of its probes, by pod; None where no record was kept.
        ports: of the connections whose own end is known, dtype `harness.evidence.samples.PORT`.
        joined: how the samples were joined with what a witness tells; None where they tell for themselves who answered.

    """

    events: tuple[Event, ...] = ()
    samples: Samples = field(default_factory=empty)
    strings: tuple[str, ...] = ("",)
    classes: tuple[ClassSpec, ...] = ()
    notes: tuple[str, ...] = ()
    arrivals: Arrivals | None = None
    sockets: Sockets | None = None
    probes: tuple[ProbeRecord, ...] | None = None
    ports: Ports = field(default_factory=lambda: np.zeros(0, PORT))
    joined: Joined | None = None

    def __post_init__(self) -> None:
        samples = self.samples
        cls, intended = samples["cls"].astype(np.int16), samples["intended"]
        step = np.diff(cls)
        if not bool(np.all((step > 0) | ((step == 0) & (np.diff(intended) >= 0)))):
            # seq and source break ties, so that the order of files can't show anywhere.
            samples = samples[np.lexsort((samples["seq"], samples["source"], intended, cls))]
        samples = samples.view()
        samples.flags.writeable = False
        object.__setattr__(self, "samples", samples)
        object.__setattr__(self, "events", tuple(sorted(self.events, key=lambda event: event.t)))

    def named(self, *names: str) -> tuple[Event, ...]:
        """All events with one of these names, in order."""
        return tuple(event for event in self.events if event.name in names)

    def first(self, name: str) -> Event | None:
        """The first event of this name."""
        return next((event for event in self.events if event.name == name), None)

    def of_class(self, name: str) -> Samples:
        """The samples of one class by intended time, as a view; empty if the class didn't run."""
        spec = self.spec(name)
        if spec is None:
            return self.samples[:0]
        low, high = np.searchsorted(self._codes, [spec.code, spec.code + 1])
        return self.samples[low:high]

    def spec(self, name: str) -> ClassSpec | None:
        """The class of this name, if it ran."""
        return next((spec for spec in self.classes if spec.name == name), None)

    def string(self, string_id: int) -> str:
        """The text of a string id; "" for 0."""
        return self.strings[string_id] if 0 <= string_id < len(self.strings) else f"?{string_id}"

    def id_of(self, text: str) -> int:
        """The id of a string, or -1 if no sample can carry it ("" included, which is no text at all)."""
        return self.strings.index(text) if text and text in self.strings else -1

    def node(self, entry: int) -> str:
        """The name of an entry node, from the event `run.started`."""
        names = self.started.get("nodes") or ()
        return str(names[entry]) if 0 <= entry < len(names) else str(entry)

    @cached_property
    def started(self) -> Mapping[str, Any]:
        """The fields of `run.started`."""
        event = self.first("run.started")
        return event.fields if event else {}

    @property
    def level(self) -> str:
        """The level: "strict" where every attempt of every class is judged, else "user"."""
        return "strict" if self.started.get("level") == "strict" else "user"

    @property
    def anonymous(self) -> bool:
        """No answer tells its revision, and the configuration accepts that by name."""
        return self.started.get("identity") == "none"

    @property
    def witness(self) -> str:
        """What tells who answered, where not the answer does; else ""."""
        return WITNESSES.get(str(self.started.get("identity")), "")

    @cached_property
    def finished(self) -> bool:
        """The scenario or at least its load came to its end: what isn't there by now will never come."""
        return bool(self.named("scenario.finished", "load.stopped"))

    @cached_property
    def loaded(self) -> bool:
        """There was load, or there should have been."""
        return bool(self.classes) or len(self.samples) > 0 or self.first("load.started") is not None

    @cached_property
    def end_ns(self) -> int:
        """The last instant that the record knows of."""
        last_event = self.events[-1].t if self.events else 0
        return max(last_event, int(self.samples["end"].max()) if len(self.samples) else 0)

    def moves(self) -> tuple[Move, ...]:
        """All cutovers and rollbacks, in the order in which they were planned."""
        return self._moves

    def flips(self) -> tuple[Move, ...]:
        """The moves that were sent under load: those before it are set-up, which no user saw."""
        started = self.first("load.started")
        since = started.t if started else -(2**63)
        return tuple(move for move in self._moves if move.sent_ns is not None and move.sent_ns >= since)

    @cached_property
    def _codes(self) -> np.ndarray[Any, np.dtype[np.uint8]]:
        return np.ascontiguousarray(self.samples["cls"])

    @cached_property
    def _moves(self) -> tuple[Move, ...]:
        return _with_ends(_pair(self.events), self.end_ns)


def _pair(events: Sequence[Event]) -> list[Move]:
    """Pairs planned, sent, narrowed, acknowledged and refused, in order."""
    moves: list[Move] = []
    for event in events:
        if event.name == "switch.narrowed":
            under_way = [i for i, move in enumerate(moves) if move.sent_ns is not None and move.acknowledged_ns is None]
            if under_way:
                moves[under_way[-1]] = replace(moves[under_way[-1]], narrowed_ns=event.t)
            continue
        verb = event.name.removeprefix("cutover.")
        if verb == event.name or verb not in ("planned", "sent", "acknowledged", "refused"):
            continue
        name = str(event.fields.get("move") or "cutover")
        index = None if verb == "planned" else _owner(moves, name, verb)
        if index is None and verb == "refused":
            continue  # a verb that was refused before it was planned never was a move
        if index is None:
            # A send without its plan still is a move: dropping it would hide what happened to users.
            moves.append(_planned(name, event))
            index = len(moves) - 1
        if verb == "sent":
            moves[index] = replace(moves[index], sent_ns=event.t)
        elif verb == "acknowledged":
            sent = moves[index].sent_ns
            moves[index] = replace(
                moves[index],
                acknowledged_ns=event.t,
                sent_ns=event.t if sent is None else sent,
                by_command=bool(event.fields.get("by_command")),
            )
        elif verb == "refused":
            moves[index] = replace(moves[index], refused=str(event.fields.get("reason") or "no reason given"))
    return moves


def _owner(moves: Sequence[Move], name: str, verb: str) -> int | None:
    """The move that an event belongs to.

    A send belongs to the first plan that waits for one; an answer to the latest send that waits for one, so that
    an answer which never came doesn't shift all later answers by one move.
    """
    waiting = [i for i, move in enumerate(moves) if move.move == name and not move.refused]
    unsent = [i for i in waiting if moves[i].sent_ns is None]
    if verb == "sent":
        return unsent[0] if unsent else None
    unanswered = [i for i in waiting if moves[i].sent_ns is not None and moves[i].acknowledged_ns is None]
    if unanswered:
        return unanswered[-1]
    return unsent[0] if unsent else None


def _planned(name: str, event: Event) -> Move:
    def text(key: str) -> str:
        return str(event.fields.get(key) or "")

    return Move(
        move=name,
        planned_ns=int(event.fields.get("at_ns") or event.t),
        sent_ns=None,
        acknowledged_ns=None,
        from_revision=text("from_revision"),
        to_revision=text("to_revision"),
        from_side=text("from_side"),
        to_side=text("to_side"),
        end_ns=0,
    )


def _with_ends(moves: Sequence[Move], end_of_record: int) -> tuple[Move, ...]:
    """Gives each move its end: the next one's send, or the end of the record (in which no sample is left out)."""
    done: list[Move] = []
    next_sent: int | None = None
    for move in reversed(moves):
        end = end_of_record + 1 if next_sent is None else next_sent
        done.append(replace(move, end_ns=end, last=next_sent is None))
        next_sent = move.sent_ns if move.sent_ns is not None else next_sent
    return tuple(reversed(done))

"""Sockets as they were: lives, messages and the truth about both, as the bytes that a client would have written."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from harness.evidence import samples as layout
from harness.evidence import socket_record as record
from harness.evidence.arrivals import Arrivals, parse
from harness.evidence.socket_record import (
    CUT,
    DONE,
    KIND_ACKED,
    KIND_RECEIVED,
    KIND_SENT,
    OPEN,
    REFUSED,
    SERVER,
    SILENT,
    SocketPart,
    Totals,
)
from harness.evidence.sockets import Sockets, joined
from harness.evidence.timeline import SECOND, Timeline
from tests.simulated import MS, T0, at

WALL = 1_700_000_000 * SECOND
"""Wall clock at T0."""
REVISIONS = ("", "v1", "v2", "blue-0", "green-0")


@dataclass(frozen=True)
class Close:
    """The end of one connection: how, and how long until the next one opens (None: never)."""

    socket: int
    at: float
    end: int = SERVER
    code: int = 1012
    back: float | None = 0.05
    revision: str = "v2"
    refusals: int = 0


@dataclass(frozen=True)
class Story:
    """What the simulation plays. Messages are named by (socket, number)."""

    sockets: int = 12
    seconds: float = 8.0
    closes: Sequence[Close] = ()
    lost: Collection[tuple[int, int]] = ()
    doubled: Collection[tuple[int, int]] = ()
    late: Collection[tuple[int, int]] = ()
    """Read just behind their successor."""
    unacked: Collection[tuple[int, int]] = ()
    skew_s: float = 0.0
    """How far the server's clock is behind."""
    ended: bool = True
    first: str = "v1"
    lives: Mapping[tuple[int, int], int] = field(default_factory=dict)
    """Ends instead of those that the story tells, by socket and attempt."""


def pod_of(revision: str) -> str:
    return "blue-0" if revision == "v1" else "green-0"


def raw(story: Story) -> bytes:
    """The file."""
    out = [layout.header_record(7, record.MAGIC), layout.clock_record(T0, WALL)]
    out += [layout.string_records(number, text) for number, text in enumerate(REVISIONS) if number]
    out.append(record.plan_record(story.sockets, SECOND, T0))
    counts = dict.fromkeys(("lives", "received", "sent", "acked", "open"), 0)
    for socket in range(story.sockets):
        out += _socket(story, socket, counts)
    if story.ended:
        out.append(record.totals_record(Totals(**counts, stopped=at(story.seconds))))
    return b"".join(out)


def part(story: Story, name: str = "sockets-7.bin") -> SocketPart:
    return record.decode_sockets(np.frombuffer(raw(story), layout.SAMPLE), 0, name)


def sockets(story: Story) -> Sockets:
    found = joined([part(story)])
    assert found is not None
    return found


def with_sockets(timeline: Timeline, story: Story) -> Timeline:
    return replace(timeline, sockets=sockets(story))


def _life(socket: int, attempt: int, epoch: int, **told: int) -> bytes:
    fields = dict.fromkeys(
        ("end", "why", "entry", "status", "code", "began", "opened", "heard", "ended", "revision", "pod", "text"), 0
    )
    one = {**fields, **told}
    return record.LIFE_STRUCT.pack(
        record.KIND_LIFE,
        one["end"],
        one["why"],
        socket % 3,
        one["status"],
        one["code"],
        socket,
        attempt,
        one["began"],
        one["opened"],
        one["heard"],
        one["ended"],
        one["revision"],
        one["pod"],
        one["text"],
        0,
        epoch,
    )


def _socket(story: Story, socket: int, counts: dict[str, int]) -> list[bytes]:
    """The records of one socket, connection after connection."""
    out: list[bytes] = []
    start = 0.1 + 0.01 * socket
    epoch = WALL + at(start) - T0
    revision, attempt, opened, told, sent = story.first, 0, start, 0, 0
    closes = sorted((close for close in story.closes if close.socket == socket), key=lambda close: close.at)
    pending: list[int] = []
    for close in [*closes, Close(socket, story.seconds + 0.5, DONE, 1000, None)]:
        own = {"status": 101, "began": at(opened) - MS, "opened": at(opened), "revision": REVISIONS.index(revision)}
        own["pod"] = REVISIONS.index(pod_of(revision))
        out.append(_life(socket, attempt, epoch, **own))
        for number in pending:
            out.append(record.message_record(KIND_SENT, socket, attempt, number, epoch, at(opened), record.FLAG_AGAIN))
            out.append(record.message_record(KIND_ACKED, socket, attempt, number, epoch, at(opened) + MS))
            counts["sent"] += 1
            counts["acked"] += 1
        pending = []
        until = close.at
        while start + told + story.skew_s <= until:
            out += _message(story, socket, attempt, told, epoch, max(start + told + story.skew_s, opened), counts)
            told += 1
        while start + sent <= min(until, story.seconds):
            t = max(at(start + sent), at(opened))
            out.append(record.message_record(KIND_SENT, socket, attempt, sent, epoch, t))
            counts["sent"] += 1
            if (socket, sent) not in story.unacked:
                out.append(record.message_record(KIND_ACKED, socket, attempt, sent, epoch, t + MS))
                counts["acked"] += 1
            elif close.end != DONE:
                pending.append(sent)
            sent += 1
        end = story.lives.get((socket, attempt), close.end)
        silent = at(until) - (2 * SECOND if end == SILENT else 0)
        own |= {"end": end, "code": close.code, "heard": silent, "ended": at(until)}
        own["why"] = record.REASONS.index("fin" if end == CUT else "none")
        if story.ended or close.end != DONE:
            out.append(_life(socket, attempt, epoch, **own))
        counts["lives"] += 1
        attempt += 1
        if close.end == DONE or close.back is None:
            break
        for _ in range(close.refusals):
            refused = {"end": REFUSED, "why": record.REASONS.index("status"), "status": 503}
            out.append(_life(socket, attempt, epoch, **refused, began=at(until), ended=at(until) + MS))
            counts["lives"] += 1
            attempt += 1
        opened, revision = close.at + close.back, close.revision
    return out


def _message(
    story: Story, socket: int, attempt: int, seq: int, epoch: int, when: float, counts: dict[str, int]
) -> list[bytes]:
    def one(number: int) -> bytes:
        counts["received"] += 1
        return record.message_record(KIND_RECEIVED, socket, attempt, number, epoch, at(when) + MS)

    out = []
    if (socket, seq) not in story.lost and (socket, seq) not in story.late:
        out.append(one(seq))
    if (socket, seq) in story.doubled:
        out.append(one(seq))
    if (socket, seq - 1) in story.late:
        out.append(one(seq - 1))
    return out


def written(timeline: Timeline, story: Story, extra: Sequence[str] = (), less: Collection[str] = ()) -> Timeline:
    """The timeline with this story's sockets and honest pods' records of the messages that were acknowledged."""
    told = with_sockets(timeline, story)
    assert told.sockets is not None
    pods: dict[str, list[str]] = {pod: [] for pod in ("blue-0", "green-0")}
    lives = {(int(one["socket"]), int(one["attempt"])): told.sockets.text(one["pod"]) for one in told.sockets.lives}
    for one in told.sockets.parts[0].acked:
        line = f"W {int(one['t']) - MS // 2} sim-websocket-{one['socket']} {one['number']}"
        if line.split(" ", 2)[2] not in less:
            pods[lives[int(one["socket"]), int(one["attempt"])]].append(line)
    records = []
    for pod, lines in pods.items():
        last = f"A {at(story.seconds + 2)} smoke GET /"
        whole = [f"S {T0 - SECOND} {pod} v1", *lines, *(extra if pod == "green-0" else ()), last]
        raw_lines = "".join(f"{line}\n" for line in whole).encode()
        records.append(parse(f"{pod}.arrivals", [raw_lines], "sim", {}))
    return replace(told, arrivals=Arrivals(tuple(records)))


__all__ = ["CUT", "DONE", "OPEN", "REFUSED", "SERVER", "SILENT", "Close", "Story", "part", "raw", "sockets"]

"""The sockets' file: 64-byte little-endian records of connections' lives and of messages, beside the samples' file.

A file ``sockets-<pid>.bin`` is append-only. Header, strings and clock pairs are those of `harness.evidence.samples`,
with another magic. A life is written when its attempt has come to an answer, and once more when it is over: the later
record counts. Messages come in the order in which they were sent and read.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from harness.evidence import samples as layout
from harness.evidence.samples import KIND_CLOCK, KIND_HEADER, KIND_STRING

Table = npt.NDArray[np.void]
"""One-dimensional array of dtype `LIFE` or `MESSAGE`."""

MAGIC: Final = b"BGW1"
SCHEMA: Final = 1

KIND_LIFE: Final = 16
KIND_RECEIVED: Final = 17
KIND_SENT: Final = 18
KIND_ACKED: Final = 19
KIND_PLAN: Final = 20
KIND_TOTALS: Final = 21

# The order of these tuples is the code on disk: append only, and raise SCHEMA for anything else.
ENDS: Final = ("open", "refused", "server", "cut", "silent", "nonsense", "done", "ours")
OPEN: Final = 0
"""Still open, as far as the record goes."""
REFUSED: Final = 1
"""Never opened: no connection, no answer, or an answer other than 101."""
SERVER: Final = 2
"""The server sent a close frame."""
CUT: Final = 3
"""FIN or RST without a close frame: code 1006."""
SILENT: Final = 4
"""No pong in time, and given up by the client: code 1006."""
NONSENSE: Final = 5
"""What came was no WebSocket or no message of the protocol; closed by the client, `code` is what it sent."""
DONE: Final = 6
"""Closed by the client at the end of the load: code 1000."""
OURS: Final = 7
"""This machine itself couldn't connect (ports, descriptors): says nothing about the service."""

REASONS: Final = (
    "none",
    "dns",
    "connect_refused",
    "connect_timeout",
    "connect_reset",
    "unreachable",
    "handshake_timeout",
    "handshake_cut",
    "handshake_framing",
    "status",
    "fin",
    "rst",
    "framing",
    "message",
    "pong",
    "tls_certificate",
    "tls_handshake",
    "tls_timeout",
    "alpn",
)
"""Why an attempt was refused or a life ended, where the code doesn't tell."""

FLAG_AGAIN: Final = 1
"""A message of the client that was sent before, on another connection."""

LIFE: Final = np.dtype(
    [
        ("kind", "u1"),
        ("end", "u1"),
        ("why", "u1"),
        ("entry", "u1"),
        ("status", "<u2"),
        ("code", "<u2"),
        ("socket", "<u4"),
        ("attempt", "<u4"),
        ("began", "<i8"),
        ("opened", "<i8"),
        ("heard", "<i8"),
        ("ended", "<i8"),
        ("revision", "<u2"),
        ("pod", "<u2"),
        ("text", "<u2"),
        # 0 on disk; the reader puts the number of the file here.
        ("source", "<u2"),
        ("epoch", "<i8"),
    ]
)
"""`began`: the SYN; `opened`: 101 was read; `heard`: last bytes of the peer; `ended`: seen to be over. CLOCK_MONOTONIC
ns, 0 where it didn't happen. `text`: the reason that a close frame gave; `epoch`: the socket's, wall ns."""
MESSAGE: Final = np.dtype(
    [
        ("kind", "u1"),
        ("flags", "u1"),
        ("source", "<u2"),
        ("socket", "<u4"),
        ("attempt", "<u4"),
        ("pad", "V4"),
        ("number", "<i8"),
        ("epoch", "<i8"),
        ("t", "<i8"),
        ("pad2", "V24"),
    ]
)
"""`number`: seq of what was received, id of what was sent or acknowledged; `epoch` of what was received, ns."""
PLAN: Final = np.dtype(
    [
        ("kind", "u1"),
        ("pad", "V3"),
        ("sockets", "<u4"),
        ("every", "<i8"),
        ("began", "<i8"),
        ("pad2", "V40"),
    ]
)
TOTALS: Final = np.dtype(
    [
        ("kind", "u1"),
        ("pad", "V7"),
        ("lives", "<u8"),
        ("received", "<u8"),
        ("sent", "<u8"),
        ("acked", "<u8"),
        ("open", "<u8"),
        ("stopped", "<i8"),
        ("pad2", "V8"),
    ]
)

LIFE_STRUCT: Final = struct.Struct("<4B2H2I4q4Hq")
MESSAGE_STRUCT: Final = struct.Struct("<BBHII4xqqq24x")
PLAN_STRUCT: Final = struct.Struct("<B3xIqq40x")
TOTALS_STRUCT: Final = struct.Struct("<B7x5Qq8x")


@dataclass(frozen=True, slots=True)
class Totals:
    """What the client itself counted, at its end; the record has to hold as much.

    Args:
        lives: attempts to connect, whatever became of them.
        received: messages read.
        sent: messages sent, repetitions included.
        acked: acknowledgements read.
        open: connections without an end.
        stopped: when the load was told to stop, CLOCK_MONOTONIC ns.

    """

    lives: int
    received: int
    sent: int
    acked: int
    open: int
    stopped: int


@dataclass(frozen=True)
class SocketPart:
    """One sockets' file, decoded.

    Args:
        name: the file's, for notes.
        lives: dtype `LIFE`, the last record of each attempt, by socket and attempt.
        received: dtype `MESSAGE`, in the order in which they were read.
        sent: likewise.
        acked: likewise.
        strings: text by id.
        clocks: pairs of (monotonic, wall) in ns.
        sockets: how many were to be open; 0 where the file doesn't say.
        every_ns: between two messages of one direction.
        began_ns: when the first attempt was due, CLOCK_MONOTONIC.
        totals: the client's own counts; None where it didn't come to its end.
        notes: what was damaged.

    """

    name: str = ""
    lives: Table = field(default_factory=lambda: np.zeros(0, LIFE))
    received: Table = field(default_factory=lambda: np.zeros(0, MESSAGE))
    sent: Table = field(default_factory=lambda: np.zeros(0, MESSAGE))
    acked: Table = field(default_factory=lambda: np.zeros(0, MESSAGE))
    strings: Mapping[int, str] = field(default_factory=dict)
    clocks: tuple[tuple[int, int], ...] = ()
    sockets: int = 0
    every_ns: int = 0
    began_ns: int = 0
    totals: Totals | None = None
    notes: tuple[str, ...] = ()


def plan_record(sockets: int, every_ns: int, began_ns: int) -> bytes:
    """What is to be done: so many sockets, one message in so many ns each way."""
    return PLAN_STRUCT.pack(KIND_PLAN, sockets, every_ns, began_ns)


def message_record(kind: int, socket: int, attempt: int, number: int, epoch: int, t: int, flags: int = 0) -> bytes:
    """One message; `kind` is KIND_RECEIVED, KIND_SENT or KIND_ACKED."""
    return MESSAGE_STRUCT.pack(kind, flags, 0, socket, attempt, number, epoch, t)


def totals_record(totals: Totals) -> bytes:
    """The client's own counts."""
    one = totals
    return TOTALS_STRUCT.pack(KIND_TOTALS, one.lives, one.received, one.sent, one.acked, one.open, one.stopped)


def decode_sockets(raw: layout.Samples, torn: int, name: str) -> SocketPart:
    """Decodes one sockets' file.

    Args:
        raw: its whole records, as dtype `SAMPLE`.
        torn: bytes after the last whole record.
        name: the file's.

    Raises:
        ValueError: it is no sockets' file, or of a later schema.

    """
    notes = [f"{name}: the last {torn} bytes are a cut record and were left out"] if torn else []
    if not len(raw):
        return SocketPart(name, notes=(*notes, f"{name}: cut before its first record"))
    header = raw[:1].view(layout.HEADER)[0]
    if int(header["kind"]) != KIND_HEADER or bytes(header["magic"]) != MAGIC or int(header["schema"]) != SCHEMA:
        raise ValueError(f"{name} is no sockets' file of schema {SCHEMA}")
    kind = np.ascontiguousarray(raw["kind"])
    known = (KIND_STRING, KIND_CLOCK, KIND_HEADER, *range(KIND_LIFE, KIND_TOTALS + 1))
    if unknown := int(np.count_nonzero(~np.isin(kind, known))):
        notes.append(f"{name}: {unknown} records of an unknown kind were left out")
    strings, said = layout.texts(raw[kind == KIND_STRING].view(layout.STRING))
    plans = raw[kind == KIND_PLAN].view(PLAN)
    totals = raw[kind == KIND_TOTALS].view(TOTALS)
    clocks = raw[kind == KIND_CLOCK].view(layout.CLOCK)
    return SocketPart(
        name=name,
        lives=_last(raw[kind == KIND_LIFE].view(LIFE)),
        received=raw[kind == KIND_RECEIVED].view(MESSAGE).copy(),
        sent=raw[kind == KIND_SENT].view(MESSAGE).copy(),
        acked=raw[kind == KIND_ACKED].view(MESSAGE).copy(),
        strings=strings,
        clocks=tuple((int(one["monotonic"]), int(one["wall"])) for one in clocks),
        sockets=int(plans["sockets"].sum()),
        every_ns=int(plans["every"][0]) if len(plans) else 0,
        began_ns=int(plans["began"][0]) if len(plans) else 0,
        totals=_totals(totals[-1]) if len(totals) else None,
        notes=(*notes, *(f"{name}: {one}" for one in said)),
    )


def _totals(record: np.void) -> Totals:
    return Totals(*(int(record[name]) for name in ("lives", "received", "sent", "acked", "open", "stopped")))


def _last(lives: Table) -> Table:
    """The last record of each attempt, by socket and attempt."""
    order = np.lexsort((np.arange(len(lives)), lives["attempt"], lives["socket"]))
    ordered = lives[order]
    keys = ordered["socket"].astype(np.uint64) << np.uint64(32) | ordered["attempt"]
    return ordered[np.append(keys[1:] != keys[:-1], True)] if len(ordered) else ordered.copy()

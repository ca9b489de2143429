"""The sample file: 64-byte little-endian records, one numpy dtype and one `struct.Struct` per kind.

A file ``samples-<pid>.bin`` is append-only. Its first record is the header; strings, class definitions, clock pairs,
samples and class closings follow in any order, a string always before the first sample that uses it. Ids of strings
and codes of classes belong to their file; `harness.evidence.store` makes them one set for the whole run.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.void]
"""One-dimensional array of dtype `SAMPLE`."""

RECORD_SIZE: Final = 64
MAGIC: Final = b"BGS1"
SCHEMA: Final = 1

KIND_SAMPLE: Final = 1
KIND_STRING: Final = 2
KIND_CLASS: Final = 3
KIND_CLOSING: Final = 4
KIND_CLOCK: Final = 5
KIND_HEADER: Final = 6

# The order of these tuples is the code on disk: append only, and raise SCHEMA for anything else.
OUTCOMES: Final = ("ok", "failed", "unknown", "unsent")
OK: Final = 0
FAILED: Final = 1
UNKNOWN: Final = 2
UNSENT: Final = 3

ERRORS: Final = (
    "none",
    "dns",
    "connect_refused",
    "connect_timeout",
    "connect_reset",
    "idle_reset",
    "idle_closed",
    "reset",
    "closed",
    "truncated",
    "framing",
    "read_timeout",
    "proxy_5xx",
    "app_5xx",
    "unexpected_status",
    "wrong_revision",
    "unreachable",
    "tls_certificate",
    "tls_handshake",
    "tls_timeout",
    "alpn",
    "goaway",
    "goaway_cut",
    "refused_stream",
    "stream_reset",
)
METHODS: Final = ("GET", "POST", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "WEBSOCKET")

FLAG_RETRIABLE: Final = 1
"""RFC 9110 9.2.2 lets any client send it again: idempotent, on a reused connection, closed before the first byte.

Or RFC 9113 8.7 does: the server has said that it didn't process the stream (GOAWAY, REFUSED_STREAM)."""
FLAG_SERVER_CLOSE: Final = 2
"""The server asked to close the connection after this answer."""
FLAG_REPLACED: Final = 4
"""The connection was found closed and replaced before the send: not a loss, nothing had been sent."""
FLAG_GOAWAY: Final = 8
"""HTTP/2: GOAWAY had come on the connection that the sample ended on, or with FLAG_REPLACED on the one before it."""
FLAGS: Final = {
    "retriable": FLAG_RETRIABLE,
    "server_close": FLAG_SERVER_CLOSE,
    "replaced": FLAG_REPLACED,
    "goaway": FLAG_GOAWAY,
}

SAMPLE: Final = np.dtype(
    [
        ("kind", "u1"),
        ("cls", "u1"),
        ("outcome", "u1"),
        ("error", "u1"),
        ("method", "u1"),
        ("entry", "u1"),
        ("status", "<u2"),
        ("seq", "<u8"),
        ("conn", "<u4"),
        ("nth", "<u4"),
        ("intended", "<i8"),
        ("sent", "<i8"),
        ("first_byte", "<i8"),
        ("end", "<i8"),
        ("revision", "<u2"),
        ("pod", "<u2"),
        ("flags", "<u2"),
        # On disk the port of the connection's own end, or 0. The reader keeps that as `Timeline.ports`, and puts the
        # number of the file here, since `seq` counts per class and file.
        ("source", "<u2"),
    ]
)
PORT: Final = np.dtype([("source", "<u2"), ("conn", "<u4"), ("port", "<u2")])
"""Which port of this machine a connection had."""
STRING: Final = np.dtype(
    [
        ("kind", "u1"),
        ("pad", "u1"),
        ("id", "<u2"),
        ("part", "<u2"),
        ("parts", "<u2"),
        ("length", "<u2"),
        ("pad2", "V6"),
        ("payload", "u1", (48,)),
    ]
)
CLASS: Final = np.dtype(
    [
        ("kind", "u1"),
        ("cls", "u1"),
        ("name", "<u2"),
        ("pad", "V4"),
        ("rate", "<f8"),
        ("t0", "<i8"),
        ("timeout", "<f8"),
        ("pad2", "V32"),
    ]
)
CLOSING: Final = np.dtype(
    [
        ("kind", "u1"),
        ("cls", "u1"),
        ("pad", "V6"),
        ("scheduled", "<u8"),
        ("issued", "<u8"),
        ("unsent", "<u8"),
        ("open", "<u8"),
        ("pad2", "V24"),
    ]
)
CLOCK: Final = np.dtype([("kind", "u1"), ("pad", "V7"), ("monotonic", "<i8"), ("wall", "<i8"), ("pad2", "V40")])
HEADER: Final = np.dtype(
    [("kind", "u1"), ("pad", "u1"), ("schema", "<u2"), ("magic", "S4"), ("pid", "<u4"), ("pad2", "V52")]
)

# The same layouts for writers, who pack one record at a time. SAMPLE_STRUCT takes the fields in SAMPLE's order.
SAMPLE_STRUCT: Final = struct.Struct("<6BHQ2I4q4H")
STRING_STRUCT: Final = struct.Struct("<BBHHHH6x48s")
CLASS_STRUCT: Final = struct.Struct("<BBH4xdqd32x")
CLOSING_STRUCT: Final = struct.Struct("<BB6xQQQQ24x")
CLOCK_STRUCT: Final = struct.Struct("<B7xqq40x")
HEADER_STRUCT: Final = struct.Struct("<BxH4sI52x")

PAYLOAD: Final = 48


@dataclass(frozen=True, slots=True)
class ClassSpec:
    """One connection class of a run.

    Args:
        name: "fresh", "busy", "idle", "slow", "post", "tls", "h2", "h2_slow", "websocket".
        code: its number in the samples' `cls` column.
        rate: scheduled requests per second.
        t0_ns: intended time of the request with `seq` 0, CLOCK_MONOTONIC ns.
        timeout_s: bound of one request in seconds.
        scheduled: requests that the schedule held when the class was closed; None while it isn't closed.
        issued: requests handed to the wire, None while not closed.
        unsent: requests over the in-flight bound, None while not closed.
        open: requests without an outcome at the end, None while not closed.

    """

    name: str
    code: int
    rate: float
    t0_ns: int = 0
    timeout_s: float = 0.0
    scheduled: int | None = None
    issued: int | None = None
    unsent: int | None = None
    open: int | None = None

    @property
    def closed(self) -> bool:
        """Whether every file that has this class closed it."""
        return self.scheduled is not None

    @property
    def resolution_ns(self) -> float:
        """Every total outage at least this long is seen: 1/rate, in ns."""
        return 1e9 / self.rate if self.rate > 0 else float("inf")


def header_record(pid: int, magic: bytes = MAGIC) -> bytes:
    """The first record of a file."""
    return HEADER_STRUCT.pack(KIND_HEADER, SCHEMA, magic, pid)


def string_records(string_id: int, text: str) -> bytes:
    """The chunk records that define one string id (1 to 65535; 0 means "not known").

    Raises:
        ValueError: an id out of range.

    """
    if not 0 < string_id < 65536:
        raise ValueError(f"string id {string_id} is not in 1..65535")
    raw = text.encode()
    chunks = [raw[i : i + PAYLOAD] for i in range(0, len(raw), PAYLOAD)] or [b""]
    return b"".join(
        STRING_STRUCT.pack(KIND_STRING, 0, string_id, part, len(chunks), len(chunk), chunk)
        for part, chunk in enumerate(chunks)
    )


def texts(chunks: npt.NDArray[np.void]) -> tuple[dict[int, str], list[str]]:
    """The strings by id that chunk records (dtype `STRING`) define, and a note for each that is cut."""
    pieces: dict[int, dict[int, bytes]] = {}
    wanted: dict[int, int] = {}
    for chunk in chunks:
        key = int(chunk["id"])
        wanted[key] = int(chunk["parts"])
        pieces.setdefault(key, {})[int(chunk["part"])] = chunk["payload"].tobytes()[: int(chunk["length"])]
    whole = {key: found for key, found in pieces.items() if set(found) == set(range(wanted[key]))}
    strings = {
        key: b"".join(found[index] for index in sorted(found)).decode(errors="replace") for key, found in whole.items()
    }
    return strings, [f"string {key} is cut" for key in pieces if key not in whole]


def class_record(code: int, name_id: int, rate: float, t0_ns: int, timeout_s: float) -> bytes:
    """The record that defines one class; `name_id` is the string id of its name."""
    return CLASS_STRUCT.pack(KIND_CLASS, code, name_id, rate, t0_ns, timeout_s)


def closing_record(code: int, scheduled: int, issued: int, unsent: int, still_open: int) -> bytes:
    """The record that closes one class's ledger: scheduled = issued + unsent."""
    return CLOSING_STRUCT.pack(KIND_CLOSING, code, scheduled, issued, unsent, still_open)


def clock_record(monotonic_ns: int, wall_ns: int) -> bytes:
    """One reading of both clocks at the same moment."""
    return CLOCK_STRUCT.pack(KIND_CLOCK, monotonic_ns, wall_ns)


def empty(count: int = 0) -> Samples:
    """A zeroed array of samples with `kind` set."""
    array = np.zeros(count, dtype=SAMPLE)
    array["kind"] = KIND_SAMPLE
    return array

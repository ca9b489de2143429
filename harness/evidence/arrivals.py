"""What the application wrote down of the requests that reached it: the lines of one record become arrays.

One file per pod, ``<pod>.arrivals``, appended to, one line a fact; ``<pod>`` is the name that the pod's answers tell:

    S <CLOCK_MONOTONIC ns> <pod> <revision>                 a process began the record, or went on with it
    A <CLOCK_MONOTONIC ns> <request id> <method> <path>     a request arrived; written before it is handled
    P <CLOCK_MONOTONIC ns> <request id>                     a POST was applied; written before it is answered
    W <CLOCK_MONOTONIC ns> <socket id> <number>             a WebSocket's message; written before it is acknowledged

A record that lacks something is called ``<pod>.arrivals.broken``. A request id is ``<run tag>-<class>-<seq>``; lines
of a handshake aren't looked at: a socket's id is ``<run tag>-websocket-<n>`` over all its connections. Lines
with other ids (the smoke check, whoever looks by hand) say nothing of the load, only that the record went on.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from harness.evidence.sockets import CLASS

SUFFIX: Final = ".arrivals"
BROKEN: Final = ".broken"
SEQ_BITS: Final = 40
"""A seq has at most 12 digits: 15 years at 2,000 requests/s."""

Facts = npt.NDArray[np.void]
"""One-dimensional array of dtype `FACT`."""
MESSAGE: Final = np.dtype([("t", "<i8"), ("socket", "<u4"), ("number", "<i8")])
FACT: Final = np.dtype([("t", "<i8"), ("seq", "<u8"), ("cls", "u1")])

_WORD: Final = rb"[!-~]+"
_LINE: Final = re.compile(
    rb"^(?:A \d{1,18} %b %b %b|P \d{1,18} %b|S \d{1,18} %b %b|W \d{1,18} %b \d{1,12})$" % ((_WORD,) * 7),
    re.MULTILINE,
)


@dataclass(frozen=True)
class Record:
    """One pod's record.

    Args:
        pod: whose.
        arrived: arrivals of our load's requests, in the order of the lines.
        applied: POSTs of our load that were applied.
        strange: ids that begin with our run's tag and that no request of ours can have.
        messages: of our sockets, dtype `MESSAGE`, in the order of the lines.
        last_ns: CLOCK_MONOTONIC ns until which it goes on, whoever asked last; 0 where there is no line.
        faults: why it isn't whole; what it holds is true all the same.

    """

    pod: str
    arrived: Facts = field(default_factory=lambda: np.zeros(0, FACT))
    applied: Facts = field(default_factory=lambda: np.zeros(0, FACT))
    strange: tuple[str, ...] = ()
    messages: Facts = field(default_factory=lambda: np.zeros(0, MESSAGE))
    last_ns: int = 0
    faults: tuple[str, ...] = ()


@dataclass(frozen=True)
class Arrivals:
    """All records of a run, in any order.

    Args:
        records: one or more per pod.
        faults: what keeps them from being all, beyond the faults of each.

    """

    records: tuple[Record, ...] = ()
    faults: tuple[str, ...] = ()


def parse(name: str, chunks: Iterable[bytes], tag: str, classes: Mapping[str, int]) -> Record:
    """One file's record.

    Args:
        name: the file's name.
        chunks: its bytes, cut anywhere; only one at a time is held.
        tag: the run's, with which the ids of our load begin.
        classes: code by name of the classes that ran.

    """
    broken = name.endswith(BROKEN)
    pod = name.removesuffix(BROKEN).removesuffix(SUFFIX)
    faults = [f"the application gave the record of {pod} up"] if broken else []
    arrived, applied = _Column(b"A", b" %b %b" % (_WORD, _WORD), tag, classes), _Column(b"P", b"", tag, classes)
    messages, words = [np.zeros(0, MESSAGE)], _messages_of(tag)
    first = last = b""
    damaged, torn = 0, 0
    for block in _whole_lines(chunks):
        if not block.endswith(b"\n"):
            torn = len(block)
            continue
        lines = _LINE.findall(block)
        damaged += block.count(b"\n") - len(lines)
        if lines:
            first, last = first or lines[0], lines[-1]
        arrived.read(block)
        applied.read(block)
        if b"\nW " in block or block.startswith(b"W "):
            messages.append(np.asarray([tuple(map(int, one)) for one in words.findall(block)], MESSAGE))
    kind, _, whose = first.split(b" ")[:3] if first else (b"", b"", b"")
    if kind != b"S":
        faults.append(f"the record of {pod} lacks its beginning")
    elif whose != pod.encode():
        faults.append(f"the record of {pod} is by {whose.decode()}")
    if torn:
        faults.append(f"the last line of {pod}'s record is torn")
    if damaged:
        faults.append(f"{damaged} lines of {pod}'s record are no facts")
    known = set(arrived.strange)  # one that arrived and was applied is one that nobody sent, not two
    strange = (*arrived.strange, *(one for one in applied.strange if one not in known))
    stamps = [int(last.split(b" ")[1]) if last else 0]
    columns = arrived.facts(), applied.facts()
    written = np.concatenate(messages)
    stamps += [int(facts["t"].max()) for facts in (*columns, written) if len(facts)]
    return Record(pod, *columns, strange, written, max(stamps), tuple(faults))


def _messages_of(tag: str) -> re.Pattern[bytes]:
    """The lines of our sockets' messages: time, socket, number."""
    own = re.escape(f"{tag}-{CLASS}-".encode())
    return re.compile(rb"^W (\d{1,18}) %b(0|[1-9]\d{0,5}) (\d{1,12})$" % own, re.MULTILINE)


class _Column:
    """Collects the lines of one kind that carry our tag."""

    def __init__(self, kind: bytes, rest: bytes, tag: str, classes: Mapping[str, int]) -> None:
        self.strange: list[str] = []
        self._tag = tag
        self._codes = {name.encode(): code for name, code in classes.items()}
        names = b"|".join(re.escape(name) for name in self._codes) or rb"(?!)"
        # whether an application writes its sockets' handshakes down is its own affair
        ours = rb"%b-(?!websocket-\d)(?:(%b)-(0|[1-9]\d{0,11})|(%b))" % (re.escape(tag.encode()), names, rb"[!-~]*")
        self._pattern = re.compile(rb"^%b (\d{1,18}) %b%b$" % (kind, ours, rest), re.MULTILINE)
        self._parts: list[Facts] = []

    def read(self, block: bytes) -> None:
        """Take whole lines."""
        found: list[Any] = self._pattern.findall(block)
        if any(not name for _, name, _, _ in found):
            self.strange += [f"{self._tag}-{odd.decode()}" for _, name, _, odd in found if not name]
            found = [one for one in found if one[1]]
        part = np.empty(len(found), FACT)
        part["t"] = np.fromiter((int(one[0]) for one in found), np.int64, len(found))
        part["cls"] = np.fromiter((self._codes[one[1]] for one in found), np.uint8, len(found))
        part["seq"] = np.fromiter((int(one[2]) for one in found), np.uint64, len(found))
        self._parts.append(part)

    def facts(self) -> Facts:
        """All of them."""
        return np.concatenate(self._parts) if self._parts else np.zeros(0, FACT)


def _whole_lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The chunks, cut at line ends; the last one may lack its own."""
    rest = b""
    for chunk in chunks:
        head, end, tail = (rest + chunk).rpartition(b"\n")
        if end:
            yield head + end
        rest = tail
    if rest:
        yield rest

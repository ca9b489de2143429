"""The numbered messages of the sockets: lost, doubled, out of order, never acknowledged.

Message s of a socket is due at epoch + s * period on the wall clock, so what should have come is known without asking
the server; one (monotonic, wall) pair of the record brings both onto one clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Final

import numpy as np
import numpy.typing as npt

from harness.evidence.socket_record import SocketPart, Table

GRACE_NS: Final = 1_000_000_000
"""What is due this shortly before the end needn't have come."""

Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Messages:
    """Counts over all sockets.

    Args:
        due: messages that the server had to send.
        received: messages read.
        lost: due, and never read on any connection of the socket.
        doubled: read again.
        disordered: read after one with a greater number, and not before.
        foreign: of another epoch, with a number below 0, or acknowledgements of what was never sent.
        sent: different messages of the client that were sent.
        again: sent once more after a reconnect.
        unacknowledged: sent, and never acknowledged by the end.
        late_ns: the longest time from a message's due time to its reading, 0 without any.

    """

    due: int = 0
    received: int = 0
    lost: int = 0
    doubled: int = 0
    disordered: int = 0
    foreign: int = 0
    sent: int = 0
    again: int = 0
    unacknowledged: int = 0
    late_ns: int = 0


def messages(parts: Sequence[SocketPart], lives: Table) -> Messages:
    """Counts the messages of all parts; while a client still runs, what can still come isn't missed."""
    found = [_of_part(part, lives[lives["source"] == number]) for number, part in enumerate(parts)]
    counts = {one.name: [int(getattr(counted, one.name)) for counted in found] for one in fields(Messages)}
    return Messages(**{name: max(many, default=0) if name == "late_ns" else sum(many) for name, many in counts.items()})


def _of_part(part: SocketPart, lives: Table) -> Messages:
    opened = lives[lives["opened"] > 0]
    sockets, first = np.unique(opened["socket"], return_index=True)
    if not len(sockets):
        return Messages()
    epochs = opened["epoch"][first]
    due_at_0 = epochs - _offset(part)
    received = part.received
    place = np.minimum(np.searchsorted(sockets, received["socket"]), len(sockets) - 1)
    right = (sockets[place] == received["socket"]) & (received["epoch"] == epochs[place]) & (received["number"] >= 0)
    socket, seq, t = place[right], received["number"][right], received["t"][right]
    new, disordered = _order(socket, seq)
    late = t - (due_at_0[socket] + seq * part.every_ns)
    # A server whose clock is behind sends everything late by as much: that is no delay of its own.
    skew = max(0, int(late.min())) if len(late) else 0
    top = np.full(len(sockets), -1, np.int64)
    np.maximum.at(top, socket, seq)
    if part.totals is not None and part.every_ns > 0:
        last = (part.totals.stopped - GRACE_NS - skew - due_at_0) // part.every_ns
        top = np.maximum(top, last)
    wanted = np.maximum(top + 1, 0)
    counts = np.bincount(socket[new], minlength=len(sockets))
    sent, acked = _numbers(part.sent), _numbers(part.acked)
    missing = np.setdiff1d(sent, acked)
    return Messages(
        due=int(wanted.sum()),
        received=len(received),
        lost=int(np.maximum(wanted - counts, 0).sum()),
        doubled=int(np.count_nonzero(~new)),
        disordered=int(np.count_nonzero(disordered)),
        foreign=int(np.count_nonzero(~right)) + len(np.setdiff1d(acked, sent)),
        sent=len(sent),
        again=len(part.sent) - len(sent),
        unacknowledged=len(missing) if part.totals is not None else 0,
        late_ns=int(late.max()) - skew if len(late) else 0,
    )


def _offset(part: SocketPart) -> int:
    """Wall less monotonic clock, ns: the middle one of the record's pairs."""
    offsets = sorted(wall - monotonic for monotonic, wall in part.clocks)
    return offsets[len(offsets) // 2] if offsets else 0


def _order(socket: Ints, seq: Ints) -> tuple[Mask, Mask]:
    """In reading order: which messages are the first with their number, and which of these come behind a greater one.

    `socket` holds small numbers, one per socket.
    """
    new, disordered = np.ones(len(seq), np.bool_), np.zeros(len(seq), np.bool_)
    order = np.lexsort((np.arange(len(seq)), seq, socket))
    same = (np.diff(socket[order]) == 0) & (np.diff(seq[order]) == 0)
    new[order[1:][same]] = False
    order = np.argsort(socket, kind="stable")
    grouped, numbers = socket[order], seq[order]
    starts = np.flatnonzero(np.append(True, np.diff(grouped) != 0)) if len(order) else np.zeros(0, np.int64)
    for start, end in zip(starts, [*starts[1:], len(order)], strict=True):
        disordered[order[start + 1 : end]] = numbers[start + 1 : end] < np.maximum.accumulate(numbers[start:end])[:-1]
    return new, np.asarray(disordered & new)


def _numbers(table: Table) -> npt.NDArray[np.uint64]:
    """The different messages, one number each: socket and id."""
    return np.unique(table["socket"].astype(np.uint64) << np.uint64(40) | table["number"].astype(np.uint64))

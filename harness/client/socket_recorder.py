"""Lives and messages of the sockets to disk, as they happen."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path

from harness.client.recorder import RecordFile
from harness.evidence.socket_record import (
    FLAG_AGAIN,
    KIND_ACKED,
    KIND_LIFE,
    KIND_RECEIVED,
    KIND_SENT,
    LIFE_STRUCT,
    MAGIC,
    OPEN,
    REASONS,
    Totals,
    message_record,
    plan_record,
    totals_record,
)


@dataclass(slots=True)
class Life:
    """One attempt to connect, and the connection if there was one. Times are CLOCK_MONOTONIC ns, 0: never.

    Attributes:
        socket: number of the socket.
        attempt: of this socket, from 0.
        entry: number of the entry in the plan.
        epoch: the socket's, wall ns.
        end: one of `harness.evidence.socket_record.ENDS`, as its number.
        why: one of `harness.evidence.socket_record.REASONS`.
        status: of the handshake's answer.
        code: of the close.
        text: the close frame's reason.
        began: the SYN.
        opened: 101 was read.
        heard: the peer's last bytes.
        ended: seen to be over.
        revision: as the handshake's answer told.
        pod: likewise.

    """

    socket: int
    attempt: int
    entry: int
    epoch: int
    end: int = OPEN
    why: str = "none"
    status: int = 0
    code: int = 0
    text: str = ""
    began: int = 0
    opened: int = 0
    heard: int = 0
    ended: int = 0
    revision: str = ""
    pod: str = ""


class SocketRecorder(RecordFile):
    """Writes ``sockets-<pid>.bin`` into a folder, and counts what it was told.

    Args:
        folder: must exist.

    Raises:
        OSError: as `RecordFile`.

    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "sockets", MAGIC)
        self._counting = threading.Lock()
        self._counts = dict.fromkeys(("lives", "received", "sent", "acked", "open"), 0)

    def plan(self, sockets: int, every_ns: int, began_ns: int) -> None:
        """Write what is to be done."""
        self._append(plan_record(sockets, every_ns, began_ns))

    def opened(self, life: Life) -> None:
        """Write a connection that has just opened."""
        self._count("lives", 1)
        self._count("open", 1)
        self._life(life)

    def ended(self, life: Life) -> None:
        """Write an attempt that was refused, or a connection that is over."""
        if life.opened:
            self._count("open", -1)
        else:
            self._count("lives", 1)
        self._life(life)

    def received(self, life: Life, seq: int, epoch: int, t: int) -> None:
        """Write one message of the server."""
        self._count("received", 1)
        self._append(message_record(KIND_RECEIVED, life.socket, life.attempt, seq, epoch, t))

    def sent(self, life: Life, number: int, t: int, *, again: bool) -> None:
        """Write one message of the client, before it is sent."""
        self._count("sent", 1)
        flags = FLAG_AGAIN if again else 0
        self._append(message_record(KIND_SENT, life.socket, life.attempt, number, life.epoch, t, flags))

    def acked(self, life: Life, number: int, t: int) -> None:
        """Write one acknowledgement."""
        self._count("acked", 1)
        self._append(message_record(KIND_ACKED, life.socket, life.attempt, number, life.epoch, t))

    def totals(self, stopped: int) -> None:
        """Write what was counted. `stopped`: when the load was told to stop."""
        with self._counting:
            self._append(totals_record(Totals(**self._counts, stopped=stopped)))

    def _count(self, name: str, more: int) -> None:
        with self._counting:  # `+=` isn't atomic
            self._counts[name] += more

    def _life(self, life: Life) -> None:
        self._append(
            LIFE_STRUCT.pack(
                KIND_LIFE,
                life.end,
                REASONS.index(life.why),
                life.entry,
                life.status,
                life.code,
                life.socket,
                life.attempt,
                life.began,
                life.opened,
                life.heard,
                life.ended,
                self.intern(life.revision),
                self.intern(life.pod),
                self.intern(life.text),
                0,
                life.epoch,
            )
        )

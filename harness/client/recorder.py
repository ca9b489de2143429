"""Samples to disk while the run goes on: 64 bytes each, append-only, one write at least each 100 ms."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from pathlib import Path
from typing import Final

from harness.client.exchange import Answer
from harness.evidence.samples import (
    ERRORS,
    KIND_SAMPLE,
    MAGIC,
    SAMPLE_STRUCT,
    class_record,
    clock_record,
    closing_record,
    header_record,
    string_records,
)

FLUSH_NS: Final = 100_000_000
MAX_STRINGS: Final = 60_000
"""A service that tells a new name with each answer can't fill the id space; names beyond read as "not known"."""

_ERROR_CODES: Final = {name: code for code, name in enumerate(ERRORS)}
_pack = SAMPLE_STRUCT.pack


class RecordFile:
    """One append-only file of records, with its strings and clock pairs. Safe for threads and greenlets.

    Args:
        folder: must exist.
        stem: the file is called ``<stem>-<pid>.bin``.
        magic: of its header.

    Raises:
        OSError: the file can't be made or written (disk full); nothing is dropped in silence.

    """

    def __init__(self, folder: Path, stem: str, magic: bytes) -> None:
        self.path = folder / f"{stem}-{os.getpid()}.bin"
        self._fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_EXCL | os.O_CLOEXEC, 0o644)
        self._lock = threading.Lock()
        # Appending to a deque is atomic: the hot path takes no lock, and flush pops, so nothing falls in between.
        self._pending: deque[bytes] = deque()
        self._append = self._pending.append
        self._strings: dict[str, int] = {"": 0}
        self._flushed = time.monotonic_ns()
        self._append(header_record(os.getpid(), magic))
        self.clock()
        self.flush()

    def clock(self) -> None:
        """Write one pair of both clocks' readings."""
        self._append(clock_record(time.monotonic_ns(), time.time_ns()))

    def flush(self) -> None:
        """Write what is pending.

        Raises:
            OSError: the disk refused it.
            ValueError: the record is closed.

        """
        with self._lock:
            self._flushed = time.monotonic_ns()
            pending = self._pending
            if not pending:
                return
            if self._fd < 0:
                raise ValueError("the record is closed")
            data = b"".join([pending.popleft() for _ in range(len(pending))])
            written = os.write(self._fd, data)
            while written < len(data):  # only where the disk is full or a signal came: the next write says which
                written += os.write(self._fd, data[written:])

    def close(self) -> None:
        """Write the last clock pair and what is pending, and close the file. Closing twice is fine."""
        if self._fd < 0:
            return
        self.clock()
        self.flush()
        with self._lock:
            fd, self._fd = self._fd, -1
        os.close(fd)

    def intern(self, text: str) -> int:
        """The id of a text, written before anyone can use it; 0 once there are too many."""
        with self._lock:
            known = self._strings.get(text)
            if known is not None:
                return known
            ident = len(self._strings)
            if ident > MAX_STRINGS:
                return 0
            self._append(string_records(ident, text))  # before anyone can use the id
            self._strings[text] = ident
            return ident


class Recorder(RecordFile):
    """Writes ``samples-<pid>.bin`` into a folder.

    Args:
        folder: must exist.

    Raises:
        OSError: as `RecordFile`.

    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "samples", MAGIC)

    def define_class(self, code: int, name: str, rate: float, t0_ns: int, timeout_s: float) -> None:
        """Write a class's definition, before its first sample."""
        self._append(class_record(code, self.intern(name), rate, t0_ns, timeout_s))

    def close_class(self, code: int, scheduled: int, issued: int, unsent: int, still_open: int) -> None:
        """Close a class's ledger: scheduled = issued + unsent."""
        self._append(closing_record(code, scheduled, issued, unsent, still_open))

    def sample(self, code: int, seq: int, intended: int, entry: int, method: int, answer: Answer) -> None:
        """Write one sample.

        Args:
            code: the class's.
            seq: number of the request in its class, from 0.
            intended: when it was due, CLOCK_MONOTONIC ns.
            entry: number of the entry in the plan.
            method: index in METHODS.
            answer: what became of it.

        """
        strings = self._strings
        revision = strings.get(answer.revision)
        if revision is None:
            revision = self.intern(answer.revision)
        pod = strings.get(answer.pod)
        if pod is None:
            pod = self.intern(answer.pod)
        end = answer.end
        self._append(
            _pack(
                KIND_SAMPLE,
                code,
                answer.outcome,
                _ERROR_CODES[answer.error],
                method,
                entry,
                answer.status,
                seq,
                answer.conn,
                answer.nth,
                intended,
                answer.sent,
                answer.first_byte,
                end,
                revision,
                pod,
                answer.flags,
                answer.port,
            )
        )
        if end - self._flushed >= FLUSH_NS:
            self.flush()

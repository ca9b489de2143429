"""The append-only record of a run: one JSON object a line in events.jsonl, stamped with the monotonic clock."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

EVENTS_FILE = "events.jsonl"


class Journal:
    """Writes what the harness did and saw; reading it back is the evidence's job.

    Each event is one ``write`` to an O_APPEND descriptor without a buffer in this process, so a killed run
    keeps every event written before. Safe to use from several threads.

    Args:
        folder: made if absent; the record is ``folder/events.jsonl``. An older record there is continued.

    Attributes:
        listeners: each called with an event's name and fields once it is written, in the thread that wrote it: they
            take note, and do nothing else.

    Raises:
        OSError: the folder or the file can't be written.

    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / EVENTS_FILE
        self._lock = threading.Lock()
        self.listeners: list[Callable[[str, Mapping[str, Any]], None]] = []
        torn = self.path.exists() and _ends_torn(self.path)
        self._descriptor: int | None = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        if torn:  # the torn line stays unreadable, but it must not swallow the next event too
            os.write(self._descriptor, b"\n")

    def event(self, name: str, /, *, t: int | None = None, **fields: Any) -> int:
        """Write one event and return its time.

        Args:
            name: dotted, e.g. ``cutover.sent``.
            t: CLOCK_MONOTONIC in ns; by default the moment of this call.
            fields: JSON-able values. ``name`` is reserved.

        Raises:
            ValueError: the journal is closed, a field is called ``name``, or a number is not finite.
            TypeError: a field can't be written as JSON.
            OSError: the disk refused the line.

        """
        stamp = time.monotonic_ns() if t is None else t
        if "name" in fields:
            raise ValueError("an event's field can't be called 'name'")
        line = (json.dumps({"t": stamp, "name": name, **fields}, allow_nan=False) + "\n").encode()
        with self._lock:
            if self._descriptor is None:
                raise ValueError(f"the journal is closed; too late for {name}")
            written = os.write(self._descriptor, line)
        if written != len(line):
            raise OSError(f"only {written} of {len(line)} bytes of {name} fitted into {self.path}")
        for listener in tuple(self.listeners):
            listener(name, fields)
        return stamp

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        with self._lock:
            if self._descriptor is not None:
                os.close(self._descriptor)
                self._descriptor = None

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _ends_torn(path: Path) -> bool:
    """Whether the file's last line was cut before its line end."""
    with path.open("rb") as file:
        if file.seek(0, os.SEEK_END) == 0:
            return False
        file.seek(-1, os.SEEK_END)
        return file.read(1) != b"\n"

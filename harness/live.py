"""Follows the record of the running scenario from a thread of its own, and shows it.

It reads what is on disk and nothing else: neither the load child nor the release knows of it.
"""

from __future__ import annotations

import contextlib
import threading
import time
from pathlib import Path
from typing import Final

import numpy as np

from harness.client.follower import Follower
from harness.evidence.socket_record import KIND_LIFE, LIFE, OPEN
from harness.evidence.sockets import bad_ends
from harness.evidence.store import parse_events
from harness.evidence.timeline import Event
from harness.journal import EVENTS_FILE
from harness.report.progress import Progress
from harness.report.screen import Screen

EVERY_S: Final = 0.5
STOP_S: Final = 5.0


class Events:
    """Reads a growing events.jsonl: each call of `read` returns what is new.

    Args:
        path: the file; it needn't be there yet.

    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0

    def read(self) -> tuple[Event, ...]:
        """Events of the whole lines that came since the last call; a line that is none is left out."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                raw = file.read()
        except FileNotFoundError:
            return ()
        raw = raw[: raw.rfind(b"\n") + 1]
        self._offset += len(raw)
        events, _ = parse_events(raw)
        return events


class Sockets:
    """Counts the open ones and the losses in a growing sockets' file: the last word on each is its state."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self._open: dict[int, bool] = {}
        self._lost: set[tuple[int, int]] = set()

    def read(self) -> tuple[int, int]:
        """How many sockets are open by what is on disk, and how many connections were refused or ended badly."""
        with self._path.open("rb") as file:
            file.seek(self._offset)
            raw = file.read()
        raw = raw[: len(raw) // LIFE.itemsize * LIFE.itemsize]
        self._offset += len(raw)
        records = np.frombuffer(raw, dtype=LIFE)  # every kind has its size
        lives = records[records["kind"] == KIND_LIFE]
        for life, bad in zip(lives, bad_ends(lives), strict=True):
            self._open[int(life["socket"])] = int(life["end"]) == OPEN
            if bad:
                self._lost.add((int(life["socket"]), int(life["attempt"])))
        return sum(self._open.values()), len(self._lost)


class Feed:
    """Brings a `Progress` up to date with a scenario's folder.

    Args:
        folder: the scenario's; its files may come later.

    """

    def __init__(self, folder: Path) -> None:
        self.progress = Progress()
        self._folder = folder
        self._events = Events(folder / EVENTS_FILE)
        self._samples: dict[Path, Follower] = {}
        self._sockets: dict[Path, Sockets] = {}

    def read(self) -> None:
        """Take in whatever is new."""
        for event in self._events.read():
            self.progress.event(event)
        for path in self._folder.glob("*.bin"):
            if path.name.startswith("sockets"):
                self._sockets.setdefault(path, Sockets(path))
            elif path.name.startswith("samples"):
                self._samples.setdefault(path, Follower(path))
        for follower in self._samples.values():
            self.progress.samples(follower.read(), follower.strings, follower.classes)
        if self._sockets:
            told = [one.read() for one in self._sockets.values()]
            self.progress.sockets = sum(opened for opened, _ in told)
            self.progress.sockets_lost = sum(lost for _, lost in told)


class Live:
    """Shows one scenario from `start` to `stop`.

    Args:
        folder: the scenario's.
        screen: where.

    Attributes:
        cpu_s: what the thread has used of a core so far, in seconds.
        broke: why it ended early; "" where it didn't.

    """

    def __init__(self, folder: Path, screen: Screen) -> None:
        self.cpu_s = 0.0
        self.broke = ""
        self._feed = Feed(folder)
        self._screen = screen
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="bluegreen-live", daemon=True)
        self._started = False

    def start(self, line: str = "") -> None:
        """Begin, below ``line``, which is what pytest has written on the current line."""
        self._started = True
        self._screen.open(line)
        self._thread.start()

    def stop(self) -> None:
        """End and put the terminal back as it was; a second call, or one before the start, does nothing."""
        if not self._started:
            return
        self._started = False
        self._stop.set()
        self._thread.join(STOP_S)
        if not self._thread.is_alive():
            with contextlib.suppress(OSError, ValueError):  # the terminal is gone
                self._screen.close()

    def say(self, text: str) -> None:
        """Show a line that stays, from any thread."""
        with contextlib.suppress(OSError, ValueError):
            self._screen.say(text)

    def _run(self) -> None:
        try:
            while True:
                last = self._stop.wait(EVERY_S)
                self._feed.read()
                self._screen.show(self._feed.progress, time.monotonic_ns())
                self.cpu_s = time.thread_time()
                if last:
                    return
        except Exception as error:  # a display that breaks must not break a scenario: it ends, and that is told later
            self.broke = f"the live display ended early: {error!r}"

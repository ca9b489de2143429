"""Tells a chat (or whatever listens at a URL) that the color changed. It follows the record from a thread of its own.

A cutover knows nothing of it: that is how a notification can't fail, slow or end one. The URL holds a secret, as those
of chats do, so that nothing but its host is ever written or printed.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from harness.evidence.timeline import Event
from harness.journal import EVENTS_FILE
from harness.live import Events
from harness.webhook import Webhook

if TYPE_CHECKING:
    from harness.journal import Journal

ATTEMPTS: Final = 3
TIMEOUT_S: Final = 3.0
PAUSES_S: Final = (0.5, 2.0)
POLL_S: Final = 0.2
GRACE_S: Final = 5.0
"""How long a scenario's end waits for what isn't told yet."""


def message(event: Event, color: str, about: Mapping[str, str], wall_s: float) -> dict[str, str]:
    """The JSON that is sent.

    Args:
        event: ``cutover.acknowledged``.
        color: that users see from now on.
        about: scenario, namespace, run.
        wall_s: when, seconds since the epoch.

    """
    clock = time.strftime("%H:%M", time.localtime(wall_s))
    return {
        "text": f"Color changed to {color} at {clock}",
        "color": color,
        "move": str(event.fields.get("move") or "cutover"),
        "scenario": about.get("scenario", ""),
        "namespace": about.get("namespace", ""),
        "run": about.get("run", ""),
    }


class Notifier:
    """Follows one scenario's record and tells of each move, until it is stopped.

    Args:
        webhook: where to.
        folder: the scenario's.
        journal: gets ``notify.sent`` and ``notify.failed``.
        about: called when there is something to tell: scenario, namespace, run.

    """

    def __init__(
        self, webhook: Webhook, folder: Path, journal: Journal, about: Callable[[], Mapping[str, str]]
    ) -> None:
        self._webhook = webhook
        self._events = Events(folder / EVENTS_FILE)
        self._journal = journal
        self._about = about
        self._color = ""
        self._stop = threading.Event()
        self._over = False
        self._owed: list[dict[str, str]] = []
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="bluegreen-notify", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Let what is under way end within ``GRACE_S``; what isn't told by then is ``notify.failed``."""
        self._stop.set()
        self._thread.join(GRACE_S)
        with self._lock:
            self._over = True
            for one in self._owed:
                self._tell("notify.failed", one, error="no answer before the scenario's end", attempts=ATTEMPTS)
            self._owed.clear()

    def _run(self) -> None:
        quiet = _Quiet(threading.get_ident())
        loggers = [logging.getLogger(name) for name in ("httpx", *_HTTPCORE)]
        for logger in loggers:  # they log whole URLs
            logger.addFilter(quiet)
        try:
            while True:
                last = self._stop.wait(POLL_S)
                with contextlib.suppress(OSError):  # the record can't be read just now; the next look tells
                    for event in self._events.read():
                        self._look(event)
                while self._owed and not self._over:
                    self._send(self._owed[0])
                if last or self._over:
                    return
        finally:
            for logger in loggers:
                logger.removeFilter(quiet)

    def _look(self, event: Event) -> None:
        if event.name == "cutover.planned":
            self._color = str(event.fields.get("to_side") or "")
        # a move that wasn't answered, and turned out to have happened, changed the color too
        elif event.name == "cutover.acknowledged" or (event.name == "cutover.settled" and event.fields.get("happened")):
            wall = time.time() - (time.monotonic_ns() - event.t) / 1e9
            self._owed.append(message(event, self._color, self._about(), wall))

    def _send(self, one: dict[str, str]) -> None:
        """Try a bounded number of times, and write down what came of it."""
        error, attempts = "", 0
        while attempts < ATTEMPTS and not self._over:
            error, attempts = self._attempt(one), attempts + 1
            if not error or (attempts < ATTEMPTS and self._stop.wait(PAUSES_S[attempts - 1])):
                break  # told; or the scenario is over, and nobody waits for a further attempt
        with self._lock:
            if self._over:
                return
            self._owed.remove(one)
            if error:
                self._tell("notify.failed", one, error=error, attempts=attempts)
            else:
                self._tell("notify.sent", one, attempts=attempts)

    def _attempt(self, one: dict[str, str]) -> str:
        """What went wrong, or nothing. Only kinds of errors are told: their texts may hold the URL."""
        import httpx

        try:
            with (
                httpx.Client(timeout=TIMEOUT_S) as client,
                client.stream("POST", self._webhook.reveal(), json=one) as answer,
            ):
                return "" if answer.is_success else f"status {answer.status_code}"
        except Exception as error:  # whatever it is, it is no business of the release
            return type(error).__name__

    def _tell(self, name: str, one: dict[str, str], **fields: Any) -> None:
        try:
            self._journal.event(name, to=self._webhook.host, move=one["move"], color=one["color"], **fields)
        except (OSError, ValueError):  # the record is closed or the disk is full: its own checks tell
            return


_HTTPCORE: Final = ("httpcore.connection", "httpcore.http11", "httpcore.http2", "httpcore.proxy")


class _Quiet(logging.Filter):
    """Lets pass nothing of one thread."""

    def __init__(self, thread: int) -> None:
        super().__init__()
        self._thread = thread

    def filter(self, record: logging.LogRecord) -> bool:
        return record.thread != self._thread

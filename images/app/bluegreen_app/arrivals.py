"""Every request is stamped before its handler runs, in a file that outlives the pod.

A counter inside a pod dies with it, and then no ledger closes. So each record is one ``write`` on a file opened
with O_APPEND in a folder of the node: whatever the kernel took survives SIGKILL of this process.

    S <CLOCK_MONOTONIC ns> <pod> <revision>                 a process began this record, or went on with it
    A <CLOCK_MONOTONIC ns> <request id> <method> <path>     a request arrived
    P <CLOCK_MONOTONIC ns> <request id>                     a POST was applied
    W <CLOCK_MONOTONIC ns> <request id> <number>            a message came over a WebSocket

A WebSocket's handshake is no arrival: whoever reconnects asks by the same id again.

``<pod>.arrivals`` claims to be whole. Once a write fails it is called ``<pod>.arrivals.broken`` from then on: a new
name needs no space on a full disk, and whoever reads the folder later need not ask a process that may be gone.
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
from pathlib import Path

from starlette.types import ASGIApp, Receive, Scope, Send

from .state import State

BROKEN = ".broken"
"""Ends the name of a record that isn't whole."""

PROBES = frozenset({"/readyz", "/livez", "/startupz", "/healthz"})
"""Paths that the kubelet asks; no user's request, so neither recorded nor broken on purpose."""

_log = logging.getLogger(__name__)


class Ledger:
    """The append-only record of one pod.

    Args:
        folder: where to write ``<pod>.arrivals``; empty for no record.
        pod: the pod's name.
        revision: the version that runs.

    Attributes:
        error: why records are missing; empty while the record is complete.
        suffix: ends the file's name.

    """

    suffix = ".arrivals"

    def __init__(self, folder: str, pod: str, revision: str) -> None:
        self.path = str(Path(folder) / f"{pod}{self.suffix}") if folder else ""
        self.error = ""
        self._file = -1
        if not folder:
            self.error = "no LEDGER_DIR"
            return
        try:
            self._file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        except OSError as error:
            self._give_up(str(error))
        self._append(f"S {time.monotonic_ns()} {token(pod, 256)} {token(revision, 256)}\n")

    def arrived(self, now_ns: int, request_id: str, method: str, path: str) -> None:
        """Record that a request arrived; ``request_id``, ``method`` and ``path`` hold no blanks."""
        self._append(f"A {now_ns} {request_id} {method} {path}\n")

    def applied(self, now_ns: int, request_id: str) -> None:
        """Record that a POST was applied."""
        self._append(f"P {now_ns} {request_id}\n")

    def received(self, now_ns: int, request_id: str, number: int) -> None:
        """Record that a client's message ``number`` came over the WebSocket of ``request_id``."""
        self._append(f"W {now_ns} {request_id} {number}\n")

    def close(self) -> None:
        """Close the file."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _append(self, line: str) -> None:
        if self._file < 0:
            return
        data = line.encode("ascii")
        try:
            written = os.write(self._file, data)
        except OSError as error:
            self._give_up(str(error))
        else:
            if written != len(data):
                self._give_up(f"wrote {written} of {len(data)} bytes")

    def _give_up(self, why: str) -> None:
        """A record with a hole in it must not pass for whole: stop, say so by its name and once in words, go on."""
        self.close()
        self.error = why
        with contextlib.suppress(OSError):  # what else could be done is the line below
            Path(self.path).replace(self.path + BROKEN)
        _log.warning("ledger", extra={"fields": {"path": self.path, "error": why}})


class Arrivals:
    """Pure ASGI middleware: stamps, counts and logs every user's request.

    Args:
        app: the application inside.
        state: the pod's counters.
        ledger: the record.

    """

    def __init__(self, app: ASGIApp, state: State, ledger: Ledger) -> None:
        self._app = app
        self._state = state
        self._ledger = ledger

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Stamp, then let the handler run."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if scope["path"] in PROBES:
            self._state.probes += 1
            await self._app(scope, receive, send)
            return
        now_ns = time.monotonic_ns()
        request_id, method, path = scope["state"]["request_id"], scope["method"], token(_raw_path(scope), 256)
        self._ledger.arrived(now_ns, request_id, method, path)
        self._state.arrive(now_ns)
        self._state.in_flight += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._state.in_flight -= 1
            status, ms = scope["state"].get("status", 0), (time.monotonic_ns() - now_ns) / 1e6
            self._state.metrics.observe(request_id, status, ms / 1e3)
            fields = {"request_id": request_id, "method": method, "path": path, "status": status, "ms": round(ms, 3)}
            _log.info("request", extra={"fields": fields})


def token(text: str, limit: int) -> str:
    """Make ``text`` one word of visible ASCII, at most ``limit`` long: it must fit a line and a header."""
    return "".join(c if "!" <= c <= "~" else "?" for c in text[:limit]) or "-"


def _raw_path(scope: Scope) -> str:
    raw: bytes = scope.get("raw_path") or scope["path"].encode()
    return raw.partition(b"?")[0].decode("latin-1")

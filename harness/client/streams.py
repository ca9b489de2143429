"""The streams of one HTTP/2 connection that are open, and what becomes of each: no sockets, no frames."""

from __future__ import annotations

import threading
from time import monotonic_ns

from harness.client.exchange import Answer, Request
from harness.client.frames import Goaway
from harness.client.http import over, settle
from harness.client.parsing import MAX_BODY_KEPT
from harness.evidence.samples import FAILED, FLAG_GOAWAY, FLAG_RETRIABLE, FLAG_SERVER_CLOSE, UNKNOWN


class Stream:
    """One request under way.

    Attributes:
        answer: told what becomes of it.
        unsent: what of its body the server's window doesn't allow yet.
        done: it is over.

    """

    __slots__ = ("_body", "_headers", "answer", "done", "request", "unsent")

    def __init__(self, request: Request, answer: Answer, body: bytes) -> None:
        self.request = request
        self.answer = answer
        self.unsent = body
        self.done = threading.Event()
        self._headers: dict[bytes, bytes] = {}
        self._body = bytearray()

    def responded(self, headers: dict[bytes, bytes], now: int) -> None:
        """The answer's header came."""
        self.answer.first_byte = now
        self.answer.status = int(headers[b":status"])
        self._headers = headers

    def received(self, data: bytes) -> None:
        """A part of the answer's body came."""
        if self.request.identity.needs_body and len(self._body) < MAX_BODY_KEPT:
            self._body += data

    def complete(self, now: int) -> None:
        """The whole answer is there."""
        self.answer.end = now
        settle(self.answer, self.request, self._headers, bytes(self._body))


class Streams:
    """Those of one connection, by number.

    Attributes:
        goaway: what the server said last of its leaving.
        open: the streams that aren't over.
        quiet_ns: since when none is open, CLOCK_MONOTONIC.

    """

    def __init__(self) -> None:
        self.goaway: Goaway | None = None
        self.open: dict[int, Stream] = {}
        self.quiet_ns = monotonic_ns()

    def complete(self, number: int, now: int) -> None:
        """The stream's answer is whole."""
        self.open[number].complete(now)
        self._done(number)

    def over(self, number: int, outcome: int, error: str, detail: str) -> None:
        """The stream went wrong."""
        over(self.open[number].answer, outcome, error, detail)
        self._done(number)

    def refused(self, number: int, error: str, detail: str) -> None:
        """Not processed, whatever its method, and any client may send it again (RFC 9113 8.7): this one doesn't."""
        self.open[number].answer.flags |= FLAG_RETRIABLE
        self.over(number, FAILED, error, detail)

    def leave(self, goaway: Goaway) -> None:
        """No further stream; those that the server hasn't processed are over, the others may still end."""
        self.goaway = goaway
        for number in [number for number in self.open if number > goaway.last]:
            self.refused(number, "goaway", f"GOAWAY, last stream {goaway.last}, code {goaway.code}")

    def cut(self, error: str, detail: str) -> None:
        """The connection is gone, and with it every stream that is still open."""
        for number, stream in list(self.open.items()):
            told = error
            if self.goaway is not None and error in ("closed", "reset"):
                told = "goaway_cut"  # the server had said that it would still answer this one
            elif error == "closed" and stream.answer.first_byte:
                told = "truncated"
            self.over(number, UNKNOWN, told, detail)

    def _done(self, number: int) -> None:
        stream = self.open.pop(number)
        if self.goaway is not None:
            stream.answer.flags |= FLAG_SERVER_CLOSE | FLAG_GOAWAY
        self.quiet_ns = monotonic_ns()
        stream.done.set()

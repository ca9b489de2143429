"""One call, one wire attempt: nothing is ever sent twice, and nothing that went wrong is smoothed over.

Plain blocking sockets with time-outs, so that the same code runs on threads and, monkey-patched, on gevent.
"""

from __future__ import annotations

import errno
import itertools
import socket
from collections.abc import Callable, Mapping
from time import monotonic_ns
from typing import Final, Protocol

from harness.client.exchange import Answer, Request
from harness.client.framing import AnswerReader
from harness.client.parsing import FramingError
from harness.evidence.samples import (
    FAILED,
    FLAG_REPLACED,
    FLAG_RETRIABLE,
    FLAG_SERVER_CLOSE,
    UNKNOWN,
    UNSENT,
)

RECV_BYTES: Final = 65_536

_RESET: Final = frozenset({errno.ECONNRESET, errno.EPIPE, errno.ECONNABORTED, errno.ESHUTDOWN})
_UNREACHABLE: Final = frozenset({errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.ENETDOWN})
# Our own shortage (ports, descriptors, memory) says nothing about the service: unsent, which makes a run inconclusive.
_OURS: Final = frozenset(
    {errno.EADDRNOTAVAIL, errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EACCES, errno.EPERM}
)
next_connection: Callable[[], int] = itertools.count(1).__next__


class Wire(Protocol):
    """What a connection needs of its socket: one of the system's, or one with TLS in between."""

    def settimeout(self, seconds: float, /) -> None: ...  # noqa: D102 - as socket.socket's
    def send(self, data: bytes, /) -> int: ...  # noqa: D102
    def sendall(self, data: memoryview, /) -> None: ...  # noqa: D102
    def recv(self, size: int, flags: int = 0, /) -> bytes: ...  # noqa: D102
    def close(self) -> None: ...  # noqa: D102


class Connection:
    """At most one open socket to one entry; opens another one before a send where the last is gone.

    Args:
        host: address or name.
        port: TCP port.
        entry: number of the entry, for the record.

    Attributes:
        ident: number of the present socket, 0 before the first.
        nth: requests sent on it.
        local: the port of this end of it, 0 where that isn't known.

    """

    __slots__ = ("_reader", "_reads", "_sock", "_wait", "entry", "host", "ident", "local", "nth", "port")

    def __init__(self, host: str, port: int, entry: int = 0) -> None:
        self.host = host
        self.port = port
        self.entry = entry
        self.ident = 0
        self.nth = 0
        self.local = 0
        self._sock: Wire | None = None
        self._wait = 0.0
        self._reader: AnswerReader | None = None
        self._reads: Request | None = None

    def close(self) -> None:
        """Close the socket, if one is open."""
        sock, self._sock = self._sock, None
        if sock is not None:
            sock.close()

    def attempt(self, request: Request, request_id: str) -> Answer:
        """Send one request once and read its answer, within `request.timeout_s` in all.

        Never raises for what the network does: that is what `Answer` tells.
        """
        answer = Answer()
        sock = self._sock
        if sock is not None:
            seen = self._peek(sock, request.timeout_s)
            if seen is not None:
                self.close()
                if seen:
                    # Bytes that nobody asked for: the answer before this one was longer than it said.
                    answer.sent = monotonic_ns()
                    answer.conn, answer.nth = self.ident, self.nth
                    return self._over(answer, FAILED, "framing", "bytes before the request")
                answer.flags = FLAG_REPLACED
                sock = None
        answer.sent = monotonic_ns()
        if sock is None:
            sock = self._open(request, answer)
            if sock is None:
                return answer
        self.nth += 1
        answer.conn = self.ident
        answer.nth = self.nth
        answer.port = self.local
        payload = request.encode(request_id)
        count = 0
        try:
            count = sock.send(payload)
            if count < len(payload):
                sock.sendall(memoryview(payload)[count:])
        except OSError as error:
            return self._send_failed(answer, request, error, count)
        return self._read(sock, request, answer)

    def _peek(self, sock: Wire, timeout_s: float) -> bytes | None:
        """None: quiet, as it should be. b"": FIN or RST was there before the send. Else bytes that nobody asked for."""
        try:
            sock.settimeout(0.0)
            return sock.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            sock.settimeout(timeout_s)
            self._wait = timeout_s
            return None
        except OSError:
            return b""

    def _open(self, request: Request, answer: Answer) -> Wire | None:
        self.nth = 0
        answer.conn = self.ident = next_connection()
        sock = connect(self.host, self.port, request.timeout_s, answer)
        self.local = sock.getsockname()[1] if sock is not None else 0
        self._wait = request.timeout_s
        self._sock = sock
        return sock

    def _send_failed(self, answer: Answer, request: Request, error: OSError, count: int) -> Answer:
        # Where the kernel took no byte, the attempt never reached the wire; lost it is all the same.
        outcome = UNKNOWN if count else FAILED
        self.close()
        if isinstance(error, TimeoutError):
            return self._over(answer, UNKNOWN, "read_timeout", f"send: {error}")
        if error.errno in _UNREACHABLE:
            return self._over(answer, outcome, "unreachable", f"send: {error}")
        if answer.nth > 1:
            if request.retriable:
                answer.flags |= FLAG_RETRIABLE
            return self._over(answer, outcome, "idle_reset", f"send: {error}")
        return self._over(answer, outcome, "reset" if count else "connect_reset", f"send: {error}")

    def _read(self, sock: Wire, request: Request, answer: Answer) -> Answer:
        reader = self._reader
        if reader is None or self._reads is not request:
            identity = request.identity
            reader = AnswerReader(identity.names, head_only=request.head_only, keep_body=identity.needs_body)
            self._reader = reader
            self._reads = request
        else:
            reader.reset()
        deadline = answer.sent + request.timeout_ns
        now = answer.sent
        try:
            while True:
                if now > answer.sent or answer.nth == 1:
                    # A new connection has used some of its time already, and a trickling server must not get more.
                    left = (deadline - monotonic_ns()) / 1e9
                    if left <= 0:
                        raise TimeoutError("timed out")
                    if left < self._wait * 0.99:
                        sock.settimeout(left)
                        self._wait = left
                data = sock.recv(RECV_BYTES)
                now = monotonic_ns()
                if not data:
                    return self._finished(answer, request, reader, reader.feed_eof(whole=self._told_its_end()), now)
                if not answer.first_byte:
                    answer.first_byte = now
                if reader.feed(data):
                    return self._finished(answer, request, reader, "none", now)
        except FramingError as error:
            self.close()
            answer.status = reader.status
            answer.revision, answer.pod = request.identity.extract(reader.headers, reader.body)
            return self._over(answer, FAILED if error.complete else UNKNOWN, "framing", str(error), now)
        except OSError as error:
            self.close()
            answer.status = reader.status
            if isinstance(error, TimeoutError):
                return self._over(answer, UNKNOWN, "read_timeout", str(error))
            if error.errno in _UNREACHABLE:
                return self._over(answer, UNKNOWN, "unreachable", str(error))
            return self._cut(answer, request, "reset", str(error))

    def _finished(self, answer: Answer, request: Request, reader: AnswerReader, error: str, now: int) -> Answer:
        answer.status = reader.status
        answer.end = now
        if error != "none":
            self.close()
            return self._cut(answer, request, error, "FIN before the answer was complete")
        if reader.close:
            answer.flags |= FLAG_SERVER_CLOSE
            self.close()
        return settle(answer, request, reader.headers, reader.body if request.identity.needs_body else b"")

    def _told_its_end(self) -> bool:
        """Whether the peer's FIN is known to be its own."""
        return True

    def _cut(self, answer: Answer, request: Request, error: str, detail: str) -> Answer:
        if answer.nth > 1 and not answer.first_byte:
            error = f"idle_{error}"
            if request.retriable:
                answer.flags |= FLAG_RETRIABLE
        return self._over(answer, UNKNOWN, error, detail)

    @staticmethod
    def _over(answer: Answer, outcome: int, error: str, detail: str, now: int = 0) -> Answer:
        return over(answer, outcome, error, detail, now)


def over(answer: Answer, outcome: int, error: str, detail: str, now: int = 0) -> Answer:
    """End an attempt that went wrong: how, in which class, why, and when (0: now)."""
    answer.outcome = outcome
    answer.error = error
    answer.detail = detail
    answer.end = now or monotonic_ns()
    return answer


def settle(answer: Answer, request: Request, headers: Mapping[bytes, bytes], body: bytes) -> Answer:
    """End an attempt whose answer, with `answer.status`, is complete: whose it is, and whether it is the right one."""
    answer.revision, answer.pod = request.identity.extract(headers, body)
    if answer.status in request.expected:
        return answer
    answer.outcome = FAILED
    # An answer with the application's revision is the application's own, any other 5xx is a proxy's.
    answer.error = "unexpected_status" if answer.status < 500 else "app_5xx" if answer.revision else "proxy_5xx"
    return answer


def connect(host: str, port: int, timeout_s: float, answer: Answer) -> socket.socket | None:
    """A connected socket with this time-out; or None, and the attempt is over."""
    sock = None
    try:
        sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.settimeout(timeout_s)
        sock.connect((host, port))
    except OSError as error:
        if sock is not None:
            sock.close()
        code = error.errno
        if isinstance(error, socket.gaierror):
            over(answer, FAILED, "dns", str(error))
        elif isinstance(error, TimeoutError):
            over(answer, FAILED, "connect_timeout", str(error))
        elif code in _OURS:
            over(answer, UNSENT, "none", str(error))
            answer.sent = 0
        elif code == errno.ECONNREFUSED:
            over(answer, FAILED, "connect_refused", str(error))
        elif code in _RESET:
            over(answer, FAILED, "connect_reset", str(error))
        else:
            over(answer, FAILED, "unreachable", str(error))
        return None
    return sock

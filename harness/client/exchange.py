"""What is sent, and what became of it: the two values of one attempt."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from harness.client.identity import Identity
from harness.evidence.samples import METHODS, OK

REQUEST_ID: Final = "X-Request-Id"
IDEMPOTENT: Final = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})
"""RFC 9110 9.2.2, of the methods that can be sent."""


class Request:
    """What is sent, ready as bytes but for its id.

    Args:
        method: one of `harness.evidence.samples.METHODS`.
        path: origin-form target, such as ``/orders?x=1``.
        host: the Host header.
        headers: further headers. Host, Content-Length and X-Request-Id are written here.
        body: text; every ``{id}`` in it becomes the request's id.
        expected: statuses that are fine.
        identity: where an answer tells its revision and pod.
        timeout_s: bound of the whole attempt, connect included, in seconds.

    """

    __slots__ = (
        "_body",
        "_fields",
        "_prefix",
        "_raw",
        "_suffix",
        "expected",
        "head_only",
        "identity",
        "method",
        "method_code",
        "path",
        "retriable",
        "timeout_ns",
        "timeout_s",
    )

    def __init__(
        self,
        *,
        path: str = "/",
        host: str,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        body: str = "",
        expected: frozenset[int] = frozenset({200}),
        identity: Identity | None = None,
        timeout_s: float = 5.0,
    ) -> None:
        self.method = method
        self.method_code = METHODS.index(method)
        self.path = path
        self.head_only = method == "HEAD"
        self.retriable = method in IDEMPOTENT
        self.expected = expected
        self.identity = identity or Identity()
        self.timeout_s = timeout_s
        self.timeout_ns = int(timeout_s * 1e9)
        lines = [f"{method} {path} HTTP/1.1", f"Host: {host}"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        self._prefix = ("\r\n".join(lines) + f"\r\n{REQUEST_ID}: ").encode("latin-1")
        self._body = body if "{id}" in body else ""
        self._raw = raw = b"" if self._body else body.encode()
        self._fields = [
            *((b":method", method.encode()), (b":scheme", b"https")),
            *((b":authority", host.encode()), (b":path", path.encode())),
            *((name.lower().encode(), value.encode("latin-1")) for name, value in (headers or {}).items()),
        ]
        sized = bool(raw) or method in ("POST", "PUT", "PATCH")
        length = f"\r\nContent-Length: {len(raw)}" if sized else ""
        self._suffix = length.encode() + b"\r\n\r\n" + raw

    def encode(self, request_id: str) -> bytes:
        """The bytes of one request."""
        ident = request_id.encode("latin-1")
        if not self._body:
            return self._prefix + ident + self._suffix
        raw = self._body.replace("{id}", request_id).encode()
        return b"%b%b\r\nContent-Length: %d\r\n\r\n%b" % (self._prefix, ident, len(raw), raw)

    def fields(self, request_id: str) -> tuple[list[tuple[bytes, bytes]], bytes]:
        """The header fields and the body of one request, as HTTP/2 sends them (RFC 9113 8.3.1)."""
        raw = self._body.replace("{id}", request_id).encode() if self._body else self._raw
        sized = [(b"content-length", b"%d" % len(raw))] if raw else []
        return [*self._fields, (REQUEST_ID.lower().encode(), request_id.encode("latin-1")), *sized], raw


class Answer:
    """What became of one attempt. Times are CLOCK_MONOTONIC ns, 0 where it didn't happen.

    Attributes:
        outcome: OK, FAILED, UNKNOWN, or UNSENT where this machine itself couldn't send.
        error: one of `harness.evidence.samples.ERRORS`.
        flags: FLAG_RETRIABLE, FLAG_SERVER_CLOSE, FLAG_REPLACED.
        status: the answer's, 0 where no whole header came.
        sent: when the attempt went to the wire: the request's first byte, on a new connection its SYN.
        first_byte: when the first bytes of the answer were read.
        end: when the attempt was over.
        conn: number of the connection in this process, from 1.
        nth: number of the request on that connection, from 1.
        revision: as the answer told, or "".
        pod: as the answer told, or "".
        port: of this end of the connection, which the nodes know it by; 0 where it isn't known.
        detail: the reason in words, for logs.

    """

    __slots__ = (
        "conn",
        "detail",
        "end",
        "error",
        "first_byte",
        "flags",
        "nth",
        "outcome",
        "pod",
        "port",
        "revision",
        "sent",
        "status",
    )

    def __init__(self) -> None:
        self.outcome = OK
        self.error = "none"
        self.flags = self.status = self.sent = self.first_byte = self.end = self.conn = self.nth = self.port = 0
        self.revision = self.pod = self.detail = ""

"""One HTTP/1.1 answer, bytes in: complete, not yet, or wrongly framed. No sockets, no clock.

httptools (llhttp, every leniency off) judges the syntax; where a message ends is counted here, since the parser alone
forgives a byte too many after an answer, and would wait for a body where RFC 9112 6.3 says that there is none.
"""

from __future__ import annotations

from typing import Final

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from harness.client.parsing import FramingError, Marks, Sink, field_pattern, list_tokens

MAX_HEAD: Final = 65_536
"""Bytes of one status line with its headers, of one trailer section, and of chunk framing without progress."""
MAX_INTERIM: Final = 16
"""1xx answers before the answer."""

_END: Final = b"\r\n\r\n"
_MAGIC: Final = b"HTTP/1."
_BODYLESS: Final = frozenset({101, 204, 304})
_HEAD, _SIZED, _CHUNKED, _UNTIL_CLOSE, _DONE = range(5)


class AnswerReader:
    """Reads one answer at a time; call `reset` before another one, or make a new reader.

    Args:
        names: lower-case names of the headers wanted in `headers`, beside those that frame the answer.
        head_only: the request was HEAD: no body whatever the headers say.
        keep_body: keep (a bounded part of) the body for `body`.

    Attributes:
        status: the answer's status, 0 until its headers are complete.
        close: the connection can't carry another request after this answer.
        headers: those asked for, by lower-case name; repeated ones joined by a comma. Trailers never get in.

    """

    __slots__ = (
        "_head",
        "_head_only",
        "_idle",
        "_interim",
        "_keep_body",
        "_left",
        "_marks",
        "_parser",
        "_pattern",
        "_quick_parser",
        "_sink",
        "_state",
        "_tail",
        "close",
        "headers",
        "status",
    )

    def __init__(self, names: tuple[bytes, ...] = (), *, head_only: bool = False, keep_body: bool = False) -> None:
        self._head_only = head_only
        self._keep_body = keep_body
        self._pattern = field_pattern(names)
        self._marks = Marks()
        self._quick_parser: HttpResponseParser | None = HttpResponseParser(self._marks)
        self._begin()

    def _begin(self) -> None:
        self._sink: Sink | None = None
        self._parser: HttpResponseParser | None = None
        self._state = _HEAD
        self._head: bytearray | None = None
        self._interim = 0
        self.headers: dict[bytes, bytes] = {}
        self.status = 0
        self.close = False

    def reset(self) -> None:
        """Be ready for another answer."""
        marks = self._marks
        marks.heads = marks.finished = 0
        if self._quick_parser is None:
            self._quick_parser = HttpResponseParser(marks)
        self._begin()

    @property
    def body(self) -> bytes:
        """The decoded body, empty unless `keep_body`; at most about `MAX_BODY_KEPT` and one read."""
        return bytes(self._sink.body) if self._sink else b""

    @property
    def done(self) -> bool:
        """Whether the answer is complete."""
        return self._state == _DONE

    def feed(self, data: bytes) -> bool:
        """Take bytes as they came.

        Returns:
            Whether the answer is complete.

        Raises:
            FramingError: the answer is wrong, or bytes came after its end.

        """
        state = self._state
        if state == _HEAD:
            if self._quick_parser is not None and self._quick(data):
                return True
            return self._feed_head(data)
        if state == _SIZED:
            return self._sized(data)
        if state == _CHUNKED:
            return self._chunked(data)
        if state == _UNTIL_CLOSE:
            self._kept.on_body(data)
            return False
        if data:
            raise FramingError("bytes after the answer", complete=True)
        return True

    def feed_eof(self, *, whole: bool = True) -> str:
        """Take the peer's FIN.

        Args:
            whole: it can be trusted to end the message: over TLS only close_notify can (RFC 9112 9.8).

        Returns:
            "none" where it completes the answer or came after it, "closed" within the headers or before them,
            "truncated" within the body.

        """
        if self._state == _DONE or (self._state == _UNTIL_CLOSE and whole):
            self._state = _DONE
            return "none"
        return "closed" if self._state == _HEAD else "truncated"

    @property
    def _kept(self) -> Sink:
        if self._sink is None:
            self._sink = Sink(self._keep_body)
        return self._sink

    def _quick(self, data: bytes) -> bool:
        """The usual answer: whole in one read, with a Content-Length. Anything else goes the long way, from its start.

        The parser of this way lives on only where it took exactly one message and nothing else.
        """
        parser = self._quick_parser
        end = data.find(_END)
        if parser is None or not 0 < end <= MAX_HEAD or self._head_only or not data.startswith(b"HTTP/1.1 "):
            return self._slowly()
        try:
            parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade):
            return self._slowly()
        marks = self._marks
        status = parser.get_status_code()
        if marks.heads != 1 or marks.finished != 1 or status < 200 or status in _BODYLESS:
            return self._slowly()
        fields = self._pattern.findall(data, 0, end)
        headers = {name.lower(): value for name, value in fields}
        length = headers.get(b"content-length")
        body = len(data) - end - 4
        if length is None or b"transfer-encoding" in headers or len(headers) < len(fields) or int(length) != body:
            return self._slowly()
        self.headers = headers
        self.status = status
        self._state = _DONE
        if b"connection" in headers:
            self.close = b"close" in list_tokens(headers[b"connection"])
            if self.close:
                self._quick_parser = None  # it takes no further message
        if self._keep_body:
            self._kept.on_body(data[end + 4 :])
        return True

    def _slowly(self) -> bool:
        self._quick_parser = None
        self._begin()
        return False

    def _parse(self, data: bytes | bytearray) -> Sink:
        sink = self._kept
        if self._parser is None:
            self._parser = HttpResponseParser(sink)
        try:
            self._parser.feed_data(data)
        except HttpParserUpgrade:
            pass  # 101: nobody asked for it, so it is a final answer with an unexpected status
        except HttpParserError as error:
            raise FramingError(str(error), complete=bool(sink.finished) and self._state == _CHUNKED) from None
        return sink

    def _feed_head(self, data: bytes) -> bool:
        while True:
            head = self._head
            if head is None:
                known = 0
                end = data.find(_END)
            else:
                known = len(head)
                head += data
                end = head.find(_END, max(0, known - 3))
            start = bytes((data if head is None else head)[:8])
            if not _MAGIC.startswith(start[:7]):
                raise FramingError("not an HTTP/1 answer")
            if (end if end >= 0 else known + len(data)) > MAX_HEAD:
                raise FramingError(f"headers over {MAX_HEAD} bytes")
            if end < 0:
                if self._parse(data).heads:
                    raise FramingError("headers end without an empty line")
                if head is None:
                    self._head = bytearray(data)
                return False
            cut = end + 4 - known
            rest = data[cut:]
            if not self._parse(data[:cut] if rest else data).heads or self._parser is None:
                raise FramingError("an empty line, but no headers")
            self._head = None
            status = self._parser.get_status_code()
            if status < 200 and status != 101:
                if not self._next_after_interim(status):
                    raise FramingError(f"status {status} or too many interim answers")
                if not rest:
                    return False
                data = rest
                continue
            self.status = status
            self._frame(status, start[7:] == b"1", self._pattern.findall(data if head is None else head, 0, end))
            return self.feed(rest) if rest else self._state == _DONE

    def _next_after_interim(self, status: int) -> bool:
        self._interim += 1
        self._sink = self._parser = None
        return status >= 100 and self._interim <= MAX_INTERIM

    def _frame(self, status: int, http11: bool, fields: list[tuple[bytes, bytes]]) -> None:
        """Where this answer ends: RFC 9112 6.3, and no mercy where it says "ought to handle as an error"."""
        headers = self.headers
        for name, value in fields:
            key = name.lower()
            headers[key] = headers[key] + b", " + value if key in headers else value
        coding = headers.get(b"transfer-encoding")
        length = headers.get(b"content-length")
        connection = headers.get(b"connection")
        tokens = list_tokens(connection) if connection else ()
        self.close = b"close" in tokens or status == 101 or not (http11 or b"keep-alive" in tokens)
        if length is not None:
            length = length.strip()
            if not length.isdigit() or len(length) > 15:
                raise FramingError("Content-Length is not one number")
        if coding is not None:
            if length is not None or not http11 or coding.strip().lower() != b"chunked":
                raise FramingError("Transfer-Encoding other than chunked, or beside Content-Length, or in HTTP/1.0")
            if status in (101, 204):
                raise FramingError(f"Transfer-Encoding in a {status}")
        if self._head_only or status in _BODYLESS:
            if length is not None and status in (101, 204) and int(length):
                raise FramingError(f"Content-Length in a {status}")
            self._state = _DONE
        elif coding is not None:
            self._state = _CHUNKED
            self._tail = b""
            self._idle = 0
        elif length is not None:
            self._left = int(length)
            self._state = _SIZED if self._left else _DONE
        else:
            self.close = True
            self._state = _UNTIL_CLOSE

    def _sized(self, data: bytes) -> bool:
        self._left -= len(data)
        if self._left > 0:
            self._kept.on_body(data)
            return False
        self._state = _DONE
        if self._left < 0:
            raise FramingError("body longer than its Content-Length", complete=True)
        self._kept.on_body(data)
        return True

    def _chunked(self, data: bytes) -> bool:
        sink = self._kept
        before = sink.length
        self._parse(data)
        if sink.heads > 1:
            raise FramingError("a second answer after the first", complete=True)
        self._tail = (self._tail + data)[-6:]
        if sink.finished:
            # The message ends with its first empty line after the last chunk; the parser swallows a further CR or LF.
            if not self._tail.endswith(_END) or self._tail == b"\r\n\r\n\r\n":
                raise FramingError("bytes after the last chunk", complete=True)
            self._state = _DONE
            return True
        self._idle = 0 if sink.length > before else self._idle + len(data)
        if self._idle > MAX_HEAD:
            raise FramingError(f"over {MAX_HEAD} bytes of chunk framing or trailers without progress")
        return False

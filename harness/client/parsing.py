"""What the reader of answers needs of its parser: callbacks, header fields, the error."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

MAX_BODY_KEPT: Final = 262_144
"""Bytes of a body that are kept for an identity told by JSON; the rest is counted and dropped."""


@lru_cache(maxsize=64)
def field_pattern(names: tuple[bytes, ...]) -> re.Pattern[bytes]:
    """Finds header fields in a head that the parser has found valid: no folding, no bare CR or LF, no odd names."""
    wanted = b"|".join(re.escape(name) for name in (b"content-length", b"transfer-encoding", b"connection", *names))
    return re.compile(rb"\r\n(" + wanted + rb"):[ \t]*([^\r]*)", re.IGNORECASE)


def list_tokens(value: bytes) -> list[bytes]:
    """The members of a comma-separated header, in lower case."""
    return [token.strip() for token in value.lower().split(b",")]


class FramingError(Exception):
    """The bytes are no valid answer, or more than one.

    Args:
        what: the reason in a few words.
        complete: a whole answer was there, and then something that doesn't belong to it.

    """

    def __init__(self, what: str, *, complete: bool = False) -> None:
        super().__init__(what)
        self.complete = complete


class Marks:
    """How far the parser came. It knows neither reader nor parser: no reference cycle, no garbage collection."""

    __slots__ = ("finished", "heads")

    def __init__(self) -> None:
        self.heads = 0
        self.finished = 0

    def on_headers_complete(self) -> None:
        """Called by the parser."""
        self.heads += 1

    def on_message_complete(self) -> None:
        """Called by the parser."""
        self.finished += 1


class Sink(Marks):
    """Marks, and the body."""

    __slots__ = ("_keep", "body", "length")

    def __init__(self, keep: bool) -> None:
        super().__init__()
        self._keep = keep
        self.body = bytearray()
        self.length = 0

    def on_body(self, data: bytes) -> None:
        """Called by the parser, and by the reader for bodies that it counts itself."""
        self.length += len(data)
        if self._keep and len(self.body) < MAX_BODY_KEPT:
            self.body += data

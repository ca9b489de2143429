"""Takes GOAWAY out of a stream of HTTP/2 frames: pure, bytes in.

The h2 library takes a connection for closed once GOAWAY came, and refuses all frames after it. But a server that
leaves politely goes on answering the streams that it has begun (RFC 9113 6.8), and whether it did is what is to be
measured. So GOAWAY is read here, and h2 sees all the others.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

HEAD: Final = struct.Struct(">HBBBL")  # the length's upper 16 and lower 8 bits, type, flags, stream (RFC 9113 4.1)
GOAWAY: Final = 0x7
MAX_STREAM: Final = 2**31 - 1
"""As the last stream: the server leaves, and hasn't decided yet which streams it still answers (RFC 9113 6.8)."""
MAX_GOAWAY: Final = 65_536
"""Bytes of one GOAWAY frame with its debug data."""


@dataclass(frozen=True)
class Goaway:
    """The server leaves.

    Attributes:
        last: streams with a higher number weren't processed and won't be.
        code: error code; 0 is NO_ERROR.

    """

    last: int
    code: int = 0

    def __bytes__(self) -> bytes:
        """The frame, without debug data."""
        return HEAD.pack(0, 8, GOAWAY, 0, 0) + struct.pack(">LL", self.last, self.code)


class Splitter:
    """Reads one connection's bytes as they come; the client's preface isn't among them."""

    def __init__(self) -> None:
        self._held = b""
        self._left = 0

    def feed(self, data: bytes) -> Iterator[bytes | Goaway]:
        """In the order of the wire: the bytes of all other frames, cut anywhere, and each GOAWAY.

        Raises:
            ValueError: a GOAWAY that is none.

        """
        data = self._held + data
        self._held = b""
        begin = at = 0
        while at < len(data):
            if self._left:
                step = min(self._left, len(data) - at)
                self._left -= step
                at += step
                continue
            if len(data) - at < HEAD.size:
                break
            upper, lower, kind, _, _ = HEAD.unpack_from(data, at)
            length = upper << 8 | lower
            if kind != GOAWAY:
                self._left = HEAD.size + length
                continue
            if not 8 <= length <= MAX_GOAWAY:
                raise ValueError(f"a GOAWAY of {length} bytes")
            if len(data) - at < HEAD.size + length:
                break
            if at > begin:
                yield data[begin:at]
            last, code = struct.unpack_from(">LL", data, at + HEAD.size)
            at += HEAD.size + length
            begin = at
            yield Goaway(last & MAX_STREAM, code)
        if at > begin:
            yield data[begin:at]
        self._held = data[at:]

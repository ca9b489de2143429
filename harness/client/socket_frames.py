"""The frames that nearly all of a WebSocket's traffic is, short text messages and pongs, without a protocol machine.

They cost wsproto some ten times as much as here, which a thousand sockets on one core feel. Everything that isn't
such a frame, whole and in its place, goes to wsproto as it came: RFC 6455 stays its business.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from enum import Enum
from typing import Final

SHORT: Final = 125
"""Payload bytes that fit the frame's second byte (RFC 6455 5.2)."""
_TEXT: Final = 0x81
"""FIN and opcode 1."""
_PONG: Final = b"\x8a\x00"
_PING: Final = b"\x89\x80"
"""Masked, as all that a client sends."""
_FIN: Final = 0x80
_CONTROL: Final = 0x08
_KNOWN: Final = frozenset({0x0, 0x1, 0x2, 0x8, 0x9, 0xA})


class Pong(Enum):
    """An empty pong has come."""

    EMPTY = "empty"


def text(message: str) -> bytes:
    """A client's text message in one masked frame (RFC 6455 5.3: a fresh random key each); empty if it isn't short."""
    payload = message.encode()
    size = len(payload)
    if size > SHORT:
        return b""
    mask = secrets.token_bytes(4)
    stream = int.from_bytes((mask * (size // 4 + 1))[:size], "big")
    return bytes((_TEXT, 0x80 | size)) + mask + (int.from_bytes(payload, "big") ^ stream).to_bytes(size, "big")


def ping() -> bytes:
    """A client's ping without payload."""
    return _PING + secrets.token_bytes(4)


class Frames:
    """Takes a server's frames apart: short text messages and empty pongs, and bytes for whoever knows the protocol.

    Args:
        longest: payload bytes of a frame that is waited for as a whole; a longer one goes on as it comes.

    """

    def __init__(self, longest: int) -> None:
        self._longest = longest
        self._held = b""
        self._fragments = False
        self._passing = False

    def pass_on(self) -> None:
        """Take nothing apart from here on."""
        self._passing = True

    def feed(self, data: bytes) -> Iterator[str | Pong | bytes]:
        """What has come, in its order: a text, a pong, or the bytes of anything else.

        Bytes are whole frames, until one comes that is too long or none at all: from then on they are passed on as
        they are.
        """
        held, at = self._held + data if self._held else data, 0
        while not self._passing and len(held) - at >= 2:
            first, size = held[at], held[at + 1]
            if first == _TEXT and size <= SHORT and not self._fragments:
                end = at + 2 + size
                if end > len(held):
                    break
                try:
                    whole: str | Pong | bytes = held[at + 2 : end].decode()
                except UnicodeDecodeError:
                    whole = held[at:end]
            elif held[at : at + 2] == _PONG:
                whole, end = Pong.EMPTY, at + 2
            else:
                known = self._end(held, at)
                if known < 0:
                    self._passing = True
                    break
                if known == 0 or known > len(held):
                    break
                whole, end = held[at:known], known
                if not first & _CONTROL:
                    self._fragments = not first & _FIN
            at = end
            yield whole
        self._held = held[at:]
        if self._passing and self._held:
            rest, self._held = self._held, b""
            yield rest

    def _end(self, held: bytes, at: int) -> int:
        """Where the frame that begins there ends; 0 if its head isn't whole yet, -1 if it is none or too long."""
        first, size = held[at], held[at + 1]
        if first & 0x70 or first & 0x0F not in _KNOWN or size & 0x80:
            return -1
        if size <= SHORT:
            return at + 2 + size
        width = 2 if size == 126 else 8
        if len(held) < at + 2 + width:
            return 0
        size = int.from_bytes(held[at + 2 : at + 2 + width], "big")
        return -1 if size > self._longest else at + 2 + width + size

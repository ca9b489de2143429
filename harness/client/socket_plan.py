"""What a load plan says of its WebSockets, and what each of them asks for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from harness.client.identity import Identity
from harness.errors import ConfigurationError

MAX_SOCKETS: Final = 5_000
STEADY_S: Final = 1.0
"""A connection that lived this long was a good one: the next failure is the first again."""
_TARGET: Final = re.compile(r"/[\x21-\x7e]{0,4095}")


@dataclass(frozen=True, slots=True)
class SocketPlan:
    """So many sockets, kept open.

    Args:
        path: target of the handshake; epoch, last and every are added to its query.
        count: how many.
        every_ms: between two messages of one direction.
        ramp_s: they open within this time, so that they don't make each other late.
        ping_s: between two pings.
        pong_s: how long a ping waits for its pong: longer than pods that start beside the peer hold it up (2.5 s seen
            on two cores), or a busy machine is taken for a dead peer.
        handshake_timeout_s: bound of connect and handshake together.
        base_s: longest delay before the first reconnect; it doubles with each failure in a row.
        cap_s: longest delay of all.
        secure: they enter by TLS (wss).

    Raises:
        ConfigurationError: out of bounds.

    """

    path: str
    count: int = 100
    every_ms: int = 1000
    ramp_s: float = 2.0
    ping_s: float = 1.0
    pong_s: float = 5.0
    handshake_timeout_s: float = 5.0
    base_s: float = 0.05
    cap_s: float = 2.0
    secure: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.path, str) or not _TARGET.fullmatch(self.path):
            raise ConfigurationError(f"path {self.path!r} of the sockets", "it starts with / and is percent-encoded")
        if not _whole(self.count, MAX_SOCKETS):
            raise ConfigurationError(f"{self.count!r} sockets", f"give 1 to {MAX_SOCKETS}")
        if not _whole(self.every_ms, 60_000):
            raise ConfigurationError(f"a message each {self.every_ms!r} ms", "give 1 to 60000")
        if not isinstance(self.secure, bool):
            raise ConfigurationError(f"secure of the sockets is {self.secure!r}", "give true or false")
        for name in ("ramp_s", "ping_s", "pong_s", "handshake_timeout_s", "base_s", "cap_s"):
            value = getattr(self, name)
            if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= 120:
                raise ConfigurationError(f"{name} of the sockets is {value!r}", "give seconds, up to 120")

    @property
    def stop_s(self) -> float:
        """How long all may take to end once stopped: an attempt that began as the others gave up has its own time."""
        return 2 * self.handshake_timeout_s + STEADY_S + self.every_ms / 1000

    @property
    def every_ns(self) -> int:
        """Between two messages of one direction."""
        return self.every_ms * 1_000_000


@dataclass(frozen=True, slots=True)
class Handshake:
    """What every connection of one socket asks for.

    Args:
        target: path and query.
        host: the Host header.
        request_id: the socket's.
        headers: further ones.
        identity: where the 101 answer tells its revision and pod; only its headers are read.
        timeout_s: bound of connect and handshake together.
        pong_s: how long a ping waits for its pong.

    """

    target: str
    host: str
    request_id: str
    headers: Mapping[str, str] = field(default_factory=dict)
    identity: Identity = field(default_factory=Identity)
    timeout_s: float = 5.0
    pong_s: float = 5.0


def _whole(value: Any, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value <= most

"""Connecting a socket, once, and telling why it didn't come to that."""

from __future__ import annotations

import errno
import socket
from typing import Final

from harness.client.plan import Entry
from harness.evidence.socket_record import OURS, REFUSED

RESET: Final = frozenset({errno.ECONNRESET, errno.EPIPE, errno.ECONNABORTED, errno.ESHUTDOWN})
"""The peer has cut the connection."""
_OWN: Final = frozenset(
    {errno.EADDRNOTAVAIL, errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EACCES, errno.EPERM}
)


class NotConnected(Exception):
    """There is no connection.

    Attributes:
        end: whose fault it is, as a life tells it.
        why: the reason by name.

    """

    def __init__(self, end: int, why: str) -> None:
        super().__init__(why)
        self.end = end
        self.why = why


def dial(entry: Entry, timeout_s: float) -> socket.socket:
    """A connected socket without delay of small writes.

    Raises:
        NotConnected: refused, unreachable, timed out, or for want of something on this side.

    """
    try:
        sock = socket.socket(socket.AF_INET6 if ":" in entry.host else socket.AF_INET, socket.SOCK_STREAM)
    except OSError as error:
        raise NotConnected(OURS, "none") from error
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.settimeout(timeout_s)
        sock.connect((entry.host, entry.port))
    except OSError as error:
        sock.close()
        raise _told(error) from error
    return sock


def _told(error: OSError) -> NotConnected:
    if isinstance(error, socket.gaierror):
        return NotConnected(REFUSED, "dns")
    if isinstance(error, TimeoutError):
        return NotConnected(REFUSED, "connect_timeout")
    if error.errno in _OWN:
        return NotConnected(OURS, "none")
    if error.errno == errno.ECONNREFUSED:
        return NotConnected(REFUSED, "connect_refused")
    return NotConnected(REFUSED, "connect_reset" if error.errno in RESET else "unreachable")

"""WebSockets over TLS (wss): the same connection, one layer up."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import replace

from harness.client.plan import Entry, LoadPlan
from harness.client.socket_plan import Handshake
from harness.client.socket_recorder import Life
from harness.client.tls import HTTP1, HandshakeFailed, TlsWire, Tunnel, context_of, shake_hands
from harness.client.websocket import WebSocket
from harness.evidence.socket_record import REFUSED


class SecureWebSocket(WebSocket):
    """One connection, from its SYN to its end.

    Args:
        entry: where to; its port for TLS is used.
        handshake: what to ask for; TLS' own handshake has a part of its time-out.
        life: gets times, status, identity, and how it ended.
        context: as `context_of` gives it, with `HTTP1`: RFC 8441 (WebSockets on HTTP/2) isn't spoken.
        name: the host that the certificate must be for.

    """

    def __init__(self, entry: Entry, handshake: Handshake, life: Life, *, context: ssl.SSLContext, name: str) -> None:
        super().__init__(replace(entry, port=entry.tls_port), handshake, life)
        self._context = context
        self._name = name

    def _connect(self) -> bool:
        sock = self._dial()
        if sock is None:
            return False
        deadline = self.life.began + int(self._handshake.timeout_s * 1e9)
        tunnel = Tunnel(self._context, self._name)
        try:
            shake_hands(sock, tunnel, HTTP1, deadline)
        except HandshakeFailed as failed:
            sock.close()
            self._end(REFUSED, failed.error)
            return False
        self._sock = TlsWire(sock, tunnel, deadline)
        return True


def connect_of(plan: LoadPlan) -> Callable[[Entry, Handshake, Life], WebSocket]:
    """How the sockets of a plan connect.

    Raises:
        ConfigurationError: the plan's authorities can't be read.

    """
    if plan.sockets is None or not plan.sockets.secure:
        return WebSocket
    context = context_of(plan.ca, HTTP1)
    return lambda entry, handshake, life: SecureWebSocket(
        entry, handshake, life, context=context, name=plan.host_header
    )

"""One WebSocket connection: one attempt to open it, its messages, and how it ended, told exactly.

The protocol is wsproto's, the socket a plain blocking one with time-outs, so that the same code runs on threads and,
monkey-patched, on gevent. Nothing is opened again in here: that is the policy of `harness.client.sockets`.
"""

from __future__ import annotations

import contextlib
import errno
import socket
from collections.abc import Sequence
from time import monotonic_ns
from typing import Final

from wsproto import ConnectionType, WSConnection
from wsproto.connection import ConnectionState
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Event,
    Ping,
    Pong,
    RejectConnection,
    TextMessage,
)
from wsproto.events import Request as Upgrade
from wsproto.utilities import ProtocolError

from harness.client import socket_frames
from harness.client.exchange import REQUEST_ID
from harness.client.plan import Entry
from harness.client.socket_dial import RESET, NotConnected, dial
from harness.client.socket_plan import Handshake
from harness.client.socket_recorder import Life
from harness.client.tls import TlsWire
from harness.evidence.socket_record import CUT, DONE, NONSENSE, OPEN, REFUSED, SERVER, SILENT

RECV_BYTES: Final = 65_536
MOST_BYTES: Final = 65_536
"""Of one message; a longer one is nonsense."""
HEAD_END: Final = b"\r\n\r\n"
FAR_NS: Final = 2**62
ABNORMAL: Final = 1006
NORMAL: Final = 1000
UNSUPPORTED: Final = 1003
TOO_BIG: Final = 1009


class WebSocket:
    """One connection, from its SYN to its end, which `life` tells.

    Args:
        entry: where to.
        handshake: what to ask for.
        life: gets times, status, identity, and how it ended.

    """

    def __init__(self, entry: Entry, handshake: Handshake, life: Life) -> None:
        self.life = life
        self._entry = entry
        self._handshake = handshake
        self._wire = WSConnection(ConnectionType.CLIENT)
        self._frames = socket_frames.Frames(MOST_BYTES)
        self._head = b""
        self._sock: socket.socket | TlsWire | None = None
        self._inbox: list[tuple[str, int]] = []
        self._partial: list[str] = []
        self._pong_due = FAR_NS
        self._ready = False
        self._closing = False
        self._eof = "fin"

    @property
    def over(self) -> bool:
        """Whether the connection has ended."""
        return self.life.end != OPEN

    def open(self) -> bool:
        """Connect and shake hands, once; whether the server took it. Never raises for what the network does."""
        life, asked = self.life, self._handshake
        life.began = monotonic_ns()
        deadline = life.began + int(asked.timeout_s * 1e9)
        if not self._connect():
            return False
        headers = [(REQUEST_ID.encode(), asked.request_id.encode())]
        headers += [(name.encode(), value.encode("latin-1")) for name, value in asked.headers.items()]
        upgrade = Upgrade(host=asked.host, target=asked.target, extra_headers=headers)
        self._put(self._wire.send(upgrade), asked.timeout_s)
        while not self.over and not self._ready:
            left = (deadline - monotonic_ns()) / 1e9
            if left <= 0:
                self._end(REFUSED, "handshake_timeout")
                break
            self._get(left)
        return self._ready

    def read(self, until_ns: int) -> list[tuple[str, int]]:
        """Whole text messages with the times of their reading; empty when nothing came until `until_ns`.

        The connection may be over afterwards: what came before its end is returned all the same. Here a ping that
        waited too long for its pong ends it, but not before what has arrived meanwhile was read: a client that was
        late itself must not call the peer silent.
        """
        if not self._inbox and not self.over:
            now = monotonic_ns()
            overdue = now >= self._pong_due
            came = self._get(0.0 if overdue else max(0.0, (min(until_ns, self._pong_due) - now) / 1e9))
            if overdue and not came and not self.over:
                self._end(SILENT, "pong", ABNORMAL)
        found, self._inbox = self._inbox, []
        return found

    def write(self, texts: Sequence[str], *, ping: bool = False) -> None:
        """Send messages, and a ping unless one still waits for its pong. An error shows as the connection's end."""
        if self.over:
            return
        data = b"".join(socket_frames.text(one) or self._wire.send(TextMessage(data=one)) for one in texts)
        if ping and self._pong_due == FAR_NS:
            data += socket_frames.ping()
            self._pong_due = monotonic_ns() + int(self._handshake.pong_s * 1e9)
        self._put(data, self._handshake.pong_s)

    def close(self) -> None:
        """Close it by the client's own choice, with code 1000; what was under way before the peer's answer is read.

        Whatever happens from here on is no loss, and `read` gives the messages that still came.
        """
        if self.over:
            return
        self._closing = True
        self._answer(CloseConnection(code=NORMAL))
        deadline = monotonic_ns() + int(self._handshake.pong_s * 1e9)
        while not self.over and (left := deadline - monotonic_ns()) > 0:
            self._get(left / 1e9)
        self._end(DONE, "none", NORMAL)

    def _connect(self) -> bool:
        self._sock = self._dial()
        return self._sock is not None

    def _dial(self) -> socket.socket | None:
        """A connected socket; None where `life` tells why not."""
        try:
            return dial(self._entry, self._handshake.timeout_s)
        except NotConnected as error:
            self._end(error.end, error.why)
            return None

    def _put(self, data: bytes, timeout_s: float) -> None:
        if self._sock is None or not data:
            return
        try:
            self._sock.settimeout(timeout_s)
            self._sock.sendall(data)
        except TimeoutError:
            self._cut("pong", silent=True)
        except OSError as error:
            self._heard_of(error)
            # What the peer sent before it cut is still to be read, and may well be its close frame.
            while not self.over and self._get(0.0):
                pass
            if not self.over:
                self._cut("rst" if error.errno in RESET else "unreachable")

    def _get(self, wait_s: float) -> bool:
        """Read once, for so long; whether anything came."""
        if self._sock is None:
            return False
        try:
            self._sock.settimeout(wait_s)
            data = self._sock.recv(RECV_BYTES)
        except (BlockingIOError, TimeoutError):
            return False
        except OSError as error:
            self._cut("rst" if error.errno in RESET else "unreachable")
            return False
        now = monotonic_ns()
        if not data:
            self._cut(self._eof)
            return False
        self.life.heard = now
        self._take(data, now)
        return True

    def _take(self, data: bytes, now: int) -> None:
        """The handshake's answer by wsproto alone, and what follows it frame by frame."""
        if not self._ready:
            before, self._head = len(self._head), self._head + data
            end = self._head.find(HEAD_END, max(0, before - len(HEAD_END)))
            cut = len(data) if end < 0 else max(0, end + len(HEAD_END) - before)
            self._by_protocol(data[:cut], now)
            data = data[cut:]
            if end < 0 or not self._ready:
                self._by_protocol(data, now)
                if self._ready:  # by a head that ends otherwise, or a second one: what followed it is in wsproto now
                    self._frames.pass_on()
                return
        for part in self._frames.feed(data):
            if isinstance(part, str):
                self._inbox.append((part, now))
            elif isinstance(part, socket_frames.Pong):
                self._pong_due = FAR_NS
            else:
                self._by_protocol(part, now)
            if self.over:
                return

    def _by_protocol(self, data: bytes, now: int) -> None:
        if not data or self.over:
            return
        try:
            self._wire.receive_data(data)
            for event in self._wire.events():
                self._one(event, now)
                if self.over:
                    return
        except ProtocolError:
            if self._ready:
                self._nonsense("framing", UNSUPPORTED)
            else:
                self._end(REFUSED, "handshake_framing")

    def _one(self, event: Event, now: int) -> None:
        if isinstance(event, TextMessage):
            self._partial.append(event.data)
            if sum(map(len, self._partial)) > MOST_BYTES:
                self._nonsense("message", TOO_BIG)
            elif event.message_finished:
                self._inbox.append(("".join(self._partial), now))
                self._partial.clear()
        elif isinstance(event, Pong):
            self._pong_due = FAR_NS
        elif isinstance(event, Ping):
            self._answer(event.response())
        elif isinstance(event, CloseConnection) and self._closing:
            self._end(DONE, "none", NORMAL)
        elif isinstance(event, CloseConnection):
            if self._wire.state is not ConnectionState.REMOTE_CLOSING:  # wsproto's own word for frames that are none
                self._nonsense("framing", event.code)
                return
            self._answer(event.response())
            self.life.text = (event.reason or "").encode("utf-8", "replace").decode()[:123]
            self._end(SERVER, "none", int(event.code))
        elif isinstance(event, AcceptConnection):
            self.life.status, self.life.opened = 101, now
            self._identify(event.extra_headers)
            self._ready = True
        elif isinstance(event, RejectConnection):
            self.life.status = event.status_code
            self._identify(event.headers)
            self._end(REFUSED, "status")
        elif isinstance(event, BytesMessage):
            self._nonsense("message", UNSUPPORTED)

    def _identify(self, headers: Sequence[tuple[bytes, bytes]]) -> None:
        found = {bytes(name).lower(): bytes(value) for name, value in headers}
        self.life.revision, self.life.pod = self._handshake.identity.extract(found, b"")

    def _answer(self, event: Event) -> None:
        """Send what the protocol wants sent; the peer may be gone, which is no news then."""
        with contextlib.suppress(ProtocolError):
            try:
                if self._sock is not None:
                    self._sock.settimeout(self._handshake.pong_s)
                    self._sock.sendall(self._wire.send(event))
            except OSError as error:
                self._heard_of(error)

    def _heard_of(self, error: OSError) -> None:
        """A send that failed has taken the socket's error with it: the next read sees an RST as if it were a FIN."""
        if error.errno == errno.ECONNRESET:
            self._eof = "rst"

    def nonsense(self) -> None:
        """The caller can't understand a message: close with 1003."""
        self._nonsense("message", UNSUPPORTED)

    def _nonsense(self, why: str, code: int) -> None:
        self._answer(CloseConnection(code=code))
        self._end(NONSENSE, why, int(code))

    def _cut(self, why: str, *, silent: bool = False) -> None:
        if self._ready:
            self._end(SILENT if silent else CUT, why, ABNORMAL)
        else:
            self._end(REFUSED, "handshake_timeout" if silent else "handshake_cut")

    def _end(self, end: int, why: str, code: int = 0) -> None:
        if self.life.end != OPEN:
            return
        if self._closing:
            end, why, code = DONE, "none", NORMAL
        self.life.end, self.life.why, self.life.code, self.life.ended = end, why, code, monotonic_ns()
        sock, self._sock = self._sock, None
        if sock is not None:
            sock.close()

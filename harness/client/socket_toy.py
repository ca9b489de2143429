"""A toy WebSocket server, its own process, that misbehaves once per socket, as the path says.

``GET /<mode>?epoch=<ns>&last=<seq>&every=<ms>``: on its first connection each socket gets what the mode says, on all
later ones proper service. Ports and counts go over standard input and output, as in `harness.client.misbehave`.
"""

from __future__ import annotations

import contextlib
import json
import select
import socket
import struct
import threading
import time
from collections import Counter, defaultdict
from typing import Final
from urllib.parse import parse_qs, urlsplit

from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Event,
    Ping,
    RejectConnection,
    Request,
    TextMessage,
)
from wsproto.utilities import ProtocolError

from harness.client.toy_process import serve_reports

AFTER: Final = 3
"""Messages on a socket's first connection before the mode shows."""
CLOSES: Final = {"close_1012": 1012, "close_1001": 1001, "close_1011": 1011, "close_1000": 1000}
REFUSALS: Final = {"status_403": 403, "status_500": 500, "status_503": 503}
CUTS: Final = ("fin", "rst", "half_frame")
NONSENSE: Final = ("garbage", "binary", "no_json")
NUMBERS: Final = ("gap", "double", "disorder", "deaf", "foreign")
MODES: Final = (*("ok", "fragments", "silent", "no_handshake", *CLOSES, *REFUSALS, *CUTS, *NONSENSE, *NUMBERS),)
TICK_S: Final = 0.02
BACKLOG: Final = 2048
HEADERS: Final = [(b"X-Toy-Version", b"toy"), (b"X-Toy-Pod", b"toy-0")]


class Over(Exception):
    """The end of one conversation."""


class SocketToy:
    """Serves on a port of 127.0.0.1 of the system's choice, one thread per connection."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)
        self.lock = threading.Lock()
        self.seen: set[tuple[str, str]] = set()
        self.counts: defaultdict[str, Counter[str]] = defaultdict(Counter)

    @property
    def port(self) -> int:
        """The port."""
        return int(self._socket.getsockname()[1])

    def serve(self) -> None:
        """Accept until `close`."""
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._converse, args=(connection,), daemon=True).start()

    def close(self) -> None:
        """Stop listening."""
        self._socket.close()

    def count(self, mode: str, what: str, more: int = 1) -> None:
        """Note that something happened."""
        with self.lock:
            self.counts[mode][what] += more

    def report(self) -> dict[str, dict[str, int]]:
        """By mode: connections, injected, caught_up (later connections), sent, written (the client's), again."""
        with self.lock:
            return {mode: dict(counts) for mode, counts in self.counts.items()}

    def _converse(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError, Over, ProtocolError):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            _Conversation(self, connection).run()


class _Conversation:
    def __init__(self, server: SocketToy, connection: socket.socket) -> None:
        self.server = server
        self.connection = connection
        self.wire = WSConnection(ConnectionType.SERVER)
        self.mode = "ok"
        self.bad = False
        self.silent = False
        self.told = 0
        self.epoch = self.every = self.next = 0
        self.unacked_once = True
        self.again = False

    def run(self) -> None:
        while not self.epoch:
            self.take(self.connection.recv(65_536))
        while True:
            if not self.silent:
                self.tell()
            ready, _, _ = select.select([self.connection], [], [], self.wait())
            if ready:
                self.take(self.connection.recv(65_536))

    def wait(self) -> float:
        if self.silent:
            return 1.0
        return max(0.0, (self.epoch + self.next * self.every - time.time_ns()) / 1e9)

    def take(self, data: bytes) -> None:
        if not data:
            raise Over
        if self.silent:
            return
        self.wire.receive_data(data)
        for event in self.wire.events():
            self.one(event)

    def one(self, event: Event) -> None:
        if isinstance(event, Request):
            self.accept(event)
        elif isinstance(event, Ping):
            self.send(event.response())
        elif isinstance(event, CloseConnection):
            self.send(event.response())
            raise Over
        elif isinstance(event, TextMessage):
            message = json.loads(event.data)
            self.server.count(self.mode, "again" if message.get("again") else "written")
            if self.bad and self.mode == "deaf" and self.unacked_once:
                self.unacked_once = False
                self.injected()
                return
            self.send(TextMessage(data=json.dumps({"ack": message["id"]})))

    def accept(self, event: Request) -> None:
        split = urlsplit(event.target)
        query = parse_qs(split.query)
        self.mode = split.path.strip("/")
        ident = dict(event.extra_headers).get(b"x-request-id", b"").decode()
        with self.server.lock:
            self.bad = (self.mode, ident) not in self.server.seen
            self.server.seen.add((self.mode, ident))
        self.again = not self.bad
        self.server.count(self.mode, "connections")
        if self.bad and self.mode in REFUSALS:
            self.injected()
            self.send(RejectConnection(status_code=REFUSALS[self.mode], headers=[*HEADERS, (b"Content-Length", b"0")]))
            raise Over
        if self.bad and self.mode == "no_handshake":
            self.injected()
            self.connection.sendall(b"SSH-2.0-toy\r\n\r\n")
            raise Over
        self.send(AcceptConnection(extra_headers=HEADERS))
        self.every = int(query["every"][0]) * 1_000_000
        self.next = int(query["last"][0]) + 1
        self.epoch = int(query["epoch"][0])

    def tell(self) -> None:
        """Send what is due."""
        while not self.silent and self.epoch + self.next * self.every <= time.time_ns():
            if self.due():
                self.bad = False
                self.misbehave()
            else:
                self.message(self.next)
            self.next += 1
            self.told += 1
        if self.again and self.told:
            self.again = False
            self.server.count(self.mode, "caught_up")

    def due(self) -> bool:
        """Whether the mode shows now; what goes unanswered has to have come before."""
        return self.bad and self.told >= AFTER and self.mode != "ok" and (self.mode != "deaf" or not self.unacked_once)

    def message(self, seq: int, epoch: int = 0) -> None:
        text = json.dumps({"epoch": epoch or self.epoch, "seq": seq})
        self.server.count(self.mode, "sent")
        if self.mode == "fragments":
            self.send(TextMessage(data=text[:5], message_finished=False))
            self.send(Ping(payload=b"between"))
            self.send(TextMessage(data=text[5:9], message_finished=False))
            self.send(TextMessage(data=text[9:]))
        else:
            self.send(TextMessage(data=text))

    def misbehave(self) -> None:
        mode = self.mode
        if mode == "fragments":
            self.message(self.next)
            return
        if mode != "deaf":  # that one was injected when its message went unanswered
            self.injected()
        if mode in CLOSES or mode == "deaf":
            self.send(CloseConnection(code=CLOSES.get(mode, 1012), reason="draining" if mode == "close_1012" else ""))
            self.connection.settimeout(1.0)
            self.connection.recv(65_536)  # the client's close frame: closing with it unread would be an RST
            raise Over
        if mode in CUTS:
            if mode == "half_frame":
                self.connection.sendall(b"\x81\x20half")
            if mode == "rst":
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            else:
                self.connection.shutdown(socket.SHUT_WR)  # or what the client just sent makes it an RST
                time.sleep(TICK_S)
            raise Over
        if mode == "silent":
            self.silent = True
        elif mode == "garbage":
            self.connection.sendall(b"\xf7\xff\xff\xff what")
        elif mode == "binary":
            self.send(BytesMessage(data=b"\x00\x01"))
        elif mode == "no_json":
            self.send(TextMessage(data="hello"))
        elif mode == "double":
            self.message(self.next)
            self.message(self.next)
        elif mode == "disorder":
            self.message(self.next + 1)
            self.message(self.next)
            self.next += 1
        elif mode == "foreign":
            self.message(self.next, self.epoch + 1)
            self.message(self.next)

    def injected(self) -> None:
        self.server.count(self.mode, "injected")

    def send(self, event: Event) -> None:
        self.connection.sendall(self.wire.send(event))


def main() -> None:
    """Serve until standard input ends; a report is by mode."""
    server = SocketToy()
    threading.Thread(target=server.serve, daemon=True).start()
    serve_reports({"port": server.port}, server.report)
    server.close()


if __name__ == "__main__":
    main()

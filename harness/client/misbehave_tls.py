"""Toy servers with TLS, in a process of their own, that misbehave in the handshake or on every n-th HTTP/2 stream.

One port for each kind of handshake in `PORTS`; on the good one ``GET /<mode>/<tag>?every=<n>`` as `misbehave` has it,
by HTTP/1.1 (``ok`` and ``cut`` only) or HTTP/2 (all of `MODES`).
"""

from __future__ import annotations

import contextlib
import datetime
import os
import socket
import ssl
import struct
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import h2.events
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.exceptions import ProtocolError

from harness import certificates
from harness.client.frames import Goaway
from harness.client.misbehave import BACKLOG, HANG_S, ToyServer
from harness.client.toy_process import ToyProcess, serve_reports

HOST: Final = "toy.test"
GOOD: Final = [(":status", "200"), ("content-length", "4"), ("x-toy-version", "toy"), ("x-toy-pod", "toy-0")]
MODES: Final = (
    *("goaway", "goaway_answered", "goaway_cut", "refused_stream", "stream_reset"),
    *("cut", "fin", "rst", "hang", "proxy_503", "app_503"),
)
PORTS: Final = ("good", "stranger", "other_name", "expired", "stall", "cut_short", "plain", "http1")
"""Handshakes: right; by an authority nobody knows; for another host; out of date; no answer at all; closed amidst;
an answer without TLS; right, and no HTTP/2."""


class ToyTlsServer(ToyServer):
    """Serves every one of `PORTS` on 127.0.0.1, one thread per connection.

    Attributes:
        ca: the certificate to trust, PEM.
        ports: by kind.

    """

    def __init__(self) -> None:
        super().__init__()
        good = certificates.make(HOST)
        self.ca = good.ca
        past = datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=1)
        self._contexts = {
            "good": _context(good, ["h2", "http/1.1"]),
            "http1": _context(good, ["http/1.1"]),
            "stranger": _context(certificates.make(HOST), ["h2", "http/1.1"]),
        }
        for kind, made in (
            ("expired", certificates.make(HOST, expires=past)),
            ("other_name", certificates.make("x.test")),
        ):
            self._contexts[kind] = _context(made, ["h2", "http/1.1"])
            self.ca += made.ca  # trusted: it is the rest that is wrong
        self._listeners = {kind: socket.create_server(("127.0.0.1", 0), backlog=BACKLOG) for kind in PORTS}
        self.ports = {kind: int(one.getsockname()[1]) for kind, one in self._listeners.items()}

    def start(self) -> None:
        """Serve all ports, each in a thread of its own."""
        for kind, listener in self._listeners.items():
            threading.Thread(target=self._accept, args=(kind, listener), daemon=True).start()

    def close(self) -> None:
        """Stop listening."""
        super().close()
        for listener in self._listeners.values():
            listener.close()

    def count(self, path: str, ident: str) -> bool:
        """Write an arrival down; whether it gets what its mode says."""
        path, _, query = path.partition("?")
        every = int(query.partition("every=")[2] or 1)
        with self._lock:
            self._counts[path] += 1
            self.arrivals[path][ident] += 1
            bad = path.split("/")[1] in MODES and self._counts[path] % every == 0
            self.injected[path] += bad
        return bad

    def _accept(self, kind: str, listener: socket.socket) -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._serve, args=(kind, sock), daemon=True).start()

    def _serve(self, kind: str, sock: socket.socket) -> None:
        with contextlib.suppress(OSError, ProtocolError), sock:
            sock.settimeout(HANG_S)
            if kind in ("stall", "cut_short", "plain"):
                sock.recv(65_536)
                if kind == "stall":
                    sock.recv(1)
                elif kind == "plain":
                    sock.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
                return
            with self._contexts[kind].wrap_socket(sock, server_side=True) as tls:
                if tls.selected_alpn_protocol() == "h2":
                    _Http2(self, tls).run()
                else:
                    self._http1(tls)

    def _http1(self, tls: ssl.SSLSocket) -> None:
        request = b""
        while b"\r\n\r\n" not in request:
            if not (data := tls.recv(65_536)):
                return
            request += data
        lines = request.decode("latin-1").split("\r\n")
        ident = next(line.split(":", 1)[1].strip() for line in lines if line.lower().startswith("x-request-id:"))
        bad = self.count(lines[0].split(" ")[1], ident)
        length = 8 if bad else 4
        tls.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nX-Toy-Version: toy\r\n\r\nbody".encode())


class _Http2:
    """One connection of an HTTP/2 client."""

    def __init__(self, server: ToyTlsServer, tls: ssl.SSLSocket) -> None:
        self._server = server
        self._tls = tls
        self._h2 = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))

    def run(self) -> None:
        """Until either side has enough."""
        self._h2.initiate_connection()
        self._tls.sendall(self._h2.data_to_send())
        while data := self._tls.recv(65_536):
            for event in self._h2.receive_data(data):
                if isinstance(event, h2.events.RequestReceived) and not self._answer(event):
                    return
            self._tls.sendall(self._h2.data_to_send())

    def _answer(self, event: h2.events.RequestReceived) -> bool:
        """Whether the connection lives on."""
        headers = {str(name): str(value) for name, value in event.headers}
        bad = self._server.count(headers[":path"], headers["x-request-id"])
        stream, mode = event.stream_id, headers[":path"].split("/")[1]
        if not bad:
            self._good(stream)
            return True
        acts: dict[str, Callable[[], bool]] = {
            "goaway": lambda: self._leave(stream - 2, answer=False),
            "goaway_answered": lambda: self._leave(stream, answer=True),
            "goaway_cut": lambda: self._leave(stream, answer=False),
            "refused_stream": lambda: self._reset(stream, ErrorCodes.REFUSED_STREAM),
            "stream_reset": lambda: self._reset(stream, ErrorCodes.INTERNAL_ERROR),
            "proxy_503": lambda: self._status(stream, [(":status", "503")]),
            "app_503": lambda: self._status(stream, [(":status", "503"), ("x-toy-version", "toy")]),
            "cut": lambda: self._cut(stream),
            "fin": lambda: False,
            "rst": self._hard,
            "hang": lambda: True,
        }
        return acts[mode]()

    def _good(self, stream: int) -> None:
        self._h2.send_headers(stream, GOOD)
        self._h2.send_data(stream, b"body", end_stream=True)

    def _leave(self, last: int, *, answer: bool) -> bool:
        self._tls.sendall(self._h2.data_to_send() + bytes(Goaway(last)))
        if answer:
            self._good(last)
            self._tls.sendall(self._h2.data_to_send())
            self._tls.recv(65_536)  # the client closes first: a close with its bytes unread would be a reset
        return False

    def _reset(self, stream: int, code: ErrorCodes) -> bool:
        self._h2.reset_stream(stream, code)
        return True

    def _status(self, stream: int, headers: list[tuple[str, str]]) -> bool:
        self._h2.send_headers(stream, headers, end_stream=True)
        return True

    def _cut(self, stream: int) -> bool:
        self._h2.send_headers(stream, GOOD)
        self._h2.send_data(stream, b"bo")
        self._tls.sendall(self._h2.data_to_send())
        return False

    def _hard(self) -> bool:
        self._tls.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return False


class ToyTlsProcess(ToyProcess):
    """The servers as a child process; a context manager.

    Attributes:
        ports: by kind.
        ca: the certificates to trust, PEM.

    """

    def __init__(self) -> None:
        super().__init__("harness.client.misbehave_tls")
        self.ports: dict[str, int] = self.hello["ports"]
        self.ca: str = self.hello["ca"]


def _context(made: certificates.Made, protocols: list[str]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_alpn_protocols(protocols)
    with _private_file(made.certificate + made.key) as file:  # ssl reads files only
        context.load_cert_chain(file)
    return context


@contextlib.contextmanager
def _private_file(text: str) -> Iterator[Path]:
    handle, name = tempfile.mkstemp(prefix="toy-")  # readable by its owner alone
    try:
        os.write(handle, text.encode())
        yield Path(name)
    finally:
        os.close(handle)
        Path(name).unlink()


def main() -> None:
    """Serve until standard input ends; first come the ports, by name, and the authorities."""
    server = ToyTlsServer()
    server.start()
    serve_reports({"port": server.ports["good"], "ports": server.ports, "ca": server.ca}, server.report)
    server.close()


if __name__ == "__main__":
    main()

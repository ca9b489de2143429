"""A toy server, its own process, that misbehaves on every n-th request and counts arrivals by request id.

``GET /<mode>/<tag>?every=<n>``: requests are counted per path; each n-th gets what the mode says, all others a proper
answer. Ports and counts go over standard input and output, so the server ends with the one that started it.
"""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections import Counter, defaultdict
from typing import Final

from harness.client.toy_process import serve_reports

GOOD: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Toy-Version: toy\r\nX-Toy-Pod: toy-0\r\n\r\nok"
PARTIAL: Final = {
    "fin": b"",
    "rst": b"",
    "unread": b"",
    "half_header": b"HTTP/1.1 200 OK\r\nContent-Le",
    "half_body": b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\nX-Toy-Version: toy\r\n\r\n" + b"x" * 50,
    "garbage": b"\x16\x03\x01\x00\xa5\x01 what\r\n\r\n",
}
"""What a mode sends before it closes the connection."""
WHOLE: Final = {
    "ok": GOOD,
    "wrong_length": GOOD + b" and more",
    "proxy_503": b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n",
    "app_503": b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nX-Toy-Version: toy\r\n\r\n",
}
"""What a mode sends on a connection that it leaves open."""
MODES: Final = (*(mode for mode in PARTIAL), *(mode for mode in WHOLE if mode != "ok"), "hang")
MAX_REQUEST: Final = 65_536
HANG_S: Final = 30.0
BEAT_S: Final = 0.001
PAUSE: Final = "pause"
BACKLOG: Final = 512
"""Connections that the kernel accepts while the process is stopped."""


class ToyServer:
    """Serves on a port of 127.0.0.1 of the system's choice, one thread per connection."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self.injected: Counter[str] = Counter()
        self.arrivals: defaultdict[str, Counter[str]] = defaultdict(Counter)

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

    def report(self) -> dict[str, dict[str, int]]:
        """Per path: requests that arrived, different ids among them, and how many were answered badly on purpose."""
        with self._lock:
            return {
                path: {
                    "arrivals": sum(ids.values()),
                    "distinct": len(ids),
                    "injected": self.injected[path],
                }
                for path, ids in self.arrivals.items()
            }

    def _converse(self, connection: socket.socket) -> None:
        with connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                while self._one(connection):
                    pass
            except OSError:
                return

    def _one(self, connection: socket.socket) -> bool:
        """One request; whether the connection lives on."""
        request = _peek_request(connection)
        if not request:
            return False
        path, every, ident, size = _parse(request)
        mode = path.split("/")[1]
        with self._lock:
            self._counts[path] += 1
            self.arrivals[path][ident] += 1
            bad = mode != "ok" and self._counts[path] % every == 0
            if bad:
                self.injected[path] += 1
        if bad and mode == "unread":
            return False  # closing with the request unread makes the kernel send RST
        _consume(connection, size)
        if not bad:
            connection.sendall(GOOD)
            return True
        if mode in WHOLE:
            connection.sendall(WHOLE[mode])
            return True
        if mode == "hang":
            connection.settimeout(HANG_S)
            connection.recv(1)
            return False
        if mode == "rst":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.sendall(PARTIAL[mode])
        return False


def _peek_request(connection: socket.socket) -> bytes:
    """The whole next request, still unread; empty when the peer is done."""
    seen = b""
    for _ in range(1000):
        data = connection.recv(MAX_REQUEST, socket.MSG_PEEK)
        head, end, body = data.partition(b"\r\n\r\n")
        if not data or (end and len(body) >= _length(head)):
            return data
        if data == seen:
            time.sleep(0.001)  # the rest is on its way; a blocking peek would return the same bytes at once
        seen = data
    return b""


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0


def _parse(request: bytes) -> tuple[str, int, str, int]:
    """Path without its query, `every`, the request's id, and its size in bytes."""
    head = request.partition(b"\r\n\r\n")[0]
    lines = head.decode("latin-1").split("\r\n")
    path, _, query = lines[0].split(" ")[1].partition("?")
    every = int(query.partition("every=")[2] or 1)
    ident = next((line.split(":", 1)[1].strip() for line in lines[1:] if line.lower().startswith("x-request-id:")), "")
    return path, every, ident, len(head) + 4 + _length(head)


def _consume(connection: socket.socket, size: int) -> None:
    while size > 0:
        data = connection.recv(size)
        if not data:
            return
        size -= len(data)


class Pulse:
    """Beats each millisecond, and knows the longest time without a beat: when the process was stopped, by itself."""

    def __init__(self) -> None:
        self.longest = (0, 0)
        threading.Thread(target=self._beat, daemon=True).start()

    def _beat(self) -> None:
        last = time.monotonic_ns()
        while True:
            time.sleep(BEAT_S)
            now = time.monotonic_ns()
            if now - last > self.longest[1] - self.longest[0]:
                self.longest = (last, now)
            last = now


def main() -> None:
    """Serve until standard input ends; a report is by path, and under `PAUSE` the process' longest pause (ns)."""
    server, pulse = ToyServer(), Pulse()
    threading.Thread(target=server.serve, daemon=True).start()

    def report() -> dict[str, dict[str, int]]:
        begun, ended = pulse.longest
        return {**server.report(), PAUSE: {"from_ns": begun, "until_ns": ended}}

    serve_reports({"port": server.port}, report)
    server.close()


if __name__ == "__main__":
    main()

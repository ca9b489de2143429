"""The server of the sockets' benchmark: plain answers, and numbered messages by the protocol, on one port.

Its own process; prints the port and ends with standard input.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qs, urlsplit

from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, CloseConnection, Ping, Request, TextMessage

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Toy-Version: toy\r\nX-Toy-Pod: toy-0\r\n\r\nok"
BACKLOG = 4096


class _Talk(asyncio.Protocol):
    """One connection: of a request, or of a WebSocket once it asks for one."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._wire: WSConnection | None = None
        self._next = self._every = self._epoch = 0
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._transport = None
        if self._timer is not None:
            self._timer.cancel()

    def data_received(self, data: bytes) -> None:
        if self._wire is None:
            if b"\r\nUpgrade:" not in data and b"\r\nupgrade:" not in data.lower():
                self._write(ANSWER * data.count(b"\r\n\r\n"))
                return
            self._wire = WSConnection(ConnectionType.SERVER)
        self._wire.receive_data(data)
        out = [self._answer(event) for event in self._wire.events()]
        self._write(b"".join(out))

    def _answer(self, event: Any) -> bytes:
        wire = self._wire
        assert wire is not None
        if isinstance(event, TextMessage):
            return wire.send(TextMessage(data=json.dumps({"ack": json.loads(event.data)["id"]})))
        if isinstance(event, Ping):
            return wire.send(event.response())
        if isinstance(event, CloseConnection):
            if self._timer is not None:
                self._timer.cancel()
            asyncio.get_running_loop().call_soon(self._close)
            return wire.send(event.response())
        if isinstance(event, Request):
            query = parse_qs(urlsplit(event.target).query)
            self._epoch, self._every = int(query["epoch"][0]), int(query["every"][0]) * 1_000_000
            self._next = int(query["last"][0]) + 1
            self._timer = asyncio.get_running_loop().call_soon(self._tell)  # type: ignore[assignment]
            return wire.send(AcceptConnection(extra_headers=[(b"X-Toy-Version", b"toy"), (b"X-Toy-Pod", b"toy-0")]))
        return b""

    def _tell(self) -> None:
        wire = self._wire
        if wire is None or self._transport is None:
            return
        while (left := self._epoch + self._next * self._every - time.time_ns()) <= 0:
            self._write(wire.send(TextMessage(data=f'{{"epoch": {self._epoch}, "seq": {self._next}}}')))
            self._next += 1
        self._timer = asyncio.get_running_loop().call_later(left / 1e9, self._tell)

    def _write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    def _close(self) -> None:
        if self._transport is not None:
            self._transport.close()


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_Talk, "127.0.0.1", 0, backlog=BACKLOG)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


@contextlib.contextmanager
def served() -> Iterator[int]:
    """Its port, as long as the block runs."""
    root = Path(__file__).parents[1]
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.socket_server"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=root,
    ) as process:
        assert process.stdout is not None
        yield int(process.stdout.readline())
        process.communicate(timeout=10)


if __name__ == "__main__":
    asyncio.run(_serve())

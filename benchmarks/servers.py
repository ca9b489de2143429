"""The server of outages and of speed: fixed answers, several ports in one process, each to be closed and opened.

Commands come on standard input, one answer line each on standard output; all times are CLOCK_MONOTONIC ns.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Toy-Version: toy\r\nX-Toy-Pod: toy-0\r\n\r\nok"
BACKLOG = 2048
LINE_S = 10.0


class _Talk(asyncio.Protocol):
    """One connection: one answer per request head. No body is expected, so nothing has to be parsed."""

    def __init__(self, port: _Port) -> None:
        self._port = port
        self._rest = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._port.open.add(self._transport)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        if self._transport is not None:
            self._port.open.discard(self._transport)

    def data_received(self, data: bytes) -> None:
        data = self._rest + data
        count = data.count(b"\r\n\r\n")
        self._rest = b"" if data.endswith(b"\r\n\r\n") else data.rpartition(b"\r\n\r\n")[2]
        self._port.arrivals += count
        if self._transport is not None and count:
            self._transport.write(ANSWER * count)


class _Port:
    """One listening port, the same number each time it is opened."""

    def __init__(self) -> None:
        self.number = 0
        self.arrivals = 0
        self.open: set[asyncio.Transport] = set()
        self._server: asyncio.Server | None = None

    async def listen(self) -> int:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Talk(self), "127.0.0.1", self.number, backlog=BACKLOG)
        self.number = int(self._server.sockets[0].getsockname()[1])
        return time.monotonic_ns()

    def end(self) -> int:
        """Refuse from now on, and cut what is open: what users of a dead process see. The time is just before."""
        now = time.monotonic_ns()
        if self._server is not None:
            self._server.close()
        for transport in list(self.open):
            transport.abort()
        return now


async def _serve(count: int) -> None:
    ports = [_Port() for _ in range(count)]
    for port in ports:
        await port.listen()
    _say([port.number for port in ports])
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := (await reader.readline()).decode().split():
        if line[0] == "close":
            _say(ports[int(line[1])].end())
        elif line[0] == "open":
            _say(await ports[int(line[1])].listen())
        else:
            _say([port.arrivals for port in ports])


def _say(value: object) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


class Server:
    """The server as a child process.

    Args:
        count: how many ports.
        prefix: put before the command, for example to start it in a network namespace of its own.

    Attributes:
        ports: their numbers on 127.0.0.1.
        process: the child.

    """

    def __init__(self, count: int = 1, prefix: Sequence[str] = ()) -> None:
        self.process = subprocess.Popen(
            [*prefix, sys.executable, "-m", "benchmarks.servers", str(count)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[1],
        )
        self.ports: list[int] = self._line()

    def ask(self, command: str) -> Any:
        """The answer to one command: "close N", "open N" (a time in ns), "arrivals" (per port)."""
        if self.process.stdin is None:
            raise RuntimeError("the server has no standard input")
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        return self._line()

    def arrivals(self) -> int:
        """Requests that came so far, on all ports."""
        return sum(self.ask("arrivals"))

    def end(self) -> None:
        """End the child, stopped or not."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait(timeout=10)
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                stream.close()

    def _line(self) -> Any:
        line = ""
        if self.process.stdout is not None and select.select([self.process.stdout], [], [], LINE_S)[0]:
            line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"no answer from the server (exit code {self.process.poll()})")
        return json.loads(line)


@contextlib.contextmanager
def server(count: int = 1, prefix: Sequence[str] = ()) -> Iterator[Server]:
    """A `Server` that ends with the block."""
    made = Server(count, prefix)
    try:
        yield made
    finally:
        made.end()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1])))

"""The demo application as a process: two ports, signals, and a drain over real connections on 127.0.0.1."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

APP = Path(__file__).parent.parent / "images" / "app"
ENV = {
    "HOST": "127.0.0.1",
    "PORT": "0",
    "ADMIN_PORT": "0",
    "REVISION": "v1",
    "COLOR": "blue",
    "POD_NAME": "app-blue-x",
    "KEEP_ALIVE_SECONDS": "60",
    "DRAIN_KEEP_ALIVE_SECONDS": "1",
    "DRAIN_QUIET_SECONDS": "0.2",
    "DRAIN_SECONDS": "5",
    "PYTHONDONTWRITEBYTECODE": "1",
}


class Process:
    """The running application: its ports, and its log as parsed lines."""

    def __init__(self, child: subprocess.Popen[str]) -> None:
        assert child.stdout is not None
        self.child = child
        self.out = child.stdout
        first = json.loads(self.out.readline())
        assert first["event"] == "listening"
        self.port: int = first["port"]
        self.admin = f"http://127.0.0.1:{first['admin_port']}"

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=10)

    def log(self) -> list[dict[str, Any]]:
        """The rest of the log; waits for the end of the process."""
        return [json.loads(line) for line in self.out]


@contextlib.contextmanager
def running(**env: str) -> Iterator[Process]:
    command = [sys.executable, "-m", "bluegreen_app"]
    with subprocess.Popen(
        command, cwd=APP, env={**os.environ, **ENV, **env}, stdout=subprocess.PIPE, text=True
    ) as child:
        try:
            yield Process(child)
        finally:
            child.kill()


def request(path: str = "/", request_id: str = "r-1") -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: api\r\nX-Request-Id: {request_id}\r\n\r\n".encode()


def answer(connection: socket.socket) -> tuple[str, str]:
    """Read one whole answer: its head in lower case, and its body; ("", "") if the connection was closed."""
    data = b""
    while b"\r\n\r\n" not in data:
        chunk = connection.recv(65536)
        if not chunk:
            return "", ""
        data += chunk
    head, _, body = data.partition(b"\r\n\r\n")
    text = head.decode().lower()
    length = int(text.partition("content-length: ")[2].partition("\r\n")[0])
    while len(body) < length:
        body += connection.recv(65536)
    return text, body.decode()


@pytest.mark.processes
def test_sigterm_drains_keeps_serving_newcomers_and_exits_clean(tmp_path: Path) -> None:
    with running(LEDGER_DIR=str(tmp_path)) as process:
        idle, slow, busy = (process.connect() for _ in range(3))
        with idle, slow, busy:
            for connection in (idle, busy):
                connection.sendall(request())
                assert "connection:" not in answer(connection)[0]
            slow.sendall(request("/slow?ms=700", "slow-1"))
            time.sleep(0.1)
            process.child.send_signal(signal.SIGTERM)
            time.sleep(0.1)
            busy.sendall(request(request_id="busy-2"))
            head, _ = answer(busy)
            assert head.startswith("http/1.1 200")
            assert "connection: close" in head
            assert busy.recv(1) == b""  # and so it does
            with process.connect() as late:  # the listener is still there
                late.sendall(request("/readyz"))
                assert answer(late)[0].startswith("http/1.1 503")
            head, body = answer(slow)
            assert head.startswith("http/1.1 200")
            assert json.loads(body)["request_id"] == "slow-1"
            assert idle.recv(1) == b""  # as it was idle for a second of the drain
        assert process.child.wait(10) == 0
        (ended,) = (line for line in process.log() if line["event"] == "drain.finished")
        assert (ended["emptied"], ended["open"], ended["in_flight"]) == (True, 0, 0)
        assert ended["seconds"] < 3
    recorded = [line.split() for line in (tmp_path / "app-blue-x.arrivals").read_text().splitlines()]
    assert [[r[0], *r[2:]] for r in recorded[:1]] == [["S", "app-blue-x", "v1"]]
    assert [r[2] for r in recorded[1:]] == ["r-1", "r-1", "slow-1", "busy-2"]
    probes = [line.split() for line in (tmp_path / "app-blue-x.probes").read_text().splitlines()]
    assert [[r[0], *r[2:]] for r in probes] == [["S", "app-blue-x", "v1"], ["H", "/readyz", "503"], ["E"]]


@pytest.mark.processes
def test_the_hook_answers_then_the_process_exits_and_what_is_left_is_told() -> None:
    with running() as process, process.connect() as slow:
        slow.sendall(request("/slow?ms=60000"))
        time.sleep(0.1)
        ended = httpx.get(f"{process.admin}/drain?seconds=0.3", timeout=10, trust_env=False)
        assert (ended.status_code, ended.json()["emptied"], ended.json()["in_flight"]) == (200, False, 1)
        head, _ = answer(slow)  # cut by the time's end: told by this pod, in its own name
        assert head.startswith("http/1.1 503")
        assert "x-revision: v1" in head
        assert process.child.wait(10) == 0


def test_an_answers_body_does_not_wait_for_the_acknowledgement_of_its_header() -> None:
    took = []
    with running() as process, process.connect() as connection:
        for _ in range(60):  # the kernel acknowledges a connection's first answers at once
            began = time.monotonic()
            connection.sendall(request())
            answer(connection)
            took.append(time.monotonic() - began)
    assert statistics.median(took[-30:]) < 0.02  # a delayed acknowledgement costs 40 ms


@pytest.mark.processes
def test_the_log_is_json_and_carries_the_request_id() -> None:
    with running() as process:
        with process.connect() as connection:
            connection.sendall(request("/?secret=1", "abc-1"))
            answer(connection)
            connection.sendall(request("/readyz", "probe-1"))
            answer(connection)
        process.child.send_signal(signal.SIGINT)
        assert process.child.wait(10) == 0
        (line,) = (line for line in process.log() if line["event"] == "request")
    assert (line["request_id"], line["method"], line["path"], line["status"]) == ("abc-1", "GET", "/", 200)
    assert (line["revision"], line["color"], line["pod"], line["level"]) == ("v1", "blue", "app-blue-x", "info")


@pytest.mark.processes
def test_answers_go_on_while_nobody_reads_the_log() -> None:
    with running() as process:
        with httpx.Client(base_url=f"http://127.0.0.1:{process.port}", timeout=10, trust_env=False) as client:
            for _ in range(600):  # some 200 bytes each: over a pipe's 64 KiB
                assert client.get("/").status_code == 200
        process.child.send_signal(signal.SIGINT)
        events = [json.loads(process.out.readline())["event"] for _ in range(100)]
        assert process.child.wait(10) == 0
    assert set(events) == {"request"}


@pytest.mark.parametrize(("env", "code", "event"), [({"FAULT": "?"}, 2, "settings"), ({"PORT": "taken"}, 1, "server")])
def test_a_wrong_start_is_told_in_one_line(env: dict[str, str], code: int, event: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        env = {name: str(taken.getsockname()[1]) if value == "taken" else value for name, value in env.items()}
        command = [sys.executable, "-m", "bluegreen_app"]
        done = subprocess.run(
            command, cwd=APP, env={**os.environ, **ENV, **env}, capture_output=True, text=True, timeout=20
        )
    assert (done.returncode, done.stderr) == (code, "")
    (line,) = (json.loads(line) for line in done.stdout.splitlines())
    assert (line["event"], line["level"]) == (event, "error")
    assert next(iter(env)) in line["error"] or env["PORT"] in line["error"]

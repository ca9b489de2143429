"""Stand-ins for the programs that the harness calls: scripts on a PATH of their own that write down their arguments."""

from __future__ import annotations

import atexit
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from hypothesis import settings

from harness.cluster.host import Host
from harness.cluster.store import Store

settings.register_profile("no-clock", deadline=None)  # how long an example takes is the machine's doing
settings.load_profile("no-clock")

ORDINARY = Host(cgroup_v2=True, sys_resource=True, nofile=1048576, nproc=-1, root=False)
RESTRICTED = Host(cgroup_v2=False, sys_resource=False, nofile=4096, nproc=15000, root=True)


def closed_port() -> int:
    """A port that refuses: bound and never listening, so that no other test's server gets it meanwhile."""
    holder = socket.socket()
    holder.bind(("127.0.0.1", 0))
    atexit.register(holder.close)
    return int(holder.getsockname()[1])


class Programs:
    """All that there is on PATH: nothing, until a test adds it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "bin"
        self.state = folder / "state"
        self.log = folder / "calls"
        self.folder.mkdir(parents=True)
        self.state.mkdir()
        self.log.touch()

    def add(self, name: str, body: str = "exit 0") -> Path:
        """A program; its body is a shell script without any other program, $STATE a folder that outlives the call."""
        path = self.folder / name
        path.write_text(
            f"#!/bin/sh\nSTATE='{self.state}'\nline={name}\n"
            f'for word; do line="$line\t$word"; done\necho "$line" >> \'{self.log}\'\n{body}\n'
        )
        path.chmod(0o755)
        return path

    def calls(self, *beginning: str) -> list[list[str]]:
        """The calls so far, program first, that begin with these words."""
        lines = [line.split("\t") for line in self.log.read_text().splitlines()]
        return [words for words in lines if words[: len(beginning)] == list(beginning)]


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Programs:
    made = Programs(tmp_path / "programs")
    monkeypatch.setenv("PATH", str(made.folder))
    return made


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def store(tmp_path: Path, said: list[str]) -> Store:
    return Store(tmp_path / "cache", said.append)


ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The distribution, built from this checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the wheel is installed, without its dependencies: for PYTHONPATH."""
    target = tmp_path_factory.mktemp("installed")
    install = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--no-deps", "--offline", "--no-cache"]
    command = [*install, "--target", str(target), str(wheel)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return target


Answering = Callable[[int], int]


@pytest.fixture
def answering() -> Iterator[Answering]:
    """Starts HTTP servers on 127.0.0.1 that answer every request with one status, and returns their ports."""
    servers: list[ThreadingHTTPServer] = []

    def start(status: int) -> int:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class' name
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return server.server_port

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()

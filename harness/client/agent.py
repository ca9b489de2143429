"""A worker's agent: runs Locust beside itself when it is told to, tells its clock, and gives the record away.

The process of a worker's pod: `python -m harness.client.agent`. The harness speaks to it over the API server; nobody
else can, since each path begins with a token that only the harness and the Job know:

    GET  /TOKEN/clock                 CLOCK_MONOTONIC in ns
    GET  /TOKEN/status                JSON: ready, running, code, sizes of the record's files, end of the log
    GET  /TOKEN/file/KIND/FROM        the record's bytes (KIND samples or sockets) from an offset on, at most 1 MiB
    POST /TOKEN/start                 JSON: plan, environment, master (address; "": begin one here)
    POST /TOKEN/go/T0                 the load's first request is due at T0, by this clock
    POST /TOKEN/stop                  Locust's master, where it is here, ends the load of all workers
    POST /TOKEN/end                   the agent ends

A load whose harness doesn't ask for anything any more ends by itself.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

from harness.client.plan import ENVIRONMENT, PARENT, LoadPlan
from harness.errors import HarnessError

PORT: Final = 8089
MASTER_PORT: Final = 5557
"""Locust's own default."""
TOKEN: Final = "BG_AGENT_TOKEN"  # noqa: S105 - the name of a variable
FOLDER: Final = "BG_AGENT_FOLDER"
LOCUSTFILE: Final = "BG_AGENT_LOCUSTFILE"
CHUNK: Final = 1 << 20
SILENCE_S: Final = 180.0
"""Longer than the API server is ever stopped by a fault of ours."""
LOG_LINES: Final = 20
KINDS: Final = ("samples", "sockets")
READY: Final = "ready"
"""File that the worker makes once it could send: the plan is read, the master has spoken, the service answers."""
GO: Final = "go"
"""File with the time of the first request, CLOCK_MONOTONIC ns."""


class Agent:
    """What the paths do.

    Args:
        folder: gets the plan, the record and the logs.
        locustfile: what Locust runs.
        master_port: of Locust's master.

    Attributes:
        ended: set when the agent shall end.
        heard: when it was last asked for anything, monotonic seconds.

    """

    def __init__(self, folder: Path, locustfile: str, master_port: int = MASTER_PORT) -> None:
        self.folder = folder
        self.ended = threading.Event()
        self.heard = time.monotonic()
        self._locustfile = locustfile
        self.master_port = master_port
        self._master: subprocess.Popen[bytes] | None = None
        self._worker: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    def start(self, body: Any) -> dict[str, Any]:
        """Start Locust's worker, and its master where there is none yet.

        Raises:
            ConfigurationError: the plan isn't one.
            KeyError, TypeError, ValueError: nor is the rest.

        """
        with self._lock:
            if self._worker is not None:
                raise ValueError("it was started before")
            plan = LoadPlan.from_json(json.dumps({**body["plan"], "folder": str(self.folder)}))
            plan_file = self.folder / "plan.json"
            plan_file.write_text(plan.to_json(), encoding="utf-8")
            stop = str(round(float(body["stop_seconds"])))
            master = str(body["master"])
            if not master:
                count = str(plan.workers)
                words = ["--master", "--headless", "--only-summary", "--expect-workers", count, "--users", count]
                words += ["--spawn-rate", count, "--stop-timeout", stop, "--exit-code-on-error", "0"]
                self._master = self._locust("master", words, {})
            given = {str(name): str(value) for name, value in dict(body["environment"]).items()}
            own = {**given, ENVIRONMENT: str(plan_file), PARENT: str(os.getpid())}
            words = ["--worker", "--master-host", master or "127.0.0.1"]
            self._worker = self._locust("worker", words, own)
            return {"pid": self._worker.pid}

    def go(self, t0_ns: int) -> dict[str, Any]:
        """Tell the worker when its first request is due."""
        made = self.folder / f".{GO}"
        made.write_text(str(t0_ns))
        made.rename(self.folder / GO)  # it is read as soon as it is there
        return {"now": time.monotonic_ns()}

    def stop(self) -> dict[str, Any]:
        """End the load of all workers, as Locust's master does it; without one here, of this worker."""
        running = [one for one in (self._master, self._worker) if one is not None and one.poll() is None]
        for process in running[:1]:
            process.send_signal(signal.SIGTERM)
        return {}

    def end(self) -> dict[str, Any]:
        """End the agent, and what runs beside it."""
        self.ended.set()
        return {}

    def status(self) -> dict[str, Any]:
        """How the worker is doing."""
        code = self._worker.poll() if self._worker else None
        files = {kind: path.stat().st_size for kind in KINDS if (path := self._file(kind)) is not None}
        master = self._master.poll() if self._master else None
        return {
            "master_code": master,
            "ready": (self.folder / READY).exists(),
            "running": self._worker is not None and code is None,
            "code": code,
            "files": files,
            "log": self._log(),
        }

    def read(self, kind: str, begin: int) -> bytes:
        """Bytes of the record.

        Raises:
            ValueError: there is no such kind.

        """
        if kind not in KINDS or begin < 0:
            raise ValueError(f"no record {kind!r} from {begin}")
        path = self._file(kind)
        if path is None:
            return b""
        with path.open("rb") as file:
            file.seek(begin)
            return file.read(CHUNK)

    def watch(self) -> None:
        """Return when the agent was ended, or nobody has asked for anything for too long; nothing runs then."""
        while not self.ended.wait(1.0):
            if time.monotonic() - self.heard > SILENCE_S:
                break
        for process in (self._worker, self._master):
            if process is not None and process.poll() is None:
                process.terminate()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(10.0)
                process.kill()

    def _locust(self, name: str, words: Sequence[str], own: dict[str, str]) -> subprocess.Popen[bytes]:
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("LOCUST_", "BG_"))}
        # the only folder of a pod that can be written to
        environment |= {"HOME": str(self.folder), "TMPDIR": str(self.folder), **own}
        port = "--master-port" if name == "worker" else "--master-bind-port"
        command = [sys.executable, "-m", "locust", "-f", self._locustfile, port, str(self.master_port), *words]
        with (self.folder / f"{name}.log").open("wb") as log:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                env=environment,
            )

    def _file(self, kind: str) -> Path | None:
        return next(iter(self.folder.glob(f"{kind}-*.bin")), None)

    def _log(self) -> str:
        told = []
        for name in ("master", "worker"):
            with contextlib.suppress(OSError):
                lines = (self.folder / f"{name}.log").read_text(encoding="utf-8", errors="replace").splitlines()
                told += [f"{name}: {line}" for line in lines[-LOG_LINES:]]
        return "\n".join(told)


def serve(agent: Agent, token: str, port: int = PORT, host: str = "") -> ThreadingHTTPServer:
    """A server for the agent, bound and not yet running."""

    def answer(method: str, path: str, body: bytes) -> bytes:
        words = path.strip("/").split("/")
        if words[:1] != [token]:
            raise PermissionError("no such path")
        agent.heard = time.monotonic()
        calls: dict[tuple[str, str, int], Callable[[], Any]] = {
            ("GET", "clock", 0): lambda: str(time.monotonic_ns()).encode(),
            ("GET", "status", 0): agent.status,
            ("GET", "file", 2): lambda: agent.read(words[2], int(words[3])),
            ("POST", "start", 0): lambda: agent.start(json.loads(body)),
            ("POST", "go", 1): lambda: agent.go(int(words[2])),
            ("POST", "stop", 0): agent.stop,
            ("POST", "end", 0): agent.end,
        }
        call = calls.get((method, "".join(words[1:2]), len(words) - 2))
        if call is None:
            raise PermissionError("no such path")
        found = call()
        return found if isinstance(found, bytes) else json.dumps(found).encode()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # an answer in two packets waits for the peer's delayed ACK: 40 ms, of which a clock would be uncertain
        disable_nagle_algorithm = True
        wbufsize = -1

        def _do(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            try:
                status, data = 200, answer(self.command, self.path.partition("?")[0], body)
            except PermissionError as error:
                status, data = 404, str(error).encode()
            except (HarnessError, ValueError, KeyError, TypeError) as error:
                status, data = 400, f"{type(error).__name__}: {error}".encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.send_header("Content-Type", "application/octet-stream")
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = _do  # noqa: N815 - the names that http.server calls

        def log_message(self, *_: object) -> None:
            """Paths hold the token: nothing is logged."""

    return ThreadingHTTPServer((host, port), Handler)


def main() -> None:
    """Serve until told to end."""
    agent = Agent(Path(os.environ[FOLDER]), os.environ[LOCUSTFILE])
    server = serve(agent, os.environ[TOKEN])
    threading.Thread(target=server.serve_forever, daemon=True).start()
    agent.watch()


if __name__ == "__main__":
    main()

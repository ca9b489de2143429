"""Locustfile of the benchmark: the same user with Locust's own two clients and with the harness'.

Only the client differs (Bare aside): each task is one request on a kept connection, told by Locust's request event, and
the loop around it is Locust's. Settings come from the environment: BENCH_KIND, BENCH_URLS, BENCH_COUNT (requests per
user, 0: no bound), BENCH_RATE (requests a second per user, 0: at once), BENCH_TIMEOUT (seconds), BENCH_USERS, BENCH_LOG
(file, or empty), BENCH_FOLDER (for the harness' record).
"""

from __future__ import annotations

import atexit
import itertools
import os
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import gevent
from locust import FastHttpUser, HttpUser, User, constant_throughput, events, task
from locust.exception import StopUser

from harness.client.exchange import Request
from harness.client.http import Connection
from harness.client.identity import Identity
from harness.client.recorder import Recorder

KIND = os.environ["BENCH_KIND"]
URLS = os.environ["BENCH_URLS"].split()
COUNT = int(os.environ.get("BENCH_COUNT", "0"))
RATE = float(os.environ.get("BENCH_RATE", "0"))
TIMEOUT = float(os.environ.get("BENCH_TIMEOUT", "5"))
LOG = os.environ.get("BENCH_LOG", "")

_turn = itertools.count()
_running = int(os.environ.get("BENCH_USERS", "10"))
_lines: list[str] = []


class _Counted:
    """A user that ends after COUNT requests; the last one to end ends the run."""

    done = 0

    def counted(self) -> None:
        global _running
        self.done += 1
        if COUNT and self.done >= COUNT:
            _running -= 1
            if not _running:
                gevent.spawn(self.environment.runner.quit)  # type: ignore[attr-defined]
            raise StopUser


_wait = constant_throughput(RATE) if RATE else None


class Plain(_Counted, HttpUser):  # type: ignore[misc]
    """Locust's client on requests and urllib3."""

    abstract = KIND != "httpuser"
    host = "http://127.0.0.1"
    if _wait:
        wait_time = _wait

    @task  # type: ignore[untyped-decorator]
    def one(self) -> None:
        """One request."""
        entry = next(_turn) % len(URLS)
        self.client.get(URLS[entry], name="one", timeout=TIMEOUT, context={"entry": entry})
        self.counted()


class Fast(_Counted, FastHttpUser):  # type: ignore[misc]
    """Locust's client on geventhttpclient."""

    abstract = KIND != "fasthttpuser"
    host = "http://127.0.0.1"
    network_timeout = connection_timeout = TIMEOUT
    if _wait:
        wait_time = _wait

    @task  # type: ignore[untyped-decorator]
    def one(self) -> None:
        """One request."""
        entry = next(_turn) % len(URLS)
        self.client.get(URLS[entry], name="one", context={"entry": entry})
        self.counted()


class Ours(_Counted, User):  # type: ignore[misc]
    """The harness' client: one attempt, recorded on disk as in a run, and told to Locust as in loadtests/steady.py."""

    abstract = KIND != "ours"

    def on_start(self) -> None:
        """One kept connection per user, as the other two have."""
        target = urlsplit(URLS[0])
        self.connection = Connection(target.hostname or "", target.port or 80)
        identity = Identity(revision_header="X-Toy-Version", pod_header="X-Toy-Pod")
        self.request = Request(path=target.path or "/", host="toy.test", identity=identity, timeout_s=TIMEOUT)

    def ask(self) -> None:
        """One request."""
        k = next(_turn)
        due = time.monotonic_ns()
        answer = self.connection.attempt(self.request, f"bench-{k}")
        _recorder.sample(0, k, due, 0, self.request.method_code, answer)
        lost = None if answer.outcome == 0 else ConnectionError(answer.error)
        events.request.fire(
            request_type="GET",
            name="one",
            response_time=(answer.end - due) / 1e6,
            response_length=0,
            exception=lost,
            context={},
        )

    @task  # type: ignore[untyped-decorator]
    def one(self) -> None:
        """One request per task, as Locust's own users have it."""
        self.ask()
        self.counted()


class Bare(Ours):
    """The same without Locust's task loop: loadtests/steady.py runs a whole class within one task, too."""

    abstract = KIND != "bare"

    @task  # type: ignore[untyped-decorator]
    def one(self) -> None:
        """All requests in one task."""
        while self.environment.runner.state in ("spawning", "running"):
            self.ask()
        raise StopUser


if KIND in ("ours", "bare"):
    _recorder = Recorder(Path(os.environ["BENCH_FOLDER"]))
    _recorder.define_class(0, "busy", 0.0, time.monotonic_ns(), TIMEOUT)


def _note(start_time: float, response_time: float, exception: Any, context: Any, response: Any, **_: Any) -> None:
    status = getattr(response, "status_code", 0) or 0
    ok = exception is None and 200 <= status < 300
    sent = int(start_time * 1e9)
    _lines.append(f"{sent} {sent + int(response_time * 1e6)} {int(ok)} {context.get('entry', 0)}\n")


if LOG:
    events.request.add_listener(_note)
    atexit.register(lambda: Path(LOG).write_text("".join(_lines)))

"""A user's own Locust tasks on our client: each call is one wire attempt, and one sample of a class with a name.

    from locust import User, between, task

    from harness.client.tasks import Recorded


    class Shopper(Recorded, User):
        connection_class = "browse"
        wait_time = between(0.1, 0.5)

        @task
        def search(self):
            self.attempt("GET", "/search?q=tea")

No Locust in here: the load child gives this module its record before it reads the user's file.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Mapping
from typing import ClassVar, Final

from harness.client.exchange import Answer, Request
from harness.client.http import Connection
from harness.client.pacer import GRACE_S, OnSample
from harness.client.plan import LoadPlan
from harness.client.plan_check import CLASSES, check_headers
from harness.client.recorder import Recorder
from harness.errors import ConfigurationError, LoadError
from harness.evidence.samples import METHODS, UNSENT
from harness.evidence.sockets import CLASS as SOCKETS

_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,30}")
MOST_CLASSES: Final = 100


class Ledger:
    """One class of a user's own: numbers its samples, and closes.

    Args:
        code: the class's number in the record.
        name: its name.
        record: where the samples go.

    """

    def __init__(self, code: int, name: str, record: Record) -> None:
        self.name = name
        self.scheduled = self.unsent = self.in_flight = 0
        self._code = code
        self._record = record
        self._lock = threading.Lock()
        record.recorder.define_class(code, name, 0.0, time.monotonic_ns(), record.plan.timeout_s)

    def attempt(self, connection: Connection, request: Request) -> Answer:
        """Send one request once, and write down what became of it. It is due when it is asked for."""
        with self._lock:
            seq, due = self.scheduled, time.monotonic_ns()
            self.scheduled += 1
            self.in_flight += 1
        return self._record.to_its_end(lambda: self._attempt(connection, request, seq, due))

    def _attempt(self, connection: Connection, request: Request, seq: int, due: int) -> Answer:
        # An exception here is a defect of the client: the sample stays open, and so does the ledger.
        answer = connection.attempt(request, f"{self._record.plan.run_tag}-{self.name}-{seq}")
        self._record.recorder.sample(self._code, seq, due, connection.entry, request.method_code, answer)
        with self._lock:
            self.unsent += answer.outcome == UNSENT
            self.in_flight -= 1
        if self._record.on_sample is not None:
            self._record.on_sample(self.name, request, due, answer)
        return answer

    def close(self) -> None:
        """Close the class's ledger; what is in flight leaves it open."""
        with self._lock:
            issued = self.scheduled - self.unsent
            self._record.recorder.close_class(self._code, self.scheduled, issued, self.unsent, self.in_flight)


class Record:
    """Where the users' samples go: the record that the plan's own classes write to.

    Args:
        plan: entries, Host, identity, time-out.
        recorder: shared with the plan's classes, whose codes come first.
        on_sample: called after each sample.
        to_its_end: runs a function whole and returns its value, even where its caller is ended meanwhile: Locust ends
            users wherever they are, and what was sent must still be told.
        ended: raised where a user asks for another request after `stop`.
        sleep: pauses for seconds.

    """

    current: ClassVar[Record | None] = None
    """The load child's; None in any other process."""

    def __init__(
        self,
        plan: LoadPlan,
        recorder: Recorder,
        *,
        on_sample: OnSample | None = None,
        to_its_end: Callable[[Callable[[], Answer]], Answer] = lambda function: function(),
        ended: type[Exception] = LoadError,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.plan = plan
        self.recorder = recorder
        self.on_sample = on_sample
        self.to_its_end = to_its_end
        self.ended = ended
        self.stopping = False
        self._sleep = sleep
        self.ledgers: dict[str, Ledger] = {}
        self._users = 0
        self._lock = threading.Lock()

    def ledger(self, name: str) -> Ledger:
        """The class of that name, begun where it is new.

        Raises:
            ConfigurationError: no name that a class can have, one of the plan's own, or too many of them.

        """
        with self._lock:
            if name not in self.ledgers:
                if not _NAME.fullmatch(name) or name in (*CLASSES, SOCKETS):
                    raise ConfigurationError(
                        f"a class of requests can't be called {name!r}",
                        f"small letters, digits and _, and none of {', '.join((*CLASSES, SOCKETS))}",
                    )
                if len(self.ledgers) >= MOST_CLASSES:
                    raise ConfigurationError(f"{MOST_CLASSES} classes of requests and more", "name fewer")
                self.ledgers[name] = Ledger(len(self.plan.classes) + len(self.ledgers), name, self)
            return self.ledgers[name]

    def connect(self) -> Connection:
        """A connection for one user; users are spread over all entries."""
        with self._lock:
            number = self._users % len(self.plan.entries)
            self._users += 1
        entry = self.plan.entries[number]
        return Connection(entry.host, entry.port, number)

    def stop(self) -> None:
        """Send no more."""
        self.stopping = True

    def close(self) -> None:
        """Wait for what is in flight, at most a time-out long, and close every class's ledger."""
        deadline = time.monotonic() + self.plan.timeout_s + GRACE_S
        while any(ledger.in_flight for ledger in self.ledgers.values()) and time.monotonic() < deadline:
            self._sleep(0.01)
        for ledger in self.ledgers.values():
            ledger.close()


class Recorded:
    """Mixed into a Locust User, before it: ``class Shopper(Recorded, User)``.

    Attributes:
        connection_class: the class of this user's requests in the verdict.
        keep_alive: one connection as long as the user lives; False opens one per request.

    """

    connection_class: str = "user"
    keep_alive: bool = True
    _connection: Connection | None = None

    def attempt(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: str = "",
        expected: tuple[int, ...] = (200,),
        connection_class: str = "",
    ) -> Answer:
        """Send one request, once; nothing is ever sent again.

        Args:
            method: in capitals.
            path: target, percent-encoded.
            headers: further ones; Host and X-Request-Id are written here.
            body: text; ``{id}`` becomes the request's id.
            expected: statuses that are fine; any other one is a loss.
            connection_class: instead of the user's, for this request.

        Returns:
            What became of it; of the body only what the configured identity reads is kept.

        Raises:
            ConfigurationError: what can't be sent, or called outside the load.

        """
        record = Record.current
        if record is None:
            raise ConfigurationError("this is no load of the harness", 'name the file: [load] locustfile = "..."')
        if record.stopping:
            raise record.ended("the load ends")
        check_headers(headers or {})
        if method not in METHODS or not re.fullmatch(r"/[\x21-\x7e]*", path):
            raise ConfigurationError(f"{method} {path!r} can't be sent", "method in capitals, path from / on, encoded")
        request = Request(
            method=method,
            path=path,
            host=record.plan.host_header,
            headers=headers,
            body=body,
            expected=frozenset(expected),
            identity=record.plan.identity,
            timeout_s=record.plan.timeout_s,
        )
        connection = self._connection or record.connect()
        answer = record.ledger(connection_class or self.connection_class).attempt(connection, request)
        if self.keep_alive:
            self._connection = connection
        else:
            connection.close()
        return answer

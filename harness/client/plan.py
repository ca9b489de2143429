"""What the load child is to do, as plain data: written by the harness, read by the child, checked on both sides."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Final

from harness.client import secrets
from harness.client.exchange import Request
from harness.client.identity import Identity
from harness.client.plan_check import SECURE, check, check_headers
from harness.client.socket_plan import SocketPlan
from harness.errors import ConfigurationError

ENVIRONMENT: Final = "BG_LOAD_PLAN"
"""Environment variable with the path of the plan's file."""
PARENT: Final = "BG_LOAD_PARENT"
"""Environment variable with the process id of the harness; the load ends with it."""

KEPT: Final = frozenset({"busy", "idle"})
"""Classes whose connections live on; the others open one per request."""
MULTIPLEXED: Final = frozenset({"h2", "h2_slow"})
"""Classes that share HTTP/2 connections, one to each entry."""
LATE: Final = frozenset({"slow", "h2_slow"})
"""Classes whose first answer comes only after seconds: what is under way is seen by the class's record alone."""
IDLE_GAP_S: Final = 5.0
"""uvicorn's default keep-alive time-out: requests this far apart on one connection meet its idle close."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One way in: an address, a port, the node that they belong to, and the port for TLS, 0 for none."""

    host: str
    port: int
    node: str
    tls_port: int = 0


@dataclass(frozen=True, slots=True)
class ClassPlan:
    """One connection class. What is left out ("" or 0) comes from the plan.

    Args:
        rate: requests per second.
        path: target.
        method: for example "POST" (the default of class "post", of the others the plan's).
        body: request body; ``{id}`` becomes the request's id. A class with a path of its own never gets the plan's.
        headers: instead of the plan's, where there is any.
        expected_status: statuses that are fine.
        timeout_s: bound of one attempt in seconds.
        gap_s: kept connections only: seconds between two requests on one connection.
        in_flight: requests at once; beyond it a sample is recorded as unsent. 0: 1.5 x rate x time-out + 32.

    """

    rate: float
    path: str = ""
    method: str = ""
    body: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    expected_status: tuple[int, ...] = ()
    timeout_s: float = 0.0
    gap_s: float = 0.0
    in_flight: int = 0


@dataclass(frozen=True, slots=True)
class Turn:
    """One of several requests that take turns on every class without a path of its own.

    Args:
        path: target.
        method: in capitals.
        headers: further headers.
        body: request body; ``{id}`` becomes the request's id.
        expected_status: statuses that are fine.
        timeout_s: bound of one attempt in seconds.
        weight: its share of the turns, 1 to 100.

    """

    path: str
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = ""
    expected_status: tuple[int, ...] = (200,)
    timeout_s: float = 5.0
    weight: int = 1


@dataclass(frozen=True, slots=True)
class LoadPlan:
    """One load child's work.

    Args:
        entries: where to send; fresh connections rotate over all of them.
        hosts: the hosts that the harness named; an entry elsewhere is refused.
        host_header: Host of every request.
        classes: by name.
        run_tag: prefix of all request ids, unique per child.
        folder: an existing folder for the samples.
        path: default target.
        method: default method.
        headers: further headers of every request.
        body: default body.
        expected_status: statuses that are fine.
        identity: where an answer tells its revision and pod.
        timeout_s: default bound of one attempt, connect included, in seconds.
        t0_ns: intended time of each class's first request, CLOCK_MONOTONIC ns; 0: as soon as the child is ready.
        max_seconds: the child stops by itself after this time.
        max_rate: sum of all classes' rates, requests per second; at most `harness.client.plan_check.MAX_RATE`.
        locustfile: absolute path of the user's own tasks (`harness.client.tasks`), beside the classes; "": none.
        users: how many users run these tasks.
        sockets: WebSockets beside the classes; None: none.
        turns: instead of path, method, headers, body, statuses and time-out above, where there are any.
        ca: absolute path of the PEM file with the authorities that TLS trusts; "": the system's.
        worker: which of the workers this one is, from 0; its rates are its share (`harness.client.divided`).
        workers: how many share each class's schedule; request k is the one of worker k mod workers.

    Headers and bodies hold ``${NAME}`` as the configuration does; `requests` fills in this process' environment.

    """

    entries: tuple[Entry, ...]
    hosts: tuple[str, ...]
    host_header: str
    classes: Mapping[str, ClassPlan]
    run_tag: str
    folder: str
    path: str = "/"
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = ""
    expected_status: tuple[int, ...] = (200,)
    identity: Identity = field(default_factory=Identity)
    timeout_s: float = 5.0
    t0_ns: int = 0
    max_seconds: float = 600.0
    max_rate: float = 1_000.0
    turns: tuple[Turn, ...] = ()
    locustfile: str = ""
    users: int = 0
    sockets: SocketPlan | None = None
    ca: str = ""
    worker: int = 0
    workers: int = 1

    def __post_init__(self) -> None:
        check(self)

    @property
    def secure(self) -> bool:
        """Whether any class, or the sockets, enter by TLS."""
        return not set(SECURE).isdisjoint(self.classes) or (self.sockets is not None and self.sockets.secure)

    def requests(self, name: str) -> tuple[Request, ...]:
        """What one class sends in turn, each request as often as its weight says.

        Raises:
            ConfigurationError: the environment lacks a ``${NAME}``.

        """
        if self.classes[name].path or not self.turns:
            return (self.request(name),)
        made = [
            self._made(t.method, t.path, t.headers, t.body, t.expected_status, t.timeout_s, name) for t in self.turns
        ]
        return tuple(made[at] for at in _evenly([turn.weight for turn in self.turns]))

    def request(self, name: str) -> Request:
        """What one class sends that has no turns, or what it would send without them."""
        spec = self.classes[name]
        method = spec.method or ("POST" if name == "post" else self.method)
        path, headers = spec.path or self.path, spec.headers or self.headers
        body = spec.body or ("" if spec.path else self.body)
        statuses = spec.expected_status or self.expected_status
        return self._made(method, path, headers, body, statuses, spec.timeout_s or self.timeout_s, name)

    def filled_headers(self) -> dict[str, str]:
        """The further headers of every request, with what the environment has for them.

        Raises:
            ConfigurationError: the environment lacks a ``${NAME}``, or a header can't be sent.

        """
        filled = {header: secrets.fill(value, os.environ) for header, value in self.headers.items()}
        check_headers(filled)
        return filled

    def timeout_of(self, name: str) -> float:
        """Bound of one attempt of a class in seconds; of requests that take turns, the longest."""
        spec = self.classes[name]
        turns = () if spec.path else self.turns
        return spec.timeout_s or max((turn.timeout_s for turn in turns), default=self.timeout_s)

    def _made(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: str,
        statuses: tuple[int, ...],
        timeout_s: float,
        name: str,
    ) -> Request:
        filled = {header: secrets.fill(value, os.environ) for header, value in headers.items()}
        check_headers(filled)
        return Request(
            method=method,
            path=path,
            host=self.host_header,
            headers=filled,
            body=secrets.fill(body, os.environ),
            expected=frozenset(statuses),
            identity=self.identity,
            timeout_s=self.classes[name].timeout_s or timeout_s,
        )

    def in_flight_of(self, name: str) -> int:
        """In-flight bound of a class: roomy enough for a service that hangs for a whole time-out."""
        spec = self.classes[name]
        return spec.in_flight or math.ceil(1.5 * spec.rate * self.timeout_of(name)) + 32

    def connections_of(self, name: str) -> int:
        """Kept connections of a class, 0 for one per request. At least one per entry, so that all are spread."""
        if name not in KEPT:
            return 0
        spec = self.classes[name]
        gap = spec.gap_s or (IDLE_GAP_S if name == "idle" else 0.0)
        return max(len(self.entries), round(spec.rate * gap))

    def to_json(self) -> str:
        """The plan as JSON text."""
        data = asdict(self)
        data["identity"] = {f: getattr(self.identity, f) for f in _IDENTITY_KEYS}
        return json.dumps(data, indent=1)

    @classmethod
    def from_json(cls, text: str) -> LoadPlan:
        """Read `to_json`'s text.

        Raises:
            ConfigurationError: not JSON, a key unknown or missing, a value out of bounds.

        """
        try:
            data = json.loads(text)
            if not isinstance(data, dict):
                raise TypeError("not an object")
            data["entries"] = tuple(Entry(**entry) for entry in data["entries"])
            data["hosts"] = tuple(data["hosts"])
            data["classes"] = {name: _class_of(spec) for name, spec in data["classes"].items()}
            data["expected_status"] = tuple(data.get("expected_status", (200,)))
            data["turns"] = tuple(Turn(**_tupled(turn)) for turn in data.get("turns", ()))
            data["identity"] = Identity(**data.get("identity", {}))
            data["sockets"] = SocketPlan(**data["sockets"]) if data.get("sockets") else None
            return cls(**data)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ConfigurationError(
                f"the load plan can't be read: {error!r}", "it is written by the harness"
            ) from None

    @classmethod
    def read(cls, path: Path) -> LoadPlan:
        """Read a plan's file.

        Raises:
            ConfigurationError: as `from_json`, or no such file.

        """
        try:
            return cls.from_json(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise ConfigurationError(f"no load plan at {path}: {error.strerror}", f"set {ENVIRONMENT}") from None


_IDENTITY_KEYS: Final = tuple(f.name for f in fields(Identity) if f.init)


def _class_of(data: Mapping[str, Any]) -> ClassPlan:
    return ClassPlan(**_tupled(data))


def _tupled(data: Mapping[str, Any]) -> dict[str, Any]:
    return {**data, "expected_status": tuple(data.get("expected_status", ()))}


def _evenly(weights: Sequence[int]) -> Iterator[int]:
    """The indices, each as often as its weight, spread: of 3 and 1 not 0 0 0 1 but 0 0 1 0 (nginx' round robin)."""
    divisor = math.gcd(*weights)
    shares = [weight // divisor for weight in weights]
    due = [0] * len(shares)
    for _ in range(sum(shares)):
        due = [owed + share for owed, share in zip(due, shares, strict=True)]
        chosen = due.index(max(due))
        due[chosen] -= sum(shares)
        yield chosen

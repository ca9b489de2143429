"""What the load child is to do, as plain data: written by the harness, read by the child, checked on both sides."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Final

from harness.client.exchange import Request
from harness.client.identity import Identity
from harness.errors import ConfigurationError
from harness.evidence.samples import METHODS

ENVIRONMENT: Final = "BG_LOAD_PLAN"
"""Environment variable with the path of the plan's file."""
PARENT: Final = "BG_LOAD_PARENT"
"""Environment variable with the process id of the harness; the load ends with it."""

CLASSES: Final = ("fresh", "busy", "idle", "slow", "post")
KEPT: Final = frozenset({"busy", "idle"})
"""Classes whose connections live on; the others open one per request."""
LATE: Final = frozenset({"slow"})
"""Classes whose first answer comes only after seconds: what is under way is seen by the class's record alone."""
MAX_SECONDS: Final = 4 * 3600.0
MAX_RATE: Final = 2_000.0
"""Requests per second of all classes together."""
MAX_TIMEOUT: Final = 120.0
IDLE_GAP_S: Final = 5.0
"""uvicorn's default keep-alive time-out: requests this far apart on one connection meet its idle close."""

_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")
_VALUE: Final = re.compile(r"[\t\x20-\x7e\x80-\xff]{0,4096}")
_TARGET: Final = re.compile(r"/[\x21-\x7e]{0,4095}")
_HOST: Final = re.compile(r"[0-9A-Za-z._:\[\]-]{1,255}")
_TAG: Final = re.compile(r"[0-9A-Za-z._-]{1,64}")
_OWN_HEADERS: Final = frozenset({"host", "content-length", "x-request-id", "transfer-encoding", "connection", "expect"})


@dataclass(frozen=True, slots=True)
class Entry:
    """One way in: an address, a port, and the node that they belong to."""

    host: str
    port: int
    node: str


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
        max_rate: sum of all classes' rates, requests per second; at most MAX_RATE.

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

    def __post_init__(self) -> None:
        _check(self)

    def request(self, name: str) -> Request:
        """What one class sends."""
        spec = self.classes[name]
        method = spec.method or ("POST" if name == "post" else self.method)
        return Request(
            method=method,
            path=spec.path or self.path,
            host=self.host_header,
            headers=spec.headers or self.headers,
            body=spec.body or ("" if spec.path else self.body),
            expected=frozenset(spec.expected_status or self.expected_status),
            identity=self.identity,
            timeout_s=self.timeout_of(name),
        )

    def timeout_of(self, name: str) -> float:
        """Bound of one attempt of a class in seconds."""
        return self.classes[name].timeout_s or self.timeout_s

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
            data["identity"] = Identity(**data.get("identity", {}))
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
    return ClassPlan(**{**data, "expected_status": tuple(data.get("expected_status", ()))})


def _require(condition: object, what: str, mend: str) -> None:
    if not condition:
        raise ConfigurationError(what, mend)


def _number(value: Any, low: float, high: float) -> bool:
    # NaN and infinity are no numbers of seconds; True is no number at all.
    return isinstance(value, int | float) and not isinstance(value, bool) and low < value <= high


def _text(value: Any, pattern: re.Pattern[str]) -> bool:
    return isinstance(value, str) and pattern.fullmatch(value) is not None


def _check(plan: LoadPlan) -> None:
    """Refuse what can't be sent or was never meant; the load only goes where the harness said."""
    _require(0 < len(plan.entries) < 256, f"a load plan with {len(plan.entries)} entries", "give 1 to 255")
    for entry in plan.entries:
        _require(_text(entry.host, _HOST), f"entry host {entry.host!r} is no host", "give an address or a name")
        _require(entry.host in plan.hosts, f"entry host {entry.host!r} was not named", f"named: {list(plan.hosts)}")
        _require(
            isinstance(entry.port, int) and 0 < entry.port < 65_536, f"port {entry.port!r}", "give a port of 1 to 65535"
        )
    _require(_text(plan.host_header, _HOST), f"Host header {plan.host_header!r}", "give a host name")
    _require(_text(plan.run_tag, _TAG), f"run tag {plan.run_tag!r}", "1 to 64 letters, digits, dots, dashes")
    _require(Path(plan.folder).is_absolute(), f"folder {plan.folder!r} is relative", "give an absolute path")
    _check_headers(plan.headers)
    _require(plan.expected_status, "no expected status", "give at least one, such as 200")
    _check_statuses(plan.expected_status)
    _require(_number(plan.timeout_s, 0, MAX_TIMEOUT), f"timeout {plan.timeout_s} s", f"at most {MAX_TIMEOUT:g}")
    _require(_number(plan.max_seconds, 0, MAX_SECONDS), f"max_seconds {plan.max_seconds}", f"at most {MAX_SECONDS:g}")
    _require(isinstance(plan.t0_ns, int) and plan.t0_ns >= 0, f"t0 {plan.t0_ns!r}", "CLOCK_MONOTONIC ns, or 0")
    _require(plan.classes, "no class", f"give one of {', '.join(CLASSES)}")
    for name, spec in plan.classes.items():
        _check_class(plan, name, spec)
    total = sum(spec.rate for spec in plan.classes.values())
    _require(_number(plan.max_rate, 0, MAX_RATE), f"max_rate {plan.max_rate}", f"at most {MAX_RATE:g}")
    _require(total <= plan.max_rate, f"{total:g} requests/s in all", f"at most max_rate = {plan.max_rate:g}")


def _check_headers(headers: Mapping[str, str]) -> None:
    for name, value in headers.items():
        _require(_text(name, _TOKEN) and _text(value, _VALUE), f"header {name!r}: {value!r}", "see RFC 9110 5.5")
        _require(name.lower() not in _OWN_HEADERS, f"header {name} is written by the client", "leave it out")


def _check_statuses(statuses: tuple[int, ...]) -> None:
    _require(
        all(isinstance(status, int) and 200 <= status < 600 for status in statuses),
        f"expected statuses {statuses}",
        "give numbers of 200 to 599",
    )


def _check_class(plan: LoadPlan, name: str, spec: ClassPlan) -> None:
    _require(name in CLASSES, f"class {name!r} is unknown", f"known: {', '.join(CLASSES)}")
    _require(_number(spec.rate, 0, MAX_RATE), f"rate {spec.rate} of {name}", "give requests per second")
    path = spec.path or plan.path
    _require(_text(path, _TARGET), f"path {path!r} of {name}", "it starts with / and is percent-encoded")
    method = spec.method or plan.method
    _require(method in METHODS and method != "WEBSOCKET", f"method {method!r} of {name}", "in capitals, such as GET")
    _check_headers(spec.headers)
    _check_statuses(spec.expected_status)
    _require(spec.timeout_s == 0 or _number(spec.timeout_s, 0, MAX_TIMEOUT), f"timeout of {name}", "in seconds")
    _require(spec.gap_s == 0 or _number(spec.gap_s, 0, 3600), f"gap of {name}", "in seconds")
    _require(isinstance(spec.in_flight, int) and 0 <= spec.in_flight <= 100_000, f"in_flight of {name}", "a count")

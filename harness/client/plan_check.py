"""What a load plan may hold: it is refused before anything is sent; the load only goes where the harness said."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from harness.client import headers as headers_
from harness.errors import ConfigurationError
from harness.evidence.samples import METHODS

if TYPE_CHECKING:
    from harness.client.plan import ClassPlan, LoadPlan, Turn

CLASSES: Final = ("fresh", "busy", "idle", "slow", "post", "tls", "h2", "h2_slow")
SECURE: Final = ("tls", "h2", "h2_slow")
"""Classes that enter by TLS."""
MAX_SECONDS: Final = 4 * 3600.0
MAX_RATE: Final = 2_000.0
"""Requests per second of all classes together."""
MAX_TIMEOUT: Final = 120.0
MAX_USERS: Final = 500
MAX_WORKERS: Final = 8
_TARGET: Final = re.compile(r"/[\x21-\x7e]{0,4095}")
_HOST: Final = re.compile(r"[0-9A-Za-z._:\[\]-]{1,255}")
_TAG: Final = re.compile(r"[0-9A-Za-z._-]{1,64}")


def _require(condition: object, what: str, mend: str) -> None:
    if not condition:
        raise ConfigurationError(what, mend)


def _number(value: Any, low: float, high: float) -> bool:
    # NaN and infinity are no numbers of seconds; True is no number at all.
    return isinstance(value, int | float) and not isinstance(value, bool) and low < value <= high


def _text(value: Any, pattern: re.Pattern[str]) -> bool:
    return isinstance(value, str) and pattern.fullmatch(value) is not None


def check(plan: LoadPlan) -> None:
    """Refuse what can not be sent or was never meant.

    Raises:
        ConfigurationError: with what and mend.

    """
    _require(0 < len(plan.entries) < 256, f"a load plan with {len(plan.entries)} entries", "give 1 to 255")
    for entry in plan.entries:
        _require(_text(entry.host, _HOST), f"entry host {entry.host!r} is no host", "give an address or a name")
        _require(entry.host in plan.hosts, f"entry host {entry.host!r} was not named", f"named: {list(plan.hosts)}")
        _require(
            isinstance(entry.port, int) and 0 < entry.port < 65_536, f"port {entry.port!r}", "give a port of 1 to 65535"
        )
        _require(
            isinstance(entry.tls_port, int) and (0 < entry.tls_port < 65_536 or not plan.secure),
            f"port {entry.tls_port!r} for TLS",
            "give a port of 1 to 65535, or no class that needs it",
        )
    _require(plan.ca == "" or Path(plan.ca).is_absolute(), "a relative ca", "an absolute path, or none")
    _require(_text(plan.host_header, _HOST), f"Host header {plan.host_header!r}", "give a host name")
    _require(_text(plan.run_tag, _TAG), f"run tag {plan.run_tag!r}", "1 to 64 letters, digits, dots, dashes")
    _require(Path(plan.folder).is_absolute(), f"folder {plan.folder!r} is relative", "give an absolute path")
    check_headers(plan.headers)
    _require(plan.expected_status, "no expected status", "give at least one, such as 200")
    _check_statuses(plan.expected_status)
    _require(_number(plan.timeout_s, 0, MAX_TIMEOUT), f"timeout {plan.timeout_s} s", f"at most {MAX_TIMEOUT:g}")
    _require(_number(plan.max_seconds, 0, MAX_SECONDS), f"max_seconds {plan.max_seconds}", f"at most {MAX_SECONDS:g}")
    _require(isinstance(plan.t0_ns, int) and plan.t0_ns >= 0, f"t0 {plan.t0_ns!r}", "CLOCK_MONOTONIC ns, or 0")
    _require(plan.classes, "no class", f"give one of {', '.join(CLASSES)}")
    for name, spec in plan.classes.items():
        _check_class(plan, name, spec)
    _require(plan.locustfile == "" or Path(plan.locustfile).is_absolute(), "a relative locustfile", "absolute, or none")
    _require(
        isinstance(plan.users, int) and 0 <= plan.users <= MAX_USERS, f"{plan.users} users", f"at most {MAX_USERS}"
    )
    _require(
        isinstance(plan.workers, int) and 0 < plan.workers <= MAX_WORKERS and plan.worker in range(plan.workers),
        f"worker {plan.worker} of {plan.workers}",
        f"at most {MAX_WORKERS}, numbered from 0",
    )
    for turn in plan.turns:
        _check_turn(turn)
    total = sum(spec.rate for spec in plan.classes.values())
    _require(_number(plan.max_rate, 0, MAX_RATE), f"max_rate {plan.max_rate}", f"at most {MAX_RATE:g}")
    _require(total <= plan.max_rate, f"{total:g} requests/s in all", f"at most max_rate = {plan.max_rate:g}")


def _check_turn(turn: Turn) -> None:
    _require(_text(turn.path, _TARGET), f"path {turn.path!r}", "it starts with / and is percent-encoded")
    _require(turn.method in METHODS and turn.method != "WEBSOCKET", f"method {turn.method!r}", "in capitals")
    check_headers(turn.headers)
    _require(turn.expected_status, f"no expected status of {turn.path}", "give at least one, such as 200")
    _check_statuses(turn.expected_status)
    _require(_number(turn.timeout_s, 0, MAX_TIMEOUT), f"timeout {turn.timeout_s} s", f"at most {MAX_TIMEOUT:g}")
    _require(isinstance(turn.weight, int) and 0 < turn.weight <= 100, f"weight {turn.weight!r}", "give 1 to 100")


def check_headers(headers: Mapping[str, str]) -> None:
    """Refuse headers that can't be sent, without telling their values.

    Raises:
        ConfigurationError: with what and mend.

    """
    for name, value in headers.items():
        fault = headers_.fault(name, value)
        _require(not fault, fault, "see RFC 9110 5.5, or leave it out")


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
    check_headers(spec.headers)
    _check_statuses(spec.expected_status)
    _require(spec.timeout_s == 0 or _number(spec.timeout_s, 0, MAX_TIMEOUT), f"timeout of {name}", "in seconds")
    _require(spec.gap_s == 0 or _number(spec.gap_s, 0, 3600), f"gap of {name}", "in seconds")
    _require(isinstance(spec.in_flight, int) and 0 <= spec.in_flight <= 100_000, f"in_flight of {name}", "a count")

"""The environment, read once and checked."""

from __future__ import annotations

import math
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field

from .faults import Fault


def bounded(text: str, name: str, low: float, high: float) -> float:
    """Read a number between ``low`` and ``high``, both included.

    Raises:
        ValueError: not a number, or out of bounds; the message names ``name`` and the bounds.

    """
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not low <= number <= high:  # False for nan, too
        raise ValueError(f"{name}={text!r}: must be a number from {low:g} to {high:g}")
    return number


def whole(text: str, name: str, low: int, high: int) -> int:
    """Read a whole number between ``low`` and ``high``, both included; exact, as a float isn't for times in ns.

    Raises:
        ValueError: none, or out of bounds; the message names ``name`` and the bounds.

    """
    digits = text.removeprefix("-")
    number = int(text) if digits.isascii() and digits.isdigit() and len(digits) < 20 else low - 1
    if not low <= number <= high:
        raise ValueError(f"{name}={text[:40]!r}: must be a whole number from {low} to {high}")
    return number


DRAIN, EXIT = "drain", "exit"
"""What SIGTERM does: begin a drain, or end the process at once as a server does that knows no better."""


@dataclass(frozen=True)
class Settings:
    """Settings of one pod.

    Attributes:
        revision: the version, baked into the image.
        color: the side that this pod belongs to.
        pod: the pod's name.
        host: address to listen on.
        port: port for users; 0 picks a free one.
        admin_port: port for the cluster only; 0 picks a free one.
        fault: what is wrong with this version.
        cpu_ms: CPU time that each user's request costs, in ms.
        cold_seconds: how long the first order of a pod and those that come meanwhile wait, as for connections to a
            database that are made when they are first needed.
        ledger_dir: folder for the record of arrivals; empty for none.
        drain_seconds: the longest that a drain may take.
        quiet_seconds: a drain ends after this long without a user's request: endpoints are removed at the same
            time as the drain begins, in no particular order, so newcomers still come for a while.
        keep_alive_seconds: idle connections are closed after this. A proxy in front must keep none unused for as long:
            a request that it sends into the close is answered with an error of its own.
        drain_keep_alive_seconds: as long may a connection be idle from a drain's begin on; must be shorter than the
            drain.
        socket_seconds: a drain closes the WebSockets one after the other within this time: all at once they would
            all be back at once. Must be shorter than the drain.
        on_sigterm: DRAIN or EXIT.
        startup_seconds: for so long after its start the process answers everything, probes too, with a 503.

    """

    revision: str = "v0"
    color: str = "none"
    pod: str = "local"
    host: str = "0.0.0.0"  # noqa: S104 - a pod is reached by its own address, which it doesn't know beforehand
    port: int = 8080
    admin_port: int = 8081
    fault: Fault = field(default_factory=Fault)
    cpu_ms: float = 0.0
    cold_seconds: float = 0.0
    ledger_dir: str = ""
    drain_seconds: float = 30.0
    quiet_seconds: float = 3.0
    keep_alive_seconds: int = 5
    drain_keep_alive_seconds: float = 5.0
    socket_seconds: float = 4.0
    on_sigterm: str = DRAIN
    startup_seconds: float = 0.0

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Settings:
        """Read the environment.

        Raises:
            ValueError: a setting is out of bounds; the message names it.

        """

        def number(name: str, default: float, low: float, high: float) -> float:
            return bounded(env.get(name) or str(default), name, low, high)

        settings = cls(
            revision=env.get("REVISION") or cls.revision,
            color=env.get("COLOR") or cls.color,
            pod=env.get("POD_NAME") or socket.gethostname(),
            host=env.get("HOST") or cls.host,
            port=int(number("PORT", cls.port, 0, 65535)),
            admin_port=int(number("ADMIN_PORT", cls.admin_port, 0, 65535)),
            fault=Fault.parse(env.get("FAULT", "")),
            cpu_ms=number("CPU_MS", cls.cpu_ms, 0, 1000),
            cold_seconds=number("COLD_SECONDS", cls.cold_seconds, 0, 60),
            ledger_dir=env.get("LEDGER_DIR", ""),
            drain_seconds=number("DRAIN_SECONDS", cls.drain_seconds, 0, 3600),
            quiet_seconds=number("DRAIN_QUIET_SECONDS", cls.quiet_seconds, 0, 3600),
            keep_alive_seconds=int(number("KEEP_ALIVE_SECONDS", cls.keep_alive_seconds, 1, 86_400)),
            drain_keep_alive_seconds=number("DRAIN_KEEP_ALIVE_SECONDS", cls.drain_keep_alive_seconds, 0, 3600),
            socket_seconds=number("DRAIN_SOCKET_SECONDS", cls.socket_seconds, 0, 3600),
            on_sigterm=env.get("ON_SIGTERM") or cls.on_sigterm,
            startup_seconds=number("STARTUP_SECONDS", cls.startup_seconds, 0, 3600),
        )
        if settings.on_sigterm not in (DRAIN, EXIT):
            raise ValueError(f"ON_SIGTERM={settings.on_sigterm!r}: must be {DRAIN} or {EXIT}")
        # Otherwise an idle connection, or a WebSocket, outlives the drain and is cut by the exit.
        for name, seconds in (
            ("DRAIN_KEEP_ALIVE_SECONDS", settings.drain_keep_alive_seconds),
            ("DRAIN_SOCKET_SECONDS", settings.socket_seconds),
        ):
            if seconds >= settings.drain_seconds:
                raise ValueError(f"{name}={seconds:g}: must be shorter than DRAIN_SECONDS={settings.drain_seconds:g}")
        return settings

    @property
    def identity(self) -> dict[str, str]:
        """Who answers: goes into every answer and every log line."""
        return {"revision": self.revision, "color": self.color, "pod": self.pod}

"""Which connections the classes of a plan run on: plain ones, TLS, HTTP/2."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypedDict

from harness.client.http import Connection
from harness.client.lanes import Lanes, Spawn
from harness.client.pacer import Ways
from harness.client.plan import MULTIPLEXED, LoadPlan
from harness.client.tls import HTTP1, HTTP2, TlsConnection, context_of


class Chosen(TypedDict, total=False):
    """Arguments of a `Pacer`; those left out are its own."""

    connection: Callable[[str, int, int], Connection]
    ways: Ways


class Transports:
    """Chooses for one plan, and makes what several classes share.

    Args:
        plan: what the load does.
        spawn: starts ``spawn(function)`` beside this one.

    Raises:
        ConfigurationError: the plan's authorities can't be read.

    """

    def __init__(self, plan: LoadPlan, spawn: Spawn) -> None:
        self._plan = plan
        self._lanes: Lanes | None = None
        if MULTIPLEXED & set(plan.classes):
            self._lanes = Lanes(plan.entries, context_of(plan.ca, HTTP2), plan.host_header, spawn)
        self._tls = context_of(plan.ca, HTTP1) if "tls" in plan.classes else None

    def of(self, name: str) -> Chosen:
        """How one class connects."""
        if self._lanes is not None and name in MULTIPLEXED:
            return {"ways": self._lanes.share()}
        if self._tls is not None and name == "tls":
            return {"connection": self._tls_connection}
        return {}

    def _tls_connection(self, host: str, port: int, entry: int) -> Connection:
        del port  # the entry's plain one
        assert self._tls is not None  # noqa: S101 - asked above
        return TlsConnection(host, self._plan.entries[entry].tls_port, entry, self._tls, self._plan.host_header)

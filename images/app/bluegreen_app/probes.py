"""What the kubelet asks, the switches that change the answers, and the record of both.

Kubernetes tells conditions in steps of 1 s; a probe's hit is stamped here on the clock of the users' requests. The
hits go to a file of their own beside the record of arrivals: they never stop, and that record is read once it rests.

    S <CLOCK_MONOTONIC ns> <pod> <revision>     a process began this record, or went on with it
    H <CLOCK_MONOTONIC ns> <path> <status>      a probe came; 0: it got no answer. Written when that is known
    E <CLOCK_MONOTONIC ns>                      the process has answered its last request, and ends by itself

``<pod>.probes`` claims to be whole; after a failed write it is called ``<pod>.probes.broken``.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .arrivals import PROBES, Ledger
from .settings import bounded
from .state import State

LIVENESS = "/livez"
FLAP_MS = (100, 60_000)
FLAP_SECONDS = (0, 600)
"""Readiness comes back for good by itself, also where whoever asked for the flapping is gone."""


class Hits(Ledger):
    """The record of one pod's probes; arguments as of `Ledger`."""

    suffix = ".probes"

    def hit(self, now_ns: int, path: str, status: int) -> None:
        """Record a probe of one of ``PROBES`` that came at ``now_ns``; ``status`` 0 where it got no answer."""
        self._append(f"H {now_ns} {path} {status}\n")

    def ended(self) -> None:
        """Record that the process ends by itself."""
        self._append(f"E {time.monotonic_ns()}\n")


class Switched:
    """Pure ASGI middleware: starts late, hangs and dawdles as the switches say, and records each probe.

    Args:
        app: the application inside.
        state: the pod's switches.
        hits: the record of probes.

    """

    def __init__(self, app: ASGIApp, state: State, hits: Hits) -> None:
        self._app = app
        self._switches = state.switches
        self._hits = hits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as the switches let it."""
        if scope["path"] not in PROBES:
            await self._answer(scope, receive, send)
            return
        now_ns, status = time.monotonic_ns(), 0

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._answer(scope, receive, noted)
        finally:
            self._hits.hit(now_ns, scope["path"], status)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        switches = self._switches
        if switches.hung and scope["path"] == LIVENESS:
            await _gone(receive)
            return
        if switches.delay_ms:
            await asyncio.sleep(switches.delay_ms / 1000)
        if switches.started:
            await self._app(scope, receive, send)
        else:
            await Response("starting", 503, media_type="text/plain")(scope, receive, send)


async def _gone(receive: Receive) -> None:
    """Until whoever asked has given up."""
    while (await receive())["type"] != "http.disconnect":
        pass


def routes(state: State, snapshot: Callable[[], dict[str, object]]) -> list[Route]:
    """The switches' routes on the admin port: POST /ready?on=, /flap?..., /hang?on=, /delay?ms=.

    Args:
        state: the pod's.
        snapshot: what each answers with.

    """
    switches = state.switches

    async def ready(request: Request) -> Response:
        switches.on = _on(request)
        return JSONResponse(snapshot())

    async def flap(request: Request) -> Response:
        query = request.query_params
        off_ms = bounded(query.get("off_ms", "5000"), "off_ms", *FLAP_MS)
        on_ms = bounded(query.get("on_ms", "5000"), "on_ms", *FLAP_MS)
        switches.begin_flap(off_ms, on_ms, bounded(query.get("seconds", ""), "seconds", *FLAP_SECONDS))
        return JSONResponse(snapshot())

    async def hang(request: Request) -> Response:
        switches.hung = _on(request)
        return JSONResponse(snapshot())

    async def delay(request: Request) -> Response:
        switches.delay_ms = bounded(request.query_params.get("ms", ""), "ms", 0, 60_000)
        return JSONResponse(snapshot())

    found = (("/ready", ready), ("/flap", flap), ("/hang", hang), ("/delay", delay))
    return [Route(path, endpoint, methods=["POST"]) for path, endpoint in found]


def _on(request: Request) -> bool:
    return bool(bounded(request.query_params.get("on", ""), "on", 0, 1))

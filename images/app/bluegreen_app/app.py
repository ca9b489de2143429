"""What users and the kubelet see: port 8080."""

from __future__ import annotations

import asyncio
import time

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp

from .arrivals import Arrivals, Ledger
from .identity import Identity
from .probes import Hits, Switched
from .settings import bounded
from .sockets import Sockets
from .state import State

SLOW_MS = (0, 120_000)
BODY_BYTES = 65_536


def build(state: State, ledger: Ledger, sockets: Sockets, hits: Hits | None = None) -> ASGIApp:
    """Build the public application.

    Args:
        state: the pod's counters, shared with the admin application.
        ledger: the record of arrivals.
        sockets: the pod's WebSockets.
        hits: the record of probes; None for none.

    """
    users = _Users(state, ledger)
    probes = _Probes(state)
    hits = hits or Hits("", state.settings.pod, state.settings.revision)
    routes = [
        Route("/", users.root),
        Route("/slow", users.slow),
        Route("/orders", users.order, methods=["POST"]),
        WebSocketRoute("/ws", sockets.serve),
        Route("/readyz", probes.ready),
        Route("/healthz", probes.ready),
        Route("/livez", probes.alive),
        Route("/startupz", probes.alive),
    ]
    return Identity(Arrivals(Switched(Starlette(routes=routes), state, hits), state, ledger), state)


class _Users:
    def __init__(self, state: State, ledger: Ledger) -> None:
        self._state = state
        self._ledger = ledger
        self._warming = asyncio.Lock()
        self._cold_seconds = state.settings.cold_seconds

    async def root(self, request: Request) -> Response:
        return self._answer(request)

    async def slow(self, request: Request) -> Response:
        """Answer after ``ms`` milliseconds; nothing is sent before."""
        try:
            milliseconds = bounded(request.query_params.get("ms", "1000"), "ms", *SLOW_MS)
        except ValueError as error:
            return JSONResponse({"error": str(error)}, 400)
        await asyncio.sleep(milliseconds / 1000)
        return self._answer(request)

    async def order(self, request: Request) -> Response:
        """Apply an order once per arrival: a client that sends twice is found out by the count.

        It is written down before the answer: an order with a complete answer is always in the ledger.
        """
        received = 0
        try:
            async for chunk in request.stream():
                received += len(chunk)
                if received > BODY_BYTES:
                    return JSONResponse({"error": f"a body over {BODY_BYTES} bytes"}, 413, {"connection": "close"})
        except ClientDisconnect:
            return Response(status_code=400)  # nobody reads it; half an order isn't applied
        if self._state.must_fail():
            return self._failure(request)
        await self._warm_up()
        self._state.burn()
        request_id = request.state.request_id
        self._ledger.applied(time.monotonic_ns(), request_id)
        return JSONResponse({**self._identity(request), "applied": self._state.apply(request_id)}, 201)

    async def _warm_up(self) -> None:
        """Who comes first pays, and who comes meanwhile waits along."""
        if self._cold_seconds:
            async with self._warming:
                await asyncio.sleep(self._cold_seconds)
                self._cold_seconds = 0.0

    def _answer(self, request: Request) -> Response:
        if self._state.must_fail():
            return self._failure(request)
        self._state.burn()
        return JSONResponse(self._identity(request))

    def _failure(self, request: Request) -> Response:
        return JSONResponse({**self._identity(request), "error": "broken on purpose"}, 500)

    def _identity(self, request: Request) -> dict[str, str]:
        return {**self._state.settings.identity, "request_id": request.state.request_id}


class _Probes:
    def __init__(self, state: State) -> None:
        self._state = state

    async def ready(self, _: Request) -> Response:
        if self._state.ready:
            return Response("ready", media_type="text/plain")
        reason = "draining" if self._state.draining else "broken on purpose"
        return Response(reason, 503, media_type="text/plain")

    async def alive(self, _: Request) -> Response:
        """A draining pod is alive: the kubelet must not kill it for leaving politely."""
        return Response("alive", media_type="text/plain")

"""Every answer says who gave it, and a draining pod asks every client to leave."""

from __future__ import annotations

import asyncio
import uuid

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .arrivals import token
from .state import State

_BEGINNINGS = frozenset({"http.response.start", "websocket.accept", "websocket.http.response.start"})


class Identity:
    """Pure ASGI middleware, outermost: request id in, identity headers out.

    ``scope["state"]`` gets ``request_id`` (the client's, or a new one) and, once the answer starts, ``status``.

    Args:
        app: the application inside.
        state: the pod's counters.

    """

    def __init__(self, app: ASGIApp, state: State) -> None:
        self._app = app
        self._state = state
        self._headers = [(f"x-{name}".encode(), token(value, 256).encode()) for name, value in _identity(state)]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, under this pod's name."""
        if scope["type"] not in ("http", "websocket"):
            return
        request_id = _request_id(scope)
        shared = scope.setdefault("state", {})
        shared["request_id"] = request_id

        async def named(message: Message) -> None:
            if message["type"] in _BEGINNINGS:
                shared["status"] = message.get("status", 101)
                headers = [*message.get("headers", ()), *self._headers, (b"x-request-id", request_id.encode())]
                if self._state.draining and message["type"] != "websocket.accept":
                    headers.append((b"connection", b"close"))
                message["headers"] = headers
            await send(message)

        try:
            await self._app(scope, receive, named)
        except asyncio.CancelledError:
            # The drain's time is up. Left alone, uvicorn would answer a 500 in nobody's name.
            if "status" in shared or scope["type"] != "http":
                raise
            await JSONResponse({"error": "the drain's time is up"}, 503)(scope, receive, named)


def _identity(state: State) -> list[tuple[str, str]]:
    return list(state.settings.identity.items())


def _request_id(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"x-request-id":
            return token(value.decode("latin-1"), 128)
    return f"app-{uuid.uuid4().hex}"

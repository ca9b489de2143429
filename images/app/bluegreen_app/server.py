"""Two uvicorn servers on one event loop: users on one port, the cluster on the other."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
from collections.abc import Iterator

from starlette.types import ASGIApp
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import Server

from . import admin, app, logs
from .arrivals import Ledger
from .drain import Drain
from .probes import Hits
from .settings import EXIT, Settings
from .sockets import Sockets
from .state import State

BACKLOG = 2048
LAST_WORDS_SECONDS = 1
"""After the drain: how long uvicorn lets the answers that are still owed go on before it cancels them."""

_log = logging.getLogger(__name__)


class _Server(Server):
    """A server that leaves the signals alone: they begin the drain, not uvicorn's shutdown."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve(settings: Settings) -> None:
    """Serve until a drain has ended.

    SIGTERM begins a drain (or ends the process, where the settings say so), SIGINT ends it at once.

    Raises:
        OSError: a port can't be had.

    """
    loop = asyncio.get_running_loop()
    state = State(settings)
    with contextlib.ExitStack() as stack:
        public_socket = stack.enter_context(_listen(settings.host, settings.port))
        admin_socket = stack.enter_context(_listen(settings.host, settings.admin_port))
        ledger = Ledger(settings.ledger_dir, settings.pod, settings.revision)
        stack.callback(ledger.close)
        hits = Hits(settings.ledger_dir, settings.pod, settings.revision)
        stack.callback(hits.close)

        sockets = Sockets(state, ledger)
        public = _server(app.build(state, ledger, sockets, hits), settings)
        drain = Drain(
            state,
            lambda: len(public.server_state.connections),
            sockets.leave,
            lambda: _close_idle(public),
            socket_seconds=settings.socket_seconds,
            idle_seconds=settings.drain_keep_alive_seconds,
            quiet_seconds=settings.quiet_seconds,
        )
        internal = _server(admin.build(state, ledger, drain), settings)

        if settings.on_sigterm == EXIT:
            loop.add_signal_handler(signal.SIGTERM, _exit)
        else:
            loop.add_signal_handler(signal.SIGTERM, drain.begin, settings.drain_seconds)
        loop.add_signal_handler(signal.SIGINT, drain.begin, 0.0)
        async with asyncio.TaskGroup() as tasks:
            serving = tasks.create_task(public.serve([public_socket]))
            tasks.create_task(internal.serve([admin_socket]))
            flushing = tasks.create_task(logs.keep_flushing())
            ports = {"port": public_socket.getsockname()[1], "admin_port": admin_socket.getsockname()[1]}
            _log.info("listening", extra={"fields": ports})
            await drain.over()
            public.should_exit = True
            await serving
            hits.ended()
            flushing.cancel()
            internal.should_exit = True  # last: the hook that began the drain still waits for its answer


def _close_idle(server: Server) -> None:
    """Close what no request is under way on; who has asked since the drain began was told to close it himself."""
    for connection in list(server.server_state.connections):
        if isinstance(connection, HttpToolsProtocol):  # WebSockets leave in their own way
            connection.shutdown()


def _exit() -> None:
    """As a process that doesn't handle the signal; the first one of a container would ignore it."""
    _log.info("exit", extra={"fields": {"signal": "SIGTERM"}})  # with whatever waits
    os._exit(128 + signal.SIGTERM)


def _server(asgi: ASGIApp, settings: Settings) -> _Server:
    return _Server(
        Config(
            asgi,
            http="httptools",
            loop="asyncio",
            # Not wsproto, which the load's client is made with: two sides with one parser don't find its faults.
            ws="websockets-sansio",
            ws_max_size=65_536,
            ws_ping_interval=10,
            ws_ping_timeout=10,
            ws_per_message_deflate=False,
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=settings.keep_alive_seconds,
            timeout_graceful_shutdown=LAST_WORDS_SECONDS,
        )
    )


def _listen(host: str, port: int) -> socket.socket:
    # The protocol is named, as socket.create_server doesn't: only then asyncio sets TCP_NODELAY on what it accepts,
    # and without that an answer's body waits 40 ms for the acknowledgement of its header.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise OSError(f"can't listen on {host}:{port}: {error}") from error
    return listener

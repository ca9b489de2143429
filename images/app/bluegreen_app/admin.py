"""What only the cluster reaches: port 8081, which is in no Service.

GET  /state               counters and switches
GET  /metrics             rate, errors and duration of users' requests, for Prometheus
GET  /drain?seconds=      begin the drain and answer when it has ended: the kubelet's preStop hook can only GET
POST /drain?seconds=      begin the drain and answer at once; the process stays until SIGTERM, or the above
POST /cpu?ms=             set the CPU cost of a user's request
POST /fail?rate=          set the share of users' requests that fails
POST /ready?on=           readiness on (1) or off (0), while the pod serves on
POST /flap?seconds=       readiness goes and comes by itself for so long (0 ends it); off_ms= and on_ms= say how slowly
POST /hang?on=            let /livez go unanswered (1), while the process lives and serves
POST /delay?ms=           make every answer, users' and probes', later
"""

from __future__ import annotations

from dataclasses import asdict

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from . import metrics
from .arrivals import Ledger
from .drain import Drain
from .probes import routes as switches
from .settings import bounded
from .state import State


def build(state: State, ledger: Ledger, drain: Drain) -> Starlette:
    """Build the admin application."""
    admin = _Admin(state, ledger, drain)
    return Starlette(
        routes=[
            Route("/state", admin.state),
            Route("/metrics", admin.metrics),
            Route("/drain", admin.drain, methods=["GET", "POST"]),
            Route("/cpu", admin.cpu, methods=["POST"]),
            Route("/fail", admin.fail, methods=["POST"]),
            *switches(state, admin.snapshot),
        ],
        exception_handlers={ValueError: _bad_request},
    )


async def _bad_request(_: Request, error: Exception) -> Response:
    return JSONResponse({"error": str(error)}, 400)


class _Admin:
    def __init__(self, state: State, ledger: Ledger, drain: Drain) -> None:
        self._state = state
        self._ledger = ledger
        self._drain = drain

    async def state(self, _: Request) -> Response:
        return JSONResponse(self.snapshot())

    async def metrics(self, _: Request) -> Response:
        state = self._state
        gauges = {
            "ready": state.ready,
            "draining": state.draining,
            "connections_open": self._drain.open_connections,
            "requests_in_flight": state.in_flight,
        }
        return Response(state.metrics.text(gauges), headers={"content-type": metrics.CONTENT_TYPE})

    async def drain(self, request: Request) -> Response:
        default = str(self._state.settings.drain_seconds)
        seconds = bounded(request.query_params.get("seconds", default), "seconds", 0, 3600)
        self._drain.begin(seconds, stay=request.method == "POST")
        if request.method == "POST":
            return JSONResponse(self.snapshot(), 202)
        return JSONResponse(asdict(await self._drain.finished()))

    async def cpu(self, request: Request) -> Response:
        self._state.cpu_ms = bounded(request.query_params.get("ms", ""), "ms", 0, 1000)
        return JSONResponse(self.snapshot())

    async def fail(self, request: Request) -> Response:
        self._state.fail_rate = bounded(request.query_params.get("rate", ""), "rate", 0, 1)
        return JSONResponse(self.snapshot())

    def snapshot(self) -> dict[str, object]:
        """Counters and switches, as /state tells them."""
        state = self._state
        return {
            **state.settings.identity,
            "ready": state.ready,
            "draining": state.draining,
            "open": self._drain.open_connections,
            "in_flight": state.in_flight,
            "sockets": state.sockets,
            "sockets_opened": state.sockets_opened,
            "messages_received": state.messages_received,
            "messages_sent": state.messages_sent,
            "arrivals": state.arrivals,
            "last_arrival_ns": state.last_arrival_ns,
            "probes": state.probes,
            "applied": state.applied,
            "applied_again": state.applied_again,
            "cpu_ms": state.cpu_ms,
            "fail_rate": state.fail_rate,
            "started": state.switches.started,
            "flapping": state.switches.flapping,
            "hung": state.switches.hung,
            "delay_ms": state.switches.delay_ms,
            "keep_alive_seconds": state.settings.keep_alive_seconds,
            "ledger": {"path": self._ledger.path, "complete": not self._ledger.error, "error": self._ledger.error},
        }

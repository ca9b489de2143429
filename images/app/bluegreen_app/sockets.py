"""WebSockets: numbered messages both ways, so that whoever reconnects knows what was missed, on either color.

    server -> client  {"epoch": E, "seq": s}    due at E + s * every; the handshake asks by ``epoch, last, every``
    client -> server  {"id": k}                 answered by {"ack": k} once it is written down

Nothing is kept between two connections: where a client goes on is what it says itself.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starlette.responses import JSONResponse
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from .arrivals import Ledger
from .settings import whole
from .state import State

RESTART, UNSUPPORTED, INVALID, POLICY = 1012, 1003, 1007, 1008
"""Close codes: RFC 6455 7.4.1; 1012 by the IANA registry, "service restart": the client comes back at another pod."""

MISSED = 600
"""Messages that are sent at once to a client that comes back: more, and it was away for too long to go on."""
EVERY_MS = (10, 60_000)
LARGEST = 2**63 - 1
NUMBERS = 10**12

_log = logging.getLogger(__name__)


class Refused(Exception):
    """The client says what can't be; ``code`` is the close code."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


@dataclass(frozen=True)
class Stream:
    """Which numbered messages a client wants.

    Attributes:
        epoch: when message 0 was due, in ns since 1970.
        next: the first one that it has not seen.
        every_ns: between two.

    """

    epoch: int
    next: int
    every_ns: int

    @classmethod
    def asked(cls, query: Mapping[str, str], now_ns: int) -> Stream:
        """Read ``epoch``, ``last`` and ``every`` (ms) of a handshake's query.

        Raises:
            Refused: one of them is no number, out of bounds, or so old that more than MISSED messages are missing.

        """
        try:
            epoch = whole(query.get("epoch", str(now_ns)), "epoch", 0, LARGEST)
            last = whole(query.get("last", "-1"), "last", -1, LARGEST)
            every_ns = whole(query.get("every", "1000"), "every", *EVERY_MS) * 1_000_000
        except ValueError as error:
            raise Refused(POLICY, str(error)) from error
        missed = (now_ns - epoch) // every_ns - last
        if missed > MISSED:
            raise Refused(POLICY, f"{missed} messages missed: more than {MISSED}")
        return cls(epoch, last + 1, every_ns)


class Sockets:
    """The open WebSockets of one pod.

    Args:
        state: the pod's counters.
        ledger: the record.

    """

    def __init__(self, state: State, ledger: Ledger) -> None:
        self._state = state
        self._ledger = ledger
        self._leave: dict[WebSocket, asyncio.Event] = {}
        self._window = 0.0

    def leave(self, seconds: float) -> None:
        """Have all sockets closed, one after the other within ``seconds``, and newcomers within as long from then on.

        Each gets a slice of the time to itself, and a random instant in it: neither all at once, nor in step with
        the other pods, who drain at the same time.
        """
        self._window = seconds
        events = list(self._leave.values())
        random.shuffle(events)
        for number, event in enumerate(events):
            _set_after((number + random.random()) * seconds / len(events), event)  # noqa: S311 - no secret

    async def serve(self, websocket: WebSocket) -> None:
        """Serve one socket until somebody ends it."""
        if self._state.must_fail():
            await websocket.send_denial_response(JSONResponse({"error": "broken on purpose"}, 500))
            return
        await websocket.accept()
        began = time.monotonic_ns()
        request_id: str = websocket.state.request_id
        leave = self._leave[websocket] = asyncio.Event()
        if self._state.draining:
            _set_after(random.random() * self._window, leave)  # noqa: S311
        self._state.sockets_opened += 1
        self._state.sockets += 1
        _log.info("socket.opened", extra={"fields": {"request_id": request_id}})
        code = POLICY
        try:
            code = await self._until_it_ends(websocket, request_id, leave)
        finally:
            del self._leave[websocket]
            self._state.sockets -= 1
            fields = {"request_id": request_id, "code": code, "ms": round((time.monotonic_ns() - began) / 1e6, 3)}
            _log.info("socket.closed", extra={"fields": fields})

    async def _until_it_ends(self, websocket: WebSocket, request_id: str, leave: asyncio.Event) -> int:
        """Returns the close code, ours or the client's."""
        try:
            stream = Stream.asked(websocket.query_params, time.time_ns())
            work = [self._send(websocket, stream), self._receive(websocket, request_id), leave.wait()]
            await _first(*(asyncio.ensure_future(one) for one in work))
            code, reason = RESTART, "draining"
        except Refused as refused:
            code, reason = refused.code, str(refused)
        except WebSocketDisconnect as gone:
            return gone.code
        if websocket.application_state is WebSocketState.CONNECTED:
            try:
                await websocket.close(code, reason[:120])  # a close frame has room for 123 bytes
            except WebSocketDisconnect as gone:  # it went in the same moment
                return gone.code
        return code

    async def _send(self, websocket: WebSocket, stream: Stream) -> None:
        seq = stream.next
        while True:  # until it is cancelled, or nobody is there
            await asyncio.sleep(max(0, stream.epoch + seq * stream.every_ns - time.time_ns()) / 1e9)
            await websocket.send_text(json.dumps({"epoch": stream.epoch, "seq": seq}))
            self._state.messages_sent += 1
            seq += 1

    async def _receive(self, websocket: WebSocket, request_id: str) -> None:
        while True:
            message = await websocket.receive()
            if message["type"] == "websocket.disconnect":
                raise WebSocketDisconnect(message["code"], message.get("reason"))
            text = message.get("text")
            if text is None:
                raise Refused(UNSUPPORTED, "only text is understood")
            number = message_id(text)
            # written down first: a message with an answer is always in the ledger
            self._ledger.received(time.monotonic_ns(), request_id, number)
            self._state.messages_received += 1
            await websocket.send_text(json.dumps({"ack": number}))


def message_id(text: str) -> int:
    """The number of a client's message.

    Raises:
        Refused: no JSON, or no object with a number.

    """
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Refused(INVALID, "not JSON") from error
    number = data.get("id") if isinstance(data, dict) else None
    if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number < NUMBERS:
        raise Refused(POLICY, 'not {"id": a number}')
    return number


def _set_after(seconds: float, event: asyncio.Event) -> None:
    asyncio.get_running_loop().call_later(seconds, event.set)


async def _first(*tasks: asyncio.Future[Any]) -> None:
    """Wait for the first task; end the others, and wait until they have ended: only then another may send."""
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in tasks:  # in their order: what the client did comes before that it was told to leave
        if task in done:
            task.result()

"""The class of WebSockets: so many kept open, numbered messages both ways, and a reconnect policy of its own.

Full jitter (delay = U(0, min(cap, base * 2^failures))), so that sockets which were closed together don't come back
together; own pings, so that a peer which vanished without a word is noticed within two seconds. Like requests,
messages follow a schedule: what falls due while a socket is away is sent once it is back.
"""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Callable
from typing import Final

from harness.client.pacer import SLICE_S, Spawn
from harness.client.plan import Entry, LoadPlan
from harness.client.socket_plan import STEADY_S, Handshake, SocketPlan
from harness.client.socket_recorder import Life, SocketRecorder
from harness.client.websocket import WebSocket
from harness.errors import ConfigurationError
from harness.evidence.socket_messages import GRACE_NS
from harness.evidence.socket_record import OPEN
from harness.evidence.sockets import CLASS

STEADY_NS: Final = int(STEADY_S * 1e9)
TOGETHER_NS: Final = 20_000_000
"""A ping that is due this soon goes out with the message."""

Connect = Callable[[Entry, Handshake, Life], WebSocket]


class SocketClass:
    """Runs the plan's sockets to their end.

    Args:
        plan: the whole plan; it has sockets.
        record: gets lives and messages.
        spawn: starts ``spawn(function, *args)`` beside this one.
        sleep: pauses for seconds.
        connect: makes a connection.

    """

    def __init__(
        self,
        plan: LoadPlan,
        record: SocketRecorder,
        spawn: Spawn,
        *,
        sleep: Callable[[float], None] = time.sleep,
        connect: Connect = WebSocket,
    ) -> None:
        if plan.sockets is None:
            raise ConfigurationError("the load plan has no sockets", "it is written by the harness")
        self.plan = plan
        self.sockets: SocketPlan = plan.sockets
        self.record = record
        self.connect = connect
        self.sleep = sleep
        self.headers = plan.filled_headers()
        self.stopped_ns = 0
        self._spawn = spawn
        self._running = self.sockets.count
        self._lock = threading.Lock()

    @property
    def give_up_ns(self) -> int:
        """Until when, once stopped, sockets may still come back and get their acknowledgements."""
        return self.stopped_ns + int(self.sockets.handshake_timeout_s * 1e9)

    def run(self, t0_ns: int, until_ns: int) -> None:
        """Keep the sockets open until the time is up or `stop` was called; then close them and the ledger.

        Args:
            t0_ns: the ramp's beginning, CLOCK_MONOTONIC ns.
            until_ns: no message is due at or after this time.

        """
        self.record.plan(self.sockets.count, self.sockets.every_ns, t0_ns)
        step = self.sockets.ramp_s * 1e9 / self.sockets.count
        for number in range(self.sockets.count):
            self._spawn(self._one, number, t0_ns + int((number + random.random()) * step))  # noqa: S311 - jitter
        while self._running and not self.stopped_ns:
            if time.monotonic_ns() >= until_ns:
                self.stop()
            self.sleep(SLICE_S / 2)
        while self._running and time.monotonic_ns() < self.stopped_ns + int(self.sockets.stop_s * 1e9):
            self.sleep(SLICE_S / 2)
        self.record.totals(self.stopped_ns)
        self.record.flush()

    def stop(self) -> None:
        """Send nothing new. `run` returns once all is acknowledged and closed, or the handshake's time-out is over."""
        self.stopped_ns = self.stopped_ns or time.monotonic_ns()

    def _one(self, number: int, due_ns: int) -> None:
        # An exception here is a defect of the client: the life stays open, and so does the ledger.
        try:
            while not self.stopped_ns and (left := due_ns - time.monotonic_ns()) > 0:
                self.sleep(min(left / 1e9, SLICE_S))
            _Socket(self, number).run()
        finally:
            with self._lock:
                self._running -= 1


class _Socket:
    """One socket over all its connections."""

    def __init__(self, owner: SocketClass, number: int) -> None:
        self._owner = owner
        self._number = number
        self._epoch = time.time_ns() // 1_000_000 * 1_000_000
        self._last = -1
        self._next = 0
        self._due = 0
        self._unacked: dict[int, None] = {}

    def run(self) -> None:
        failures, attempt, owner = 0, 0, self._owner
        while True:
            entry = (self._number + attempt) % len(owner.plan.entries)
            life = Life(self._number, attempt, entry, self._epoch)
            connection = owner.connect(owner.plan.entries[entry], self._handshake(), life)
            if connection.open():
                owner.record.opened(life)
                self._talk(connection)
            owner.record.ended(life)
            stopped = owner.stopped_ns
            if stopped and ((life.opened and not self._unacked) or time.monotonic_ns() >= owner.give_up_ns):
                return
            failures = 0 if life.opened and life.ended - life.opened >= STEADY_NS else failures
            longest = min(owner.sockets.cap_s, owner.sockets.base_s * 2 ** min(failures, 30))
            owner.sleep(random.uniform(0.0, longest))  # noqa: S311 - jitter
            if owner.stopped_ns and time.monotonic_ns() >= owner.give_up_ns:
                return
            failures += 1
            attempt += 1

    def _handshake(self) -> Handshake:
        owner, sockets = self._owner, self._owner.sockets
        query = f"epoch={self._epoch}&last={self._last}&every={sockets.every_ms}"
        return Handshake(
            target=f"{sockets.path}{'&' if '?' in sockets.path else '?'}{query}",
            host=owner.plan.host_header,
            request_id=f"{owner.plan.run_tag}-{CLASS}-{self._number}",
            headers=owner.headers,
            identity=owner.plan.identity,
            timeout_s=sockets.handshake_timeout_s,
            pong_s=sockets.pong_s,
        )

    def _talk(self, connection: WebSocket) -> None:
        owner, life = self._owner, connection.life
        every, ping_ns = owner.sockets.every_ns, int(owner.sockets.ping_s * 1e9)
        self._due = self._due or life.opened
        ping_due = life.opened
        texts = [self._message(life, number, again=True) for number in self._unacked]
        while life.end == OPEN:
            now = time.monotonic_ns()
            if owner.stopped_ns and (self._settled(now) or now >= owner.give_up_ns):
                connection.close()
                break
            while self._due <= now and not owner.stopped_ns:
                self._unacked[self._next] = None
                texts.append(self._message(life, self._next, again=False))
                self._next += 1
                self._due += every
            ping = ping_due <= now + TOGETHER_NS
            if ping:
                ping_due = now + ping_ns
            if texts or ping:
                connection.write(texts, ping=ping)
                texts = []
            self._read(connection, now + int(SLICE_S * 1e9) if owner.stopped_ns else min(self._due, ping_due))
        self._read(connection, 0)  # what came just before the end

    def _read(self, connection: WebSocket, until_ns: int) -> None:
        for text, t in connection.read(until_ns):
            if not self._heard(connection.life, text, t):
                connection.nonsense()
                return

    def _settled(self, now: int) -> bool:
        """Once stopped: all is acknowledged, and what was due has come."""
        due = self._epoch + (self._last + 1) * self._owner.sockets.every_ns + GRACE_NS
        return not self._unacked and due > time.time_ns() - (now - self._owner.stopped_ns)

    def _message(self, life: Life, number: int, *, again: bool) -> str:
        self._owner.record.sent(life, number, time.monotonic_ns(), again=again)
        return f'{{"id": {number}, "again": true}}' if again else f'{{"id": {number}}}'

    def _heard(self, life: Life, text: str, t: int) -> bool:
        """Write one message down; whether it was one."""
        try:
            message = json.loads(text)
            if "ack" in message:
                number = int(message["ack"])
                self._owner.record.acked(life, number, t)
                self._unacked.pop(number, None)
            else:
                epoch, seq = int(message["epoch"]), int(message["seq"])
                self._owner.record.received(life, seq, epoch, t)
                self._last = max(self._last, seq)
        except (ValueError, TypeError, KeyError, RecursionError):
            return False
        return True

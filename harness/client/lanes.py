"""The kept HTTP/2 connections of a load: one to each entry, shared by all classes that speak HTTP/2."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Sequence
from functools import partial
from time import monotonic_ns
from typing import Any, Final

from harness.client.exchange import Answer, Request
from harness.client.http import over
from harness.client.http2 import Session
from harness.client.plan import Entry
from harness.evidence.samples import FAILED, FLAG_GOAWAY, FLAG_REPLACED, FLAG_RETRIABLE

Spawn = Callable[..., Any]
MAX_MOVES: Final = 3
"""Connections that an attempt may find left before it has sent anything; after that it is told so."""
EXTRA_IDLE_NS: Final = 1_000_000_000
"""A further connection to an entry, opened as the first was full, goes when unused for this long."""


class Lane:
    """The way to one entry: its connection, and a new one where the server has left the last.

    Args:
        target: where to.
        entry: its number, for the record.
        context: as `Session`'s.
        name: the host that the certificate must be for.
        spawn: starts ``spawn(function)`` beside this one.

    """

    def __init__(self, target: Entry, entry: int, context: ssl.SSLContext, name: str, spawn: Spawn) -> None:
        self.entry = entry
        self._make = partial(Session, target.host, target.tls_port, context, name, spawn)
        self._lock = threading.Lock()
        self._sessions: list[Session] = []

    def attempt(self, request: Request, request_id: str) -> Answer:
        """Send one request once, as one stream, and read its answer, within `request.timeout_s` in all.

        A connection that isn't there yet is opened by the first who needs it; who comes meanwhile waits for it, and
        shares its failure: for all of them that is what the network did. Such a wait counts as sent.
        """
        answer = Answer()
        answer.sent = monotonic_ns()
        deadline = answer.sent + request.timeout_ns
        stamp = True
        for _ in range(MAX_MOVES):
            session, mine, flags = self._pick()
            answer.flags |= flags
            if mine:
                stamp = False
                session.connect(request, answer)
            elif not session.ready.is_set():
                stamp = False
                if not session.ready.wait(max(0.0, (deadline - monotonic_ns()) / 1e9)):
                    return over(answer, FAILED, "connect_timeout", "the connection wasn't open in time")
            if session.failure is not None:
                return _failed_with(answer, session.failure)
            if session.carry(request, request_id, answer, deadline, stamp=stamp):
                return answer
        answer.flags |= FLAG_RETRIABLE
        return over(answer, FAILED, "goaway", "the server left each connection before anything was sent")

    def close(self) -> None:
        """Close all connections."""
        with self._lock:
            sessions, self._sessions = self._sessions, []
        for session in sessions:
            session.close()

    def _pick(self) -> tuple[Session, bool, int]:
        """A connection, whether the caller has to open it, and the flags of an attempt that replaces a lost one."""
        with self._lock:
            left = [one for one in self._sessions if not one.open]
            self._sessions = [one for one in self._sessions if one.open]
            self._reap(monotonic_ns())
            for session in self._sessions:
                if not session.full:
                    return session, False, 0
            # those that never came to be were told by the attempts that waited for them
            lost = [one for one in left if one.failure is None]
            flags = FLAG_REPLACED if lost else 0
            if any(one.streams.goaway is not None for one in lost):
                flags |= FLAG_GOAWAY
            session = self._make()
            self._sessions.append(session)
            return session, True, flags

    def _reap(self, now: int) -> None:
        idle = [
            one for one in self._sessions[1:] if not one.streams.open and now - one.streams.quiet_ns > EXTRA_IDLE_NS
        ]
        for session in idle:
            self._sessions.remove(session)
            session.close()


class Lanes:
    """All lanes of a load, as a pacer takes connections; several pacers may share them.

    Args:
        entries: the lanes' targets.
        context, name, spawn: as `Lane`'s.

    """

    def __init__(self, entries: Sequence[Entry], context: ssl.SSLContext, name: str, spawn: Spawn) -> None:
        self._lanes = [Lane(target, entry, context, name, spawn) for entry, target in enumerate(entries)]
        self._users = 0

    def share(self) -> Lanes:
        """The same lanes for another pacer: they are closed once each has closed them."""
        self._users += 1
        return self

    def take(self, k: int, now: int) -> Lane:
        """The lane for request k: the entries take turns."""
        del now
        return self._lanes[k % len(self._lanes)]

    def give(self, connection: object, now: int) -> None:
        """Nothing to do: a lane is never lent to one alone."""

    def close(self) -> None:
        """Close all lanes, if nobody else uses them."""
        self._users -= 1
        if self._users <= 0:
            for lane in self._lanes:
                lane.close()


def _failed_with(answer: Answer, failure: Answer) -> Answer:
    if answer is not failure:
        over(answer, failure.outcome, failure.error, failure.detail)
        answer.conn = failure.conn
        answer.sent = answer.sent if failure.sent else 0
    return answer

"""HTTP/2 and TLS connections against toy servers of this process: who shares what, and what a deadline holds."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import h2.events
import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.settings import SettingCodes

from harness import certificates
from harness.client.exchange import Answer, Request
from harness.client.frames import MAX_STREAM, Goaway
from harness.client.http2 import Session
from harness.client.identity import Identity
from harness.client.lanes import Lane, Lanes
from harness.client.misbehave_tls import HOST, ToyTlsServer, _context
from harness.client.plan import Entry
from harness.client.stopped import spawn_thread
from harness.client.tls import HTTP1, HTTP2, TlsConnection, context_of
from harness.errors import ConfigurationError
from harness.evidence.samples import FAILED, FLAG_GOAWAY, FLAG_REPLACED, FLAG_SERVER_CLOSE, OK, UNKNOWN

IDENTITY = Identity(revision_header="X-Toy-Version")
Reply = Callable[["Peer", int, dict[str, str]], None]


class Peer:
    """One connection of a scripted HTTP/2 server."""

    def __init__(self, tls: ssl.SSLSocket, settings: dict[int, int]) -> None:
        self.tls = tls
        self.h2 = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        self.h2.initiate_connection()
        if settings:
            self.h2.update_settings({SettingCodes(key): value for key, value in settings.items()})
        self.flush()

    def flush(self) -> None:
        self.tls.sendall(self.h2.data_to_send())

    def answer(self, stream: int, body: bytes = b"body") -> None:
        self.h2.send_headers(stream, [(":status", "200"), ("x-toy-version", "toy")])
        self.h2.send_data(stream, body, end_stream=True)
        self.flush()

    def leave(self, last: int) -> None:
        self.tls.sendall(bytes(Goaway(last)))


class Scripted:
    """A TLS server that calls `reply` for each request, and remembers bodies and connections."""

    def __init__(self, reply: Reply, settings: dict[int, int] | None = None) -> None:
        made = certificates.make(HOST)
        self.ca, self._context, self._reply = made.ca, _context(made, ["h2"]), reply
        self._settings = settings or {}
        self.peers: list[Peer] = []
        self.bodies: dict[int, bytes] = {}
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()
        for peer in self.peers:
            peer.tls.close()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        try:
            peer = Peer(self._context.wrap_socket(sock, server_side=True), self._settings)
            self.peers.append(peer)
            while data := peer.tls.recv(65_536):
                for event in peer.h2.receive_data(data):
                    if isinstance(event, h2.events.RequestReceived):
                        self._reply(peer, event.stream_id, {str(n): str(v) for n, v in event.headers})
                    elif isinstance(event, h2.events.DataReceived):
                        self.bodies[event.stream_id] = self.bodies.get(event.stream_id, b"") + (event.data or b"")
                        peer.h2.acknowledge_received_data(event.flow_controlled_length or 0, event.stream_id)
                peer.flush()
        except (OSError, ValueError):
            return


@pytest.fixture
def lanes(tmp_path: Path) -> Iterator[Callable[..., tuple[Scripted, Lane]]]:
    opened: list[Scripted | Lane] = []

    def make(reply: Reply, settings: dict[int, int] | None = None) -> tuple[Scripted, Lane]:
        server = Scripted(reply, settings)
        (tmp_path / "ca.pem").write_text(server.ca)
        context = context_of(str(tmp_path / "ca.pem"), HTTP2)
        lane = Lane(Entry("127.0.0.1", 1, "toy", server.port), 0, context, HOST, spawn_thread)
        opened.extend([lane, server])
        return server, lane

    yield make
    for one in opened:
        one.close()


def request(path: str = "/", timeout_s: float = 3.0, method: str = "GET", body: str = "") -> Request:
    return Request(path=path, host=HOST, method=method, body=body, identity=IDENTITY, timeout_s=timeout_s)


def told(answer: Answer) -> tuple[int, str]:
    return answer.outcome, answer.error


def test_many_streams_share_one_connection_and_end_in_any_order(lanes: Callable[..., tuple[Scripted, Lane]]) -> None:
    waiting: list[int] = []

    def last_first(peer: Peer, stream: int, _: dict[str, str]) -> None:
        waiting.append(stream)
        if len(waiting) == 8:
            for number in reversed(waiting):
                peer.answer(number)

    server, lane = lanes(last_first)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda k: lane.attempt(request(), f"r-{k}"), range(8)))
    assert [told(one) for one in answers] == [(OK, "none")] * 8
    assert {one.revision for one in answers} == {"toy"}
    assert len(server.peers) == 1
    assert len({one.conn for one in answers}) == 1
    assert sorted(one.nth for one in answers) == list(range(1, 9))
    assert all(0 < one.sent <= one.first_byte <= one.end for one in answers)


def test_streams_in_flight_at_a_goaway_end_and_the_next_goes_elsewhere(
    lanes: Callable[..., tuple[Scripted, Lane]],
) -> None:
    def reply(peer: Peer, stream: int, headers: dict[str, str]) -> None:
        if headers[":path"] == "/slow":
            slow.append((peer, stream))
            peer.leave(MAX_STREAM)  # leaves, and hasn't decided yet what it still answers
        else:
            peer.answer(stream)

    slow: list[tuple[Peer, int]] = []
    server, lane = lanes(reply)
    with ThreadPoolExecutor(1) as pool:
        first = lane.attempt(request(), "r-0")
        flying = pool.submit(lane.attempt, request("/slow"), "r-1")
        while not slow:
            time.sleep(0.005)
        time.sleep(0.05)
        other = lane.attempt(request(), "r-2")
        peer, stream = slow[0]
        peer.leave(stream)
        peer.answer(stream)
        ended = flying.result()
    assert (told(first), first.flags) == ((OK, "none"), 0)
    assert (told(other), other.flags) == ((OK, "none"), FLAG_REPLACED | FLAG_GOAWAY)
    assert (told(ended), ended.flags) == ((OK, "none"), FLAG_SERVER_CLOSE | FLAG_GOAWAY)
    assert first.conn == ended.conn != other.conn
    assert len(server.peers) == 2


def test_a_connection_closed_while_idle_is_replaced_and_nothing_is_lost(
    lanes: Callable[..., tuple[Scripted, Lane]],
) -> None:
    server, lane = lanes(lambda peer, stream, _: peer.answer(stream))
    lane.attempt(request(), "r-0")
    server.peers[0].tls.unwrap = None  # type: ignore[method-assign,assignment]
    server.peers[0].tls.shutdown(socket.SHUT_RDWR)
    answer = lane.attempt(request(), "r-1")
    assert (told(answer), answer.flags) == ((OK, "none"), FLAG_REPLACED)


def test_a_stream_that_hangs_ends_in_time_and_leaves_the_others_alone(
    lanes: Callable[..., tuple[Scripted, Lane]],
) -> None:
    server, lane = lanes(lambda peer, stream, h: peer.answer(stream) if h[":path"] == "/" else None)
    hung = lane.attempt(request("/hang", timeout_s=0.3), "r-0")
    assert told(hung) == (UNKNOWN, "read_timeout")
    assert 0.25 < (hung.end - hung.sent) / 1e9 < 1.5
    after = lane.attempt(request(), "r-1")
    assert told(after) == (OK, "none")
    assert after.conn == hung.conn
    assert len(server.peers) == 1


def test_a_body_larger_than_the_window_goes_as_the_window_opens(lanes: Callable[..., tuple[Scripted, Lane]]) -> None:
    body = "x" * 300_000
    done = threading.Event()

    def reply(peer: Peer, stream: int, headers: dict[str, str]) -> None:
        assert headers["content-length"] == str(len(body))
        threading.Thread(target=later, args=(peer, stream), daemon=True).start()

    def later(peer: Peer, stream: int) -> None:
        while len(server.bodies.get(stream, b"")) < len(body):
            time.sleep(0.005)
        done.set()
        peer.answer(stream)

    server, lane = lanes(reply)
    answer = lane.attempt(request(method="POST", body=body), "r-0")
    assert told(answer) == (OK, "none")
    assert done.is_set()
    assert list(server.bodies.values()) == [body.encode()]


def test_a_full_connection_gets_a_second_one_beside_it(lanes: Callable[..., tuple[Scripted, Lane]]) -> None:
    held: list[tuple[Peer, int]] = []
    seen = threading.Semaphore(0)

    def hold(peer: Peer, stream: int, headers: dict[str, str]) -> None:
        if headers[":path"] == "/":
            peer.answer(stream)
        else:
            held.append((peer, stream))
            seen.release()

    server, lane = lanes(hold, {SettingCodes.MAX_CONCURRENT_STREAMS: 1})
    lane.attempt(request(), "r-0")  # by now the settings are known
    with ThreadPoolExecutor(2) as pool:
        flying = [pool.submit(lane.attempt, request("/hold"), f"r-{k}") for k in (1, 2)]
        for _ in flying:
            assert seen.acquire(timeout=3)
        for peer, stream in held:
            peer.answer(stream)
        answers = [one.result() for one in flying]
    assert [told(one) for one in answers] == [(OK, "none")] * 2
    assert len(server.peers) == 2
    assert {one.flags for one in answers} == {0}


def test_who_waits_for_a_connection_shares_its_failure_and_opens_none_of_his_own(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:  # accepts in the kernel, and never answers
        (tmp_path / "ca.pem").write_text(certificates.make(HOST).ca)
        context = context_of(str(tmp_path / "ca.pem"), HTTP2)
        lane = Lane(Entry("127.0.0.1", 1, "toy", listener.getsockname()[1]), 0, context, HOST, spawn_thread)
        with ThreadPoolExecutor(3) as pool:
            answers = list(pool.map(lambda k: lane.attempt(request(timeout_s=0.4), f"r-{k}"), range(3)))
        assert {one.outcome for one in answers} == {FAILED}
        assert {one.error for one in answers} <= {"tls_timeout", "connect_timeout"}
        assert all((one.end - one.sent) / 1e9 < 1.5 for one in answers)
        listener.settimeout(0.2)
        listener.accept()[0].close()
        with pytest.raises(TimeoutError):
            listener.accept()


def test_lanes_are_closed_once_nobody_shares_them(tmp_path: Path) -> None:
    class Counts:
        closed = 0

        def close(self) -> None:
            self.closed += 1

    lanes = Lanes([Entry("127.0.0.1", 1, "a", 2), Entry("127.0.0.1", 1, "b", 2)], context_of("", HTTP2), HOST, print)
    one = Counts()
    lanes._lanes[1:] = [one]  # type: ignore[list-item]
    first, second = lanes.share(), lanes.share()
    assert [first.take(k, 0).entry for k in (0, 2)] == [0, 0]
    first.close()
    assert one.closed == 0
    second.close()
    assert one.closed == 1


def test_a_handshake_that_trickles_ends_with_the_attempts_time(tmp_path: Path) -> None:
    def trickle() -> None:
        sock, _ = listener.accept()
        with sock:
            sock.recv(65_536)
            try:
                for byte in b"\x16\x03\x03\x40\x00" + b"\x02" * 40:
                    sock.send(bytes([byte]))
                    time.sleep(0.05)
            except OSError:
                return

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=trickle, daemon=True).start()
        (tmp_path / "ca.pem").write_text(certificates.make(HOST).ca)
        context = context_of(str(tmp_path / "ca.pem"), HTTP1)
        connection = TlsConnection("127.0.0.1", listener.getsockname()[1], 0, context, HOST)
        answer = connection.attempt(request(timeout_s=0.4), "r-0")
    assert told(answer) == (FAILED, "tls_timeout")
    assert 0.35 < (answer.end - answer.sent) / 1e9 < 1.0


@pytest.mark.parametrize(("polite", "error"), [(True, "none"), (False, "truncated")])
def test_an_answer_that_ends_with_its_connection_needs_close_notify(tmp_path: Path, polite: bool, error: str) -> None:
    made = certificates.make(HOST)

    def serve() -> None:
        sock, _ = listener.accept()
        tls = _context(made, ["http/1.1"]).wrap_socket(sock, server_side=True)
        tls.recv(65_536)
        tls.sendall(b"HTTP/1.1 200 OK\r\nX-Toy-Version: toy\r\n\r\nall of it")
        if polite:
            with contextlib.suppress(OSError):
                tls.unwrap().close()
        tls.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, daemon=True).start()
        (tmp_path / "ca.pem").write_text(made.ca)
        context = context_of(str(tmp_path / "ca.pem"), HTTP1)
        answer = TlsConnection("127.0.0.1", listener.getsockname()[1], 0, context, HOST).attempt(request(), "r-0")
    assert answer.error == error


def test_authorities_that_can_not_be_read_are_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="certificates of authorities"):
        context_of(str(tmp_path / "none.pem"), HTTP1)
    (tmp_path / "empty.pem").write_text("nothing")
    with pytest.raises(ConfigurationError):
        context_of(str(tmp_path / "empty.pem"), HTTP1)


def test_nothing_is_sent_on_a_connection_that_has_left() -> None:
    session = Session("127.0.0.1", 1, context_of("", HTTP2), HOST, print)
    session.streams.leave(Goaway(0))
    assert not session.carry(request(), "r-0", Answer(), time.monotonic_ns() + 10**9, stamp=True)
    assert session.sent == 0


def test_the_toy_of_the_self_test_serves_in_this_process_too() -> None:
    server = ToyTlsServer()
    server.start()
    try:
        assert set(server.ports) >= {"good", "stall"}
        assert server.ca.count("BEGIN CERTIFICATE") == 3
    finally:
        server.close()

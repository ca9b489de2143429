"""WebSockets over TLS: the toy server behind a relay that ends TLS, as a proxy does."""

from __future__ import annotations

import select
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from harness import certificates
from harness.client.plan import ClassPlan, Entry, LoadPlan
from harness.client.secure_socket import connect_of
from harness.client.socket_plan import SocketPlan
from harness.client.socket_toy import SocketToy
from harness.client.tls import TlsWire, Tunnel, context_of, shake_hands
from harness.client.websocket import WebSocket
from harness.evidence import socket_record as record
from harness.evidence.sockets import Sockets
from tests.test_client_sockets import run as run_plan
from tests.test_client_sockets import spawn, toy  # noqa: F401 - toy is a fixture

HOST = "toy.test"
MADE = certificates.make(HOST)


def _pump(users: ssl.SSLSocket, behind: socket.socket) -> None:
    """Both ways in one thread: a TLS object isn't for two."""
    while True:
        ready, _, _ = select.select([users, behind], [], [], 5)
        if not ready:
            return
        for source in ready:
            data = source.recv(65_536)
            if not data:
                return
            (behind if source is users else users).sendall(data)


class Relay:
    """Ends TLS and passes the bytes on to a port; None for the port: it never answers the handshake."""

    def __init__(self, folder: Path, port: int | None) -> None:
        files = folder / "server.pem"
        files.write_text(MADE.certificate + MADE.key)
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(files)
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=64)
        self._to = port
        self.port = int(self._socket.getsockname()[1])
        self._kept: list[socket.socket] = []
        spawn(self._serve)

    def close(self) -> None:
        for one in (self._socket, *self._kept):
            one.close()

    def _serve(self) -> None:
        while True:
            try:
                raw, _ = self._socket.accept()
            except OSError:
                return
            if self._to is None:
                self._kept.append(raw)
            else:
                spawn(self._one, raw, self._to)

    def _one(self, raw: socket.socket, port: int) -> None:
        with (
            suppress(OSError),
            raw,
            self._context.wrap_socket(raw, server_side=True) as users,
            socket.create_connection(("127.0.0.1", port)) as behind,
        ):
            for sock in (users, behind):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            _pump(users, behind)


@pytest.fixture
def relay(tmp_path: Path) -> Iterator[Callable[[int | None], Relay]]:
    made: list[Relay] = []

    def make(port: int | None) -> Relay:
        made.append(Relay(tmp_path, port))
        return made[-1]

    yield make
    for one in made:
        one.close()


def run(folder: Path, port: int, path: str = "/ok", host: str = HOST, seconds: float = 0.5) -> Sockets:
    ca = folder / "ca.pem"
    ca.write_text(MADE.ca)
    plan = LoadPlan(
        entries=(Entry("127.0.0.1", 1, "n", port),),
        hosts=("127.0.0.1",),
        host_header=host,
        classes={"fresh": ClassPlan(5.0)},
        run_tag="t",
        folder=str(folder),
        ca=str(ca),
        sockets=SocketPlan(path, count=2, every_ms=50, ramp_s=0.0, handshake_timeout_s=0.5, cap_s=0.1, secure=True),
    )
    return run_plan(plan, seconds)


def ends(found: Sockets) -> set[tuple[str, str, int]]:
    return {(record.ENDS[int(one["end"])], record.REASONS[int(one["why"])], int(one["code"])) for one in found.lives}


def test_messages_go_both_ways_over_tls(
    tmp_path: Path,
    relay: Callable[[int | None], Relay],
    toy: SocketToy,  # noqa: F811
) -> None:
    found = run(tmp_path, relay(toy.port).port)
    counts = toy.report()["ok"]
    assert ends(found) == {("done", "none", 1000)}
    assert counts["connections"] == 2
    assert counts["sent"] >= 10 and counts["written"] >= 10


def test_a_close_code_passes_through_and_the_socket_comes_back(
    tmp_path: Path,
    relay: Callable[[int | None], Relay],
    toy: SocketToy,  # noqa: F811
) -> None:
    found = run(tmp_path, relay(toy.port).port, "/close_1012")
    assert ends(found) == {("server", "none", 1012), ("done", "none", 1000)}


def test_a_certificate_for_another_name_is_refused(
    tmp_path: Path,
    relay: Callable[[int | None], Relay],
    toy: SocketToy,  # noqa: F811
) -> None:
    found = run(tmp_path, relay(toy.port).port, host="other.test", seconds=0.1)
    assert not toy.report()
    assert {one[:2] for one in ends(found)} == {("refused", "tls_certificate")}


def test_a_server_that_never_shakes_hands_is_given_up_in_time(
    tmp_path: Path, relay: Callable[[int | None], Relay]
) -> None:
    found = run(tmp_path, relay(None).port, seconds=0.1)
    assert {one[:2] for one in ends(found)} == {("refused", "tls_timeout")}


def test_a_port_without_tls_is_told(tmp_path: Path, toy: SocketToy) -> None:  # noqa: F811
    found = run(tmp_path, toy.port, seconds=0.1)
    assert {end for end, _, _ in ends(found)} == {"refused"}
    assert all(why.startswith("tls_") for _, why, _ in ends(found))


def test_what_has_come_is_read_without_waiting(tmp_path: Path, relay: Callable[[int | None], Relay]) -> None:
    """As a client does that is late itself: the pong that waits in the socket counts."""
    listener = socket.create_server(("127.0.0.1", 0))
    port = int(listener.getsockname()[1])
    ca = tmp_path / "ca.pem"
    ca.write_text(MADE.ca)
    sock = socket.create_connection(("127.0.0.1", relay(port).port))
    tunnel = Tunnel(context_of(str(ca), "http/1.1"), HOST)
    deadline = time.monotonic_ns() + 2_000_000_000
    shake_hands(sock, tunnel, "http/1.1", deadline)
    wire = TlsWire(sock, tunnel, deadline)
    behind, _ = listener.accept()
    with listener, behind, sock:
        wire.settimeout(0.0)
        with pytest.raises(BlockingIOError):
            wire.recv(100)
        behind.sendall(b"pong")
        wire.settimeout(2.0)
        assert wire.recv(100) == b"pong"
        behind.sendall(b"again")
        until = time.monotonic() + 2
        wire.settimeout(0.0)
        data = b""
        while not data and time.monotonic() < until:
            with suppress(BlockingIOError):
                data = wire.recv(100)
        assert data == b"again"


def test_a_plan_without_tls_connects_plainly(tmp_path: Path) -> None:
    plan = LoadPlan(
        entries=(Entry("127.0.0.1", 1, "n"),),
        hosts=("127.0.0.1",),
        host_header=HOST,
        classes={"fresh": ClassPlan(5.0)},
        run_tag="t",
        folder=str(tmp_path),
        sockets=SocketPlan("/ws"),
    )
    assert connect_of(plan) is WebSocket
    assert connect_of(replace(plan, sockets=None)) is WebSocket
    assert not plan.secure

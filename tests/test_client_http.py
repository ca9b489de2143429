"""One attempt on the wire, against a server that does what each test says."""

import contextlib
import errno
import gc
import socket
import struct
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from harness.client.exchange import Answer, Request
from harness.client.http import Connection
from harness.client.identity import Identity
from harness.evidence.samples import FAILED, FLAG_REPLACED, FLAG_RETRIABLE, FLAG_SERVER_CLOSE, OK, UNKNOWN, UNSENT
from tests.conftest import closed_port

GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Revision: v1\r\nX-Pod: p-1\r\n\r\nok"
IDENTITY = Identity(revision_header="X-Revision", pod_header="X-Pod")
Handler = Callable[[socket.socket], None]


class Server:
    """Gives the n-th connection to the n-th handler, and remembers what it read."""

    def __init__(self, *handlers: Handler) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        self.done = threading.Event()
        self._thread = threading.Thread(target=self._serve, args=(handlers,), daemon=True)
        self._thread.start()

    def _serve(self, handlers: tuple[Handler, ...]) -> None:
        for handler in handlers:
            connection, _ = self.listener.accept()
            with connection:
                handler(connection)
        self.done.set()

    def close(self) -> None:
        self.listener.close()
        self._thread.join(timeout=5)


@contextmanager
def serving(*handlers: Handler) -> Iterator[Server]:
    server = Server(*handlers)
    try:
        yield server
    finally:
        server.close()


def read_request(connection: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        piece = connection.recv(65_536)
        if not piece:
            break
        data += piece
    return data


def answering(*answers: bytes) -> Handler:
    def handle(connection: socket.socket) -> None:
        for answer in answers:
            if not read_request(connection):
                return
            connection.sendall(answer)

    return handle


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def request(**kwargs: object) -> Request:
    return Request(**{"host": "x.test", "identity": IDENTITY, "timeout_s": 2.0, **kwargs})  # type: ignore[arg-type]


def wait_readable(connection: Connection) -> None:
    """Wait until the peer's FIN, RST or bytes have arrived."""
    sock = connection._sock
    assert sock is not None
    sock.settimeout(2)
    try:
        sock.recv(1, socket.MSG_PEEK)
    except ConnectionResetError:
        pytest.fail("this takes the error off the socket")


def told(answer: Answer) -> tuple[int, str]:
    return answer.outcome, answer.error


def test_a_good_answer_is_told_in_full() -> None:
    seen: list[bytes] = []
    ports: list[int] = []

    def handle(connection: socket.socket) -> None:
        ports.append(connection.getpeername()[1])
        for _ in range(2):
            seen.append(read_request(connection))
            connection.sendall(GOOD)

    with serving(handle) as server:
        connection = Connection("127.0.0.1", server.port, 3)
        before = time.monotonic_ns()
        first = connection.attempt(request(path="/a?b=c", headers={"Accept": "*/*"}), "tag-busy-0")
        second = connection.attempt(request(), "tag-busy-1")
        connection.close()
    assert seen[0] == b"GET /a?b=c HTTP/1.1\r\nHost: x.test\r\nAccept: */*\r\nX-Request-Id: tag-busy-0\r\n\r\n"
    assert (first.outcome, first.error, first.status, first.flags) == (OK, "none", 200, 0)
    assert (first.revision, first.pod) == ("v1", "p-1")
    assert (first.nth, second.nth) == (1, 2)
    assert first.conn == second.conn > 0
    assert [first.port, second.port] == ports * 2
    assert before <= first.sent <= first.first_byte <= first.end <= second.sent <= second.end <= time.monotonic_ns()
    assert connection.entry == 3


def test_a_body_carries_its_length_and_the_id() -> None:
    sent = request(method="POST", body='{"order": "{id}", "x": "ü"}', path="/o").encode("t-post-7")
    head, _, body = sent.partition(b"\r\n\r\n")
    assert body == '{"order": "t-post-7", "x": "ü"}'.encode()
    assert b"\r\nContent-Length: %d" % len(body) in head
    assert b"\r\nX-Request-Id: t-post-7\r\n" in head
    assert request(method="POST").encode("i").endswith(b"X-Request-Id: i\r\nContent-Length: 0\r\n\r\n")
    assert b"Content-Length" not in request().encode("i")


@pytest.mark.parametrize(
    ("answer", "outcome", "error"),
    [
        (b"", UNKNOWN, "closed"),
        (b"HTTP/1.1 200 OK\r\nContent-Le", UNKNOWN, "closed"),
        (b"HTTP/1.1 100 Continue\r\n\r\n", UNKNOWN, "closed"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", UNKNOWN, "truncated"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhalf", UNKNOWN, "truncated"),
        (b"HTTP/1.1 200 OK\r\nX-Revision: v1\r\n\r\ntill the end", OK, "none"),
        (b"what?", UNKNOWN, "framing"),
        (GOOD + b"!", FAILED, "framing"),
        (GOOD.replace(b"200 OK", b"404 No"), FAILED, "unexpected_status"),
        (GOOD.replace(b"200 OK", b"502 Bad"), FAILED, "app_5xx"),
        (b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n", FAILED, "proxy_5xx"),
    ],
)
def test_what_is_sent_and_then_closed_is_classed(answer: bytes, outcome: int, error: str) -> None:
    with serving(answering(answer)) as server:
        connection = Connection("127.0.0.1", server.port)
        got = connection.attempt(request(), "i")
        connection.close()
    assert told(got) == (outcome, error)
    assert got.end >= got.sent > 0
    assert bool(got.first_byte) is bool(answer)
    assert not got.flags & FLAG_RETRIABLE


@pytest.mark.parametrize(
    ("method", "flags"),
    [("GET", FLAG_RETRIABLE), ("HEAD", FLAG_RETRIABLE), ("PUT", FLAG_RETRIABLE), ("POST", 0), ("PATCH", 0)],
)
@pytest.mark.parametrize(("cut", "error"), [(socket.socket.close, "idle_closed"), (reset, "idle_reset")])
def test_a_reused_connection_cut_before_the_first_byte(method: str, flags: int, cut: Handler, error: str) -> None:
    def handle(connection: socket.socket) -> None:
        answering(b"HTTP/1.1 204 No\r\n\r\n")(connection)
        read_request(connection)
        cut(connection)

    with serving(handle) as server:
        connection = Connection("127.0.0.1", server.port)
        sent = request(method=method, expected=frozenset({204}))
        assert told(connection.attempt(sent, "1")) == (OK, "none")
        got = connection.attempt(sent, "2")
    assert told(got) == (UNKNOWN, error)
    assert (got.nth, got.first_byte, got.flags) == (2, 0, flags)


def test_a_reset_in_flight_is_no_idle_reset() -> None:
    def handle(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\npart of what only FIN would complete")
        time.sleep(0.05)
        reset(connection)

    def at_once(connection: socket.socket) -> None:
        read_request(connection)
        reset(connection)

    with serving(handle, at_once) as server:
        connection = Connection("127.0.0.1", server.port)
        got = connection.attempt(request(), "1")
        assert told(got) == (UNKNOWN, "reset")
        assert got.first_byte > 0
        assert got.status == 200
        assert told(connection.attempt(request(), "2")) == (UNKNOWN, "reset")


def test_a_fin_before_the_send_replaces_the_connection_and_loses_nothing() -> None:
    requests: list[bytes] = []

    def second(connection: socket.socket) -> None:
        requests.append(read_request(connection))
        connection.sendall(GOOD)

    with serving(answering(GOOD), second) as server:
        connection = Connection("127.0.0.1", server.port)
        first = connection.attempt(request(), "1")
        wait_readable(connection)
        got = connection.attempt(request(), "2")
        connection.close()
    assert (got.outcome, got.flags, got.nth) == (OK, FLAG_REPLACED, 1)
    assert got.conn != first.conn
    assert len(requests) == 1


def test_a_rst_before_the_send_replaces_the_connection() -> None:
    gone = threading.Event()

    def first(connection: socket.socket) -> None:
        answering(GOOD)(connection)
        reset(connection)
        gone.set()

    with serving(first, answering(GOOD)) as server:
        connection = Connection("127.0.0.1", server.port)
        connection.attempt(request(), "1")
        assert gone.wait(2)
        got = connection.attempt(request(), "2")
        connection.close()
    assert (got.outcome, got.flags, got.nth) == (OK, FLAG_REPLACED, 1)


def test_bytes_that_nobody_asked_for_are_a_loss_and_nothing_is_sent() -> None:
    rest: list[bytes] = []

    def handle(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(GOOD)
        time.sleep(0.05)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        rest.append(connection.recv(100) if _quiet(connection) else b"")

    with serving(handle) as server:
        connection = Connection("127.0.0.1", server.port)
        assert connection.attempt(request(), "1").outcome == OK
        wait_readable(connection)
        got = connection.attempt(request(), "2")
        assert server.done.wait(2)
    assert told(got) == (FAILED, "framing")
    assert (got.first_byte, got.nth) == (0, 1)
    assert rest == [b""]


def _quiet(connection: socket.socket) -> bool:
    connection.settimeout(2)
    try:
        return bool(connection.recv(1, socket.MSG_PEEK))
    except ConnectionResetError:
        return False


def test_the_server_says_when_it_closes() -> None:
    with serving(answering(GOOD.replace(b"X-Pod", b"Connection: close\r\nX-Pod")), answering(GOOD)) as server:
        connection = Connection("127.0.0.1", server.port)
        first = connection.attempt(request(), "1")
        second = connection.attempt(request(), "2")
        connection.close()
    assert (first.outcome, first.flags, second.outcome, second.flags) == (OK, FLAG_SERVER_CLOSE, OK, 0)
    assert second.conn != first.conn


def test_nothing_is_ever_sent_again() -> None:
    connections = []

    def cut(connection: socket.socket) -> None:
        connections.append(read_request(connection))

    with serving(cut, cut) as server:
        connection = Connection("127.0.0.1", server.port)
        connection.attempt(request(), "only-once")
        time.sleep(0.1)
        assert len(connections) == 1
        connection.attempt(request(), "another")
    assert [b"only-once" in connections[0], b"another" in connections[1]] == [True, True]


def test_a_trickling_server_gets_the_time_out_and_no_more() -> None:
    def trickle(connection: socket.socket) -> None:
        read_request(connection)
        try:
            for byte in b"HTTP/1.1 200 OK\r\nX-Slow: " + b"x" * 200:
                connection.sendall(bytes([byte]))
                time.sleep(0.02)
        except OSError:
            return

    with serving(trickle) as server:
        got = Connection("127.0.0.1", server.port).attempt(request(timeout_s=0.3), "1")
    assert told(got) == (UNKNOWN, "read_timeout")
    assert 0.28 < (got.end - got.sent) / 1e9 < 0.6
    assert got.first_byte > 0


@pytest.mark.parametrize(
    ("first", "piece", "error"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 65_536, "read_timeout"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n" * 9_000, "read_timeout"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"A: b\r\n" * 9_000, "framing"),
        (b"HTTP/1.1 200 OK\r\n", b"A: b\r\n" * 9_000, "framing"),
        (b"", bytes(range(256)) * 256, "framing"),
    ],
)
def test_a_server_that_pours_without_end_costs_its_time_and_bounded_memory(
    first: bytes, piece: bytes, error: str
) -> None:
    def pour(connection: socket.socket) -> None:
        read_request(connection)
        with contextlib.suppress(OSError):
            connection.sendall(first)
            while True:
                connection.sendall(piece)

    with serving(pour) as server:
        connection = Connection("127.0.0.1", server.port)
        tracemalloc.start()
        got = connection.attempt(request(timeout_s=0.4, identity=Identity(revision_json="a")), "i")
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        connection.close()
    assert (got.outcome, got.error) == (UNKNOWN, error)
    assert peak < 1_500_000
    assert got.end - got.sent < 2e9


def test_garbage_on_every_connection_for_long_leaves_nothing_behind() -> None:
    count = 600
    with serving(*[answering(b"\x16\x03\x01 rubbish\r\n\r\n" * 50)] * count) as server:
        sent = request()
        peaks = []
        tracemalloc.start()
        for number in range(count):
            connection = Connection("127.0.0.1", server.port)
            assert told(connection.attempt(sent, str(number))) == (UNKNOWN, "framing")
            connection.close()
            if number in (count // 3, count - 1):
                gc.collect()
                peaks.append(tracemalloc.get_traced_memory()[0])
        tracemalloc.stop()
    assert peaks[1] - peaks[0] < 100_000


def test_a_server_that_never_answers_or_never_reads_times_out() -> None:
    hold = threading.Event()

    def silent(connection: socket.socket) -> None:
        hold.wait(5)

    with serving(silent, silent) as server:
        got = Connection("127.0.0.1", server.port).attempt(request(timeout_s=0.2), "1")
        hold.set()
        assert told(got) == (UNKNOWN, "read_timeout")
        hold.clear()
        large = request(timeout_s=0.2, method="POST", body="x" * 20_000_000)
        got = Connection("127.0.0.1", server.port).attempt(large, "2")
        hold.set()
        assert told(got) == (UNKNOWN, "read_timeout")


def test_a_kept_connection_has_the_whole_time_for_each_request() -> None:
    def handle(connection: socket.socket) -> None:
        for _ in range(3):
            read_request(connection)
            for piece in (GOOD[:10], GOOD[10:]):
                time.sleep(0.1)
                connection.sendall(piece)

    with serving(handle) as server:
        connection = Connection("127.0.0.1", server.port)
        assert [connection.attempt(request(timeout_s=0.35), str(i)).outcome for i in range(3)] == [OK] * 3
        connection.close()


def test_a_closed_port_refuses() -> None:
    got = Connection("127.0.0.1", closed_port()).attempt(request(), "1")
    assert told(got) == (FAILED, "connect_refused")
    assert (got.nth, got.first_byte) == (0, 0)
    assert 0 < got.sent <= got.end


def test_a_full_backlog_is_a_connect_time_out() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        port = listener.getsockname()[1]
        held = []
        for _ in range(10):
            sock = socket.socket()
            sock.setblocking(False)
            sock.connect_ex(("127.0.0.1", port))
            held.append(sock)
        got = Connection("127.0.0.1", port).attempt(request(timeout_s=0.2), "1")
        for sock in held:
            sock.close()
    assert told(got) == (FAILED, "connect_timeout")


class FakeSocket:
    """A socket whose connect or send fails as told."""

    def __init__(self, connect: OSError | None = None, send: OSError | None = None, taken: int = 0) -> None:
        self._connect, self._send, self._taken = connect, send, taken
        self.closed = False

    def __call__(self, *_: object) -> "FakeSocket":
        return self

    def setsockopt(self, *_: object) -> None: ...

    def settimeout(self, _: float) -> None: ...

    def getsockname(self) -> tuple[str, int]:
        return "127.0.0.1", 40_000

    def connect(self, _: object) -> None:
        if self._connect:
            raise self._connect

    def send(self, data: bytes) -> int:
        if self._send and not self._taken:
            raise self._send
        return min(self._taken, len(data))

    def sendall(self, _: object) -> None:
        assert self._send is not None
        raise self._send

    def recv(self, *_: object) -> bytes:
        raise BlockingIOError

    def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize(
    ("error", "outcome", "name"),
    [
        (socket.gaierror(-2, "unknown"), FAILED, "dns"),
        (OSError(errno.EHOSTUNREACH, "no route"), FAILED, "unreachable"),
        (OSError(errno.ECONNRESET, "reset"), FAILED, "connect_reset"),
        (TimeoutError("timed out"), FAILED, "connect_timeout"),
        (OSError(errno.EADDRNOTAVAIL, "no ports left"), UNSENT, "none"),
        (OSError(errno.EMFILE, "no descriptors left"), UNSENT, "none"),
    ],
)
def test_connect_errors(error: OSError, outcome: int, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeSocket(connect=error)
    monkeypatch.setattr(socket, "socket", fake)
    got = Connection("127.0.0.1", 1).attempt(request(), "1")
    assert told(got) == (outcome, name)
    assert fake.closed
    assert (got.sent == 0) is (outcome == UNSENT)


@pytest.mark.parametrize(
    ("nth", "taken", "outcome", "name", "flags"),
    [
        (0, 0, FAILED, "connect_reset", 0),
        (0, 5, UNKNOWN, "reset", 0),
        (3, 0, FAILED, "idle_reset", FLAG_RETRIABLE),
        (3, 5, UNKNOWN, "idle_reset", FLAG_RETRIABLE),
    ],
)
def test_send_errors(
    nth: int, taken: int, outcome: int, name: str, flags: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = FakeSocket(send=OSError(errno.EPIPE, "gone"), taken=taken)
    monkeypatch.setattr(socket, "socket", fake)
    connection = Connection("127.0.0.1", 1)
    if nth:
        connection._sock = fake
        connection.nth = nth
    got = connection.attempt(request(), "1")
    assert told(got) == (outcome, name)
    assert (got.flags, got.nth) == (flags, nth + 1)
    assert fake.closed


def test_head_is_read_without_a_body() -> None:
    answer = GOOD[:-2]
    with serving(answering(answer, answer)) as server:
        connection = Connection("127.0.0.1", server.port)
        assert told(connection.attempt(request(method="HEAD"), "1")) == (OK, "none")
        assert told(connection.attempt(request(method="HEAD"), "2")) == (OK, "none")
        connection.close()


@pytest.mark.parametrize(
    ("identity", "revision", "pod"),
    [
        (Identity(revision_json="build.version", pod_json="pods.1"), "v2", "b"),
        (Identity(revision_json="number"), "7", ""),
        (Identity(revision_json="build"), "", ""),
        (Identity(revision_json="pods.9"), "", ""),
        (Identity(revision_json="nothing.here"), "", ""),
        (Identity(revision_header="x-REVISION", pod_json="pods.0"), "head", "a"),
        (Identity(), "", ""),
    ],
)
def test_identity_is_told_by_header_or_json(identity: Identity, revision: str, pod: str) -> None:
    body = b'{"build": {"version": "v2"}, "pods": ["a", "b"], "number": 7}'
    assert identity.extract({b"x-revision": b" head "}, body) == (revision, pod)
    answer = b"HTTP/1.1 200 OK\r\nX-Revision: head\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    with serving(answering(answer)) as server:
        connection = Connection("127.0.0.1", server.port)
        got = connection.attempt(request(identity=identity), "1")
        connection.close()
    assert (got.revision, got.pod, got.outcome) == (revision, pod, OK)


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 100_000, b'"text"', b'{"a": "\\ud800"}'])
def test_a_body_that_is_no_json_tells_nothing_and_breaks_nothing(body: bytes) -> None:
    revision, pod = Identity(revision_json="a", pod_json="b").extract({}, body)
    assert revision in ("", "?")
    assert pod == ""

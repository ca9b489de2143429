"""WebSockets of the demo application: as a process, with a client that isn't the load's."""

from __future__ import annotations

import asyncio
import collections
import json
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect as connect_async
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from images.app.bluegreen_app.sockets import MISSED, Refused, Stream, message_id
from tests.test_app_server import Process, running

SECOND = 10**9
SOCKET_ENV = {"DRAIN_SOCKET_SECONDS": "1", "DRAIN_QUIET_SECONDS": "0"}


def address(process: Process, *, epoch: int | str | None = None, last: int | str = -1, every: int | str = 1000) -> str:
    epoch = time.time_ns() if epoch is None else epoch
    return f"ws://127.0.0.1:{process.port}/ws?epoch={epoch}&last={last}&every={every}"


def opened(process: Process, request_id: str = "run-websocket-0", **query: Any) -> ClientConnection:
    headers = {"X-Request-Id": request_id}
    return connect(
        address(process, **query), additional_headers=headers, compression=None, proxy=None, ping_interval=None
    )


def numbers(client: ClientConnection, count: int) -> list[int]:
    return [json.loads(client.recv(timeout=5))["seq"] for _ in range(count)]


def ended(client: ClientConnection, seconds: float = 5) -> tuple[int, str]:
    """The close code and reason, whatever comes before."""
    with pytest.raises(ConnectionClosed) as closed:
        while True:
            client.recv(timeout=seconds)
    frame = closed.value.rcvd
    return (frame.code, frame.reason) if frame else (1006, "")


def state(process: Process) -> dict[str, Any]:
    told: dict[str, Any] = httpx.get(f"{process.admin}/state", trust_env=False).json()
    return told


def test_a_stream_goes_on_after_the_last_message_that_was_seen() -> None:
    assert Stream.asked({"epoch": "5", "last": "7", "every": "100"}, 5) == Stream(5, 8, 100_000_000)
    assert Stream.asked({}, 9) == Stream(9, 0, SECOND)
    assert Stream.asked({"epoch": "0"}, (MISSED - 1) * SECOND).next == 0
    with pytest.raises(Refused, match=f"{MISSED + 1} messages missed"):
        Stream.asked({"epoch": "0"}, MISSED * SECOND)


@pytest.mark.parametrize("query", ["epoch=-1", "epoch=x", "epoch=1e9", "last=-2", "every=0", "every=9", "every=99999"])
def test_nonsense_in_the_handshake_is_refused_by_name(query: str) -> None:
    name, _, value = query.partition("=")
    with pytest.raises(Refused, match=name) as refused:
        Stream.asked({name: value}, SECOND)
    assert refused.value.code == 1008


@pytest.mark.parametrize(
    ("text", "code"),
    [("{", 1007), ("[]", 1008), ("{}", 1008), ('{"id": true}', 1008), ('{"id": -1}', 1008), ('{"id": "1"}', 1008)],
)
def test_a_message_without_a_number_is_refused(text: str, code: int) -> None:
    with pytest.raises(Refused) as refused:
        message_id(text)
    assert refused.value.code == code
    assert message_id('{"id": 3, "again": true}') == 3


def test_the_handshake_tells_who_answers_and_what_was_missed_comes_at_once(tmp_path: Path) -> None:
    with running(LEDGER_DIR=str(tmp_path)) as process:
        epoch = time.time_ns() - round(5.5 * SECOND)
        with opened(process, "run-websocket-3", epoch=epoch, last=2) as client:
            assert client.response is not None
            told = {name: client.response.headers[f"x-{name}"] for name in ("revision", "color", "pod", "request-id")}
            assert told == {"revision": "v1", "color": "blue", "pod": "app-blue-x", "request-id": "run-websocket-3"}
            assert client.response.headers.get_all("connection") == ["Upgrade"]
            assert numbers(client, 3) == [3, 4, 5]
            assert time.time_ns() < epoch + 6 * SECOND
            assert numbers(client, 1) == [6]
            assert 0 <= time.time_ns() - (epoch + 6 * SECOND) < SECOND / 2
            seen = state(process)
            assert (seen["sockets"], seen["open"], seen["arrivals"], seen["messages_sent"]) == (1, 1, 0, 4)
        process.child.send_signal(signal.SIGINT)
        assert process.child.wait(10) == 0
        lines = {line["event"]: line for line in process.log()}
    assert lines["socket.closed"]["request_id"] == lines["socket.opened"]["request_id"] == "run-websocket-3"
    assert lines["socket.closed"]["code"] == 1000


def test_a_message_is_in_the_ledger_before_it_is_acknowledged(tmp_path: Path) -> None:
    with running(LEDGER_DIR=str(tmp_path)) as process, opened(process, every=60_000) as client:
        assert numbers(client, 1) == [0]
        for sent, number in (({"id": 0}, 0), ({"id": 1}, 1), ({"id": 1, "again": True}, 1)):
            client.send(json.dumps(sent))
            assert json.loads(client.recv(timeout=5)) == {"ack": number}
            record = (tmp_path / "app-blue-x.arrivals").read_text().splitlines()
            kind, stamp, request_id, written = record[-1].split()
            assert (kind, request_id, int(written)) == ("W", "run-websocket-0", number)
            assert time.monotonic_ns() - int(stamp) < SECOND
        assert [line.split()[0] for line in record] == ["S", "W", "W", "W"]  # no handshake among them


def test_a_client_that_talks_nonsense_is_told_so_by_its_close_code() -> None:
    with running() as process:
        for said, code in ((b"\0", 1003), ("{", 1007), ("[]", 1008), ("x" * 70_000, 1009)):
            with opened(process, every=60_000) as client:
                client.send(said)
                assert ended(client)[0] == code
        with opened(process, last="x") as client:
            assert ended(client)[0] == 1008
        with opened(process, epoch=0) as client:
            assert ended(client)[0] == 1008
        assert state(process)["sockets"] == 0


def test_pings_are_answered_and_other_paths_are_no_sockets() -> None:
    with running() as process:
        with opened(process) as client:
            assert client.ping().wait(timeout=5)
        with pytest.raises(InvalidStatus) as refused:
            connect(f"ws://127.0.0.1:{process.port}/", compression=None, proxy=None)
        assert refused.value.response.status_code in (403, 404)


def test_the_bad_version_refuses_the_handshake() -> None:
    with running(FAULT="500") as process:
        with pytest.raises(InvalidStatus) as refused:
            opened(process)
        assert refused.value.response.status_code == 500
        assert refused.value.response.headers["x-revision"] == "v1"


@pytest.mark.processes
@pytest.mark.parametrize("by", ["hook", "signal", "post"])
def test_a_drain_closes_the_sockets_one_after_the_other(by: str) -> None:
    count, seconds = 60, 2

    async def closes(process: Process) -> list[tuple[float, int, str]]:
        clients = [
            await connect_async(address(process), compression=None, proxy=None, ping_interval=None)
            for _ in range(count)
        ]
        began = time.monotonic()
        if by == "signal":
            process.child.send_signal(signal.SIGTERM)
        else:
            url, method = f"{process.admin}/drain", "GET" if by == "hook" else "POST"
            threading.Thread(target=lambda: httpx.request(method, url, timeout=20, trust_env=False)).start()

        async def end(client: Any) -> tuple[float, int, str]:
            await client.wait_closed()
            return time.monotonic() - began, client.close_code, client.close_reason

        return await asyncio.gather(*(end(client) for client in clients))

    with running(**{**SOCKET_ENV, "DRAIN_SOCKET_SECONDS": str(seconds)}) as process:
        seen = asyncio.run(closes(process))
        assert {(code, reason) for _, code, reason in seen} == {(1012, "draining")}
        times = [when for when, _, _ in seen]
        assert seconds * 0.8 < max(times) < seconds + 1
        tenths = collections.Counter(int(when * 10) for when in times)
        assert max(tenths.values()) < 0.2 * count
        if by == "post":  # empty, not ready, and still there: the hook of its end finds nothing left to do
            with pytest.raises(subprocess.TimeoutExpired):
                process.child.wait(0.5)
            assert httpx.get(f"{process.admin}/drain", timeout=5, trust_env=False).json()["emptied"]
        assert process.child.wait(10) == 0
        (drained,) = (line for line in process.log() if line["event"] == "drain.finished")
        assert (drained["emptied"], drained["open"]) == (True, 0)


@pytest.mark.processes
def test_an_explicit_drain_closes_newcomers_too_and_slow_answers_finish() -> None:
    with running(**SOCKET_ENV) as process, process.connect() as slow:
        slow.sendall(b"GET /slow?ms=1500 HTTP/1.1\r\nHost: api\r\n\r\n")
        with opened(process) as early:
            httpx.post(f"{process.admin}/drain", timeout=5, trust_env=False).raise_for_status()
            assert httpx.get(f"http://127.0.0.1:{process.port}/readyz", trust_env=False).status_code == 503
            with opened(process) as late:
                assert ended(late) == (1012, "draining")
            assert ended(early) == (1012, "draining")
        head = slow.recv(65536).lower()
        assert head.startswith(b"http/1.1 200")
        assert b"connection: close" in head
        process.child.send_signal(signal.SIGTERM)
        assert process.child.wait(10) == 0


@pytest.mark.processes
def test_a_process_that_knows_no_better_goes_at_once() -> None:
    with running(ON_SIGTERM="exit") as process, opened(process) as client, process.connect() as slow:
        slow.sendall(b"GET /slow?ms=1500 HTTP/1.1\r\nHost: api\r\n\r\n")
        numbers(client, 1)
        began = time.monotonic()
        process.child.send_signal(signal.SIGTERM)
        assert process.child.wait(5) == 128 + signal.SIGTERM
        assert time.monotonic() - began < 1
        assert ended(client) == (1006, "")
        assert _rest(slow) == b""


def _rest(connection: socket.socket) -> bytes:
    try:
        return connection.recv(100)
    except ConnectionResetError:
        return b""

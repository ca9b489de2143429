"""The WebSocket client against a server that does everything wrong, and three deliberately broken clients."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.client.generator import Generator
from harness.client.identity import Identity
from harness.client.misbehave import ToyServer
from harness.client.plan import ClassPlan, Entry, LoadPlan
from harness.client.secure_socket import connect_of
from harness.client.selftest import run_selftest
from harness.client.socket_plan import SocketPlan
from harness.client.socket_recorder import Life, SocketRecorder
from harness.client.socket_selftest import TOLD, SocketRow, SocketSetup, run_sockets
from harness.client.socket_toy import MODES, SocketToy
from harness.client.sockets import SocketClass
from harness.client.toy_process import ToyProcess
from harness.client.websocket import WebSocket
from harness.errors import ConfigurationError
from harness.evidence import socket_record as record
from harness.evidence.samples import SAMPLE
from harness.evidence.sockets import Sockets, joined
from harness.waiting import until
from tests.conftest import closed_port


def spawn(function: Callable[..., None], *args: object) -> None:
    threading.Thread(target=function, args=args, daemon=True).start()


def plan_for(folder: Path, *ports: int, **sockets: Any) -> LoadPlan:
    how = {"path": "/ok", "count": 2, "every_ms": 100, "ramp_s": 0.0, "handshake_timeout_s": 1.0, "cap_s": 0.2}
    return LoadPlan(
        entries=tuple(Entry("127.0.0.1", port, f"n{port}") for port in ports),
        hosts=("127.0.0.1",),
        host_header="toy.test",
        classes={"fresh": ClassPlan(5.0, path="/ok/x")},
        run_tag="t",
        folder=str(folder),
        identity=Identity(revision_header="X-Toy-Version", pod_header="X-Toy-Pod"),
        sockets=SocketPlan(**{**how, **sockets}),
    )


def read(path: Path) -> Sockets:
    found = joined([record.decode_sockets(np.fromfile(path, SAMPLE), 0, path.name)])
    assert found is not None
    return found


def run(plan: LoadPlan, seconds: float, meanwhile: Callable[[], None] | None = None) -> Sockets:
    """The sockets' record of a load of so many seconds."""
    recorder = SocketRecorder(Path(plan.folder))
    sockets = SocketClass(plan, recorder, spawn, connect=connect_of(plan))
    if meanwhile is not None:
        spawn(meanwhile)
    sockets.run(time.monotonic_ns(), time.monotonic_ns() + int(seconds * 1e9))
    recorder.close()
    return read(recorder.path)


# -- each misbehavior, and the liars ----------------------------------------------------------------------------------


class HidesAReconnect(SocketRecorder):
    """Takes a socket's second connection for its first one, going on."""

    def opened(self, life: Life) -> None:
        if not life.attempt:
            super().opened(life)

    def ended(self, life: Life) -> None:
        if life.attempt or life.end == record.DONE:
            life.attempt = 0
            self._count("open", -1)
            self._life(life)


class DropsAGap(SocketRecorder):
    """Writes down what should have come."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.last: dict[int, int] = {}

    def received(self, life: Life, seq: int, epoch: int, t: int) -> None:
        for missed in range(self.last.get(life.socket, seq - 1) + 1, seq):
            super().received(life, missed, epoch, t)
        self.last[life.socket] = seq
        super().received(life, seq, epoch, t)


class TakesACutForAClose(WebSocket):
    """FIN without a close frame is a going away, isn't it?"""

    def _end(self, end: int, why: str, code: int = 0) -> None:
        super()._end(*((record.SERVER, "none", 1001) if end == record.CUT else (end, why, code)))


def rows(folder: Path, setup: SocketSetup) -> dict[str, SocketRow]:
    return {row.mode: row for row in run_sockets(setup, folder, time.monotonic() + 20)}


@pytest.mark.processes
def test_the_honest_client_tells_every_misbehavior_exactly(tmp_path: Path) -> None:
    found = rows(tmp_path, SocketSetup())
    assert {mode: row.wrong for mode, row in found.items() if row.wrong} == {}
    assert set(found) == set(MODES)
    assert all(row.injected == row.reported == 2 for mode, row in found.items() if mode not in ("ok", "fragments"))


@pytest.mark.processes
def test_a_hidden_reconnect_is_red(tmp_path: Path) -> None:
    found = rows(tmp_path, SocketSetup(recorder=HidesAReconnect))
    red = {mode for mode, row in found.items() if row.wrong}
    assert red >= {mode for mode in TOLD if not mode.startswith("status")}
    assert "connections" in found["close_1012"].wrong
    assert not found["ok"].wrong


@pytest.mark.processes
def test_a_dropped_gap_is_red(tmp_path: Path) -> None:
    found = rows(tmp_path, SocketSetup(recorder=DropsAGap))
    assert "reported 0 instead of 2" in found["gap"].wrong
    assert not found["ok"].wrong


@pytest.mark.processes
def test_a_cut_taken_for_a_clean_close_is_red(tmp_path: Path) -> None:
    found = rows(tmp_path, SocketSetup(connect=TakesACutForAClose))
    assert {mode for mode, row in found.items() if row.wrong} == {"fin", "rst", "half_frame"}


@pytest.mark.processes
def test_a_lying_socket_makes_the_whole_self_test_red() -> None:
    result = run_selftest(20, sockets=SocketSetup(connect=TakesACutForAClose))
    assert not result.passed
    assert result.reported == result.injected - 6
    assert "sockets, rst: reported 0 instead of 2" in result.detail


def test_a_client_that_breaks_makes_its_row_red(tmp_path: Path) -> None:
    def broken(folder: Path) -> SocketRecorder:
        raise OSError(f"no space in {folder.name}")

    assert all("no space" in row.wrong for row in rows(tmp_path, SocketSetup(recorder=broken)).values())


# -- single behaviors -------------------------------------------------------------------------------------------------


@pytest.fixture
def toy() -> SocketToy:
    server = SocketToy()
    spawn(server.serve)
    return server


@pytest.mark.processes
def test_a_stopped_server_is_noticed_within_three_seconds_by_the_clients_own_pings(tmp_path: Path) -> None:
    with ToyProcess("harness.client.socket_toy") as server, ToyProcess("harness.client.socket_toy") as other:

        def stop() -> None:
            until(lambda: (tmp_path / f"sockets-{os.getpid()}.bin").exists(), "the record", timeout=5, every=0.02)
            time.sleep(0.5)
            server.process.send_signal(signal.SIGSTOP)

        plan = plan_for(tmp_path, server.port, other.port, count=4, every_ms=1000, pong_s=1.7)
        found = run(plan, 4.0, stop)
    silent = found.lives[found.lives["end"] == record.SILENT]
    assert len(silent) == 2 and set(silent["entry"]) == {0}
    detect = found.detect_ns()
    assert detect is not None and 0.9e9 < detect < 3e9
    assert found.reconnects.never == 0  # the next entry took them
    assert found.codes()["1006 pong"] == 2


def test_refused_connections_are_tried_again_with_jitter_over_all_entries(tmp_path: Path, toy: SocketToy) -> None:
    found = run(plan_for(tmp_path, closed_port(), toy.port, count=6), 0.6)
    assert found.codes() == {"refused: connect_refused": 3}
    assert np.count_nonzero(found.open_at(found.end_ns)) == 6
    assert found.messages.lost == found.messages.unacknowledged == 0
    gaps = [
        int(after["began"]) - int(before["ended"])
        for before, after in zip(found.lives[:-1], found.lives[1:], strict=True)
        if before["socket"] == after["socket"]
    ]
    assert len(gaps) == 3 and all(0 <= gap < 300_000_000 for gap in gaps)


def test_a_server_that_never_answers_the_handshake_is_given_up_in_time(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        plan = plan_for(tmp_path, mute.getsockname()[1], count=1, handshake_timeout_s=0.3)
        found = run(plan, 0.7)
    assert set(found.codes()) == {"refused: handshake_timeout"}
    took = found.lives["ended"] - found.lives["began"]
    assert np.all((took >= 0.29e9) & (took < 1.5e9))
    assert found.faults() == ()


def test_an_own_failure_to_connect_is_no_loss_and_opens_the_ledger(
    tmp_path: Path, toy: SocketToy, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, tried = socket.socket, iter([OSError(24, "Too many open files")])

    def scarce(*args: Any, **named: Any) -> Any:
        if (error := next(tried, None)) is not None:
            raise error
        return real(*args, **named)

    monkeypatch.setattr(socket, "socket", scarce)
    found = run(plan_for(tmp_path, toy.port, count=1), 0.3)
    assert found.losses == 0
    assert found.faults() == ("this machine itself couldn't connect 1 times",)


def test_identity_and_request_id_go_by_the_handshake(tmp_path: Path, toy: SocketToy) -> None:
    found = run(plan_for(tmp_path, toy.port, count=3), 0.3)
    assert found.revisions_at(found.end_ns) == {"toy": 3}
    assert {found.text(int(pod)) for pod in found.lives["pod"]} == {"toy-0"}
    assert toy.seen == {("ok", f"t-websocket-{number}") for number in range(3)}


@pytest.mark.processes
def test_sockets_open_within_the_ramp_and_not_at_once(tmp_path: Path, toy: SocketToy) -> None:
    found = run(plan_for(tmp_path, toy.port, count=20, ramp_s=1.0), 1.3)
    opened = np.sort(found.lives["opened"])
    assert opened[-1] - opened[0] < 1.3e9
    assert max(np.count_nonzero((opened >= one) & (opened < one + 1e8)) for one in opened) <= 8


def test_a_load_that_ends_within_its_ramp_has_tried_every_socket(tmp_path: Path, toy: SocketToy) -> None:
    found = run(plan_for(tmp_path, toy.port, count=5, ramp_s=5.0), 0.2)
    assert found.faults() == () and len(found.lives) == 5


@pytest.mark.processes
def test_an_attempt_that_begins_as_the_others_give_up_is_in_the_record(tmp_path: Path) -> None:
    """Its own time-out ends long after the load: the ledger is written only then."""
    with socket.create_server(("127.0.0.1", 0)) as mute:
        plan = plan_for(tmp_path, mute.getsockname()[1], count=3, handshake_timeout_s=2.0, base_s=0.0)
        found = run(plan, 0.3)
    assert found.faults() == () and len(found.lives) == 6


def test_the_generator_runs_sockets_beside_the_classes_and_ends_with_them(tmp_path: Path, toy: SocketToy) -> None:
    http = ToyServer()
    spawn(http.serve)
    plan = plan_for(tmp_path, toy.port)
    generator = Generator(plan, spawn)
    assert generator.names == ("fresh", "websocket")
    threads = [threading.Thread(target=generator.run, args=(name,)) for name in generator.names]
    for thread in threads:
        thread.start()
    until(lambda: toy.report().get("ok", {}).get("written", 0) >= 4, "messages", timeout=5, every=0.02)
    generator.stop()
    for thread in threads:
        thread.join(10)
    assert generator.finished
    generator.close()
    found = read(tmp_path / f"sockets-{os.getpid()}.bin")
    assert found.finished and found.faults() == () and found.losses == 0
    assert found.messages.received == toy.report()["ok"]["sent"]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_defect_of_the_client_leaves_the_ledger_open(tmp_path: Path, toy: SocketToy) -> None:
    class Breaks(SocketRecorder):
        def ended(self, life: Life) -> None:
            if life.socket:
                super().ended(life)
            else:
                raise RuntimeError("a defect")

    recorder = Breaks(tmp_path)
    sockets = SocketClass(plan_for(tmp_path, toy.port), recorder, spawn)
    sockets.run(time.monotonic_ns(), time.monotonic_ns() + 300_000_000)
    recorder.close()
    assert f"{recorder.path.name}: 1 connections have no end" in read(recorder.path).faults()


@pytest.mark.parametrize(
    "changes", [{"path": "ws"}, {"count": 0}, {"count": True}, {"every_ms": 0.5}, {"ping_s": -1}, {"cap_s": "x"}]
)
def test_a_plan_out_of_bounds_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        SocketPlan(**{"path": "/ws", **changes})


def test_the_plan_goes_to_the_child_and_back(tmp_path: Path) -> None:
    plan = plan_for(tmp_path, 80)
    assert LoadPlan.from_json(plan.to_json()) == plan

"""Workers for real, without a cluster: agents on 127.0.0.1, Locust's master and workers below them, the toy server."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from harness.checks.registry import judge
from harness.client.agent import Agent, serve
from harness.client.identity import Identity
from harness.client.plan import ClassPlan, Entry, LoadPlan
from harness.client.toy_process import ToyProcess
from harness.errors import ClusterError, LoadError
from harness.evidence.ledger import ledger
from harness.evidence.store import read
from harness.evidence.timeline import Timeline
from harness.evidence.workers import workers_of
from harness.journal import Journal
from harness.workers.crew import Crew, crewed
from harness.workers.hands import Member

ROOT = Path(__file__).parents[1]
TOKEN = "a-token"
STEADY_ANSWERS = 3


class Here:
    """Hands whose workers are agents in threads of this process.

    Args:
        folder: each agent gets one below it.
        workers: how many.

    """

    name = "load"

    def __init__(self, folder: Path, workers: int) -> None:
        locustfile = str(ROOT / "loadtests" / "distributed.py")
        self.agents = [Agent(folder / f"agent-{number}", locustfile) for number in range(workers)]
        self.servers = [serve(agent, TOKEN, 0, "127.0.0.1") for agent in self.agents]
        with socket.create_server(("127.0.0.1", 0)) as found:  # only now: one that was free before may be one of theirs
            master = found.getsockname()[1]
        for agent in self.agents:
            agent.master_port = master
        self.dead: set[int] = set()
        self.bent: Callable[[int, str, bytes], bytes] = lambda _, __, answer: answer

    def begin(self) -> Sequence[Member]:
        for agent, server in zip(self.agents, self.servers, strict=True):
            agent.folder.mkdir()
            threading.Thread(target=server.serve_forever, daemon=True).start()
            threading.Thread(target=agent.watch, daemon=True).start()
        return [Member(number, f"pod-{number}", f"node-{number}", "127.0.0.1") for number in range(len(self.agents))]

    def call(self, number: int, method: str, path: str, body: Any = None, timeout: float = 5.0) -> bytes:
        if number in self.dead:
            raise ClusterError("its pod is gone")
        connection = http.client.HTTPConnection("127.0.0.1", self.servers[number].server_address[1], timeout=timeout)
        try:
            connection.request(method, f"/{TOKEN}/{path}", None if body is None else json.dumps(body))
            answer = connection.getresponse()
            data = answer.read()
        finally:
            connection.close()
        if answer.status != 200:
            raise ClusterError(data.decode())
        return self.bent(number, path, data)

    def close(self) -> None:
        for agent, server in zip(self.agents, self.servers, strict=True):
            agent.ended.set()
            server.shutdown()
            server.server_close()


@pytest.fixture(scope="module")
def toy() -> Iterator[ToyProcess]:
    with ToyProcess() as server:
        yield server


@pytest.fixture
def hands(tmp_path: Path) -> Iterator[Here]:
    made = Here(tmp_path, 2)
    yield made
    made.close()


def plan(folder: Path, port: int, path: str = "/ok/load", **changes: Any) -> LoadPlan:
    values: dict[str, Any] = {
        "entries": (Entry("127.0.0.1", port, "Service"),),
        "hosts": ("127.0.0.1",),
        "host_header": "x.test",
        "classes": {"fresh": ClassPlan(40.0, path=path), "busy": ClassPlan(10.0, path=path)},
        "run_tag": f"t{time.monotonic_ns()}",
        "folder": str(folder),
        "identity": Identity(revision_header="X-Toy-Version", pod_header="X-Toy-Pod"),
        "timeout_s": 1.0,
        "max_seconds": 60.0,
    }
    return LoadPlan(**{**values, **changes})


def recorded(tmp_path: Path, hands: Here, toy: ToyProcess, during: Callable[[], None], **changes: Any) -> Timeline:
    folder = tmp_path / "scenario"
    folder.mkdir()
    with Journal(folder) as journal:
        journal.event("run.started", path="clusterip", nodes=["node-0", "node-1"])
        with crewed(plan(folder, toy.port, **changes), 2, hands, journal):
            during()
        journal.event("scenario.finished")
    return read(folder)


@pytest.mark.processes
def test_two_workers_are_one_load_and_their_ledger_closes(tmp_path: Path, hands: Here, toy: ToyProcess) -> None:
    path = "/rst/workers?every=10"
    timeline = recorded(tmp_path, hands, toy, lambda: time.sleep(4), path=path)
    report = toy.report()["/rst/workers"]
    lines = ledger(timeline)
    assert not timeline.notes
    assert {line.name: line.faults for line in lines} == {"fresh": (), "busy": ()}
    # the server saw just what was recorded, and before it what each worker asked to see that it is there
    assert sum(line.issued for line in lines) == report["arrivals"] - 2 * STEADY_ANSWERS
    keys = [tuple(one) for one in timeline.samples[["cls", "seq"]].tolist()]
    assert len(set(keys)) == len(keys)  # no request of any worker has another one's number
    assert sum(line.failed + line.unknown for line in lines) == report["injected"] > 0
    assert [spec.rate for spec in timeline.classes] == [40.0, 10.0]
    fresh = timeline.of_class("fresh")
    assert set(fresh["entry"].tolist()) == {0, 1}
    assert set((fresh["seq"] % 2 == fresh["entry"]).tolist()) == {True}
    found = {finding.check: finding for finding in judge(timeline, [])}
    assert found["ledger"].verdict == "pass"
    assert found["workers"].verdict == "pass", found["workers"].detail
    assert "2 workers sent" in found["workers"].detail
    assert all(one.whole and one.clock.drift_ns is not None for one in workers_of(timeline.events).values())


@pytest.mark.processes
def test_a_worker_that_dies_is_told_and_nothing_passes(tmp_path: Path, hands: Here, toy: ToyProcess) -> None:
    def kill() -> None:
        time.sleep(1)
        os.kill(pid(hands, 1), signal.SIGKILL)
        time.sleep(1)

    timeline = recorded(tmp_path, hands, toy, kill)
    found = {finding.check: finding for finding in judge(timeline, [])}
    assert found["ledger"].verdict == "inconclusive"
    assert "worker 1 of 2 was lost: it ended by itself with exit code -9" in found["ledger"].detail
    whole = {one.number: one.whole for one in workers_of(timeline.events).values()}
    assert whole == {0: True, 1: False}
    assert set(timeline.of_class("fresh")["entry"].tolist()) == {0, 1}  # what it had recorded is kept


@pytest.mark.processes
def test_the_others_end_where_the_masters_pod_is_gone(tmp_path: Path, hands: Here, toy: ToyProcess) -> None:
    def lose() -> None:
        time.sleep(1)
        os.kill(hands.agents[0]._master.pid, signal.SIGKILL)  # type: ignore[union-attr]
        hands.dead.add(0)

    timeline = recorded(tmp_path, hands, toy, lose)
    whole = {one.number: one.whole for one in workers_of(timeline.events).values()}
    assert whole == {0: False, 1: True}
    assert "its pod is gone" in " ".join(timeline.notes)


@pytest.mark.processes
def test_a_clock_that_is_ahead_is_brought_back(tmp_path: Path, hands: Here, toy: ToyProcess) -> None:
    """Worker 1's clock is told 3 s ahead, and so is when it shall begin: it sends at the same time as the other."""
    ahead = 3_000_000_000

    def bent(number: int, path: str, answer: bytes) -> bytes:
        return str(int(answer) + ahead).encode() if number == 1 and path == "clock" else answer

    hands.bent = bent
    timeline = recorded(tmp_path, hands, toy, lambda: time.sleep(1))
    known = list(workers_of(timeline.events).values())
    assert abs(known[0].clock.offset_ns) < 50_000_000
    assert abs(known[1].clock.offset_ns - ahead) < 50_000_000
    # it began 3 s late by the real clock, and its times are 3 s earlier than they were: told together they coincide
    fresh = timeline.of_class("fresh")
    first = [int(fresh["intended"][fresh["entry"] == number].min()) for number in (0, 1)]
    assert abs(first[1] - first[0] - 25_000_000) < 60_000_000


def test_a_load_of_pods_has_no_process_that_could_be_stopped(tmp_path: Path, hands: Here) -> None:
    hands.begin()
    with Journal(tmp_path) as journal, pytest.raises(LoadError, match="pods"):
        _ = Crew(plan(tmp_path, 1), 2, hands, journal).pid


# -- the agent --------------------------------------------------------------------------------------------------------


@pytest.fixture
def asked(tmp_path: Path) -> Iterator[Callable[..., tuple[int, bytes]]]:
    agent = Agent(tmp_path, "none.py")
    server = serve(agent, TOKEN, 0, "127.0.0.1")
    threading.Thread(target=server.serve_forever, daemon=True).start()

    def ask(path: str, method: str = "GET", body: bytes | None = None) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", server.server_address[1], timeout=5)
        connection.request(method, path, body)
        answer = connection.getresponse()
        found = answer.status, answer.read()
        connection.close()
        return found

    yield ask
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("path", ["/", "/clock", "/other/clock", f"/{TOKEN}", f"/{TOKEN}/clock/1", f"/{TOKEN}/end"])
def test_only_who_knows_the_token_and_the_path_is_answered(asked: Callable[..., Any], path: str) -> None:
    assert asked(path)[0] == 404


def test_an_agent_tells_its_clock_and_gives_the_record_from_anywhere(asked: Callable[..., Any], tmp_path: Path) -> None:
    before = time.monotonic_ns()
    status, told = asked(f"/{TOKEN}/clock")
    assert status == 200
    assert before <= int(told) <= time.monotonic_ns()
    assert asked(f"/{TOKEN}/file/samples/0") == (200, b"")
    (tmp_path / "samples-7.bin").write_bytes(b"0123456789")
    assert asked(f"/{TOKEN}/file/samples/4") == (200, b"456789")
    assert json.loads(asked(f"/{TOKEN}/status")[1])["files"] == {"samples": 10}


@pytest.mark.parametrize(
    ("path", "method", "body"),
    [
        ("file/plan/0", "GET", None),
        ("file/samples/-1", "GET", None),
        ("file/samples/x", "GET", None),
        ("go/soon", "POST", None),
        ("start", "POST", b"{}"),
        ("start", "POST", b"no json"),
        ("start", "POST", b'{"plan": {"entries": []}}'),
    ],
)
def test_what_makes_no_sense_is_refused(asked: Callable[..., Any], path: str, method: str, body: bytes | None) -> None:
    assert asked(f"/{TOKEN}/{path}", method, body)[0] == 400


def pid(hands: Here, number: int) -> int:
    """Process id of an agent's Locust worker."""
    process = hands.agents[number]._worker
    assert process is not None
    return process.pid

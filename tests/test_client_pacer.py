"""The open model: every sample at its own time, nothing skipped, the ledger closed or plainly open."""

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.client import pacer as pacer_module
from harness.client.exchange import Answer, Request
from harness.client.follower import Follower
from harness.client.generator import Generator
from harness.client.http import Connection
from harness.client.pacer import EXTRA_IDLE_NS, Pacer, Pool
from harness.client.plan import ClassPlan, Entry, LoadPlan
from harness.client.recorder import Recorder
from harness.evidence.samples import CLOSING, KIND_CLOSING, OK, UNSENT, Samples

ENTRIES = tuple(Entry("127.0.0.1", 1000 + i, f"n{i}") for i in range(3))


def plan(folder: Path, classes: dict[str, ClassPlan], **changes: Any) -> LoadPlan:
    values: dict[str, Any] = {
        "entries": ENTRIES,
        "hosts": ("127.0.0.1",),
        "host_header": "x.test",
        "classes": classes,
        "run_tag": "t",
        "folder": str(folder),
        "timeout_s": 1.0,
    }
    return LoadPlan(**{**values, **changes})


def spawn(function: Callable[..., None], *args: object) -> None:
    threading.Thread(target=function, args=args, daemon=True).start()


class Service:
    """Makes connections whose every answer takes as long as told; counts and remembers."""

    def __init__(self, takes: Callable[[int], float] = lambda _: 0.0) -> None:
        self.takes = takes
        self.made: list[FakeConnection] = []
        self.ids: list[str] = []

    def __call__(self, host: str, port: int, entry: int) -> "FakeConnection":
        assert (host, port) == (ENTRIES[entry].host, ENTRIES[entry].port)
        connection = FakeConnection(self, entry, len(self.made) + 1)
        self.made.append(connection)
        return connection


class FakeConnection(Connection):
    def __init__(self, service: Service, entry: int, ident: int) -> None:
        super().__init__("127.0.0.1", 1, entry)
        self.service = service
        self.ident = ident
        self.at_once = 0
        self.closed = False

    def attempt(self, request: Request, request_id: str) -> Answer:
        self.at_once += 1
        assert self.at_once == 1, "requests on one connection are serial"
        self.service.ids.append(request_id)
        answer = Answer()
        answer.sent = time.monotonic_ns()
        self.nth += 1
        answer.conn, answer.nth = self.ident, self.nth
        seconds = self.service.takes(int(request_id.rsplit("-", 1)[1]))
        if seconds < 0:
            raise RuntimeError("a defect of the client")
        if seconds:
            time.sleep(seconds)
        answer.end = answer.first_byte = time.monotonic_ns()
        self.at_once -= 1
        return answer

    def close(self) -> None:
        self.closed = True


def run(
    folder: Path, name: str, spec: ClassPlan, service: Service, seconds: float, **changes: Any
) -> tuple[Pacer, Samples, list[int]]:
    """Run one class; its samples by seq and its closing record."""
    record = Recorder(folder)
    pacer = Pacer(plan(folder, {name: spec}, **changes), name, 0, record, spawn, connection=service)
    t0 = time.monotonic_ns() + 10_000_000
    pacer.run(t0, t0 + int(seconds * 1e9))
    record.close()
    samples = Follower(record.path).read()
    closings = np.frombuffer(record.path.read_bytes(), CLOSING)
    row = closings[closings["kind"] == KIND_CLOSING][0]
    return pacer, np.sort(samples, order="seq"), [int(row[key]) for key in ("scheduled", "issued", "unsent", "open")]


def test_the_schedule_is_t0_plus_k_over_rate_and_entries_take_turns(tmp_path: Path) -> None:
    service = Service()
    _, samples, ledger = run(tmp_path, "fresh", ClassPlan(rate=200), service, 0.25)
    assert ledger == [50, 50, 0, 0]
    assert samples["seq"].tolist() == list(range(50))
    assert set(np.diff(samples["intended"])) == {5_000_000}
    assert samples["entry"].tolist() == [k % 3 for k in range(50)]
    assert np.all(samples["sent"] >= samples["intended"])
    assert sorted(service.ids) == sorted(f"t-fresh-{k}" for k in range(50))
    assert len(set(samples["conn"].tolist())) == 50
    assert all(connection.closed for connection in service.made)


def test_a_hanging_service_is_still_sent_everything_in_time(tmp_path: Path) -> None:
    stall = time.monotonic() + 0.15, time.monotonic() + 0.55
    service = Service(lambda _: max(0.0, stall[1] - time.monotonic()) if time.monotonic() > stall[0] else 0.0)
    _, samples, ledger = run(tmp_path, "fresh", ClassPlan(rate=100), service, 0.7)
    assert ledger == [70, 70, 0, 0]
    waited = (samples["sent"] < stall[1] * 1e9) & (samples["end"] >= stall[1] * 1e9)
    assert np.count_nonzero(waited) >= 20


def test_over_the_bound_a_sample_is_unsent_and_never_skipped(tmp_path: Path) -> None:
    service = Service(lambda _: 0.3)
    _, samples, ledger = run(tmp_path, "fresh", ClassPlan(rate=100, in_flight=5), service, 0.2)
    assert ledger == [20, 5, 15, 0]
    assert samples["seq"].tolist() == list(range(20))
    unsent = samples[samples["outcome"] == UNSENT]
    assert len(unsent) == 15
    assert not np.any(unsent["sent"])
    assert np.all(unsent["end"] > 0)
    assert len(service.ids) == 5


def test_late_samples_are_sent_late_and_none_is_left_out(tmp_path: Path) -> None:
    record = Recorder(tmp_path)
    service = Service()
    pacer = Pacer(plan(tmp_path, {"fresh": ClassPlan(rate=100)}), "fresh", 0, record, spawn, connection=service)
    t0 = time.monotonic_ns() - 500_000_000
    pacer.run(t0, t0 + 600_000_000)
    record.close()
    samples = Follower(record.path).read()
    assert len(samples) == 60
    assert np.max(samples["sent"] - samples["intended"]) > 400_000_000


def test_busy_keeps_one_connection_per_entry(tmp_path: Path) -> None:
    service = Service()
    _, samples, ledger = run(tmp_path, "busy", ClassPlan(rate=120), service, 0.25)
    assert ledger == [30, 30, 0, 0]
    assert len(service.made) == 3
    assert np.max(samples["nth"]) == 10
    assert samples["entry"].tolist() == [k % 3 for k in range(30)]


def test_a_busy_connection_that_waits_makes_no_other_sample_wait(tmp_path: Path) -> None:
    others = threading.Event()

    def takes(k: int) -> float:
        if k == 0:
            assert others.wait(10)
        elif k == 9:
            others.set()
        return 0.0

    service = Service(takes)
    _, samples, ledger = run(tmp_path, "busy", ClassPlan(rate=100), service, 0.3, timeout_s=10.0)
    assert ledger == [30, 30, 0, 0]
    assert np.all(samples["end"][0] > samples["sent"][[3, 6, 9]])
    extra = service.made[3:]
    assert {connection.entry for connection in extra} <= {0, 1, 2}
    assert service.made[0].nth + sum(connection.nth for connection in extra if connection.entry == 0) == 10
    assert all(connection.closed for connection in service.made)


def test_further_connections_go_when_unused() -> None:
    made: list[FakeConnection] = []

    def connect(entry: int) -> FakeConnection:
        made.append(FakeConnection(Service(), entry, len(made)))
        return made[-1]

    pool = Pool(ENTRIES, 3, connect)
    first, second = pool.take(0, 0), pool.take(3, 0)
    assert first is made[0]
    assert second is made[3]
    assert second.entry == 0
    pool.give(first, 1)
    pool.give(second, 1)
    assert pool.take(6, 2) is first
    assert pool.take(9, 3) is second
    pool.give(second, 4)
    pool.take(1, 5 + EXTRA_IDLE_NS)
    assert made[3].closed
    assert pool.take(12, 6 + EXTRA_IDLE_NS) is made[4]


def test_idle_requests_on_one_connection_are_a_gap_apart(tmp_path: Path) -> None:
    service = Service()
    _, samples, _ = run(tmp_path, "idle", ClassPlan(rate=50, gap_s=0.2), service, 0.5)
    assert len(service.made) == 10
    for ident in range(1, 11):
        gaps = np.diff(samples["intended"][samples["conn"] == ident])
        assert set(gaps.tolist()) == {200_000_000}


def test_stop_waits_for_what_is_in_flight(tmp_path: Path) -> None:
    record = Recorder(tmp_path)
    service = Service(lambda _: 0.3)
    pacer = Pacer(plan(tmp_path, {"slow": ClassPlan(rate=20)}), "slow", 0, record, spawn, connection=service)
    threading.Timer(0.2, pacer.stop).start()
    t0 = time.monotonic_ns()
    pacer.run(t0, t0 + 60_000_000_000)
    record.close()
    samples = Follower(record.path).read()
    assert 1 <= pacer.scheduled < 1200  # of the 1,200 that a minute would have had
    assert len(samples) == pacer.scheduled
    assert (pacer.in_flight, pacer.unsent) == (0, 0)
    assert np.all(samples["outcome"] == OK)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_defect_of_the_client_leaves_the_ledger_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pacer_module, "GRACE_S", 0.1)
    service = Service(lambda k: -1.0 if k == 3 else 0.0)
    _, samples, ledger = run(tmp_path, "fresh", ClassPlan(rate=100), service, 0.1, timeout_s=0.1)
    assert ledger == [10, 10, 0, 1]
    assert 3 not in samples["seq"]


def test_all_classes_share_a_record_and_end_together(tmp_path: Path) -> None:
    classes = {"fresh": ClassPlan(rate=50), "idle": ClassPlan(rate=5), "post": ClassPlan(rate=20)}
    seen: list[str] = []
    made = plan(tmp_path, classes, entries=(Entry("127.0.0.1", 1, "closed"),), max_seconds=1.0)
    generator = Generator(made, spawn, on_sample=lambda name, *_: seen.append(name), parent=os.getppid())
    assert generator.stop_seconds > 1.0
    threads = [threading.Thread(target=generator.run, args=(name,)) for name in classes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    generator.close()
    assert generator.finished
    follower = Follower(next(tmp_path.glob("samples-*.bin")))
    samples = follower.read()
    assert sorted(follower.classes.values()) == sorted(classes)
    assert len(samples) == len(seen) > 0
    assert np.all(samples["sent"] > 0)


def test_a_load_whose_parent_is_gone_ends_long_before_its_time(tmp_path: Path) -> None:
    made = plan(tmp_path, {"fresh": ClassPlan(rate=20)}, entries=(Entry("127.0.0.1", 1, "closed"),), max_seconds=60.0)
    generator = Generator(made, spawn, parent=os.getpid())  # nobody is their own parent
    begun = time.monotonic()
    generator.run("fresh")
    generator.close()
    assert generator.finished
    assert time.monotonic() - begun < 30

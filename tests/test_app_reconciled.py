"""The real application, killed in the middle of an answer: its record alone finds the client that sends again."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from harness.checks.registry import judge
from harness.client.exchange import Answer, Request
from harness.client.http import Connection
from harness.client.identity import Identity
from harness.client.recorder import Recorder
from harness.cluster.arrivals import keep
from harness.evidence.reconcile import Reconciled, reconcile
from harness.evidence.samples import OK
from harness.evidence.store import read
from harness.evidence.timeline import Timeline
from harness.journal import Journal
from harness.waiting import until
from tests.test_app_server import Process, running

pytestmark = pytest.mark.processes

COUNT = 12
KILLED_AT = 7
IDENTITY = Identity(revision_header="X-Revision", pod_header="X-Pod")


class Honest(Connection):
    """Finds the next pod where the first one is gone, as a Service would lead it there; sends nothing twice."""

    def __init__(self, first: int, second: int) -> None:
        super().__init__("127.0.0.1", first)
        self.second = second

    def attempt(self, request: Request, request_id: str) -> Answer:
        answer = super().attempt(request, request_id)
        if answer.outcome != OK:
            self.port = self.second
        return answer


class Resends(Honest):
    """Sends again, once, what a dead connection swallowed, and tells of the second answer only."""

    def attempt(self, request: Request, request_id: str) -> Answer:
        answer = super().attempt(request, request_id)
        if answer.error in ("idle_closed", "idle_reset"):
            answer = super().attempt(request, request_id)
        return answer


def played(folder: Path, kind: type[Honest]) -> Timeline:
    """Orders on one connection; the pod is killed in the middle of one; the record, as the harness would leave it."""
    (ledger := folder / "ledger").mkdir()
    run = folder / "run"
    with (
        running(LEDGER_DIR=str(ledger), POD_NAME="blue-a") as one,
        running(LEDGER_DIR=str(ledger), POD_NAME="blue-b") as other,
        Journal(run) as journal,
    ):
        journal.event("run.started", run_tag="tag")
        journal.event("pods.entered", pods=["blue-a", "blue-b"])
        connection, record = kind(one.port, other.port), Recorder(run)
        record.define_class(0, "busy", 10.0, time.monotonic_ns(), 5.0)
        for seq in range(COUNT):
            slow = seq == KILLED_AT
            path = "/slow?ms=400" if slow else "/orders"
            request = Request(
                path=path,
                host="api",
                method="GET" if slow else "POST",
                expected=frozenset({200, 201}),
                identity=IDENTITY,
            )
            killer = threading.Thread(
                target=kill_once_it_has, args=(one, ledger / "blue-a.arrivals", f"tag-busy-{seq}")
            )
            if slow:
                killer.start()
            intended = time.monotonic_ns()
            answer = connection.attempt(request, f"tag-busy-{seq}")
            record.sample(0, seq, intended, 0, request.method_code, answer)
            if slow:
                killer.join()
        connection.close()
        record.close_class(0, COUNT, COUNT, 0, 0)
        record.close()
        keep(ledger, run, journal)
    return read(run)


def kill_once_it_has(pod: Process, record: Path, ident: str) -> None:
    until(lambda: ident in record.read_text(), f"{ident} to arrive", timeout=10, every=0.005)
    pod.child.kill()


def result_of(timeline: Timeline) -> Reconciled:
    assert timeline.arrivals is not None
    return reconcile(timeline, timeline.arrivals)


def verdict(timeline: Timeline, check: str) -> str:
    return next(one.verdict for one in judge(timeline, []) if one.check == check)


def test_an_honest_client_reconciles_though_a_pod_was_killed(tmp_path: Path) -> None:
    timeline = played(tmp_path, Honest)
    result = result_of(timeline)
    assert (result.contradictions, result.faults) == (0, ())
    assert (result.issued, result.arrived) == (COUNT, COUNT)
    assert result.posts_ok == result.posts_applied == COUNT - 1
    assert int((timeline.samples["outcome"] != OK).sum()) == 1
    assert verdict(timeline, "arrivals") == "pass"


def test_a_hidden_re_send_is_found_by_the_record_alone(tmp_path: Path) -> None:
    timeline = played(tmp_path, Resends)
    assert bool((timeline.samples["outcome"] == OK).all())  # by its own account nothing was lost
    assert verdict(timeline, "ledger") == "pass"
    result = result_of(timeline)
    assert (result.contradictions, result.twice, result.faults) == (1, 1, ())
    assert result.told["twice"][0].startswith(f"busy-{KILLED_AT} at blue-a and blue-b within ")
    assert verdict(timeline, "arrivals") == "fail"


@pytest.mark.parametrize("kind", [Honest, Resends])
def test_the_stored_record_tells_the_same_elsewhere(tmp_path: Path, kind: type[Honest]) -> None:
    timeline = played(tmp_path, kind)
    (tmp_path / "run").rename(tmp_path / "elsewhere")
    for left in (tmp_path / "ledger").iterdir():
        left.unlink()
    assert judge(read(tmp_path / "elsewhere"), []) == judge(timeline, [])

"""The self-test is exact for the honest client, and red for four that lie."""

import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.client.exchange import Answer, Request
from harness.client.http import Connection
from harness.client.lanes import Lane
from harness.client.misbehave import MODES
from harness.client.recorder import Recorder
from harness.client.selftest import COUNT, EVERY, KINDS, SelfTestResult, in_subprocess, run_selftest
from harness.client.selftest_tls import CASES, SHAKEN
from harness.client.socket_toy import MODES as SOCKET_MODES
from harness.client.stopped import stall_bracket, stall_errors
from harness.evidence.samples import OK, UNKNOWN, Samples, empty

pytestmark = pytest.mark.processes


class Resends(Connection):
    """Sends again, once, where a reused connection died before the first byte: what most clients do unasked."""

    def attempt(self, request: Request, request_id: str) -> Answer:
        answer = super().attempt(request, request_id)
        if answer.error in ("idle_closed", "idle_reset"):
            answer = super().attempt(request, request_id)
        return answer


class TakesEofAsOk(Connection):
    """Takes FIN within a body for its end."""

    def attempt(self, request: Request, request_id: str) -> Answer:
        answer = super().attempt(request, request_id)
        if answer.error == "truncated":
            answer.outcome, answer.error = OK, "none"
        return answer


class SendsAgain(Lane):
    """Sends again, once, what a GOAWAY left unprocessed: RFC 9113 8.7 lets it, and no user's loss is told then."""

    def attempt(self, request: Request, request_id: str) -> Answer:
        answer = super().attempt(request, request_id)
        return super().attempt(request, request_id) if answer.error == "goaway" else answer


class DropsOne(Recorder):
    """Leaves one sample out, a good one."""

    def sample(self, code: int, seq: int, *args: Any) -> None:
        if (code, seq) != (4, 2):
            super().sample(code, seq, *args)


@pytest.fixture(scope="module")
def results() -> dict[str, SelfTestResult]:
    """The results of the honest client and of four liars; two at a time, since all are about time."""
    parts: dict[str, Callable[[], SelfTestResult]] = {
        "honest": in_subprocess,
        "resends": lambda: run_selftest(20, connect=Resends),
        "eof": lambda: run_selftest(20, connect=TakesEofAsOk),
        "sends_again": lambda: run_selftest(20, lane=SendsAgain),
        "drops": lambda: run_selftest(20, recorder=DropsOne),
    }
    with ThreadPoolExecutor(2) as pool:
        running = {name: pool.submit(part) for name, part in parts.items()}
        return {name: future.result() for name, future in running.items()}


def red_rows(result: SelfTestResult) -> set[str]:
    return {row.mode for row in result.rows if not row.passed}


def test_the_honest_client_is_exact_in_every_mode(
    results: dict[str, SelfTestResult],
) -> None:
    result = results["honest"]
    assert result.passed, result.detail
    assert {row.mode: row.wrong for row in result.sockets if row.wrong} == {}
    assert len(result.rows) == len(MODES) * len(KINDS) + len(CASES)
    of_sockets = 2 * (len(SOCKET_MODES) - 2)  # ok and fragments are no fault
    assert result.injected == result.reported == len(result.rows) * COUNT // EVERY + of_sockets
    shaken = {row.mode for row in result.rows if row.arrivals == 0}
    assert shaken == {f"tls/{kind}" for kind in SHAKEN} | {"h2/stranger", "h2/stall", "h2/http1"}
    assert all(row.arrivals == row.issued == row.recorded == COUNT for row in result.rows if row.mode not in shaken)
    assert result.stall["low_ms"] - 25 <= result.stall["true_ms"] <= result.stall["high_ms"] + 25
    assert SelfTestResult.from_json(result.to_json()) == result


def test_a_hidden_re_send_is_red(results: dict[str, SelfTestResult]) -> None:
    result = results["resends"]
    assert not result.passed
    lies = {"fin/kept", "rst/kept", "unread/kept"}
    assert lies <= red_rows(result)
    assert all(row.arrivals > row.issued and row.reported < row.injected for row in result.rows if row.mode in lies)
    assert result.reported < result.injected
    assert "fin/kept" in result.detail


def test_eof_taken_as_ok_is_red(results: dict[str, SelfTestResult]) -> None:
    result = results["eof"]
    assert not result.passed
    lies = {f"half_body/{kind}" for kind, _ in KINDS}
    assert lies <= red_rows(result)
    assert all((row.injected, row.reported) == (COUNT // EVERY, 0) for row in result.rows if row.mode in lies)


def test_a_stream_sent_again_after_a_goaway_is_red(results: dict[str, SelfTestResult]) -> None:
    result = results["sends_again"]
    assert not result.passed
    assert red_rows(result) == {"h2/goaway"}
    (row,) = [row for row in result.rows if row.mode == "h2/goaway"]
    assert (row.injected, row.reported, row.issued, row.distinct) == (row.arrivals // EVERY, 0, COUNT, COUNT)
    assert row.arrivals > COUNT


def test_one_dropped_sample_is_red(results: dict[str, SelfTestResult]) -> None:
    result = results["drops"]
    assert not result.passed
    row = result.rows[4]
    assert not row.passed
    assert (row.recorded, row.issued, row.arrivals) == (COUNT - 1, COUNT, COUNT)
    assert row.reported == row.injected


def test_a_self_test_over_its_bound_is_red() -> None:
    result = in_subprocess(0.3)  # what is still under way ends with its process
    assert not result.passed
    assert "0.3 s" in result.detail


def test_a_self_test_that_dies_or_hangs_is_a_red_result(monkeypatch: pytest.MonkeyPatch) -> None:
    def dead(*_: object, **__: object) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess([], -9, "", "killed")

    def hangs(*_: object, **__: object) -> subprocess.CompletedProcess[str]:
        raise subprocess.TimeoutExpired("x", 1)

    monkeypatch.setattr(subprocess, "run", dead)
    assert "exit code -9" in in_subprocess().detail
    monkeypatch.setattr(subprocess, "run", hangs)
    result = in_subprocess()
    assert not result.passed
    assert "hangs" in result.detail


MS = 1_000_000


def stalled(rate: int, stop_ms: int, resume_ms: int) -> Samples:
    """Two seconds of samples, each answered after 2 ms, or 2 ms after the stop's end."""
    samples = empty(2 * rate)
    samples["seq"] = np.arange(len(samples))
    samples["intended"] = samples["sent"] = np.arange(len(samples)) * 1000 // rate * MS
    end = samples["sent"] + 2 * MS
    inside = (end > stop_ms * MS) & (samples["sent"] < resume_ms * MS)
    end[inside] = (resume_ms + 2) * MS
    samples["end"] = end
    return samples


def check(samples: Samples, **changes: int) -> tuple[list[str], dict[str, float]]:
    outcome: dict[str, float] = {}
    values = {"arrivals": 200, "distinct": 200, "scheduled": 200, **changes}
    scheduled = values.pop("scheduled")
    return stall_errors(samples, (500 * MS, 1500 * MS, 1000 * MS), scheduled, values, outcome), outcome


def test_the_bracket_of_a_stop_holds_the_truth() -> None:
    low, high = stall_bracket(stalled(100, 500, 1500))
    assert low <= 1000 * MS <= high
    assert high - low < 25 * MS
    errors, outcome = check(stalled(100, 500, 1500))
    assert errors == []
    assert outcome["true_ms"] == 1000


def test_each_lie_about_a_stop_is_told() -> None:
    closed_model = stalled(100, 500, 1500)
    closed_model = closed_model[(closed_model["intended"] < 510 * MS) | (closed_model["intended"] > 1500 * MS)]
    assert check(closed_model)[0]
    lost = stalled(100, 500, 1500)
    lost["outcome"][7] = UNKNOWN
    assert "1 lost" in check(lost)[0][0]
    assert check(stalled(100, 500, 1500), arrivals=201)[0]
    assert check(stalled(100, 500, 900))[0]


def test_the_record_of_a_broken_client_goes_through_the_real_recorder(tmp_path: Path) -> None:
    record = DropsOne(tmp_path)
    for seq in range(4):
        record.sample(4, seq, 0, 0, 0, Answer())
    record.close()
    assert record.path.stat().st_size % 64 == 0

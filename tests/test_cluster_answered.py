"""Envoy's access log, read until it has a line for each request: what is kept of it as evidence."""

from __future__ import annotations

import re
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from harness.cluster.answered import FLUSHED_S, keep, lines
from harness.cluster.kube import NO_LOG, Kube
from harness.errors import ClusterError
from harness.evidence.proxied import parse

RUN = "0123456789ab"


def line(
    ident: str, flags: str = "-", upstream: str = "10.244.1.7:8080", start: str = "2026-01-02T03:04:05.678Z"
) -> str:
    return f'[{start}] "GET / HTTP/1.1" 200 {flags} 0 95 3001 - "10.0.0.1" "ua" "{ident}" "a.example.com" "{upstream}"'


def test_of_a_log_only_this_runs_requests_are_kept() -> None:
    log = "\n".join(
        [
            "[2026-01-02 03:04:05.678][1][info] initializing epoch 0",
            line(f"{RUN}-fresh-1"),
            line("fedcba987654-fresh-1"),
            line(f"{RUN}-fresh-2", "UC"),
            line(f"{RUN}-busy-3", "UH", "-"),
            line(f"{RUN}-h2_slow-4", upstream="[fd00::7]:8080"),
            line(f"{RUN}-websocket-5"),
            line(f"{RUN}-fresh-6", start="yesterday"),
            line(f"{RUN}-fresh-7")[:60],
        ]
    )
    kept = list(lines(log, RUN))
    assert [one.split(" ", 2)[2] for one in kept] == [
        f"{RUN}-fresh-1 - 10.244.1.7:8080",
        f"{RUN}-fresh-2 UC 10.244.1.7:8080",
        f"{RUN}-busy-3 UH -",
        f"{RUN}-h2_slow-4 - [fd00::7]:8080",
    ]
    read = parse(kept, RUN, {"fresh": 0, "busy": 1, "h2_slow": 2})
    assert read.faults == ()
    assert read.upstream.tolist() == [0, -1, -1, 1]


def test_times_are_those_of_the_samples_clock() -> None:
    now = time.time()
    start = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now * 1000) % 1000:03d}Z"
    (kept,) = lines(line(f"{RUN}-fresh-1", start=start), RUN)
    assert abs(int(kept.split()[1]) - time.monotonic_ns()) < 5_000_000_000


class Proxies:
    """Envoys whose logs grow with every look."""

    def __init__(self, *looks: dict[str, str | ClusterError]) -> None:
        self.looks, self.now = list(looks), 0.0
        self.events: list[dict[str, Any]] = []

    def pods(self, _namespace: str, _labels: dict[str, str]) -> list[Any]:
        self.logs = self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]
        return [SimpleNamespace(name=name) for name in self.logs]

    def log_tail(self, _namespace: str, pod: str, _container: str, _lines: int) -> str:
        log = self.logs[pod]
        if isinstance(log, ClusterError):
            raise log
        return log

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def keep(self, folder: Path, sent: int) -> dict[str, Any]:
        journal = SimpleNamespace(event=lambda name, **fields: self.events.append({"name": name, **fields}))
        keep(cast(Kube, self), folder, RUN, sent, journal, clock=lambda: self.now, sleep=self.sleep)
        (event,) = self.events
        assert event.pop("name") == "answers.kept"
        return event


def test_the_log_is_read_until_it_has_all(tmp_path: Path) -> None:
    first, whole = line(f"{RUN}-fresh-0"), "\n".join(line(f"{RUN}-fresh-{number}") for number in range(3))
    proxies = Proxies({"envoy-a": first, "envoy-b": ""}, {"envoy-a": whole, "envoy-b": line(f"{RUN}-busy-0")})
    event = proxies.keep(tmp_path, 4)
    assert 0 < proxies.now < FLUSHED_S
    assert event["faults"] == []
    assert {name: (tmp_path / name).stat().st_size for name in event["files"]} == event["files"]
    assert [len((tmp_path / f"envoy-{one}.answers").read_text().splitlines()) for one in "ab"] == [3, 1]
    assert re.fullmatch(rf"U \d+ {RUN}-busy-0 - 10\.244\.1\.7:8080\n", (tmp_path / "envoy-b.answers").read_text())


def test_what_never_comes_isnt_waited_for_forever(tmp_path: Path) -> None:
    proxies = Proxies({"envoy-a": line(f"{RUN}-fresh-0"), "envoy-b": f"{NO_LOG} rotated)"})
    event = proxies.keep(tmp_path, 4)
    assert FLUSHED_S <= proxies.now < 2 * FLUSHED_S
    assert (list(event["files"]), event["faults"]) == (["envoy-a.answers"], [f"{NO_LOG} rotated)"])


def test_an_api_server_that_doesnt_answer_is_a_fault_of_the_record(tmp_path: Path) -> None:
    event = Proxies({"envoy-a": ClusterError("no answer", "")}).keep(tmp_path, 4)
    assert (event["files"], event["faults"]) == ({}, ["no answer"])

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from harness.journal import Journal


def lines(journal: Journal) -> list[dict[str, Any]]:
    return [json.loads(line) for line in journal.path.read_text().splitlines()]


def test_events_are_on_disk_at_once_and_stamped(tmp_path: Path) -> None:
    with Journal(tmp_path / "run") as journal:
        before = time.monotonic_ns()
        stamp = journal.event("run.started", nodes=["a"], level="strict")
        assert before <= stamp <= time.monotonic_ns()
        journal.event("cutover.planned", t=42, at_ns=43)
        assert lines(journal) == [
            {"t": stamp, "name": "run.started", "nodes": ["a"], "level": "strict"},
            {"t": 42, "name": "cutover.planned", "at_ns": 43},
        ]


def test_threads_never_mix_lines(tmp_path: Path) -> None:
    journal = Journal(tmp_path)

    def write(worker: int) -> None:
        for number in range(200):
            journal.event("e", worker=worker, number=number, text="x" * 300)

    threads = [threading.Thread(target=write, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    journal.close()
    found = lines(journal)
    assert len(found) == 1600
    for worker in range(8):
        assert [line["number"] for line in found if line["worker"] == worker] == list(range(200))


def test_closed_even_if_the_body_crashed(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="body"), Journal(tmp_path) as journal:
        journal.event("e")
        raise RuntimeError("body")
    with pytest.raises(ValueError, match="closed; too late for late"):
        journal.event("late")
    journal.close()
    assert len(lines(journal)) == 1


def test_refuses_what_no_reader_understands(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        with pytest.raises(ValueError, match="name"):
            journal.event("e", name="other")
        with pytest.raises(ValueError, match="JSON"):
            journal.event("e", value=float("nan"))
        with pytest.raises(TypeError):
            journal.event("e", value=object())
        assert lines(journal) == []


def test_a_torn_line_does_not_swallow_the_next(tmp_path: Path) -> None:
    (tmp_path / "events.jsonl").write_text('{"t": 1, "name": "a"}\n{"t": 2, "na')
    with Journal(tmp_path) as journal:
        journal.event("b", t=3)
    assert journal.path.read_text().splitlines() == ['{"t": 1, "name": "a"}', '{"t": 2, "na', '{"t": 3, "name": "b"}']

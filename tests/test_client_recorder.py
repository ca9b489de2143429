"""The record: what is written is what can be read, whoever writes at once, wherever it ends."""

import os
import threading
from pathlib import Path

import numpy as np
import pytest

from harness.client import recorder as module
from harness.client.exchange import Answer
from harness.client.follower import Follower
from harness.client.recorder import FLUSH_NS, Recorder
from harness.evidence.samples import CLOCK, CLOSING, ERRORS, HEADER, MAGIC, RECORD_SIZE, SAMPLE, UNKNOWN


def answer(**fields: object) -> Answer:
    made = Answer()
    for name, value in fields.items():
        setattr(made, name, value)
    return made


def test_every_field_comes_back(tmp_path: Path) -> None:
    record = Recorder(tmp_path)
    record.define_class(2, "idle", 2.0, 5, 1.5)
    record.sample(
        2,
        2**40,
        100,
        7,
        1,
        answer(
            outcome=UNKNOWN,
            error="idle_reset",
            flags=5,
            status=503,
            sent=110,
            first_byte=120,
            end=130,
            conn=9,
            nth=3,
            revision="v1",
            pod="p" * 150,
            port=40_001,
        ),
    )
    record.close_class(2, 3, 2, 1, 0)
    record.close()
    record.close()
    raw = record.path.read_bytes()
    assert record.path.name == f"samples-{os.getpid()}.bin"
    header = np.frombuffer(raw, HEADER)[0]
    assert (header["magic"], header["pid"], header["schema"]) == (MAGIC, os.getpid(), 1)
    follower = Follower(record.path)
    (sample,) = follower.read()
    values = {name: sample[name].item() for name in SAMPLE.names or ()}
    revision, pod = values.pop("revision"), values.pop("pod")
    assert values == {
        "kind": 1,
        "cls": 2,
        "outcome": UNKNOWN,
        "error": ERRORS.index("idle_reset"),
        "method": 1,
        "entry": 7,
        "status": 503,
        "seq": 2**40,
        "conn": 9,
        "nth": 3,
        "intended": 100,
        "sent": 110,
        "first_byte": 120,
        "end": 130,
        "flags": 5,
        "source": 40_001,  # until it is read: the number of the file then
    }
    assert (follower.strings[revision], follower.strings[pod]) == ("v1", "p" * 150)
    assert follower.classes == {2: "idle"}
    closing = [row for row in np.frombuffer(raw, CLOSING) if row["kind"] == 4]
    assert [[row[name] for name in ("cls", "scheduled", "issued", "unsent", "open")] for row in closing] == [
        [2, 3, 2, 1, 0]
    ]
    clocks = [row for row in np.frombuffer(raw, CLOCK) if row["kind"] == 5]
    assert len(clocks) == 2
    assert clocks[0]["monotonic"] < clocks[1]["monotonic"]


def test_samples_are_on_disk_within_100_ms_by_one_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = Recorder(tmp_path)
    writes: list[int] = []
    real = os.write

    def count(fd: int, data: bytes) -> int:
        writes.append(len(data))
        return real(fd, data)

    monkeypatch.setattr(os, "write", count)
    base = record._flushed
    for i in range(10):
        record.sample(0, i, 0, 0, 0, answer(end=base + i))
    assert writes == []
    record.sample(0, 10, 0, 0, 0, answer(end=base + FLUSH_NS))
    assert writes == [11 * RECORD_SIZE]
    record.flush()
    assert len(writes) == 1
    record.close()


def test_threads_lose_nothing_and_strings_come_before_their_use(tmp_path: Path) -> None:
    record = Recorder(tmp_path)

    def write(code: int) -> None:
        for i in range(2000):
            record.sample(code, i, 0, 0, 0, answer(end=i, revision=f"v{i % 7}", pod=f"p{code}-{i // 500}"))
            if i % 50 == 0:
                record.flush()

    threads = [threading.Thread(target=write, args=(code,)) for code in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    record.close()
    follower = Follower(record.path)
    samples = follower.read()
    assert len(samples) == 16_000
    assert len(set(zip(samples["cls"].tolist(), samples["seq"].tolist(), strict=True))) == 16_000
    raw = np.frombuffer(record.path.read_bytes(), SAMPLE)
    known = {0}
    for row, kind in zip(raw, raw["kind"], strict=True):
        if kind == 2:
            known.add(int(row.tobytes()[2]) | int(row.tobytes()[3]) << 8)
        elif kind == 1:
            assert int(row["revision"]) in known
            assert int(row["pod"]) in known
    assert len(follower.strings) == 1 + 7 + 32


def test_a_service_with_a_new_name_per_answer_cannot_fill_the_ids(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_STRINGS", 10)
    record = Recorder(tmp_path)
    for i in range(100):
        record.sample(0, i, 0, 0, 0, answer(end=1, pod=f"p{i}"))
    record.close()
    follower = Follower(record.path)
    samples = follower.read()
    assert len(samples) == 100
    assert len(follower.strings) == 11
    assert np.count_nonzero(samples["pod"]) == 10


def test_a_full_disk_is_an_error_and_a_closed_record_takes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = Recorder(tmp_path)

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        record.sample(0, 0, 0, 0, 0, answer(end=1))
        with pytest.raises(OSError, match="No space"):
            record.flush()
    record.close()
    record.sample(0, 1, 0, 0, 0, answer(end=1))
    with pytest.raises(ValueError, match="closed"):
        record.flush()
    with pytest.raises(FileExistsError):
        Recorder(tmp_path)


def test_a_follower_reads_whole_records_only_and_each_once(tmp_path: Path) -> None:
    record = Recorder(tmp_path)
    follower = Follower(record.path)
    assert len(Follower(tmp_path / "not there").read()) == 0
    for i in range(5):
        record.sample(0, i, 0, 0, 0, answer(end=1))
    record.close()
    whole = record.path.read_bytes()
    seen: list[int] = []
    for size in range(0, len(whole) + 1, 13):
        record.path.write_bytes(whole[:size])
        seen += follower.read()["seq"].tolist()
    record.path.write_bytes(whole)
    seen += follower.read()["seq"].tolist()
    assert seen == [0, 1, 2, 3, 4]
    assert len(follower.read()) == 0

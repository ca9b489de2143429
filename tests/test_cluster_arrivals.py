"""Records of arrivals become evidence: what is copied, how long is waited, what goes with the namespace."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.cluster.arrivals import LOOK_S, QUIET_S, SETTLE_S, discard, keep


class Told:
    """A journal that keeps its events."""

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []

    def event(self, name: str, /, **fields: Any) -> None:
        self.events.append((name, fields))


class Time:
    """A clock that only sleeping moves; `then` is called at each sleep with the seconds so far."""

    def __init__(self, then: Callable[[float], None] = lambda _: None) -> None:
        self.now = 0.0
        self._then = then

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self._then(self.now)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "ledger" / "bg-1"
    folder.mkdir(parents=True)
    (folder / "blue-0.arrivals").write_bytes(b"S 1 blue-0 v1\n")
    (folder / "blue-1.arrivals.broken").write_bytes(b"S 1 blue-1 v1\nA")
    return folder


def kept(source: Path, folder: Path, *, time: Time | None = None) -> dict[str, Any]:
    told, time = Told(), time or Time()
    keep(source, folder, told, clock=lambda: time.now, sleep=time.sleep)
    ((name, fields),) = told.events[:1]
    assert name == "arrivals.kept"
    return fields


def test_records_are_copied_with_their_sizes_and_nothing_else_is(source: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("of the host")
    (source / "link.arrivals").symlink_to(tmp_path / "secret")
    (source / "folder.arrivals").mkdir()
    (source / "notes.txt").touch()
    time = Time()
    assert kept(source, tmp_path, time=time) == {
        "files": {"blue-0.arrivals": 14, "blue-1.arrivals.broken": 15},
        "faults": [],
    }
    copies = {path.name: path.read_bytes() for path in (tmp_path / "arrivals").iterdir()}
    assert copies == {"blue-0.arrivals": b"S 1 blue-0 v1\n", "blue-1.arrivals.broken": b"S 1 blue-1 v1\nA"}
    assert 1.0 <= time.now < 1.5  # what was sent again may come late, though nothing was lost


def test_after_a_loss_the_records_may_settle(source: Path, tmp_path: Path) -> None:
    def late(now: float) -> None:
        if now < 3.0:
            with (source / "blue-0.arrivals").open("ab") as record:
                record.write(b"A 2 t-fresh-1 GET /\n")

    time = Time(late)
    fields = kept(source, tmp_path, time=time)
    assert fields["faults"] == []
    assert fields["files"]["blue-0.arrivals"] == (source / "blue-0.arrivals").stat().st_size > 14
    assert 3.0 + QUIET_S - 2 * LOOK_S <= time.now <= 3.0 + QUIET_S + 2 * LOOK_S


def test_records_that_never_settle_are_said_to_be_short_of_something(source: Path, tmp_path: Path) -> None:
    def on(_: float) -> None:
        with (source / "blue-0.arrivals").open("ab") as record:
            record.write(b"A 2 t-fresh-1 GET /\n")

    time = Time(on)
    fields = kept(source, tmp_path, time=time)
    assert fields["faults"] == ["records still grew 10 s after the load"]
    assert time.now <= SETTLE_S + QUIET_S


def test_a_record_that_cant_be_read_and_a_folder_that_isnt_there_are_told(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.open

    def refused(path: str | Path, *args: Any) -> int:
        if str(path).endswith("blue-0.arrivals"):
            raise PermissionError(13, "Permission denied")
        return real(path, *args)

    with monkeypatch.context() as patched:
        patched.setattr(os, "open", refused)
        assert kept(source, tmp_path) == {
            "files": {"blue-1.arrivals.broken": 15},
            "faults": ["blue-0.arrivals can't be read: Permission denied"],
        }
    (tmp_path / "other").mkdir()
    nothing = kept(tmp_path / "missing", tmp_path / "other")
    assert nothing["files"] == {}
    assert nothing["faults"] == ["no pod has written a record into the folder that the nodes share with this host"]


def test_records_go_with_their_namespace_and_a_second_time_is_fine(source: Path) -> None:
    discard(source)
    discard(source)
    assert not source.exists()
    assert source.parent.exists()


def test_records_of_probes_are_kept_as_they_are_since_they_never_rest(source: Path, tmp_path: Path) -> None:
    probes = source / "blue-0.probes"
    probes.write_bytes(b"S 1 blue-0 v1\n")

    def hit(_: float) -> None:
        with probes.open("ab") as file:
            file.write(b"H 2 /readyz 200\n")

    told, time = Told(), Time(hit)
    keep(source, tmp_path, told, clock=lambda: time.now, sleep=time.sleep)
    (_, arrivals), (name, fields) = told.events
    assert arrivals["faults"] == [], "what is asked each second keeps nobody waiting"
    assert time.now < 2 * QUIET_S
    assert name == "probes.kept"
    assert fields == {"files": {"blue-0.probes": probes.stat().st_size}, "faults": []}
    assert (tmp_path / "arrivals" / "blue-0.probes").read_bytes() == probes.read_bytes()

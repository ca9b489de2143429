"""The load child for real: Locust in its own process against the toy server on 127.0.0.1."""

import os
import signal
import site
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness import load as module
from harness.client.follower import Follower
from harness.client.identity import Identity
from harness.client.plan import ClassPlan, Entry, LoadPlan
from harness.client.toy_process import ToyProcess
from harness.errors import LoadError
from harness.evidence.samples import CLOSING, ERRORS, KIND_CLOSING, OK, SAMPLE
from harness.load import Load, steady
from harness.waiting import until

pytestmark = pytest.mark.processes

ROOT = Path(__file__).parents[1]


class Events:
    """A journal that remembers."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, dict[str, object]]] = []

    def event(self, name: str, /, **fields: object) -> None:
        self.seen.append((name, fields))


@pytest.fixture(scope="module")
def toy() -> Iterator[ToyProcess]:
    with ToyProcess() as server:
        yield server


def plan(folder: Path, port: int, classes: dict[str, ClassPlan], **changes: Any) -> LoadPlan:
    values: dict[str, Any] = {
        "entries": tuple(Entry("127.0.0.1", port, f"n{i}") for i in range(3)),
        "hosts": ("127.0.0.1",),
        "host_header": "x.test",
        "classes": classes,
        "run_tag": f"t{time.monotonic_ns()}",
        "folder": str(folder),
        "identity": Identity(revision_header="X-Toy-Version", pod_header="X-Toy-Pod"),
        "timeout_s": 1.0,
        "max_seconds": 30.0,
    }
    return LoadPlan(**{**values, **changes})


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().rsplit(")", 1)[1].split()[0] == "Z"


def test_every_injected_loss_is_told_in_its_class_and_the_ledger_closes(toy: ToyProcess, tmp_path: Path) -> None:
    events = Events()
    classes = {
        "fresh": ClassPlan(rate=100, path="/rst/load?every=10"),
        "busy": ClassPlan(rate=60, path="/fin/load?every=10"),
        "idle": ClassPlan(rate=20, path="/hang/load?every=10", timeout_s=0.2),
        "slow": ClassPlan(rate=20, path="/half_body/load?every=5"),
        "post": ClassPlan(rate=20, path="/wrong_length/load?every=5"),
    }
    live = 0
    with steady(plan(tmp_path, toy.port, classes), events) as load:
        pid = load.pid
        end = time.monotonic() + 10
        while time.monotonic() < end and (live < 100 or "toy" not in load.strings.values()):
            live += len(load.tail())
            time.sleep(0.05)
        assert "toy" in load.strings.values()
        assert set(load.classes.values()) == set(classes)
    assert gone(pid)
    path = tmp_path / f"samples-{pid}.bin"
    follower = Follower(path)
    samples = follower.read()
    report = toy.report()
    wanted = {"fresh": "reset", "busy": "idle_closed", "idle": "read_timeout", "slow": "truncated", "post": "framing"}
    for code, name in follower.classes.items():
        of_class = samples[samples["cls"] == code]
        seen = report[classes[name].path.partition("?")[0]]
        bad = of_class[of_class["outcome"] != OK]
        told = [ERRORS[row] for row in bad["error"]]
        if name == "busy":  # the first request of a new connection can be the tenth as well
            told = [error.replace("idle_closed", "closed") for error in told]
            wanted[name] = "closed"
        assert told == [wanted[name]] * seen["injected"], name
        assert seen["arrivals"] == seen["distinct"] == len(of_class), name
        assert seen["injected"] > 0
        assert set(of_class["entry"].tolist()) == {0, 1, 2}
    closings = np.frombuffer(path.read_bytes(), CLOSING)
    rows = closings[closings["kind"] == KIND_CLOSING]
    assert len(rows) == 5
    for row in rows:
        assert row["scheduled"] == row["issued"] == np.count_nonzero(samples["cls"] == row["cls"])
        assert row["unsent"] == row["open"] == 0
    assert 60 < live <= len(samples)
    names = [name for name, _ in events.seen]
    assert names == ["load.started", "load.stopped"]
    assert events.seen[0][1]["classes"] == {name: spec.rate for name, spec in classes.items()}
    assert events.seen[1][1]["exit_code"] == 0
    log = (tmp_path / "load.log").read_text()
    assert f"{len(samples[samples['cls'] == 0])}" in log
    assert "ConnectionError('reset')" in log


def test_a_class_that_answers_late_keeps_no_load_from_starting_and_ends_with_all_its_answers(
    toy: ToyProcess, tmp_path: Path
) -> None:
    """The hanging path stands for an answer that takes seconds: it is lost, at its time-out, and no sooner."""
    classes = {
        "fresh": ClassPlan(rate=50, path="/ok/late"),
        "slow": ClassPlan(rate=5, path="/hang/late?every=1", timeout_s=4.0),
    }
    load = Load(plan(tmp_path, toy.port, classes))
    load.start()
    before = Follower(tmp_path / f"samples-{load.pid}.bin")
    early = before.read()
    assert set(before.classes.values()) == {"fresh", "slow"}
    assert len(early) and {before.classes[code] for code in early["cls"].tolist()} == {"fresh"}
    load.stop()
    follower = Follower(tmp_path / f"samples-{load.pid}.bin")
    samples = follower.read()
    slow = samples[[follower.classes[code] == "slow" for code in samples["cls"].tolist()]]
    assert len(slow) >= 1
    assert np.all(slow["end"] - slow["sent"] >= 3.9e9)
    closings = np.frombuffer(follower.path.read_bytes(), CLOSING)
    rows = closings[closings["kind"] == KIND_CLOSING]
    assert [int(row["open"]) for row in rows] == [0, 0]


def test_a_load_ends_by_itself_at_its_time_and_that_is_told(toy: ToyProcess, tmp_path: Path) -> None:
    short = plan(tmp_path, toy.port, {"fresh": ClassPlan(rate=20, path="/ok/short")}, max_seconds=1.5)
    load = Load(short)
    load.start()
    with pytest.raises(LoadError, match=r"after its 1\.5 s"):
        until(lambda: load.check(), "its end", timeout=10, every=0.05)
    with pytest.raises(LoadError, match=r"after its 1\.5 s"):
        load.stop()
    kinds = np.frombuffer((tmp_path / f"samples-{load.pid}.bin").read_bytes(), SAMPLE)["kind"]
    assert np.count_nonzero(kinds == 1) == 30
    assert np.count_nonzero(kinds == KIND_CLOSING) == 1


def test_a_child_that_cannot_start_ends_with_its_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = plan(tmp_path, 1, {"fresh": ClassPlan(rate=20)})
    monkeypatch.setattr(LoadPlan, "to_json", lambda _: "{}")
    load = Load(broken)
    with pytest.raises(LoadError, match=r"(?s)exit code.*load plan can't be read") as caught:
        load.start()
    assert "load.log" in caught.value.mend
    assert gone(load.pid)


def test_a_killed_child_is_told_at_once(toy: ToyProcess, tmp_path: Path) -> None:
    with (
        pytest.raises(LoadError, match="exit code -9"),
        steady(plan(tmp_path, toy.port, {"fresh": ClassPlan(rate=50, path="/ok/killed")})) as load,
    ):
        load.tail()
        os.kill(load.pid, signal.SIGKILL)
        until(lambda: load.tail() is None, "the error", timeout=5, every=0.02)
    assert len(Follower(tmp_path / f"samples-{load.pid}.bin").read()) > 0


ORPHAN = """
import os, sys
from harness.client.plan import LoadPlan
from harness.load import Load
load = Load(LoadPlan.from_json(sys.stdin.read()))
load.start()
print(load.pid, flush=True)
os._exit(9)
"""


def test_the_child_ends_with_its_parent_and_the_parent_never_imports_locust(toy: ToyProcess, tmp_path: Path) -> None:
    orphan = plan(tmp_path, toy.port, {"fresh": ClassPlan(rate=20, path="/ok/orphan")})
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            ORPHAN.replace("os._exit", "assert not {'locust', 'gevent'} & set(sys.modules)\nos._exit"),
        ],
        input=orphan.to_json(),
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=30,
        check=False,
    )
    assert done.returncode == 9, done.stderr
    pid = int(done.stdout)
    until(lambda: gone(pid), "the child's end", timeout=10, every=0.05)
    kinds = np.frombuffer((tmp_path / f"samples-{pid}.bin").read_bytes(), SAMPLE)["kind"]
    assert np.count_nonzero(kinds == KIND_CLOSING) == 1


def test_a_child_that_will_not_stop_is_killed(toy: ToyProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load = Load(plan(tmp_path, toy.port, {"fresh": ClassPlan(rate=20, path="/ok/stuck")}, timeout_s=0.1))
    load.start()
    os.kill(load.pid, signal.SIGSTOP)
    monkeypatch.setattr(module, "STOP_GRACE_S", 0.2)
    with pytest.raises(LoadError, match="was killed"):
        load.stop()
    assert gone(load.pid)


def test_the_users_own_locust_files_do_not_reach_the_child(
    toy: ToyProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    user, record = tmp_path / "user", tmp_path / "record"
    user.mkdir()
    (user / ".locust.conf").write_text(f"logfile = {user / 'home.log'}\nrun-time = 1s\n")
    (user / "locust.conf").write_text(f"logfile = {user / 'here.log'}\nrun-time = 1s\n")
    (user / "pyproject.toml").write_text(f'[tool.locust]\nlogfile = "{user / "project.log"}"\nrun-time = "1s"\n')
    monkeypatch.setenv("HOME", str(user))
    monkeypatch.chdir(user)
    with steady(plan(record, toy.port, {"fresh": ClassPlan(rate=20, path="/ok/conf")})) as load:
        time.sleep(2.5)  # longer than their run-time
        load.check()
    assert not list(user.glob("*.log"))
    assert (record / "load.log").read_text()


def test_locusts_own_settings_do_not_reach_the_child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCUST_USERS", "7")
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    environment = module._environment(tmp_path / "plan.json")
    assert not [name for name in environment if name.startswith("LOCUST_")]
    assert environment["PYTHONPATH"] == f"{ROOT}{os.pathsep}/somewhere"
    assert environment["PYTHONUSERBASE"] == site.getuserbase()  # another home hides no package
    assert environment["BG_LOAD_PARENT"] == str(os.getpid())

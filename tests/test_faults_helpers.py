"""What helpers do in a node, by a real bash on this machine: they sleep until an instant, act, and can be disarmed."""

from __future__ import annotations

import contextlib
import secrets
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from harness.cluster.engine import Engine
from harness.errors import HarnessError, SetupError
from harness.faults.left_over import Cure
from harness.faults.placed import disarm, in_node
from harness.faults.process import PIDS_OF_POD

LATE_MS = 500.0
"""By how much a sleeping process may be late on a busy machine; where it is idle it is 10."""


class Here:
    """An engine whose only node is this machine, with its /run in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, *words: str, what: str, timeout: float = 60, check: bool = True) -> Any:
        assert words[:2] == ("exec", "node") and words[2:4] == ("bash", "-c")
        script = words[4].replace("/run/", f"{self.folder}/")
        done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=timeout, check=False)
        if check and done.returncode:
            raise SetupError(f"could not {what}: {done.stderr}", "")
        return done


@pytest.fixture
def here(tmp_path: Path) -> Engine:
    return cast(Engine, Here(tmp_path))


@pytest.fixture
def sleeper() -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A process whose environment says that it is of a pod."""
    pod = f"pod-{secrets.token_hex(4)}"
    process = subprocess.Popen(["sleep", "60"], env={"HOSTNAME": pod, "PATH": "/usr/bin:/bin"})
    yield pod, process
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    process.wait()


def test_a_helper_acts_at_its_instant_and_tells_when_it_did(here: Engine, tmp_path: Path) -> None:
    at_ns = time.monotonic_ns() + 300_000_000
    reached = in_node(here, "node", "a1", f"touch {tmp_path}/done")(at_ns)
    assert (tmp_path / "done").exists()
    assert -20 <= (reached - at_ns) / 1e6 < LATE_MS  # its clock is 10 ms fine


def test_without_an_instant_it_acts_at_once(here: Engine, tmp_path: Path) -> None:
    started = time.monotonic_ns()
    reached = in_node(here, "node", "a1", f"touch {tmp_path}/done")(None)
    assert started - 20_000_000 <= reached <= time.monotonic_ns()


def test_what_follows_goes_on_in_the_background(here: Engine, tmp_path: Path) -> None:
    in_node(here, "node", "a1", "true", after=f"sleep 0.2; touch '{tmp_path}/done'")(None)
    deadline = time.monotonic() + 10
    while not (tmp_path / "done").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert (tmp_path / "done").exists()


def test_a_helper_that_finds_no_target_fails_before_its_instant(here: Engine, tmp_path: Path) -> None:
    prepare = PIDS_OF_POD.format(pod="no-such-pod")
    with pytest.raises(SetupError, match="no process of no-such-pod"):
        in_node(here, "node", "a1", f"touch {tmp_path}/done", prepare)(None)
    assert not (tmp_path / "done").exists()


def test_the_process_of_a_pod_is_found_by_its_environment(
    here: Engine, sleeper: tuple[str, subprocess.Popen[bytes]]
) -> None:
    pod, process = sleeper
    in_node(here, "node", "a1", "kill -KILL $pids", PIDS_OF_POD.format(pod=pod))(None)
    assert process.wait(10) == -9


@pytest.mark.processes
def test_a_helper_that_is_asleep_is_disarmed_and_never_acts(here: Engine, tmp_path: Path) -> None:
    ident = secrets.token_hex(4)
    strike = in_node(here, "node", ident, f"touch {tmp_path}/done")
    broken: list[Exception] = []

    def run() -> None:
        try:
            strike(time.monotonic_ns() + 3_000_000_000)
        except HarnessError as error:
            broken.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    while not (tmp_path / f"bluegreen-fault-{ident}").exists():
        time.sleep(0.02)
    time.sleep(0.2)
    disarm("node", ident).run(here)
    thread.join(10)
    assert len(broken) == 1 and not (tmp_path / "done").exists()
    disarm("node", ident).run(here)  # harmless where there is nothing to disarm


def test_a_helper_that_says_nothing_is_a_bug(here: Engine) -> None:
    with pytest.raises(HarnessError, match="didn't tell when it acted"):
        in_node(here, "node", "a1", "exit 0")(None)


def test_a_cure_that_fails_is_an_error(here: Engine) -> None:
    with pytest.raises(SetupError, match="could not heal node"):
        Cure("node", "exit 3").run(here)

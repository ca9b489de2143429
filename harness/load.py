"""The load child, seen from the harness: started, followed, stopped. Locust is never imported in this process."""

from __future__ import annotations

import contextlib
import os
import signal
import site
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np

from harness.client.follower import Follower
from harness.client.plan import ENVIRONMENT, LATE, PARENT, LoadPlan
from harness.errors import LoadError, WaitTimeout
from harness.evidence.samples import Samples, empty
from harness.waiting import until

PLAN_FILE: Final = "plan.json"
LOG_FILE: Final = "load.log"
NICENESS: Final = -10
READY_S: Final = 30.0
"""How long the child's start may take, on top of one request's time-out."""
STOP_GRACE_S: Final = 10.0
LOG_LINES: Final = 20


class Journal(Protocol):
    """Where events go: `harness.journal.Journal`."""

    def event(self, name: str, /, **fields: Any) -> object:
        """Write one event."""


class Sending(Protocol):
    """A load that runs, in a process of this machine or in pods."""

    @property
    def pid(self) -> int:
        """Process id of what sends; a LoadError where that is no process of this machine."""

    def check(self) -> None:
        """Make sure that it still runs; a LoadError where it doesn't."""


class Load:
    """One load child: its process, its samples, its end.

    Args:
        plan: what it does; its folder gets plan.json, load.log and the samples.
        journal: gets load.started and load.stopped.
        locustfile: a file in loadtests/.

    """

    def __init__(self, plan: LoadPlan, journal: Journal | None = None, *, locustfile: str = "steady.py") -> None:
        self.plan = plan
        self.folder = Path(plan.folder)
        self.raised_priority = False
        self._journal = journal
        self._locustfile = _find(locustfile)
        self._process: subprocess.Popen[bytes] | None = None
        self._follower: Follower | None = None

    @property
    def strings(self) -> dict[int, str]:
        """Revision and pod names by id, as far as `tail` has read."""
        return self._follower.strings if self._follower else {0: ""}

    @property
    def classes(self) -> dict[int, str]:
        """Class names by code, as far as `tail` has read."""
        return self._follower.classes if self._follower else {}

    @property
    def pid(self) -> int:
        """Process id of the child, 0 before the start."""
        return self._process.pid if self._process else 0

    def start(self) -> None:
        """Start the child and wait until a sample of every class is on disk.

        Of a class that answers late its definition is enough, which its pacer writes as it starts to send: waiting
        for the answer would make each scenario seconds longer, and near each flip they are counted all the same.

        Raises:
            LoadError: the child died or recorded nothing in time; it is gone then.

        """
        if self._process is not None:
            raise LoadError("this load was started before", "make another one: a record belongs to one child")
        self.folder.mkdir(parents=True, exist_ok=True)
        plan_file = self.folder / PLAN_FILE
        plan_file.write_text(self.plan.to_json(), encoding="utf-8")
        with (self.folder / LOG_FILE).open("wb") as log:
            self._process = subprocess.Popen(
                self._command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                env=_environment(plan_file),
                start_new_session=True,  # a Ctrl-C at the terminal is the harness' to handle
            )
        self.raised_priority = _raise_priority(self._process.pid)
        path = self.folder / f"samples-{self._process.pid}.bin"
        self._follower = Follower(path)
        try:
            self._wait_ready(Follower(path))
        except BaseException:
            self._end()
            raise
        if self._journal is not None:
            self._journal.event(
                "load.started",
                classes={name: spec.rate for name, spec in self.plan.classes.items()},
                entries=[f"{entry.host}:{entry.port}" for entry in self.plan.entries],
                sockets=self.plan.sockets.count if self.plan.sockets else 0,
                run_tag=self.plan.run_tag,
                raised_priority=self.raised_priority,
            )

    def check(self) -> None:
        """Make sure that the child still runs.

        Raises:
            LoadError: it ended; the message has the end of its log.

        """
        code = self._process.poll() if self._process else None
        if code is not None:
            raise self._died(code)

    def tail(self) -> Samples:
        """The samples that came since the last call: the live stream.

        Raises:
            LoadError: the child ended by itself.

        """
        if self._follower is None:
            return empty()
        samples = self._follower.read()
        if len(samples) == 0:
            self.check()
        return samples

    def stop(self) -> int:
        """Stop the child; what is in flight may end first. Returns its exit code.

        Raises:
            LoadError: it had ended before, or had to be killed: then its ledger is open.

        """
        if self._process is None:
            return 0
        early = self._process.poll()
        killed = self._end()
        code = self._process.returncode
        if self._journal is not None:
            self._journal.event("load.stopped", exit_code=code)
        if early is not None:
            raise self._died(early)
        if killed:
            raise LoadError(f"the load didn't stop and was killed\n{self._log()}", f"see {self.folder / LOG_FILE}")
        return code

    def _command(self) -> list[str]:
        count = str(len(self.plan.classes) + self.plan.users + (self.plan.sockets is not None))
        # Ours first: it opens the record that the user's own tasks write to.
        files = [str(self._locustfile), *([self.plan.locustfile] if self.plan.locustfile else [])]
        return [
            *(sys.executable, "-m", "locust", "-f", ",".join(files)),
            *("--headless", "--only-summary", "--users", count, "--spawn-rate", count),
            # Longer than the longest request: Locust's default of 0 kills requests without a trace.
            *("--stop-timeout", str(round(self._longest() + 5))),
            # Lost requests are the record's to tell, not the exit code's.
            *("--exit-code-on-error", "0"),
        ]

    def _longest(self) -> float:
        sockets = self.plan.sockets
        return max(sockets.stop_s if sockets else 0.0, *(self.plan.timeout_of(name) for name in self.plan.classes))

    def _wait_ready(self, follower: Follower) -> None:
        seen: set[int] = set()

        def ready() -> bool:
            self.check()
            seen.update(np.unique(follower.read()["cls"]).tolist())
            sampled = {follower.classes[code] for code in seen}
            begun = LATE & set(follower.classes.values())
            known = sampled | begun
            # Of the user's own classes, whose names only their file knows, at least one.
            return known >= set(self.plan.classes) and (not self.plan.users or len(known) > len(self.plan.classes))

        def status() -> str:
            return f"classes on disk: {sorted(follower.classes[code] for code in seen)}\n{self._log()}"

        try:
            until(ready, "the first samples", timeout=READY_S + self._longest(), every=0.05, status=status)
        except WaitTimeout as error:
            raise LoadError(error.what, f"see {self.folder / LOG_FILE}") from None

    def _end(self) -> bool:
        """Terminate and, where that doesn't help, kill the child's process group; whether it had to be killed."""
        process = self._process
        if process is None or process.poll() is not None:
            return False
        process.terminate()
        try:
            process.wait(timeout=self._longest() + STOP_GRACE_S)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()  # nothing outlives SIGKILL
            return True
        return False

    def _died(self, code: int) -> LoadError:
        why = f"after its {self.plan.max_seconds:g} s" if code == 0 else f"with exit code {code}"
        return LoadError(f"the load ended by itself {why}\n{self._log()}", f"see {self.folder / LOG_FILE}")

    def _log(self) -> str:
        try:
            text = (self.folder / LOG_FILE).read_text(encoding="utf-8", errors="replace")
        except OSError:
            return "(no log)"
        return "\n".join(text.splitlines()[-LOG_LINES:])


@contextlib.contextmanager
def steady(plan: LoadPlan, journal: Journal | None = None) -> Iterator[Load]:
    """Steady load as long as the block runs, every class sending from its start on.

    Args:
        plan: what to send.
        journal: gets load.started and load.stopped.

    Raises:
        LoadError: the child died, never got ready, or had to be killed. An exception of the block wins.

    """
    load = Load(plan, journal)
    load.start()
    try:
        yield load
    except BaseException:
        with contextlib.suppress(LoadError):
            load.stop()
        raise
    load.stop()


def _raise_priority(pid: int) -> bool:
    """Give the generator the processor as soon as it wants it; whether that was allowed.

    Niceness weighs only against processes of the same control group, and starting pods are in others: the lag behind
    starting pods fell from 80 ms to a few ms by the real-time class. The kernel keeps 5 % for all others
    (sched_rt_runtime_us), and the generator needs about a tenth of a core.
    """
    with contextlib.suppress(PermissionError, ProcessLookupError):
        os.sched_setscheduler(pid, os.SCHED_RR, os.sched_param(1))
        return True
    with contextlib.suppress(PermissionError, ProcessLookupError):
        os.setpriority(os.PRIO_PROCESS, pid, NICENESS)
        return True
    return False


def _find(name: str) -> Path:
    """A locustfile: beside this module in a wheel, beside the package in a checkout."""
    here = Path(__file__).parent
    for folder in (here / "loadtests", here.parent / "loadtests"):
        if (folder / name).is_file():
            return folder / name
    raise LoadError(f"no locustfile {name}", "the installation is damaged: install the package again")


def _environment(plan_file: Path) -> dict[str, str]:
    """The child's environment: ours, without settings that would bend Locust, and with this very package in front.

    Its locust.conf and pyproject.toml Locust looks for in the working folder, which is the record's own.
    """
    root = str(Path(__file__).parents[1])
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LOCUST_")}
    known = environment.get("PYTHONPATH")
    # Locust reads ~/.locust.conf; packages of a `pip install --user` are found below the user's own home all the same
    environment["HOME"] = str(plan_file.parent)
    environment["PYTHONUSERBASE"] = site.getuserbase()
    environment["PYTHONPATH"] = f"{root}{os.pathsep}{known}" if known else root
    environment[ENVIRONMENT] = str(plan_file)
    environment[PARENT] = str(os.getpid())
    return environment

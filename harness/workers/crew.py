"""The workers of one load, seen from the harness: started together, followed, stopped, and what they recorded fetched.

Nothing here knows where they run: their hands make them and speak to their agents (`harness.client.agent`).
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from harness.client.agent import KINDS
from harness.client.divided import divided, names_taken
from harness.client.plan import LATE, LoadPlan
from harness.errors import HarnessError, LoadError, WaitTimeout
from harness.load import Journal
from harness.waiting import until
from harness.workers.fetching import Fetched, Reading
from harness.workers.hands import Hands, Member, clock_of, status_of

START_S: Final = 120.0
"""For all Locusts to be imported at once on a busy machine, and to find their master."""
AHEAD_NS: Final = 1_000_000_000
"""The common start lies so far ahead that every worker has been told."""
FOLLOW_S: Final = 1.0
STOP_GRACE_S: Final = 20.0
ALONE_S: Final = 5.0
"""After this time, once stopped by the master, a worker that goes on is told by itself: its master may have died."""


class Crew:
    """A load that several workers send.

    Args:
        plan: what a single process would do; its folder gets the records.
        workers: how many share it.
        hands: make them, and speak to them.
        journal: gets worker.joined, load.started, worker.left or worker.lost, and load.stopped.

    """

    def __init__(self, plan: LoadPlan, workers: int, hands: Hands, journal: Journal) -> None:
        self.plan = plan
        self.folder = Path(plan.folder)
        self.workers = workers
        self._plans = divided(plan, workers)
        self._hands = hands
        self._journal = journal
        self._members: Sequence[Member] = ()
        self._fetched: list[Fetched] = []
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def pid(self) -> int:
        """There is none on this machine.

        Raises:
            LoadError: always: whoever wants to stop or slow the load's process can't do it to pods.

        """
        raise LoadError(
            "this load's workers are pods, not a process here", "leave --bg-load-workers out for this scenario"
        )

    def check(self) -> None:
        """Make sure that every worker still runs.

        Raises:
            LoadError: one doesn't, or can't be asked.

        """
        for member in self._members:
            if reason := self._gone(member.number):
                raise LoadError(f"worker {member.number}: {reason}")

    def start(self) -> None:
        """Make the workers, start them together, and wait until the record of each holds a sample of every class.

        Raises:
            LoadError: one ended, or recorded nothing in time.
            ClusterError: they can't be had.

        """
        self._members = self._hands.begin()
        before = [clock_of(self._hands, member.number) for member in self._members]
        self._start()
        until(self._ready, f"{self.workers} workers to be ready", timeout=START_S, every=0.5, status=self._logs)
        t0 = time.monotonic_ns() + AHEAD_NS
        for member, known in zip(self._members, before, strict=True):
            told = json.loads(self._hands.call(member.number, "POST", f"go/{t0 + known.ns}"))
            if int(told["now"]) >= t0 + known.ns:
                raise LoadError(f"worker {member.number} heard of the start too late", "the API server is too slow")
        for member, known in zip(self._members, before, strict=True):
            self._journal.event(
                "worker.joined",
                load=self._hands.name,
                worker=member.number,
                workers=self.workers,
                pod=member.pod,
                node=member.node,
                offset_ns=known.ns,
                uncertainty_ns=known.uncertainty_ns,
            )
        stems = [f"{self._hands.name}-{member.number}" for member in self._members]
        self._fetched = [
            Fetched(self.folder, stem, self._reading(number), KINDS if plan.sockets else KINDS[:1])
            for number, (stem, plan) in enumerate(zip(stems, self._plans, strict=True))
        ]
        self._thread = threading.Thread(target=self._follow, name="workers", daemon=True)
        self._thread.start()
        longest = max(self.plan.timeout_of(name) for name in self.plan.classes)
        until(self._sampled, "the workers' first samples", timeout=START_S + longest, every=0.1, status=self._logs)
        self._journal.event(
            "load.started",
            classes={name: spec.rate for name, spec in self.plan.classes.items()},
            entries=[f"{entry.host}:{entry.port}" for entry in self.plan.entries],
            sockets=self.plan.sockets.count if self.plan.sockets else 0,
            run_tag=self.plan.run_tag,
            raised_priority=False,
            workers=self.workers,
        )

    def stop(self) -> int:
        """Stop all workers, and fetch what is left of their records; what is in flight may end first.

        A worker that was lost is told in the journal, and leaves the ledger open. Returns the highest exit code.
        """
        lost = {member.number: reason for member in self._members if (reason := self._gone(member.number))}
        self._stop_all(lost)
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
        codes = [0]
        for member in self._members:
            who = {"load": self._hands.name, "worker": member.number}
            try:
                if member.number in lost:
                    raise LoadError(lost[member.number])
                status = status_of(self._hands, member.number)
                self._fetched[member.number].to_the_end(status["files"])
                codes.append(int(status["code"] or 0))
                after = clock_of(self._hands, member.number)
                told = {"exit_code": codes[-1], "offset_ns": after.ns, "uncertainty_ns": after.uncertainty_ns}
                self._journal.event("worker.left", **who, **told)
            except HarnessError as error:
                with contextlib.suppress(HarnessError):  # what there is of it is evidence too
                    self._fetched[member.number].more()
                self._journal.event("worker.lost", **who, reason=error.what)
        self._journal.event("load.stopped", exit_code=max(codes))
        self.end()
        return max(codes)

    def end(self) -> None:
        """Let the workers go, whatever they are doing."""
        self._ended.set()
        for member in self._members:
            with contextlib.suppress(HarnessError):  # they go with the namespace, and by themselves
                self._hands.call(member.number, "POST", "end")

    # -- the beginning ----------------------------------------------------------------------------------------

    def _start(self) -> None:
        longest = max(self.plan.timeout_of(name) for name in self.plan.classes)
        stop_s = max(self.plan.sockets.stop_s if self.plan.sockets else 0.0, longest) + 5
        taken = {name: os.environ[name] for name in names_taken(self.plan) if name in os.environ}
        master = ""
        for member, plan in zip(self._members, self._plans, strict=True):
            data = json.loads(plan.to_json())
            body = {"plan": data, "environment": taken, "master": master, "stop_seconds": stop_s}
            self._hands.call(member.number, "POST", "start", body)
            master = master or member.address

    def _ready(self) -> bool:
        states = [status_of(self._hands, member.number) for member in self._members]
        for number, state in enumerate(states):
            if not state["running"]:
                raise LoadError(f"worker {number} ended with exit code {state['code']}\n{state['log']}")
            if state["master_code"] is not None:
                raise LoadError(f"Locust's master ended with exit code {state['master_code']}\n{state['log']}")
        return all(state["ready"] for state in states)

    def _sampled(self) -> bool:
        wanted = set(self.plan.classes)
        # of a class that answers late its definition is enough, as in a load of a single process
        return all(one.sampled | (LATE & one.defined) >= wanted for one in self._fetched)

    def _logs(self) -> str:
        said = []
        for member in self._members:
            with contextlib.suppress(HarnessError):
                said.append(f"worker {member.number}: {status_of(self._hands, member.number)['log']}")
        return "\n".join(said)

    # -- while it runs ----------------------------------------------------------------------------------------

    def _follow(self) -> None:
        while not self._ended.wait(FOLLOW_S):
            for one in self._fetched:
                with contextlib.suppress(HarnessError):  # asked again soon, and at the end it must all be there
                    one.more()

    def _reading(self, number: int) -> Reading:
        return lambda kind, begin: self._hands.call(number, "GET", f"file/{kind}/{begin}", timeout=10.0)

    # -- the end ----------------------------------------------------------------------------------------------

    def _gone(self, number: int) -> str:
        """Why a worker isn't there any more, before it was told to stop."""
        try:
            state = status_of(self._hands, number)
        except HarnessError as error:
            return error.what
        return "" if state["running"] else f"it ended by itself with exit code {state['code']}\n{state['log']}"

    def _stop_all(self, lost: dict[int, str]) -> None:
        """Stop by the master, then one by one; who still goes on is lost."""
        there = [member.number for member in self._members if member.number not in lost]
        longest = max(self.plan.timeout_of(name) for name in self.plan.classes)
        for numbers, seconds in ((there[:1], ALONE_S + longest), (there, STOP_GRACE_S + longest)):
            for number in numbers if self._running(there) else ():
                with contextlib.suppress(HarnessError):  # whether it stops is looked at below
                    self._hands.call(number, "POST", "stop")
            with contextlib.suppress(WaitTimeout):
                until(lambda: not self._running(there), "the workers to stop", timeout=seconds, every=0.2)
        for number in self._running(there):
            lost[number] = "it didn't stop"

    def _running(self, numbers: Sequence[int]) -> list[int]:
        found = []
        for number in numbers:
            try:
                if status_of(self._hands, number)["running"]:
                    found.append(number)
            except HarnessError:
                found.append(number)  # as long as it doesn't say that it has stopped
        return found


@contextlib.contextmanager
def crewed(plan: LoadPlan, workers: int, hands: Hands, journal: Journal) -> Iterator[Crew]:
    """Load by workers as long as the block runs.

    Args:
        plan: what to send, all of them together.
        workers: how many.
        hands: make them, and speak to them.
        journal: gets the events.

    Raises:
        LoadError, ClusterError: they can't be had or didn't start. An exception of the block wins.

    """
    crew = Crew(plan, workers, hands, journal)
    try:
        crew.start()
    except BaseException:
        crew.end()
        raise
    try:
        yield crew
    except BaseException:
        with contextlib.suppress(HarnessError):
            crew.stop()
        raise
    crew.stop()

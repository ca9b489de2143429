"""The protocol of a fault: inject, confirm from another place, heal, wait for recovery: a block, so none stays."""

from __future__ import annotations

import contextlib
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.checks.moment import At
from harness.errors import ConfigurationError, FaultNotConfirmed, HarnessError, WaitTimeout
from harness.faults.ground import Ground
from harness.faults.left_over import Cure, FaultJournal
from harness.faults.placed import Strike
from harness.faults.reach import BEYOND, why_not
from harness.journal import Journal
from harness.waiting import until

CONFIRM_S = 5.0
HEAL_S = 90.0
END_S = 120.0
"""Longer than any helper may take, so that a block always ends."""


@dataclass(frozen=True)
class Fault:
    """One fault on its target, ready to be injected; nothing has happened yet.

    Attributes:
        target: what it hits.
        strike: injects it.
        seen: an effect in words, looked for from another place than the injector; "" while there is none.
        cures: what takes it away, as data, in order: the next run does the same if this one was killed.
        undo: what else takes it away, of things that go with the namespace anyway.
        recovered: whether all is well again.
        confirm_s: bound of the wait for an effect.
        heal_s: bound of the wait for recovery.

    """

    target: str
    strike: Strike
    seen: Callable[[], str]
    cures: Sequence[Cure] = ()
    undo: Callable[[], object] | None = None
    recovered: Callable[[], bool] = lambda: True
    confirm_s: float = CONFIRM_S
    heal_s: float = HEAL_S


@dataclass(frozen=True)
class Plan:
    """A fault as a scenario names it: which pod or process it hits is found out when it is armed.

    Attributes:
        kind: its name in the record.
        make: finds the target; the second argument is an id that is unique on the machine.

    """

    kind: str
    make: Callable[[Ground, str], Fault]


@dataclass
class _Running:
    """One fault from its arming to its recovery."""

    plan: Plan
    ground: Ground
    journal: Journal
    left: FaultJournal
    ident: str = field(default_factory=lambda: secrets.token_hex(4))
    fault: Fault | None = None
    file: Path | None = None
    injected: bool = False

    def inject(self, at_ns: int | None = None, **fields: Any) -> None:
        """Arm, inject at the instant (None: at once), and see it."""
        if self.plan.kind in BEYOND and (reason := why_not(self.plan.kind, self.ground.cluster)):
            raise ConfigurationError(reason, "run this scenario on a cluster of its own")
        fault = self.plan.make(self.ground, self.ident)
        named: dict[str, Any] = {"id": self.ident, "kind": self.plan.kind, "target": fault.target}
        self.file = self.left.write(self.ident, self.plan.kind, fault.target, fault.cures)
        self.fault = fault
        self.journal.event("fault.armed", **named, **fields)
        reached = fault.strike(at_ns)
        if at_ns is not None:
            fields["reached_ms"] = fields["asked_ms"] + (reached - at_ns) / 1e6
        self.journal.event("fault.injected", t=reached, **named, **fields)
        self.injected = True
        try:
            effect = until(fault.seen, f"an effect of {self.plan.kind}", timeout=fault.confirm_s, every=0.05)
        except WaitTimeout as error:
            raise FaultNotConfirmed(
                f"{self.plan.kind} on {fault.target} was injected, and no effect was seen within {fault.confirm_s:g} s",
                "what the scenario shows under it would be worthless; look at the evidence of its target",
            ) from error
        self.journal.event("fault.confirmed", **named, effect=effect)

    def heal(self) -> None:
        """Take it away and wait until all is well again; what fails stays on disk for the next run."""
        fault = self.fault
        if fault is None:
            return
        for cure in fault.cures:
            cure.run(self.ground.engine)
        if fault.undo is not None:
            fault.undo()
        until(fault.recovered, f"recovery from {self.plan.kind} on {fault.target}", timeout=fault.heal_s)
        if self.injected:
            named: dict[str, Any] = {"id": self.ident, "kind": self.plan.kind, "target": fault.target}
            self.journal.event("fault.healed", **named)
        if self.file is not None:
            self.file.unlink(missing_ok=True)
        self.fault = None


class _Placed:
    """Waits in a thread for the announcement of a move, and injects one fault at its instant."""

    def __init__(self, running: _Running, when: At) -> None:
        self.running = running
        self._when = when
        self._announced = threading.Event()
        self._over = False
        self._at_ns = 0
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name=f"fault-{running.plan.kind}", daemon=True)
        self._thread.start()

    def hear(self, name: str, fields: Mapping[str, Any]) -> None:
        """Called by the journal with each event, in whatever thread wrote it."""
        if name == "cutover.planned" and fields.get("move") == self._when.move and not self._announced.is_set():
            self._at_ns = int(fields["at_ns"])
            self._announced.set()

    @property
    def happened(self) -> bool:
        """Whether the move was announced."""
        return self._at_ns != 0

    def end(self) -> None:
        """Wait for the helper, if there is anything to wait for.

        Raises:
            HarnessError: what went wrong, or it doesn't end.

        """
        self._over = not self._announced.is_set()
        self._announced.set()
        self._thread.join(END_S)
        if self._thread.is_alive():
            raise HarnessError(f"{self.running.plan.kind} did not end within {END_S:g} s", "report this as a bug")
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        self._announced.wait()
        if self._over:
            return
        at_ns = self._at_ns + round(self._when.offset_ms * 1e6)
        try:
            self.running.inject(at_ns, move=self._when.move, asked_ms=self._when.offset_ms)
        except Exception as error:  # raised in the main thread, when the block ends
            self._error = error


class Faults:
    """Breaks things, and mends them: ``with faults.at(CUTOVER + ms(100), evict_pod(release.idle)): ...``.

    Args:
        ground: where.
        journal: the scenario's record.
        left: the cluster's journal of faults.

    """

    def __init__(self, ground: Ground, journal: Journal, left: FaultJournal) -> None:
        self._ground = ground
        self._journal = journal
        self._left = left
        self._open = contextlib.ExitStack()

    @contextlib.contextmanager
    def during(self, *plans: Plan) -> Iterator[None]:
        """Each fault injected and seen, in this order, for the whole of the block; healed last-in first-out.

        Raises:
            FaultNotConfirmed: no effect was seen.
            WaitTimeout: no recovery.

        """
        with contextlib.ExitStack() as healing:
            for plan in plans:
                running = self._running(plan)
                healing.callback(running.heal)
                running.inject()
            yield

    @contextlib.contextmanager
    def at(self, when: At | str, *plans: Plan) -> Iterator[None]:
        """Each fault at an instant seen from the first such move in the block: ``CUTOVER - ms(200)``.

        What it needs is found and armed when the move is announced, a second or more before.

        Raises:
            FaultNotConfirmed: no effect was seen, or no such move was announced.
            WaitTimeout: no recovery.

        """
        moment = when if isinstance(when, At) else At(str(when))
        with contextlib.ExitStack() as healing:
            placed = [_Placed(self._running(plan), moment) for plan in plans]
            for one in placed:
                healing.callback(one.running.heal)
                self._journal.listeners.append(one.hear)
            body_ended = False
            try:
                yield
                body_ended = True
            finally:
                for one in placed:
                    self._journal.listeners.remove(one.hear)
                with contextlib.ExitStack() as ending:  # all of them, whatever one of them raises
                    for one in placed:
                        ending.callback(one.end)
            if body_ended and not all(one.happened for one in placed):
                kinds = ", ".join(plan.kind for plan in plans)
                raise FaultNotConfirmed(
                    f"no {moment.move} was announced in the block of {kinds}, so nothing was injected",
                    f"put the {moment.move} into the block",
                )

    def close(self) -> None:
        """Heal what a block could not, once more."""
        self._open.close()

    def _running(self, plan: Plan) -> _Running:
        running = _Running(plan, self._ground, self._journal, self._left)
        self._open.callback(running.heal)
        return running

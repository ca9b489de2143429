"""Goes through the steps of a procedure, one after the other, and writes each down."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from harness.errors import SmokeFailed

if TYPE_CHECKING:
    from harness.faults.meddler import Meddler
    from harness.journal import Journal
    from harness.load import Sending
    from harness.mutants.hands import Hands
    from harness.mutants.mutant import Mutant
    from harness.release.verbs import Release


def nobody() -> None:
    """The limit of a watch that looks on: what is broken has to show, and not be rolled back."""


class Runner:
    """One mutant's release.

    Args:
        release: the verbs.
        load: starts the load.
        hands: what people do.
        meddler: what no namespace's rights are enough for.
        journal: each step is an event.
        new: the version that is released.

    """

    def __init__(
        self,
        release: Release,
        load: Callable[[], AbstractContextManager[Sending]],
        hands: Hands,
        meddler: Meddler,
        journal: Journal,
        new: str,
    ) -> None:
        self._release = release
        self._load = load
        self._hands = hands
        self._meddler = meddler
        self._journal = journal
        self._new = new
        self._moved = False

    def run(self, mutant: Mutant) -> None:
        """Go through all steps; a release's error ends it.

        Raises:
            ReleaseError: the release was refused.

        """
        with contextlib.ExitStack() as stack:
            for name, *rest in mutant.steps:
                self._journal.event("procedure.step", step=" ".join((name, *rest)))
                self._steps(stack)[name](int(rest[0]) if rest else 0)

    def _steps(self, stack: contextlib.ExitStack) -> Mapping[str, Callable[[int], object]]:
        release, hands = self._release, self._hands
        live, idle = self._live, self._idle
        return {
            "deploy": lambda _: release.deploy(self._new),
            "smoke": lambda _: release.smoke(),
            "try-smoke": lambda _: self._try_smoke(),
            "load": lambda _: stack.enter_context(self._load()),
            "cutover": lambda _: release.cutover(),
            "rollback": lambda _: release.rollback(),
            "wait": time.sleep,
            "watch": lambda n: release.watch(seconds=n, breached=nobody),
            "start": lambda _: hands.put(idle(), self._new, len(hands.ready(live()))),
            "overwrite": lambda _: hands.put(live(), self._new),
            "select-idle": lambda _: self._select_idle(),
            "select-both": lambda _: hands.select(None),
            "select-wrong": lambda _: hands.select(f"{live()}x"),
            "select-nothing": lambda _: hands.select_nothing(),
            "scale-idle": lambda n: hands.scale(idle(), n),
            "delete-idle": lambda _: hands.delete(idle()),
            "delete-pod": lambda _: hands.delete_pod(live()),
            "restart": lambda _: hands.restart(live()),
            "evict": lambda _: hands.evict(live()),
            "drain-pod": lambda n: hands.drain_pod(live(), n),
            "local-traffic": lambda _: hands.lead_locally(),
            "stall-controller": lambda _: stack.enter_context(self._meddler.stalled_controller_manager()),
        }

    def _live(self) -> str:
        """The side that users are on, by the release or by hand."""
        return self._release.idle if self._moved else self._release.active

    def _idle(self) -> str:
        return self._release.active if self._moved else self._release.idle

    def _select_idle(self) -> None:
        self._hands.select(self._idle())
        self._moved = not self._moved

    def _try_smoke(self) -> None:
        with contextlib.suppress(SmokeFailed):
            self._release.smoke()

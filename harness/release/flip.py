"""One flip of the switch: announced, sent once at its instant, journaled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from harness.diagnosis.lint import Fault
from harness.errors import ClusterError, IllegalMove
from harness.release.bluegreen import State
from harness.release.clock import Clock

if TYPE_CHECKING:
    from harness.release.observer import Observer
    from harness.release.probes import ProbeGate
    from harness.release.switches import Switch

LEAD_SECONDS = 1.0


def check_lead(move: str, lead_s: float) -> None:
    """Refuse an announcement that leaves faults no time to arm.

    Raises:
        ValueError: less than ``LEAD_SECONDS``.

    """
    if not lead_s >= LEAD_SECONDS:
        raise ValueError(f"a {move} is announced at least {LEAD_SECONDS:g} s before, not {lead_s:g} s")


def check_untouched(switch: Switch, move: str, active: str) -> None:
    """Refuse to move a switch that somebody else has moved.

    Raises:
        IllegalMove: users aren't on the side ``active``.

    """
    live = switch.active()
    if live != active:
        raise IllegalMove(
            f"{move}: users are on {live}, not on {active}: someone else has moved the switch",
            "let one writer move the switch; find out who did",
        )


def check_open(switch: Switch, observer: Observer, probes: ProbeGate, move: str, active: str, to: str) -> None:
    """Refuse a move whose switch somebody has moved, or a cutover for what the cluster's objects show.

    Raises:
        IllegalMove: users aren't on the side ``active``, or they would be let down on ``to``.
        UnsafeProbes: by the probes of ``to``.
        ClusterError: the API server doesn't answer.

    """
    check_untouched(switch, move, active)
    switch.check(move, to)
    if move != "cutover":
        return  # a way back is never barred
    if observer.static:
        check_objects(observer.check(active, to))
    else:
        observer.describe()
    probes.check(move, to)


def check_objects(faults: Sequence[Fault]) -> None:
    """Refuse what the cluster's objects show to be wrong, before users find out.

    Raises:
        IllegalMove: with each fault that a cutover is refused for.

    """
    grave = [fault for fault in faults if fault.refuses]
    if grave:
        raise IllegalMove(
            "cutover: " + "; ".join(f"{fault.text} ({fault.id})" for fault in grave),
            "mend the manifests; --bg-no-static leaves this check out",
        )


def flip(
    switch: Switch, event: Callable[..., None], clock: Clock, move: str, state: State, to: str, lead_s: float
) -> None:
    """Announce the move, wait for its instant, send it, and journal each step.

    Args:
        switch: sends exactly one request.
        event: writes one event, ``event(name, **fields)``, at the moment of the call.
        clock: to wait by.
        move: "cutover" or "rollback".
        state: before the move.
        to: the side that users are pointed at.
        lead_s: seconds from the announcement to the instant.

    Raises:
        ClusterError: refused, or not answered: then it may have taken effect all the same.

    """
    at_ns = clock.now_ns() + round(lead_s * 1e9)
    event(
        "cutover.planned",
        at_ns=at_ns,
        move=move,
        from_revision=state.sides[state.active].version,
        to_revision=state.sides[to].version,
        from_side=state.active,
        to_side=to,
    )
    clock.sleep_until(at_ns)
    event("cutover.sent", move=move)
    try:
        done = switch.flip(to)
    except ClusterError as error:
        event("cutover.refused", move=move, reason=error.what)
        raise
    told = {"by_command": True} if switch.by_command else {}
    event("cutover.acknowledged", move=move, resource_version=done.resource_version, **told)
    if (written := switch.written()) is not None:
        event("switch.written", move=move, **asdict(written))

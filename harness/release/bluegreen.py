"""Which moves are legal: a pure state machine over two sides. No clock, no cluster: the caller says what it saw.

    install -> deploy (idle side) -> smoke -> cutover -> rollback
                    ^                            |
                    +---- deploy, retire <-------+

Each function takes a state and returns the next one, or raises IllegalMove with the reason and the mend.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from harness.errors import IllegalMove


@dataclass(frozen=True)
class SideState:
    """One side, as last seen.

    Attributes:
        version: what was last put there; None before the first time and after retire.
        wanted: pods asked for.
        ready: pods that were ready when last looked at.
        complete: the rollout of ``version`` was finished when last looked at.
        proven: this version passed smoke on this side, or served users there and wasn't rolled back.

    """

    version: str | None = None
    wanted: int = 0
    ready: int = 0
    complete: bool = False
    proven: bool = False


@dataclass(frozen=True)
class State:
    """Both sides and where users are.

    Attributes:
        sides: by name; exactly two.
        active: the side that users reach.
        previous: the side that a rollback goes to; None where there is none.
        left_at: seconds, on the caller's clock, when users left ``previous``.

    """

    sides: Mapping[str, SideState]
    active: str
    previous: str | None = None
    left_at: float | None = None

    @property
    def idle(self) -> str:
        """The side that users don't reach."""
        return next(name for name in self.sides if name != self.active)


def installed(sides: tuple[str, str], active: str, version: str, wanted: int) -> State:
    """The first version is ready on ``active``, the other side is empty."""
    empty = {name: SideState() for name in sides}
    return State({**empty, active: SideState(version, wanted, wanted, complete=True, proven=True)}, active)


def deploying(state: State, version: str, wanted: int, side: str | None = None) -> State:
    """A version goes to the idle side, which gives up what it held: from now on there is nothing to roll back to.

    Raises:
        IllegalMove: the side is the active one, or users are on this very version already.

    """
    target = side or state.idle
    if target not in state.sides:
        raise IllegalMove(f"deploy {version}: there is no side {target!r}", f"the sides are {', '.join(state.sides)}")
    if target == state.active:
        raise IllegalMove(
            f"deploy {version}: {target} is the active side, users are on it",
            f"deploy to the idle side, {state.idle}",
        )
    if state.sides[state.active].version == version:
        raise IllegalMove(
            f"deploy {version}: users are on {version} already, on {state.active}",
            "deploy another version: a cutover between equal versions shows nothing",
        )
    if wanted < 1:
        raise IllegalMove(
            f"deploy {version}: the active side has no pods to take the size from", "scale the active side up"
        )
    after = _with(state, target, SideState(version, wanted))
    return replace(after, previous=None, left_at=None)


def seen(state: State, side: str, ready: int, complete: bool) -> State:
    """The side's pods were looked at."""
    return _with(state, side, replace(state.sides[side], ready=ready, complete=complete))


def check_smoke(state: State) -> str:
    """The side that a smoke check would go to, the idle one.

    Raises:
        IllegalMove: nothing is deployed there, or its rollout isn't complete.

    """
    side = state.idle
    _check_up("smoke", side, state.sides[side])
    return side


def smoked(state: State, passed: bool) -> State:
    """The idle side's smoke check ended."""
    side = check_smoke(state)
    return _with(state, side, replace(state.sides[side], proven=passed))


def check_cutover(state: State) -> str:
    """The side that a cutover would point users at, the idle one.

    Raises:
        IllegalMove: nothing is deployed there, its rollout isn't complete, or smoke has not passed for it.

    """
    side, there = state.idle, state.sides[state.idle]
    _check_up("cutover", side, there)
    if not there.proven:
        raise IllegalMove(
            f"cutover: {side} ({there.version}) has not passed smoke", "run smoke() first and let it pass"
        )
    return side


def cut_over(state: State, now: float) -> State:
    """Users were pointed at the idle side at ``now`` seconds."""
    side = check_cutover(state)
    return replace(state, active=side, previous=state.active, left_at=now)


def check_rollback(state: State) -> str:
    """The side that a rollback would point users back at.

    Raises:
        IllegalMove: there was no cutover to take back, or none of the previous side's pods is ready.

    """
    side = state.previous
    if side is None:
        raise IllegalMove(
            f"rollback: there is no cutover to take back; users are on {state.active}",
            "roll back only after a cutover, and before the previous side is deployed to or retired",
        )
    there = state.sides[side]
    if there.ready < 1:
        raise IllegalMove(
            f"rollback: the previous side {side} ({there.version}) isn't running: 0 of {there.wanted} pods ready",
            "keep the previous side warm; to go on, deploy the old version to it and cut over",
        )
    return side


def rolled_back(state: State) -> State:
    """Users were pointed back; the version they left must pass smoke again before it may have them."""
    side = check_rollback(state)
    left = replace(state.sides[state.active], proven=False)
    return replace(_with(state, state.active, left), active=side, previous=None, left_at=None)


def check_retire(state: State, now: float, after: float, side: str | None = None) -> str:
    """The side that retire would scale down, the idle one.

    Args:
        state: the present state.
        now: seconds on the same clock as the cutover's.
        after: seconds that the previous side must have stayed warm.
        side: the idle side, unless named.

    Raises:
        IllegalMove: the side is active, empty already, or the previous one and not warm for long enough.

    """
    target = side or state.idle
    if target not in state.sides:
        raise IllegalMove(f"retire: there is no side {target!r}", f"the sides are {', '.join(state.sides)}")
    if target == state.active:
        raise IllegalMove(f"retire: {target} is the active side, users are on it", f"retire {state.idle}, or cut over")
    if state.sides[target].version is None:
        raise IllegalMove(f"retire: {target} is empty already", "nothing is to be done")
    if target == state.previous and state.left_at is not None and (warm := now - state.left_at) < after:
        raise IllegalMove(
            f"retire: {target} is the way back and has been idle for {warm:.0f} of {after:g} s",
            "wait, or shorten it by limits.warm_seconds or retire(after=...)",
        )
    return target


def retired(state: State, now: float, after: float, side: str | None = None) -> State:
    """The side was scaled down."""
    target = check_retire(state, now, after, side)
    return replace(_with(state, target, SideState()), previous=None, left_at=None)


def _check_up(verb: str, side: str, there: SideState) -> None:
    if there.version is None:
        raise IllegalMove(f"{verb}: nothing is deployed on {side}", "deploy a version first")
    if not there.complete:
        raise IllegalMove(
            f"{verb}: {side} ({there.version}) isn't ready: {there.ready} of {there.wanted} pods",
            "wait for the rollout (deploy does), or find out why its pods aren't ready",
        )


def _with(state: State, side: str, there: SideState) -> State:
    return replace(state, sides={**state.sides, side: there})

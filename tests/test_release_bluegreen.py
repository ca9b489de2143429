from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import IllegalMove
from harness.release import bluegreen
from harness.release.bluegreen import State, installed

WARM = 60.0


def live(version: str = "v1") -> State:
    return installed(("blue", "green"), "blue", version, 4)


def up(state: State, version: str = "v2") -> State:
    after = bluegreen.deploying(state, version, 4)
    return bluegreen.seen(after, after.idle, 4, complete=True)


def released(now: float = 0.0) -> State:
    return bluegreen.cut_over(bluegreen.smoked(up(live()), passed=True), now)


def test_a_whole_release() -> None:
    state = released(now=100.0)
    assert (state.active, state.idle, state.previous, state.left_at) == ("green", "blue", "blue", 100.0)
    state = bluegreen.retired(state, 100.0 + WARM, WARM)
    assert state.sides["blue"].version is None
    assert state.previous is None


def test_flips_back_and_forth_without_a_new_smoke() -> None:
    state = released()
    for number in range(6):
        state = bluegreen.cut_over(state, float(number))
    assert state.active == "green"


@pytest.mark.parametrize(
    ("move", "said"),
    [
        (lambda: bluegreen.check_smoke(live()), "smoke: nothing is deployed on green"),
        (lambda: bluegreen.check_cutover(live()), "cutover: nothing is deployed on green"),
        (lambda: bluegreen.check_cutover(up(live())), r"cutover: green \(v2\) has not passed smoke"),
        (lambda: bluegreen.check_cutover(bluegreen.smoked(up(live()), passed=False)), "has not passed smoke"),
        (lambda: bluegreen.check_smoke(bluegreen.deploying(live(), "v2", 4)), "isn't ready: 0 of 4"),
        (lambda: bluegreen.check_cutover(bluegreen.seen(released(), "blue", 3, complete=False)), "isn't ready: 3 of 4"),
        (lambda: bluegreen.deploying(live(), "v2", 4, "blue"), "blue is the active side"),
        (lambda: bluegreen.deploying(live(), "v2", 4, "red"), "no side 'red'"),
        (lambda: bluegreen.deploying(live(), "v1", 4), "users are on v1 already"),
        (lambda: bluegreen.deploying(live(), "v2", 0), "no pods to take the size from"),
        (lambda: bluegreen.check_rollback(live()), "no cutover to take back"),
        (lambda: bluegreen.check_rollback(bluegreen.rolled_back(released())), "no cutover to take back"),
        (lambda: bluegreen.check_rollback(up(released(), "v3")), "no cutover to take back"),
        (lambda: bluegreen.check_rollback(bluegreen.seen(released(), "blue", 0, complete=False)), "isn't running"),
        (lambda: bluegreen.check_cutover(bluegreen.rolled_back(released())), r"green \(v2\) has not passed smoke"),
        (lambda: bluegreen.check_retire(live(), 0, WARM, "blue"), "blue is the active side"),
        (lambda: bluegreen.check_retire(live(), 0, WARM), "green is empty already"),
        (lambda: bluegreen.check_retire(live(), 0, WARM, "red"), "no side 'red'"),
        (lambda: bluegreen.check_retire(released(5.0), 64.0, WARM), "idle for 59 of 60 s"),
    ],
)
def test_illegal_moves_are_refused_by_name(move: object, said: str) -> None:
    with pytest.raises(IllegalMove, match=said) as error:
        move()  # type: ignore[operator]
    assert error.value.mend


def test_one_ready_pod_suffices_to_roll_back_but_not_to_cut_over() -> None:
    degraded = bluegreen.seen(released(), "blue", 1, complete=False)
    assert bluegreen.rolled_back(degraded).active == "blue"
    with pytest.raises(IllegalMove):
        bluegreen.cut_over(degraded, 0)


MOVES = st.one_of(
    st.tuples(st.just("deploy"), st.sampled_from(["v1", "v2", "v3"]), st.sampled_from([None, "blue", "green"])),
    st.tuples(st.just("seen"), st.sampled_from(["blue", "green"]), st.integers(0, 4)),
    st.tuples(st.just("smoke"), st.booleans(), st.none()),
    st.tuples(st.just("cutover"), st.none(), st.none()),
    st.tuples(st.just("rollback"), st.none(), st.none()),
    st.tuples(st.just("retire"), st.sampled_from([None, "blue", "green"]), st.none()),
    st.tuples(st.just("wait"), st.floats(0, 100), st.none()),
)


def make(state: State, move: tuple[str, object, object], now: float) -> State:
    name, one, two = move
    match name:
        case "deploy":
            return bluegreen.deploying(state, str(one), 4, two)  # type: ignore[arg-type]
        case "seen":
            return bluegreen.seen(state, str(one), two, complete=two == 4)  # type: ignore[arg-type]
        case "smoke":
            return bluegreen.smoked(state, bool(one))
        case "cutover":
            return bluegreen.cut_over(state, now)
        case "rollback":
            return bluegreen.rolled_back(state)
        case "retire":
            return bluegreen.retired(state, now, WARM, one)  # type: ignore[arg-type]
    return state


@settings(max_examples=200)
@given(st.lists(MOVES, max_size=30))
def test_no_walk_breaks_the_promises_of_the_pattern(moves: list[tuple[str, object, object]]) -> None:
    state, now, legal = live(), 0.0, 0
    passed: set[tuple[str, str | None]] = {("blue", "v1")}  # (side, version) that smoke or users have proven
    for move in moves:
        before = state
        now += float(move[1]) if move[0] == "wait" else 0.0  # type: ignore[arg-type]
        try:
            state = make(state, move, now)
        except IllegalMove as error:
            assert error.what.startswith(move[0])
            assert state is before
            continue
        legal += 1
        name, idle = move[0], before.idle
        if name in ("deploy", "smoke", "retire", "seen", "wait"):
            assert state.active == before.active, "only the switch moves users"
            assert state.sides[state.active].version == before.sides[state.active].version
        if name == "deploy":
            passed.discard((idle, before.sides[idle].version))
            passed.discard((idle, state.sides[idle].version))
            assert state.previous is None
        elif name == "smoke":
            assert before.sides[idle].complete
            key = (idle, before.sides[idle].version)
            passed.add(key) if move[1] else passed.discard(key)
        elif name == "cutover":
            assert (idle, before.sides[idle].version) in passed
            assert before.sides[idle].complete
            assert (state.active, state.previous) == (idle, before.active)
        elif name == "rollback":
            assert state.active == before.previous
            assert before.sides[state.active].ready > 0
            passed.discard((before.active, before.sides[before.active].version))
        elif name == "retire":
            assert before.left_at is None or now - before.left_at >= WARM or before.previous != idle
            assert state.sides[idle].wanted == 0
    assert set(state.sides) == {"blue", "green"}
    assert state.active != state.idle
    assert replace(state) == state

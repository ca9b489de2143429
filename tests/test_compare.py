"""Two runs compared: the same finds nothing, what got worse is found, and the other way round it got better."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import betainc

from harness.cli import main
from harness.report.compare import Change, compare, interval
from harness.report.compare_text import FORMATS

MOVE = {"acknowledged_ms": 12.0, "slice_ms": 30.0, "mixed_ms": 0.0}


def scenario(name: str, first_new: list[float], lost: int = 0, **more: Any) -> dict[str, Any]:
    counts = {"issued": 2400, "ok": 2400 - lost, "failed": lost, "unknown": 0}
    moves = [{"move": "cutover", "lost_something": bool(lost), "first_new_ms": one, **MOVE} for one in first_new]
    return {
        "id": f"scenarios/test_x.py::{name}[service]",
        "verdict": "fail" if lost else "pass",
        "expect": "no_loss",
        "path": "service",
        "seconds": 30.0,
        "lag_p99_ms": 1.0,
        "skipped": [],
        "unproven": ["arrivals: no record"],
        "samples": {"by_class": {"fresh": counts}},
        "moves": moves,
        **more,
    }


def document(*records: dict[str, Any], run: str = "run") -> dict[str, Any]:
    return {"schema": 1, "run": run, "verdict": "pass", "harness_errors": [], "skipped": [], "scenarios": list(records)}


def around(ms: float, count: int = 20, seed: int = 0) -> list[float]:
    return [float(one) for one in np.random.default_rng(seed).normal(ms, ms / 20, count)]


GOOD = document(scenario("a", around(80)), scenario("b", around(80, seed=1)), run="good")

numbers = st.lists(st.floats(1, 2000), max_size=30)
records = st.builds(
    lambda name, first, lost, verdict, expect, skipped, seconds, path: scenario(
        name, first, lost, verdict=verdict, expect=expect, skipped=skipped, seconds=seconds, path=path
    ),
    st.sampled_from("abcdef"),
    numbers,
    st.integers(0, 2400),
    st.sampled_from(["pass", "inconclusive", "fail"]),
    st.sampled_from(["no_loss", "bounded", "loses", "refused"]),
    st.lists(st.sampled_from(["slow: none", "post: none"]), unique=True),
    st.floats(1, 500),
    st.sampled_from(["service", "ingress"]),
)
documents = st.builds(
    lambda found, errors: {**document(*found), "harness_errors": errors},
    st.lists(records, max_size=5, unique_by=lambda one: str(one["id"])),
    st.lists(st.sampled_from(["x: gone", "y: gone"]), unique=True),
)


@settings(max_examples=60)
@given(documents)
def test_a_run_does_not_differ_from_itself(found: dict[str, Any]) -> None:
    same = compare(found, copy.deepcopy(found))
    assert same.changes == () and not same.regressed


def mirrored(change: Change) -> tuple[str, str, str, float | None]:
    other = {"worse": "better", "better": "worse", "other": "other"}[change.direction]
    return change.kind, change.where, other, None if change.p is None else round(change.p, 12)


@settings(max_examples=200)
@given(documents, documents)
def test_the_other_way_round_what_got_worse_got_better(a: dict[str, Any], b: dict[str, Any]) -> None:
    one, other = compare(a, b).changes, compare(b, a).changes
    assert sorted(map(repr, map(mirrored, one))) == sorted(
        repr((c.kind, c.where, c.direction, None if c.p is None else round(c.p, 12))) for c in other
    )
    assert all(change.direction == "worse" for change in (*one, *other) if change.regression)


def test_equal_releases_are_hardly_ever_told_apart() -> None:
    wrong = 0
    for seed in range(100):
        a = document(scenario("a", around(80, seed=2 * seed)), run="a")
        b = document(scenario("a", around(80, seed=2 * seed + 1)), run="b")
        wrong += bool(compare(a, b).changes)
    assert wrong <= 3  # at most one in a hundred on average


def changes(a: dict[str, Any], b: dict[str, Any]) -> list[tuple[str, str, bool]]:
    return [(one.kind, one.direction, one.regression) for one in compare(a, b).changes]


def test_a_slower_flip_is_a_regression_and_a_faster_one_none() -> None:
    slow = document(scenario("a", around(400)), scenario("b", around(400, seed=1)), run="slow")
    assert changes(GOOD, slow) == [("milestone", "worse", True)]
    assert changes(slow, GOOD) == [("milestone", "better", False)]
    (one,) = compare(GOOD, slow).changes
    assert one.where == "service cutover" and one.what.startswith("first_new_ms 8") and "n=40" in one.what


def test_a_difference_that_is_sure_but_small_or_large_but_unsure_is_none() -> None:
    near = document(scenario("a", [one + 5 for one in around(80)]), scenario("b", [one + 5 for one in around(80)]))
    assert changes(GOOD, near) == []
    few = document(scenario("a", [80.0]), scenario("b", [90.0]))
    much = document(scenario("a", [800.0]), scenario("b", [900.0]))
    assert changes(few, much) == []  # two moves each: chance alone does that in one of three


def test_lost_requests_beyond_chance_are_a_regression() -> None:
    bounded = {"expect": "bounded", "verdict": "pass"}
    a, b = (document(scenario("a", around(80), lost, **bounded)) for lost in (3, 40))
    assert ("losses", "worse", True) in changes(a, b)
    assert not compare(b, a).regressed
    fewer = document(scenario("a", around(80), 5, **bounded))
    assert changes(a, fewer) == []
    twin = [document(scenario("a", around(80), lost, expect="loses", verdict="pass")) for lost in (3, 400)]
    assert changes(*twin) == [("losses", "other", False)]


def test_sockets_that_are_cut_beyond_chance_are_a_regression() -> None:
    def cut(bad: int, lost: int, run: str = "run") -> dict[str, Any]:
        told = {"bad": bad, "attempts": 100 + bad, "lost": lost, "unacknowledged": 0, "due": 2000, "sent": 2000}
        return document(scenario("a", around(80), sockets=told), run=run)

    found = sorted(compare(cut(0, 0), cut(50, 60)).changes, key=lambda one: one.what.split(":"))
    assert [(one.what.split(":")[0], one.regression) for one in found] == [
        ("websocket", True),
        ("websocket messages", True),
    ]
    assert "0 of 100 (0 to 3.6 %) -> 50 of 150" in found[0].what
    assert "60 of 4000" in found[1].what
    assert [one.direction for one in compare(cut(50, 60), cut(0, 0)).changes] == ["better", "better"]
    assert compare(cut(0, 0), cut(1, 1)).changes == ()
    assert compare(document(scenario("a", around(80), sockets={})), cut(50, 60)).changes == ()


def test_the_moves_that_lost_something_are_compared_as_moves() -> None:
    a, b = (document(scenario("a", around(80, 40), 1, verdict="pass", expect="bounded")) for _ in range(2))
    for number, move in enumerate(a["scenarios"][0]["moves"]):
        move["lost_something"] = number < 1
    assert changes(a, b) == [("moves", "worse", True)]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"verdict": "fail"}, ("verdict", "worse", True)),
        ({"verdict": "inconclusive"}, ("verdict", "worse", True)),
        ({"skipped": ["slow: no [request.slow]"]}, ("skipped", "worse", True)),
        ({"unproven": []}, ("unproven", "better", False)),
        ({"unproven": ["arrivals: other words"]}, None),
    ],
)
def test_what_is_certain_needs_no_chance(change: dict[str, Any], expected: tuple[str, str, bool] | None) -> None:
    after = document({**GOOD["scenarios"][0], **change}, GOOD["scenarios"][1])
    assert changes(GOOD, after) == ([expected] if expected else [])


def test_scenarios_that_went_or_came() -> None:
    fewer = document(GOOD["scenarios"][0])
    assert changes(GOOD, fewer) == [("scenario", "worse", True)]
    assert changes(fewer, GOOD) == [("scenario", "better", False)]
    failing = document(*GOOD["scenarios"], scenario("c", [], 5))
    assert changes(GOOD, failing) == [("scenario", "worse", True)]
    broken = {**GOOD, "harness_errors": ["x: no engine"]}
    assert changes(GOOD, broken) == [("harness", "worse", True)]
    skipping = {**GOOD, "skipped": [{"id": "z", "reason": "there is none"}]}
    assert changes(GOOD, skipping) == [("skipped", "other", False)]


def test_a_scenario_that_took_another_path_speaks_of_neither() -> None:
    a, b = (document(scenario("a", around(80), path=path)) for path in ("service", "ingress"))
    for move in b["scenarios"][0]["moves"]:
        move["lost_something"] = True
    assert changes(a, b) == changes(b, a) == []
    assert {one.where for one in compare(a, b).numbers} == {"all"}


def test_a_verdict_without_single_moves_is_compared_by_its_latest() -> None:
    old = copy.deepcopy(GOOD)
    for record in old["scenarios"]:
        del record["moves"]
        record["cutover"] = {"first_new_ms": 90.0, **MOVE}
    assert [one.after for one in compare(GOOD, old).numbers if one.name == "first_new_ms"] == [(90.0, 90.0)]
    assert changes(GOOD, old) == []


@given(st.integers(1, 500), st.floats(0, 1))
def test_an_interval_leaves_a_fortieth_on_either_side(total: int, share: float) -> None:
    lost = round(share * total)
    low, high = interval(lost, total)
    assert 0 <= low <= lost / total <= high <= 1
    if lost:
        assert betainc(lost, total - lost + 1, low) == pytest.approx(0.025, abs=1e-6)
    if lost < total:
        assert 1 - betainc(lost + 1, total - lost, high) == pytest.approx(0.025, abs=1e-6)


# -- the command ------------------------------------------------------------------------------------------------------


def stored(folder: Path, found: dict[str, Any]) -> Path:
    folder.mkdir(parents=True)
    (folder / "verdict.json").write_text(json.dumps(found))
    return folder


def test_the_exit_code_tells_a_regression(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = stored(tmp_path / "good", GOOD)
    bad = stored(tmp_path / "bad", document(GOOD["scenarios"][0], run="bad"))
    assert main(["compare", str(good), str(good)]) == 0
    assert "nothing changed beyond noise" in capsys.readouterr().out
    assert main(["compare", str(good), str(bad / "verdict.json")]) == 1
    out = capsys.readouterr().out
    assert "REGRESSION  scenario   test_x.py::b[service]  no longer judged (was pass)" in out
    assert out.endswith("verdict: 1 regression\n")
    assert main(["compare", str(bad), str(good)]) == 0


def test_a_run_is_found_by_its_id_as_show_finds_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    stored(tmp_path / "artifacts" / "20261128-100000-aaaa", GOOD)
    stored(tmp_path / "artifacts" / "20261129-100000-bbbb", {**GOOD, "run": "later"})
    monkeypatch.chdir(tmp_path)
    assert main(["compare", "20261128-100000-aaaa", "artifacts/20261129-100000-bbbb"]) == 0
    assert capsys.readouterr().out.startswith("A: good\nB: later\n")
    assert main(["compare", "20261128", "20261129"]) == 0
    capsys.readouterr()
    assert main(["compare", "2026", "20261129"]) == 4
    assert "several runs begin with 2026" in capsys.readouterr().err
    assert main(["compare", "20261128-100000-aaab", "20261129"]) == 4
    assert "did you mean 20261128-100000-aaaa?" in capsys.readouterr().err
    monkeypatch.chdir("/")
    assert main(["compare", "20261128", "20261129", "--artifacts", str(tmp_path / "artifacts")]) == 0
    assert main(["compare", "20261128", "none/such", "--artifacts", str(tmp_path / "artifacts")]) == 4
    assert "none/such can't be read: No such file" in capsys.readouterr().err


def test_for_machines_and_for_a_summary(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = stored(tmp_path / "good", GOOD)
    slow = stored(tmp_path / "slow", document(scenario("a", around(400)), scenario("b", around(400)), run="a|b"))
    assert main(["compare", str(good), str(slow), "--format", "json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert (told["schema"], told["a"], told["b"], told["regressed"]) == (1, "good", "a|b", True)
    assert told["changes"][0]["kind"] == "milestone" and 0 < told["changes"][0]["p"] < 0.01
    assert {one["name"] for one in told["numbers"]} >= {"first_new_ms", "lag_p99_ms", "seconds"}
    assert main(["compare", str(good), str(slow), "--format", "markdown"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "## ❌ Compared with good: 1 regression"
    tables = [line for line in lines if line.startswith("|")]
    assert {line.replace(r"\|", "").count("|") for line in tables if "regression" in line} == {5}
    assert set(FORMATS) == {"text", "json", "markdown"}


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (None, "can't be read"),
        ("{", "is no JSON"),
        ("[]", "is no verdict"),
        ('{"schema": 9, "scenarios": []}', "has schema 9"),
        ('{"schema": 1, "scenarios": [{}], "run": ""}', "no whole verdict"),
        ('{"schema": 1, "scenarios": 3, "run": ""}', "no whole verdict"),
    ],
)
def test_what_is_no_run_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str | None, what: str
) -> None:
    file = tmp_path / "verdict.json"
    if content is not None:
        file.write_text(content)
    assert main(["compare", str(tmp_path), str(file)]) == 4
    said = capsys.readouterr().err
    assert what in said and "  mend: " in said

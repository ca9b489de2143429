"""Arrivals against samples: whatever is done to an honest record is found, and nothing else is."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.checks.registry import judge
from harness.evidence import samples as layout
from harness.evidence.arrivals import Arrivals, Record, parse
from harness.evidence.reconcile import NO, UNTOLD, YES, Reconciled, reconcile
from harness.evidence.store import read
from harness.evidence.timeline import SECOND, Timeline
from tests import simulated
from tests.simulated import Down, Flip, Lines, World, arrival_files, arrival_lines, changed, event, having, recorded

WORLD = World(seconds=4, flips=[Flip(2.0)], downs=[Down(1.0, 1.1)], classes=("fresh", "busy", "post"))
TRUE = simulated.play(WORLD)
LINES = arrival_lines(TRUE)
PODS = sorted(LINES)
COUNTS = ("twice", "unasked", "unheard", "posts_twice", "posts_lost")
SLOW = settings(max_examples=40)


def matched(lines: Lines, timeline: Timeline = TRUE, **how: Any) -> Reconciled:
    told = recorded(timeline, arrival_files(lines), **how)
    assert told.arrivals is not None
    return reconcile(told, told.arrivals)


def found(result: Reconciled) -> dict[str, int]:
    return {name: getattr(result, name) for name in COUNTS if getattr(result, name)}


def copied(lines: Lines = LINES) -> Lines:
    return {pod: list(told) for pod, told in lines.items()}


def verdict(timeline: Timeline) -> str:
    return next(one.verdict for one in judge(timeline, []) if one.check == "arrivals")


def of(kind: str, word: str = "") -> list[tuple[str, int]]:
    """Where lines of a kind are: pod and number."""
    return [
        (pod, number)
        for pod in PODS
        for number, line in enumerate(LINES[pod])
        if line.startswith(f"{kind} ") and word in line
    ]


ARRIVED, APPLIED = of("A"), of("P")


def test_an_honest_record_reconciles() -> None:
    result = matched(LINES)
    assert (found(result), result.faults) == ({}, ())
    lost = int(np.count_nonzero(TRUE.samples["outcome"] == layout.FAILED))
    assert lost > 10
    assert (result.issued, result.arrived) == (len(TRUE.samples), len(TRUE.samples) - lost)
    assert (result.failed_elsewhere, result.unknown_elsewhere) == (lost, 0)
    assert result.posts_ok == result.posts_applied == len(APPLIED)
    assert verdict(recorded(TRUE, arrival_files(LINES))) == "pass"


@given(st.sampled_from(ARRIVED), st.sampled_from(PODS), st.integers(0, 2000), st.integers(-5, 10**10))
@SLOW
def test_an_arrival_too_many_is_found_in_whichever_pod(
    which: tuple[str, int], pod: str, place: int, later: int
) -> None:
    lines = copied()
    kind, t, *rest = LINES[which[0]][which[1]].split(" ")
    lines[pod].insert(1 + place % len(lines[pod]), " ".join([kind, str(int(t) + later), *rest]))
    result = matched(lines)
    assert found(result) == {"twice": 1}
    assert result.faults == ()
    (told,) = result.told["twice"]
    assert rest[0].removeprefix("sim-") in told
    assert pod in told
    assert which[0] in told


@given(st.sampled_from(ARRIVED))
@SLOW
def test_an_ok_answer_without_its_arrival_is_found_or_where_the_record_ends_told(which: tuple[str, int]) -> None:
    pod, number = which
    lines = copied()
    line = lines[pod].pop(number)
    result = matched(lines)
    if found(result):
        assert found(result) == {"unheard": 1}
        assert result.told["unheard"][0].endswith(f"answered by {pod}, arrived nowhere")
    else:  # among the pod's last: the record may have ended too early
        assert number > len(LINES[pod]) - 10
        assert f"the record of {pod} ends before its last 1 answers" in result.faults
    assert any("hadn't arrived" in fault for fault in result.faults) == ("post" in line)


@given(st.sampled_from(ARRIVED), st.sampled_from(PODS))
@SLOW
def test_an_answer_by_a_pod_that_never_saw_the_request_is_found(which: tuple[str, int], other: str) -> None:
    pod, number = which
    lines = copied()
    line = lines[pod].pop(number)
    lines[other].append(line)
    result = matched(lines)
    if pod == other:
        assert found(result) == {}
    elif found(result):
        assert found(result) == {"unheard": 1}
        assert result.told["unheard"][0].endswith(f"answered by {pod}, arrived at {other}")
    else:
        assert number > len(LINES[pod]) - 10
        assert result.faults == (f"the record of {pod} ends before its last 1 answers",)


@given(
    st.sampled_from(PODS),
    st.integers(1, 2000),
    st.sampled_from(["fresh-900000", "fresh-x", "idle-1", "", "fresh-", "fresh-01", "FRESH-1", "busy-1-1"]),
    st.sampled_from("AP"),
)
@SLOW
def test_an_arrival_that_nobody_sent_is_found(pod: str, place: int, ident: str, kind: str) -> None:
    lines = copied()
    rest = " GET /" if kind == "A" else ""
    lines[pod].insert(1 + place % len(lines[pod]), f"{kind} {simulated.T0 + 7} sim-{ident}{rest}")
    result = matched(lines)
    assert found(result) == {"unasked": 1}
    assert ident in result.told["unasked"][0]


@given(st.sampled_from(PODS), st.integers(1, 2000), st.sampled_from(["app-1", "sim", "sim2-fresh-1", "x-sim-fresh-1"]))
@SLOW
def test_what_others_ask_is_no_arrival_of_ours(pod: str, place: int, ident: str) -> None:
    lines = copied()
    lines[pod].insert(1 + place % len(lines[pod]), f"A {simulated.T0 + 7} {ident} GET /")
    result = matched(lines)
    assert (found(result), result.faults, result.arrived) == ({}, (), matched(LINES).arrived)


def test_what_was_refused_and_arrived_all_the_same_is_found() -> None:
    refused = next(one for one in TRUE.samples if one["outcome"] == layout.FAILED and one["cls"] == 0)
    lines = copied()
    lines[PODS[0]].append(f"A {refused['sent'] + 1} sim-fresh-{refused['seq']} GET /")
    assert found(matched(lines)) == {"unasked": 1}


@given(st.sampled_from(APPLIED), st.sampled_from(PODS))
@SLOW
def test_a_post_applied_again_is_found(which: tuple[str, int], pod: str) -> None:
    lines = copied()
    lines[pod].append(LINES[which[0]][which[1]])
    assert found(matched(lines)) == {"posts_twice": 1}


@given(st.sampled_from(APPLIED))
@SLOW
def test_a_post_answered_as_done_and_never_applied_is_found(which: tuple[str, int]) -> None:
    pod, number = which
    lines = copied()
    ident = lines[pod].pop(number).split(" ")[2]
    result = matched(lines)
    if found(result):
        assert found(result) == {"posts_lost": 1}
        assert f"sim-{result.told['posts_lost'][0]}" == ident
    else:
        assert number > len(LINES[pod]) - 10
        assert result.faults == (f"the record of {pod} ends before its last 1 answers",)


@given(st.integers(0, 10**6), st.integers(40, 5000))
@settings(max_examples=20)
def test_neither_order_nor_chunks_matter(seed: int, chunk: int) -> None:
    chance = random.Random(seed)
    lines = copied()
    lines[PODS[0]].append(LINES[PODS[1]][5])
    del lines[PODS[2]][3]
    straight = matched(lines)
    mixed = {}
    for pod in chance.sample(PODS, len(PODS)):
        first, *rest = lines[pod]
        mixed[pod] = [first, *chance.sample(rest, len(rest))]
    result = matched(mixed, chunk=chunk)
    assert found(result) == found(straight) == {"twice": 1, "unheard": 1}
    assert result == straight
    assert np.array_equal(result.applied, straight.applied)


# -- records that aren't whole ----------------------------------------------------------------------------------------


@given(st.sampled_from(PODS), st.integers(0, 10**6))
@SLOW
def test_a_record_cut_anywhere_is_judged_up_to_the_cut_and_says_so(pod: str, cut: int) -> None:
    lines = copied()
    lines[pod].insert(2, lines[pod][1])  # a re-send, near its beginning
    files = arrival_files(lines)
    raw = files[f"{pod}.arrivals"]
    kept = raw[: cut % len(raw)]
    told = recorded(TRUE, {**files, f"{pod}.arrivals": kept})
    assert told.arrivals is not None
    result = reconcile(told, told.arrivals)
    whole_lines = kept.count(b"\n")
    assert found(result) == ({"twice": 1} if whole_lines >= 3 else {})
    assert any(pod in fault for fault in result.faults)
    assert verdict(told) == ("fail" if whole_lines >= 3 else "inconclusive")
    if kept and not kept.endswith(b"\n"):
        assert f"the last line of {pod}'s record is torn" in result.faults


@pytest.mark.parametrize(
    ("name", "text", "fault"),
    [
        ("blue-0.arrivals.broken", "S 1 blue-0 v1\n", "the application gave the record of blue-0 up"),
        ("blue-0.arrivals", "", "the record of blue-0 lacks its beginning"),
        ("blue-0.arrivals", "A 1 sim-fresh-1 GET /\n", "the record of blue-0 lacks its beginning"),
        ("blue-0.arrivals", "S 1 blue-1 v1\n", "the record of blue-0 is by blue-1"),
        ("blue-0.arrivals", "S 1 blue-0 v1\nA 1 sim-fr", "the last line of blue-0's record is torn"),
        (
            "blue-0.arrivals",
            "S 1 blue-0 v1\nA x sim-fresh-1 GET /\n\n\xff\n",
            "3 lines of blue-0's record are no facts",
        ),
        ("blue-0.arrivals", "S 1 blue-0 v1\nA 1 sim-fresh-1 GET / x\n", "1 lines of blue-0's record are no facts"),
    ],
)
def test_damage_is_told(name: str, text: str, fault: str) -> None:
    record = parse(name, [text.encode("latin-1")], "sim", {"fresh": 0})
    assert (record.pod, record.faults) == ("blue-0", (fault,))


def test_a_record_goes_on_after_a_restart_and_beside_its_broken_beginning() -> None:
    lines = copied()
    pod = PODS[0]
    lines[pod].insert(9, f"S {simulated.T0} {pod} v1")
    assert matched(lines).faults == ()
    files = arrival_files(lines)
    raw = files.pop(f"{pod}.arrivals").splitlines(keepends=True)
    told = recorded(TRUE, {**files, f"{pod}.arrivals.broken": b"".join(raw[:9]), f"{pod}.arrivals": b"".join(raw[9:])})
    assert told.arrivals is not None
    result = reconcile(told, told.arrivals)
    assert (found(result), result.arrived) == ({}, matched(LINES).arrived)
    assert result.faults == (f"the application gave the record of {pod} up",)


def test_a_pod_without_a_record_makes_the_answer_inconclusive() -> None:
    lines = copied()
    del lines[PODS[0]]
    result = matched(lines)
    assert found(result) == {}
    assert result.faults == (f"there is no record of {PODS[0]}",)
    silent = having(TRUE, event(0.1, "pods.entered", pods=[PODS[0], "blue-9"]))
    assert matched(LINES, silent).faults == ("there is no record of blue-9",)
    assert verdict(recorded(TRUE, {})) == "inconclusive"


def test_answers_that_tell_no_pod_are_looked_for_everywhere() -> None:
    mute = changed(TRUE, np.arange(len(TRUE.samples)), pod=0)
    assert found(matched(LINES, mute)) == {}
    assert matched(LINES, mute).faults == ()
    lines = copied()
    del lines["blue-0"][5]
    assert found(matched(lines, mute)) == {"unheard": 1}
    last = [line for line in lines["blue-0"] if "post" not in line]
    lines["blue-0"] = last[: len(last) // 2]
    assert matched(lines, mute).faults != ()


# -- POSTs of unknown outcome -----------------------------------------------------------------------------------------


def test_a_post_of_unknown_outcome_was_applied_or_not_or_cant_be_told() -> None:
    which = np.flatnonzero((TRUE.samples["cls"] == simulated.CODES["post"]) & (TRUE.samples["pod"] != 0))
    cut = changed(TRUE, which[:7], outcome=layout.UNKNOWN, error=7, pod=0, revision=0, status=0)
    lines = copied()
    ids = [f"sim-post-{seq}" for seq in TRUE.samples["seq"][which[:7]]]
    for pod, told in lines.items():  # two never arrived, one arrived and wasn't applied
        lines[pod] = [line for line in told if not any(f" {i}" in f"{line} " for i in (f"{ids[0]} ", f"{ids[1]} "))]
        lines[pod] = [line for line in lines[pod] if not (line.startswith("P ") and line.endswith(f" {ids[2]}"))]
    result = matched(lines, cut)
    assert (found(result), result.faults) == ({}, ())
    assert (result.unknown_applied, result.unknown_not_applied, result.unknown_untold) == (4, 3, 0)
    assert result.unknown_elsewhere == 2
    assert result.applied[which[:7]].tolist() == [NO, NO, NO, YES, YES, YES, YES]
    lines["blue-9"] = ["A 1 sim-fresh-0 GET /"]  # without its beginning
    part = matched(lines, cut)
    assert (part.unknown_applied, part.unknown_not_applied, part.unknown_untold) == (4, 0, 3)
    assert part.applied[which[0]] == UNTOLD
    assert part.to_dict()["posts"]["unknown"] == {"applied": 4, "not_applied": 0, "untold": 3}


def test_two_loads_one_after_the_other_number_their_requests_anew() -> None:
    later = TRUE.samples.copy()
    for column in ("intended", "sent", "first_byte", "end"):
        later[column] += 100 * SECOND
    later["source"] = 1
    both = replace(TRUE, samples=np.concatenate([TRUE.samples, later]))
    second = replace(TRUE, samples=later)
    more = arrival_lines(second)
    lines = {pod: [*told, *more[pod][1:]] for pod, told in LINES.items()}
    result = matched(lines, both)
    assert (found(result), result.faults, result.issued) == ({}, (), 2 * len(TRUE.samples))
    lines[PODS[0]].insert(4, lines[PODS[0]][3])
    assert found(matched(lines, both)) == {"twice": 1}
    at_once = replace(both, samples=np.concatenate([TRUE.samples, changed(TRUE, 0, seq=0).samples]))
    at_once.samples.flags.writeable = True
    at_once.samples["source"][len(TRUE.samples) :] = 1
    assert "two loads ran at once under one tag" in matched(LINES, replace(at_once)).faults


def test_nothing_at_all_is_no_contradiction() -> None:
    empty = reconcile(Timeline(), Arrivals())
    assert (empty.contradictions, empty.issued, empty.faults) == (0, 0, ())
    stray = parse("p.arrivals", [b"S 1 p v1\nA 2 sim-fresh-1 GET /\n"], "sim", {})
    assert reconcile(Timeline(), Arrivals((stray,))).unasked == 1
    assert reconcile(TRUE, Arrivals((Record("blue-0"),))).contradictions == 0


# -- on disk ----------------------------------------------------------------------------------------------------------


def test_records_come_back_from_disk_and_every_cut_is_said(tmp_path: Path) -> None:
    files = arrival_files(LINES)
    simulated.write(tmp_path, TRUE, files)
    timeline = read(tmp_path)
    assert timeline.arrivals is not None and timeline.arrivals.faults == ()
    assert verdict(timeline) == "pass"
    name = f"{PODS[0]}.arrivals"
    (tmp_path / "arrivals" / name).write_bytes(files[name][:-1])
    assert verdict(read(tmp_path)) == "inconclusive"
    cut = read(tmp_path).arrivals
    assert cut is not None
    assert cut.faults == (f"arrivals/{name} has {len(files[name]) - 1} bytes, {len(files[name])} were kept",)
    (tmp_path / "arrivals" / name).unlink()
    gone = read(tmp_path).arrivals
    assert gone is not None and gone.faults == (f"arrivals/{name} is missing",)


def test_a_run_without_a_record_is_unproven_and_not_judged(tmp_path: Path) -> None:
    simulated.write(tmp_path, TRUE)
    assert read(tmp_path).arrivals is None
    assert "arrivals" not in {one.check for one in judge(read(tmp_path), [])}
    untagged = replace(TRUE, events=tuple(one for one in TRUE.events if one.name != "run.started"))
    (tmp_path / "untagged").mkdir()
    simulated.write(tmp_path / "untagged", untagged, arrival_files(LINES))
    assert verdict(read(tmp_path / "untagged")) == "inconclusive"

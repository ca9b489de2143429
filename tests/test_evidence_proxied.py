"""Samples joined with the proxy's log: the truth where the log tells it, and never a guess."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.checks.promises import CUTOVER, cutover_happened, never_served, nothing_lost, only
from harness.checks.registry import judge
from harness.evidence.answerers import Life, lives, version_of
from harness.evidence.proxied import SUFFIX, join, parse
from harness.evidence.store import read
from harness.evidence.summary import scenario_record
from harness.evidence.timeline import Event, Timeline
from harness.journal import Journal
from tests.simulated import STRINGS, T0, Down, World, at, changed, event, play

TAG = "0123456789ab"
PODS = [name for name in STRINGS if "-" in name]
IPS = {pod: f"10.244.1.{number}" for number, pod in enumerate(PODS)}
IMAGE = "localhost/shop:{version}"


def side_of(pod: str) -> str:
    return "v1" if pod.startswith("blue") else "v2"


def changed_pod(seconds: float, pod: str, ip: str = "", version: str = "") -> Event:
    images = {"api": IMAGE.replace("{version}", version or side_of(pod)), "proxy": "envoy:1"}
    return event(seconds, "pod.changed", side=pod, pod=pod, ip=ip or IPS[pod], images=images)


def told_by_log(world: World, events: Sequence[Event] = ()) -> tuple[Timeline, Timeline]:
    """What really happened, and the same record of an application whose answers tell nothing."""
    truth = play(world)
    started = {"identity": "envoy", "container": "api", "image": IMAGE, "run_tag": TAG}
    changes = [
        Event(one.t, one.name, {**one.fields, **started}) if one.name == "run.started" else one for one in truth.events
    ]
    pods = [changed_pod(-1, pod) for pod in PODS] if not events else list(events)
    mute = changed(truth, np.arange(len(truth.samples)), revision=0, pod=0)
    mute = replace(mute, events=(*changes, *pods))
    truth = replace(truth, events=mute.events)
    return truth, mute


def address(truth: Timeline, pod: int) -> str:
    return f"{IPS[truth.string(pod)]}:80"


def lines_of(truth: Timeline, *, flags: str = "-") -> list[str]:
    names = {spec.code: spec.name for spec in truth.classes}
    return [
        f"U {one['sent'] + 1} {TAG}-{names[int(one['cls'])]}-{one['seq']} {flags} {address(truth, int(one['pod']))}"
        for one in truth.samples
        if one["pod"]
    ]


def joined(mute: Timeline, lines: Sequence[str], faults: Sequence[str] = ()) -> Timeline:
    classes = {spec.name: spec.code for spec in mute.classes}
    return join(mute, parse(["\n".join(lines)], TAG, classes, faults))


def words(timeline: Timeline) -> list[tuple[str, str]]:
    return [(timeline.string(int(s["revision"])), timeline.string(int(s["pod"]))) for s in timeline.samples]


TRUTH, MUTE = told_by_log(World(seconds=6, rates={"fresh": 40.0, "busy": 10.0, "idle": 2.0, "slow": 4.0, "post": 5.0}))
LINES = lines_of(TRUTH)


def test_a_whole_log_tells_what_the_answers_would_have_told() -> None:
    made = joined(MUTE, LINES)
    assert words(made) == words(TRUTH)
    assert made.joined is not None
    assert (made.joined.answered, made.joined.known, made.joined.contradicted) == (len(TRUTH.samples),) * 2 + (0,)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), share=st.floats(0, 1), doubled=st.integers(0, 20), torn=st.integers(0, 5))
def test_of_any_part_of_a_log_in_any_order_all_is_true_and_the_rest_unknown(
    seed: int, share: float, doubled: int, torn: int
) -> None:
    chance = random.Random(seed)
    kept = [line for line in LINES if chance.random() < share]
    again = [chance.choice(LINES) for _ in range(doubled)]
    broken = [chance.choice(LINES)[: chance.randrange(1, 12)] for _ in range(torn)]
    mixed = [*kept, *again, *broken]
    chance.shuffle(mixed)
    made = joined(MUTE, mixed)
    named = {line.split()[2] for line in (*kept, *again)}
    classes = {spec.code: spec.name for spec in MUTE.classes}
    for sample, told, true in zip(made.samples, words(made), words(TRUTH), strict=True):
        inside = f"{TAG}-{classes[int(sample['cls'])]}-{sample['seq']}" in named
        assert told == (true if inside else ("", ""))
    assert made.joined is not None
    assert made.joined.known == len(named)
    assert bool(made.joined.faults) == bool(broken)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), wrong=st.integers(1, 40))
def test_two_lines_that_disagree_on_a_request_tell_nothing_of_it(seed: int, wrong: int) -> None:
    chance = random.Random(seed)
    others = chance.sample(LINES, wrong)
    swapped = [line.rpartition(" ")[0] + f" {chance.choice(list(IPS.values()))}:80" for line in others]
    made = joined(MUTE, [*LINES, *swapped] if chance.random() < 0.5 else [*swapped, *LINES])
    doubtful = {line.split()[2] for line, other in zip(others, swapped, strict=True) if line != other}
    assert made.joined is not None
    assert made.joined.known == made.joined.answered - len(doubtful)
    assert all(told in (true, ("", "")) for told, true in zip(words(made), words(TRUTH), strict=True))


@pytest.mark.parametrize("flags", ["UC", "UF,URX", "DC", "UH"])
def test_an_answer_of_the_proxy_itself_has_no_pod(flags: str) -> None:
    made = joined(MUTE, lines_of(TRUTH, flags=flags))
    assert set(words(made)) == {("", "")}


def test_a_request_without_an_answer_has_no_pod_whatever_the_log_says() -> None:
    truth, mute = told_by_log(World(seconds=4, classes=["fresh"], downs=[Down(1, 2)]))
    lost = truth.samples["status"] == 0
    assert lost.any()
    every = changed(truth, lost, pod=STRINGS.index("blue-0"))
    made = joined(mute, lines_of(every))
    assert len(lines_of(every)) == len(truth.samples)
    assert not made.samples["revision"][lost].any()
    assert not made.samples["pod"][lost].any()


@settings(max_examples=60, deadline=None)
@given(gone=st.floats(0, 5), born=st.floats(0, 5))
def test_an_address_that_two_pods_had_counts_only_while_one_of_them_could_have_it(gone: float, born: float) -> None:
    """blue-0's address is given to a pod of the new version: what falls into both lives, or into none, is unknown."""
    shared = IPS["blue-0"]
    events = [
        *(changed_pod(-1, pod) for pod in PODS),
        event(gone, "pod.gone", side="blue", pod="blue-0"),
        changed_pod(born, "later", shared, "v2"),
    ]
    truth, mute = told_by_log(World(seconds=5, classes=["fresh"], flips=()), events)
    made = joined(mute, lines_of(truth))
    for sample, told in zip(made.samples, words(made), strict=True):
        if truth.string(int(truth.samples["pod"][int(sample["seq"])])) != "blue-0":
            continue
        old, new = int(sample["sent"]) <= at(gone), int(sample["end"]) >= at(born)
        expected = {(True, False): ("v1", "blue-0"), (False, True): ("v2", "later")}.get((old, new), ("", ""))
        assert told == expected


def test_a_pod_that_nobody_saw_or_of_another_image_is_unknown() -> None:
    events = [changed_pod(-1, pod) for pod in PODS if pod not in ("blue-1", "blue-2")]
    events.append(changed_pod(-1, "blue-2", version="v1@sha256:0"))
    strange = event(-1, "pod.changed", side="blue", pod="blue-3", ip=IPS["blue-3"], images={"api": "elsewhere:v1"})
    truth, mute = told_by_log(World(seconds=3, classes=["fresh"], flips=()), [*events, strange])
    made = joined(mute, lines_of(truth))
    known = {pod: revision for revision, pod in words(made)}
    assert known == {"blue-0": "v1", "blue-2": "v1@sha256:0", "": ""}


def test_what_an_answer_says_of_its_pod_stays_and_is_compared() -> None:
    named = changed(MUTE, np.arange(len(MUTE.samples)), pod=TRUTH.samples["pod"])
    made = joined(named, LINES)
    assert words(made) == words(TRUTH)
    other = np.where(np.arange(len(MUTE.samples)) == 7, PODS.index("blue-3") + 4, TRUTH.samples["pod"])
    liar = joined(changed(MUTE, np.arange(len(MUTE.samples)), pod=other), LINES)
    assert liar.joined is not None and liar.joined.contradicted == 1
    assert words(liar)[7] == ("", "blue-3")
    (finding,) = [one for one in judge(liar, [nothing_lost()]) if one.check == "identified"]
    assert (finding.verdict, finding.voids) == ("inconclusive", True)


def test_promises_about_revisions_are_proven_by_the_log() -> None:
    truth, mute = told_by_log(World())
    promises = [only("v2", after=CUTOVER, within=2.0), cutover_happened(), never_served("v3")]
    findings = judge(joined(mute, lines_of(truth)), promises)
    assert [one.verdict for one in findings[:3]] == ["pass"] * 3
    (share,) = [one for one in findings if one.check == "identified"]
    assert (share.verdict, share.measured) == ("pass", 0.0)
    record = scenario_record(joined(mute, lines_of(truth)), findings)
    assert not [one for one in record["unproven"] if not one.startswith("arrivals")]


def test_gaps_are_inconclusive_and_an_old_answer_still_fails() -> None:
    truth, mute = told_by_log(World())
    lines = lines_of(truth)
    holes = [line for number, line in enumerate(lines) if number % 100]
    promises = [only("v2", after=CUTOVER, within=2.0), cutover_happened()]
    one, two, *others = judge(joined(mute, holes, ["a log couldn't be read"]), promises)
    assert (one.verdict, two.verdict) == ("inconclusive", "pass")
    assert "open" in one.detail
    (share,) = [other for other in others if other.check == "identified"]
    assert share.verdict == "inconclusive" and "a log couldn't be read" in share.detail
    late = [line.replace(IPS["green-1"], IPS["blue-1"]) for line in holes]
    assert judge(joined(mute, late), promises)[0].verdict == "fail"


def test_without_the_log_nothing_is_proven() -> None:
    promises = [only("v2", after=CUTOVER, within=2.0), cutover_happened()]
    findings = judge(told_by_log(World())[1], promises)
    assert {one.check for one in findings if one.verdict == "inconclusive"} >= {
        "only",
        "cutover_happened",
        "identified",
    }
    assert not [one for one in findings if one.verdict in ("fail", "unproven")]


def test_no_gap_of_a_log_is_held_against_answers_that_tell_for_themselves() -> None:
    assert not [one for one in judge(play(World()), [nothing_lost()]) if one.check == "identified"]


def test_a_pods_life_begins_when_it_is_first_seen_and_ends_when_it_is_gone() -> None:
    first = event(1, "pod.changed", pod="a", ip="", images={"api": "localhost/shop:v1"})
    events = (
        first,
        changed_pod(2, "a", "10.0.0.1", "v1"),
        event(3, "pod.gone", pod="a"),
        event(4, "pod.gone", pod="b"),
    )
    started = event(0, "run.started", container="api", image=IMAGE)
    assert lives(Timeline(events=(started, *events))) == (Life("a", "10.0.0.1", "v1", at(1), at(3)),)


@pytest.mark.parametrize(
    ("image", "version"),
    [("a/b:v1", "v1"), ("a/b:", ""), ("a/c:v1", ""), ("", ""), ("a/b:v1@sha256:1", "v1@sha256:1")],
)
def test_versions_of_images(image: str, version: str) -> None:
    assert version_of(image, "a/b:{version}") == version
    assert version_of(image, "") == ""


def test_it_is_read_from_a_runs_folder(tmp_path: Path) -> None:
    from tests.simulated import write

    write(tmp_path, MUTE)
    half = len(LINES) // 2
    files = {}
    for name, part in (("envoy-a", LINES[:half]), ("envoy-b", LINES[half:])):
        text = "".join(f"{line}\n" for line in part)
        (tmp_path / f"{name}{SUFFIX}").write_text(text)
        files[f"{name}{SUFFIX}"] = len(text)
    assert read(tmp_path).joined is None
    with Journal(tmp_path) as journal:
        journal.event("answers.kept", files={**files, "gone.answers": 9}, faults=["one proxy has no log"])
    made = read(tmp_path)
    assert made.joined is not None
    assert made.joined.known == made.joined.answered == len(LINES)
    assert made.joined.faults == ("one proxy has no log", "gone.answers has 0 bytes, 9 were kept")
    assert int(made.samples["sent"].min()) > T0

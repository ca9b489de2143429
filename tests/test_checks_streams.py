"""What is under way at a flip, and how HTTP/2 connections end: each check green, red and undecided."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from harness.checks.finding import Finding
from harness.checks.promise import Promise
from harness.checks.promises import finishes_where_it_began, goaway_first, nothing_lost
from harness.checks.registry import judge
from harness.evidence.samples import (
    ERRORS,
    FAILED,
    FLAG_GOAWAY,
    FLAG_REPLACED,
    FLAG_RETRIABLE,
    FLAG_SERVER_CLOSE,
    UNKNOWN,
    ClassSpec,
)
from harness.evidence.timeline import Timeline
from tests.simulated import CODES, T0, World, changed, play

CALM = play(World())


def found(timeline: Timeline, promise: Promise) -> Finding:
    return judge(timeline, [promise])[0]


def flying(timeline: Timeline) -> Any:
    """Where the slow requests are that the flip finds in flight."""
    samples, sent = timeline.samples, timeline.flips()[0].sent_ns
    assert sent is not None
    return np.flatnonzero((samples["cls"] == CODES["slow"]) & (samples["sent"] < sent) & (samples["end"] > sent))


def h2(timeline: Timeline, level: str = "user") -> Timeline:
    """The same with its class busy called h2: kept connections, all answered."""
    classes = tuple(
        ClassSpec("h2", spec.code, spec.rate, T0, 5.0, spec.scheduled, spec.issued, 0, 0)
        if spec.name == "busy"
        else spec
        for spec in timeline.classes
    )
    return Timeline(timeline.events, timeline.samples, timeline.strings, classes)


# -- finishes_where_it_began ------------------------------------------------------------------------------------------


def test_what_outlasts_the_flip_is_answered_by_the_side_it_began_on() -> None:
    finding = found(CALM, finishes_where_it_began("slow"))
    assert finding.verdict == "pass", finding.detail
    assert finding.measured == len(flying(CALM)) >= 3


def test_one_of_them_lost_or_answered_elsewhere_is_a_fail() -> None:
    one = flying(CALM)[1]
    lost = found(changed(CALM, one, outcome=UNKNOWN, error=ERRORS.index("goaway_cut")), finishes_where_it_began("slow"))
    assert lost.verdict == "fail" and "1 of" in lost.detail and "lost" in lost.detail
    moved = found(changed(CALM, one, revision=CALM.id_of("v2")), finishes_where_it_began("slow"))
    assert moved.verdict == "fail" and "another revision than v1" in moved.detail


def test_nothing_in_flight_proves_nothing() -> None:
    assert found(CALM, finishes_where_it_began("slow", at_least=50)).verdict == "inconclusive"
    assert found(CALM, finishes_where_it_began("h2_slow")).verdict == "inconclusive"
    assert found(play(World(flips=[])), finishes_where_it_began("slow")).verdict == "inconclusive"


# -- goaway_first -----------------------------------------------------------------------------------------------------


def at(timeline: Timeline, number: int = 7) -> Any:
    return np.flatnonzero(timeline.samples["cls"] == CODES["busy"])[number]


def test_a_connection_left_after_a_goaway_is_as_it_should_be() -> None:
    left = changed(h2(CALM), at(CALM), flags=FLAG_REPLACED | FLAG_GOAWAY)
    assert found(left, goaway_first()).verdict == "pass"
    assert found(h2(CALM), goaway_first()).verdict == "inconclusive"
    # answered on a connection that the server is about to leave, and none replaced it: nothing was seen to close
    assert found(changed(h2(CALM), at(CALM), flags=FLAG_SERVER_CLOSE | FLAG_GOAWAY), goaway_first()).measured == 0


def test_a_connection_closed_without_a_word_is_a_fail_even_if_nothing_is_lost() -> None:
    finding = found(changed(h2(CALM), at(CALM), flags=FLAG_REPLACED), goaway_first())
    assert (finding.verdict, finding.measured) == ("fail", 1)
    assert "1 closed while idle" in finding.detail


@pytest.mark.parametrize("error", ["closed", "reset", "truncated", "goaway_cut"])
def test_a_connection_cut_amidst_streams_counts_once(error: str) -> None:
    both = np.asarray([at(CALM, 7), at(CALM, 8)])
    cut = changed(h2(CALM), both, outcome=UNKNOWN, error=ERRORS.index(error), conn=99, flags=FLAG_GOAWAY)
    finding = found(cut, goaway_first())
    assert (finding.verdict, finding.measured) == ("fail", 1)
    assert f"2 {error}" in finding.detail


@pytest.mark.parametrize("error", ["goaway", "refused_stream"])
def test_what_was_not_processed_is_no_cut_and_at_user_level_no_loss_but_never_hidden(error: str) -> None:
    refused = {"outcome": FAILED, "error": ERRORS.index(error), "revision": 0, "flags": FLAG_RETRIABLE | FLAG_GOAWAY}
    timeline = changed(h2(CALM), at(CALM), **refused)
    assert found(timeline, goaway_first()).verdict == "inconclusive"
    finding = found(timeline, nothing_lost())
    assert finding.verdict == "pass"
    assert f"1 {error}" in finding.detail and "retriable" in finding.detail
    events = tuple(
        type(event)(event.t, event.name, {**event.fields, "level": "strict"}) if event.name == "run.started" else event
        for event in timeline.events
    )
    strict = Timeline(events, timeline.samples, timeline.strings, timeline.classes)
    assert found(strict, nothing_lost()).verdict == "fail"

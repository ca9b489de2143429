"""What is shown while a scenario runs: the fold of its record, the block and the lines, and that nothing stays."""

from __future__ import annotations

import io
import json
import struct
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.evidence.gaps import longest_gap
from harness.evidence.losses import all_judged
from harness.evidence.samples import FLAG_RETRIABLE, UNKNOWN
from harness.evidence.timeline import Timeline
from harness.live import Feed, Live, Sockets
from harness.report import progress
from harness.report.progress import Progress
from harness.report.screen import Block, Plain, choose
from tests.screen import Terminal
from tests.simulated import CODES, Down, Flip, World, at, changed, event, journal, play, sample_file, write

OUTAGE = play(World(downs=(Down(6.0, 6.4),)))
CODE_NAMES = {code: name for name, code in CODES.items()}


def folded(timeline: Timeline, *cuts: float) -> Progress:
    """All events, and the samples as a recorder would have written them, in batches cut at these shares."""
    state = Progress()
    for one in timeline.events:
        state.event(one)
    table = timeline.samples[np.argsort(timeline.samples["end"], kind="stable")]
    marks = [0, *sorted(round(cut * len(table)) for cut in cuts), len(table)]
    for start, stop in pairwise(marks):
        state.samples(table[start:stop], dict(enumerate(timeline.strings)), CODE_NAMES)
    return state


@settings(max_examples=25)
@given(st.lists(st.floats(0, 1), max_size=6))
def test_in_whatever_batches_the_samples_come_the_numbers_are_those_of_the_whole(cuts: list[float]) -> None:
    view = folded(OUTAGE, *cuts).view(at(13))
    assert view.sent == len(OUTAGE.samples)
    assert sum(view.lost.values()) == int(all_judged(OUTAGE).sum())
    fresh, busy = (
        (longest_gap(OUTAGE.of_class(name), spec.rate) or 0) / 1e6
        for name in ("fresh", "busy")
        if (spec := OUTAGE.spec(name))
    )
    post = (longest_gap(OUTAGE.of_class("post"), 10.0) or 0) / 1e6
    assert view.gap_ms == pytest.approx(max(fresh, busy, post), abs=0.01)
    assert view.gap_ms > 350


def test_rates_are_told_by_revision_and_move_from_one_to_the_other() -> None:
    timeline = play(World(flips=(Flip(4.0),), classes=("fresh",)))
    until = {second: Progress() for second in (3.5, 11.5)}
    for second, state in until.items():
        for one in timeline.events:
            if one.t <= at(second):
                state.event(one)
        table = timeline.samples[timeline.samples["end"] <= at(second)]
        state.samples(table, dict(enumerate(timeline.strings)), CODE_NAMES)
    assert until[3.5].view(at(3.5)).rates == {"v1": pytest.approx(200, abs=5)}
    later = until[11.5].view(at(11.5)).rates
    assert later == {"v1": 0, "v2": pytest.approx(200, abs=5)}


def test_what_the_level_lets_pass_is_told_beside_the_losses() -> None:
    calm = play(World())
    idle = np.flatnonzero(calm.samples["cls"] == CODES["idle"])[:3]
    user = folded(changed(calm, idle, outcome=UNKNOWN, flags=FLAG_RETRIABLE)).view(at(13))
    assert (user.lost, user.retriable) == ({}, {"idle": 3})
    assert "0 lost, 3 retriable" in progress.line(user)
    strict = play(World(level="strict"))
    view = folded(changed(strict, idle, outcome=UNKNOWN, flags=FLAG_RETRIABLE)).view(at(13))
    assert (view.lost, view.retriable) == ({"idle": 3}, {})


def test_a_gap_that_still_lasts_is_shown_before_it_ends() -> None:
    timeline = play(World(classes=("fresh",), downs=(Down(5.0, 12.0),)))
    state = folded(replace(timeline, events=tuple(one for one in timeline.events if one.t < at(5))))
    view = state.view(at(9.5))
    assert view.gap_ms == pytest.approx(4000, abs=20) and view.gap_class == "fresh"
    state.event(event(9.0, "watch.finished", seconds=8))  # from here on silence may be the load's own end
    assert state.view(at(9.5)).gap_ms < 100
    state.event(event(9.4, "cutover.planned", move="rollback", at_ns=at(10.4)))
    assert state.view(at(9.5)).gap_ms > 3900


def test_the_phase_and_the_time_left_follow_the_events() -> None:
    state, seen = Progress(), []
    for one in play(World()).events:
        state.event(one)
        seen.append((state.phase, state.view(one.t).left_s))
    assert ("cutover to v2 on green planned", 1.0) in seen
    assert ("watching users", 12.0) in seen
    assert seen[-1] == ("judging", None)
    state.event(event(13, "deploy.refused", side="green"))  # of a record that lacks a field
    assert state.phase == "deploy refused: ?"


# -- reading the record -----------------------------------------------------------------------------------------------


def test_a_growing_record_is_read_as_far_as_it_is_whole(tmp_path: Path) -> None:
    feed = Feed(tmp_path)
    feed.read()  # nothing is there yet
    assert feed.progress.view(at(0)).sent == 0
    events, samples = journal(OUTAGE), sample_file(OUTAGE)
    for share in (0.3, 0.31, 0.7, 1.0):
        (tmp_path / "events.jsonl").write_bytes(events[: round(share * len(events))])
        (tmp_path / "samples-7.bin").write_bytes(samples[: round(share * len(samples))])
        feed.read()
    view = feed.progress.view(at(13))
    assert view.sent == len(OUTAGE.samples)
    assert view.phase == "judging"
    assert view.sockets is None


def test_open_sockets_are_counted_by_the_last_word_on_each(tmp_path: Path) -> None:
    path = tmp_path / "sockets-7.bin"

    def life(socket: int, end: int, code: int = 0, attempt: int = 1) -> bytes:
        return struct.pack("<4B2H2I4q4Hq", 16, end, 0, 0, 101, code, socket, attempt, *[0] * 9)

    path.write_bytes(b"".join(life(one, 0) for one in range(5)) + bytes(64) + life(9, 0)[:30])
    sockets = Sockets(path)
    assert sockets.read() == (5, 0)
    ends = [life(2, 2, 1012), life(3, 3), life(4, 2, 1011), life(4, 1, attempt=2), life(4, 1, attempt=3)]
    path.write_bytes(path.read_bytes()[: 6 * 64] + b"".join(ends))
    assert sockets.read() == (2, 4)  # a close that asks to come again is no loss; a refusal is one each
    assert sockets.read() == (2, 4)
    path.write_bytes(path.read_bytes() + life(4, 0, attempt=4))
    assert sockets.read() == (3, 4)
    (tmp_path / "events.jsonl").write_bytes(journal(OUTAGE))
    feed = Feed(tmp_path)
    feed.read()
    assert feed.progress.view(at(13)).sockets == 3
    line = progress.line(feed.progress.view(at(13)))
    assert "3 sockets open" in line
    assert progress.losses(feed.progress.view(at(13))) == "4 lost (4 websocket)"


# -- the screen -------------------------------------------------------------------------------------------------------


class Tty(io.StringIO):
    def isatty(self) -> bool:
        return True


def live_block(line: str, verbosity: int, columns: int = 80) -> tuple[Terminal, Terminal]:
    """The terminal while the block stands, and after it went."""
    file = Tty()
    screen = choose(file, {"TERM": "xterm"}, "test_y[service]", verbosity=verbosity, captured=True, color="yes")
    assert isinstance(screen, Block)
    screen._console.width = columns
    state = folded(OUTAGE)
    file.write(line)
    screen.open(line)
    for second in (3, 4, 9):
        screen.show(state, at(second))
    during = Terminal(columns)
    during.feed(file.getvalue())
    screen.close()
    screen.close()
    after = Terminal(columns)
    after.feed(file.getvalue())
    return during, after


@pytest.mark.parametrize("verbosity", [-1, 0, 1])
@pytest.mark.parametrize("line", ["", "scenarios/test_x.py ", "x" * 130 + " "])
def test_the_block_goes_without_a_trace_and_pytest_writes_on_where_it_was(line: str, verbosity: int) -> None:
    during, after = live_block(line, verbosity)
    shown = "\n".join(during.lines)
    assert "107 lost (" in shown and (verbosity < 0 or "longest gap" in shown)
    after.feed("." if line else "")
    expected = Terminal()
    expected.feed(line + ("." if line else ""))
    assert [one for one in after.lines if one] == [one for one in expected.lines if one]
    assert not after.hidden


def test_what_is_said_meanwhile_stays_and_pytests_line_begins_anew() -> None:
    for captured in (True, False):
        file = Tty()
        screen = choose(file, {"TERM": "xterm"}, "x", verbosity=0, captured=captured, color="no")
        file.write("test_x.py ")
        screen.open("test_x.py ")
        screen.show(Progress(), at(1))
        screen.say("[bluegreen] waiting [for] another")
        screen.show(Progress(), at(2))
        screen.close()
        file.write(".")
        terminal = Terminal()
        terminal.feed(file.getvalue())
        assert [line for line in terminal.lines if line] == [
            "test_x.py",
            "[bluegreen] waiting [for] another",
            "test_x.py .",
        ]


def test_more_is_shown_with_v_and_one_line_with_q() -> None:
    (quiet, _), (normal, _), (verbose, _) = (live_block("x ", verbosity) for verbosity in (-1, 0, 1))
    lengths = [sum(1 for line in one.lines if line) for one in (quiet, normal, verbose)]
    assert lengths[0] == 2 < lengths[1] == 5 < lengths[2]
    assert "test_y[service]  judging" in "\n".join(normal.lines)
    assert "fresh 2,400" in "\n".join(verbose.lines)


@pytest.mark.parametrize(
    ("file", "environment", "captured"),
    [
        (io.StringIO(), {"TERM": "xterm"}, True),
        (Tty(), {"TERM": "dumb"}, True),
        (Tty(), {}, True),
        (Tty(), {"TERM": "xterm", "CI": "true"}, True),
        (Tty(), {"TERM": "xterm"}, False),
    ],
    ids=["a pipe", "dumb", "no TERM", "CI", "-s"],
)
def test_lines_take_the_blocks_place(file: io.StringIO, environment: dict[str, str], captured: bool) -> None:
    assert isinstance(choose(file, environment, "x", verbosity=0, captured=captured, color="auto"), Plain)


def plain(verbosity: int) -> str:
    file = io.StringIO()
    screen = Plain(file, verbosity)
    screen.open("test_x.py ")
    state = folded(OUTAGE)
    for second in (1, 7, 13):
        screen.show(state, at(second))
    screen.close()
    return file.getvalue()


def test_plain_lines_tell_each_phase_once_and_numbers_only_when_asked() -> None:
    assert plain(-1) == ""
    lines = plain(0).splitlines()
    assert lines[0] == "" and lines[-1] == "test_x.py "
    assert [line for line in lines[1:-1] if not line.startswith("[bluegreen] ")] == []
    assert len(set(lines)) == len(lines)
    assert sum("watching users" in line for line in lines) == 1
    assert "lost" not in plain(0) and "lost" in plain(1)
    assert "\x1b" not in plain(1)


def test_a_display_that_can_not_be_written_ends_and_nothing_else_does(tmp_path: Path) -> None:
    class Broken(io.StringIO):
        def write(self, _text: str) -> int:
            raise OSError("the terminal is gone")

    write(tmp_path, OUTAGE)
    live = Live(tmp_path, Plain(Broken(), 1))
    live.start()
    deadline = time.monotonic() + 10
    while live._thread.is_alive() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not live._thread.is_alive()
    live.stop()
    assert live.broke == "the live display ended early: OSError('the terminal is gone')"


def test_events_that_are_no_json_are_left_out(tmp_path: Path) -> None:
    lines = [json.dumps({"t": at(0), "name": "install.ready", "version": "v1", "side": "blue"}), "{torn"]
    (tmp_path / "events.jsonl").write_text("\n".join(lines) + "\n")
    feed = Feed(tmp_path)
    feed.read()
    assert feed.progress.phase == "v1 is live on blue"

"""The page as text: what it says, what it escapes, where its marks are."""

from __future__ import annotations

import html
import json
import re
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.cli import main
from harness.evidence.outages import outages
from harness.evidence.samples import FAILED, OK
from harness.evidence.timeline import SECOND, Timeline
from harness.report import files
from harness.report.html import details, index, lanes, marks, numbers, series
from harness.report.html import scenario as scenario_page
from harness.report.html.chart import PANELS, WHOLE, chosen, scene
from harness.report.html.markup import Html, el, esc
from harness.report.html.page import page, scenario_section
from harness.report.html.plot import LETTER, MOST_MARKS, NARROW, Plot, dot_path, nice, tick_path
from harness.report.html.series import Window
from harness.report.html.sockets import open_by_side
from harness.report.html.tones import BLUE, GREEN, OTHER, tones
from harness.report.terminal import first_lost_id
from tests.reports import DIAGNOSIS, EVIL, MUTANTS, SWITCHES, faulty, many, run, there_and_back
from tests.simulated import STRINGS, Down, Flip, World, at, changed, event, having, play

FAULTY = faulty()
BACK = there_and_back()
CALM = play(World())
FRESH = play(World(classes=("fresh",)))


class Reader(HTMLParser):
    """The page as a browser would see it: its text, its tags, and whether they are balanced."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "link", "br", "wbr"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["script"] and self.open[-1:] != ["style"]:
            # a place where a line may break is no gap between words
            joined = bool(self.tags) and self.tags[-1][0] == "wbr" and bool(self.text)
            self.text.append(f"{self.text.pop()}{data}" if joined else data)

    def said(self) -> str:
        return " ".join(" ".join(self.text).split())


def built(tmp_path: Path, *scenarios: tuple[str, Timeline, dict[str, Any]]) -> str:
    folder, document = run(tmp_path, scenarios)
    return files.build(folder, document)


# -- markup and numbers -----------------------------------------------------------------------------------------------


@settings(max_examples=40)
@given(st.text())
def test_text_is_never_markup(text: str) -> None:
    safe = str(esc(text))
    assert not set("<>\"'") & set(safe)
    assert html.unescape(safe) == text
    assert el("p", text, title=text) == f'<p title="{safe}">{safe}</p>'


def test_markup_stays_and_attributes_have_their_names() -> None:
    made = el("td", Html("<b>1</b>"), "<", cls="n", data_from=1, hidden=True, title=None)
    assert made == '<td class="n" data-from="1" hidden><b>1</b>&lt;</td>'
    assert el("meta", charset="utf-8") == '<meta charset="utf-8">'


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (0.0, "0"), (0.524, "0.52"), (7.12, "7.1"), (84.4, "84"), (1250.0, "1,250"), (float("inf"), "–")],
)
def test_milliseconds(value: float | None, text: str) -> None:
    assert numbers.ms(value) == text


@settings(max_examples=40)
@given(st.floats(0, 1))
def test_an_upper_bound_is_never_rounded_down(rate: float) -> None:
    assert float(numbers.upper(rate).removesuffix(" %")) >= 100 * rate - 1e-9


@pytest.mark.parametrize(("share", "text"), [(0.0, "0 %"), (1.0, "100 %"), (0.5, "50.0 %"), (0.99995, "99.9950 %")])
def test_percent_tells_nearly_all_from_all(share: float, text: str) -> None:
    assert numbers.percent(share) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0.4, "0.4 s"), (9.94, "9.9 s"), (28.2, "28 s"), (1092.2, "18 min 12 s"), (None, "–")]
)
def test_durations(value: float | None, text: str) -> None:
    assert numbers.seconds(value) == text


@settings(max_examples=40)
@given(st.floats(-1e5, 1e5), st.floats(1e-3, 1e5))
def test_the_axis_has_a_few_round_numbers_inside(start: float, span: float) -> None:
    found = nice(start, start + span, 8)
    assert 1 <= len(found) <= 10
    assert all(start - 1e-6 * span <= one <= start + span + 1e-6 * span for one in found)


# -- what the lanes are drawn from ------------------------------------------------------------------------------------


def places(path: str) -> list[float]:
    """Where the upright marks of a path stand."""
    found, x = [], 0.0
    for kind, dx in re.findall(r"([Mm])(-?[\d.]+)", path):
        x = float(dx) if kind == "M" else x + float(dx)
        found.append(x)
    return found


@settings(max_examples=40)
@given(st.lists(st.floats(-1000, 1000), min_size=1, max_size=300))
def test_every_mark_stands_where_it_happened_and_none_is_missing(times: list[float]) -> None:
    window = Window(0, -SECOND, SECOND)
    found = np.array(places(tick_path(np.array(times), 10.0, 8.0, window)))
    for one in times:
        assert np.abs(found - one).min() <= 0.051
    for one in found.tolist():
        assert np.abs(np.array(times) - one).min() <= 0.051


@settings(max_examples=40)
@given(st.lists(st.tuples(st.floats(-1000, 1000), st.floats(0, 200)), max_size=100))
def test_every_dot_stands_where_it_was_and_no_error_adds_up(dots: list[tuple[float, float]]) -> None:
    x, y = 0.0, 0.0
    steps = re.findall(r"m(-?[\d.]+) ?(-?[\d.]+)h0", dot_path(*(np.array([d[k] for d in dots]) for k in (0, 1))))
    assert len(steps) == len(dots)
    for (dx, dy), (a, b) in zip(steps, dots, strict=True):
        x, y = x + float(dx), y + float(dy)
        assert abs(x - a) <= 0.06 and abs(y - b) <= 0.26


def test_more_marks_than_pixels_become_bars_that_leave_no_gap_and_close_none() -> None:
    window = Window(0, 0, 10 * SECOND)
    times = np.concatenate([np.arange(0, 3000, 0.5), np.arange(6000, 9000, 0.5)])
    path = tick_path(times, 0.0, 8.0, window)
    assert len(path) < 200
    spans = [(float(a), float(a) + float(b)) for a, b in re.findall(r"M([\d.]+) 0v8h([\d.]+)", path)]
    assert spans == [(0.0, 2999.5), (6000.0, 8999.5)]
    assert len(times) > MOST_MARKS


@pytest.mark.parametrize("timeline", [FAULTY, many()], ids=["faulty", "many"])
def test_each_lost_request_is_a_mark_of_its_class(timeline: Timeline) -> None:
    window = series.whole(timeline)
    found = {one.name: one for one in series.lost(timeline, window)}
    for spec in timeline.classes:
        samples = timeline.of_class(spec.name)
        due = window.ms(samples["intended"][samples["outcome"] != OK])
        told = np.sort(np.concatenate([found[spec.name].failed, found[spec.name].unknown, found[spec.name].allowed]))
        assert np.array_equal(told, np.sort(due))
    assert sum(one.total for one in found.values()) > 50


def test_shares_count_every_answer_on_its_side() -> None:
    timeline, window = BACK, series.whole(BACK)
    looks = tones(timeline)
    counts = series.shares(series.answers(timeline, window, looks), window, 50)
    fresh = timeline.of_class("fresh")
    for tone, revision in ((BLUE, "v1"), (GREEN, "v2")):
        assert counts[tone].sum() == np.count_nonzero(fresh["revision"] == STRINGS.index(revision))
    assert counts[OTHER].sum() == 0
    assert counts[GREEN][0] == 0 and counts[GREEN][25] > 0 and counts[BLUE][25] == 0 and counts[GREEN][-1] == 0


def test_percentiles_are_those_of_the_bin() -> None:
    window = series.whole(FAULTY)
    found = series.latency(FAULTY, window, 40)
    due, took = series.latencies(FAULTY, window, "fresh")
    where = series.by_bin(window, 40, due)
    for number in range(40):
        own = np.sort(took[where == number])
        if not len(own):
            assert np.isnan(found.p50[number])
            continue
        assert found.p50[number] == own[int(np.ceil(0.5 * len(own))) - 1]
        assert found.p99[number] == own[int(np.ceil(0.99 * len(own))) - 1]


def test_sides_look_like_their_names_and_others_differ() -> None:
    looks = tones(FAULTY)
    assert looks.sides == {"blue": BLUE, "green": GREEN}
    assert (looks.label(BLUE), looks.label(GREEN), looks.label(OTHER)) == ("v1 · blue", "v2 · green", "other")
    other = [event(0, "pods.observed", side=name, ready=1, wanted=1) for name in ("stable", "canary", "third")]
    assert tones(Timeline(tuple(other))).sides == {"stable": BLUE, "canary": GREEN, "third": OTHER}


def test_a_number_by_side_begins_with_what_it_was_before_the_window() -> None:
    window = Window(at(0), at(4.0), at(8.0))
    (blue, green) = series.steps(window, tones(FAULTY), series.endpoints(FAULTY))
    assert blue.label == "blue" and blue.at[0] == window.start and blue.value[0] == 4
    assert list(green.value) == [0, 4] and green.at[1] == pytest.approx(4050)


@pytest.mark.parametrize(
    ("values", "said"),
    [([4], "4"), ([0, 4], "0 → 4"), ([4, 3, 4], "4 → 3 → 4"), ([1, 40, 0], "1 → 40 → 0"), ([0, 2, 4], "0 → 4")],
)
def test_a_numbers_course_in_a_few_signs(values: list[float], said: str) -> None:
    assert lanes._course(values) == said


def test_what_happened_has_a_mark_at_its_time() -> None:
    found = {mark.label: mark for mark in marks.of_run(FAULTY)}
    assert found["cutover"].at_ns == at(4)
    fault = found["fault: evict pod"]
    assert (fault.at_ns, fault.seen_ns, fault.until_ns) == (at(4.1), at(4.35), at(7.5))
    assert (found["drain blue"].at_ns, found["drain blue"].until_ns) == (at(4.2), at(6.2))
    assert (found["SIGTERM 2 blue pods"].at_ns, found["SIGTERM 2 blue pods"].until_ns) == (at(6.3), at(7))
    assert found["deploy v2 green"].until_ns == at(3.4)
    assert "watch" in found


def test_a_fault_without_effect_or_end_says_so() -> None:
    timeline = having(play(World()), event(5, "fault.injected", kind="odd"))
    (mark,) = marks.faults(timeline)
    assert mark.label == "fault: odd (not confirmed) (not healed)"
    assert mark.until_ns == timeline.end_ns


def test_a_moves_milestones_are_marks() -> None:
    (move,) = FAULTY.flips()
    found = {mark.label: mark for mark in marks.of_move(FAULTY, move, series.around(move))}
    assert found["patch sent"].at_ns == at(4)
    assert found["planned"].until_ns == at(4)
    assert found["acknowledged +20 ms"].at_ns == at(4.02)
    assert found["endpoints switched +50 ms"].at_ns == at(4.05)
    nodes = [label for label in found if label.startswith(("first new, ", "new via "))]
    assert len(nodes) == 3


def test_what_is_far_from_a_move_is_no_mark_of_its_panel() -> None:
    timeline = play(World(flips=[Flip(4, delays=(0.3, 2.5, 0.4))]))
    (move,) = timeline.flips()
    found = marks.of_move(timeline, move, series.around(move))
    assert len(found) > 5
    assert not [mark.label for mark in found if abs(mark.at_ns - at(4)) > series.MARGIN_NS and mark.until_ns is None]


def test_what_broke_in_the_harness_does_not_look_like_a_failure() -> None:
    document = {"verdict": "inconclusive", "scenarios": [], "harness_errors": ["test_x: no engine"]}
    made = page(document, [])
    assert "Harness error" in made and 'class="verdict fail"' not in made
    assert "1 not judged because the harness broke" in Reader(made).said()


@settings(max_examples=40)
@given(st.lists(st.integers(-5, 100), min_size=13, max_size=40), st.sampled_from([NARROW, WHOLE, 2 * WHOLE]))
def test_labels_in_one_row_do_not_touch(when: list[int], width: float) -> None:
    window = Window(0, 0, 10 * SECOND)
    told = [marks.Mark(k * SECOND // 10, f"event number {k}", "release") for k in sorted(when)]
    plot, shown = Plot(window), Plot(window, width)
    boxes: dict[int, list[tuple[float, float]]] = {}
    for mark, row in zip(told, lanes.rows(told, plot), strict=True):
        at, wide = max(mark.at_ns / 1e10, 0) * width, LETTER * len(mark.label)
        if row < lanes.MOST_ROWS:
            boxes.setdefault(row, []).append(
                (at - wide, at) if shown.before(at * 10_000 / width, mark.label) else (at, at + wide)
            )
    assert all(a[1] <= b[0] for row in boxes.values() for a, b in pairwise(sorted(row)))


def test_what_finds_no_row_has_no_label() -> None:
    told = [marks.Mark(k * SECOND // 4, f"event number {k}.", "release") for k in range(40)]
    plot = Plot(Window(0, 0, 10 * SECOND))
    places = lanes.rows(told, plot)
    assert max(places) == lanes.MOST_ROWS
    lanes.events(plot, told, places, 0)
    words = Reader(plot.html("x", "", "")).said()
    assert [mark.label in words for mark in told] == [row < lanes.MOST_ROWS for row in places]


@settings(max_examples=40)
@given(st.lists(st.tuples(st.floats(0, 100), st.floats(0, 20)), max_size=20))
def test_overlapping_spans_are_shaded_once(pairs: list[tuple[float, float]]) -> None:
    spans = [(start, start + length) for start, length in pairs]
    found = lanes.merged(spans)
    assert all(a[1] < b[0] for a, b in pairwise(found))
    for start, stop in spans:
        assert any(low <= start and stop <= high for low, high in found)


def test_an_outages_upper_bound_begins_where_the_last_answer_was_sent() -> None:
    timeline = play(World(downs=(Down(6.0, 6.2),)))
    fresh = next(one for one in outages(timeline) if one.cls == "fresh")
    assert fresh.since_ns is not None and fresh.high_ns is not None
    assert fresh.since_ns < at(6.0) and fresh.since_ns + fresh.high_ns > at(6.2)
    samples = timeline.of_class("fresh")
    assert fresh.since_ns in samples["sent"][samples["outcome"] == OK]
    assert fresh.since_ns <= fresh.start_ns and fresh.start_ns + fresh.low_ns <= fresh.since_ns + fresh.high_ns


def test_sockets_are_counted_by_side() -> None:
    lives = np.zeros(3, np.dtype([("opened", "<i8"), ("ended", "<i8"), ("revision", "<u2")]))
    lives["opened"] = [at(1), at(1.1), 0]
    lives["ended"] = [at(5), 0, at(2)]
    lives["revision"] = [1, 2, 1]
    timeline = play(World())
    assert open_by_side(timeline, tones(timeline)) == []
    object.__setattr__(timeline, "sockets", SimpleNamespace(lives=lives, text=lambda key: STRINGS[key]))
    assert open_by_side(timeline, tones(timeline)) == [
        (at(1), "blue", 1.0, None),
        (at(1.1), "green", 1.0, None),
        (at(5), "blue", 0.0, None),
    ]


# -- the page ---------------------------------------------------------------------------------------------------------


def test_the_page_tells_the_verdict_the_reasons_and_what_it_does_not_say(tmp_path: Path) -> None:
    text = built(tmp_path, ("test_faulty", FAULTY, {"diagnosis": [DIAGNOSIS]}), ("test_back", play(World()), {}))
    said = Reader(text).said()
    assert "A promise was broken: 1 of 2 scenarios failed." in said
    for part in (*DIAGNOSIS.values(), "What this run does not say", "database schema changes", "90 of 90"):
        assert part in said
    assert "pytest 'scenarios/test_x.py::test_faulty[service]'" in said
    assert re.search(r"with 95 % confidence at most [\d.]+ % of such requests are lost", said)
    assert "One move seen: with 95 % confidence at most 95.0 % of moves lose something." in said
    assert 'href="../20261127-110000-aaaa/test_faulty/"' in text
    assert text.count('<details class="scenario" open>') == 1
    assert "Mutants" not in said and "Switches" not in said


def test_nothing_in_the_page_asks_the_network_and_nothing_from_a_run_is_markup(tmp_path: Path) -> None:
    bad = having(FAULTY, event(5, f"drain.{EVIL}", pod=EVIL), event(5.2, "fault.injected", kind=EVIL))
    told = {"diagnosis": [{"symptom": EVIL}], "unproven": [EVIL], "skipped": [EVIL], "id": f"a::{EVIL}"}
    text = built(tmp_path, ("test_faulty", bad, {**told, "sockets": {EVIL: EVIL}}))
    tags = Reader(text).tags
    assert {"img", "link", "iframe", "base"} & {tag for tag, _ in tags} == set()
    assert not [value for _, attrs in tags for name, value in attrs.items() if name.startswith("on")]
    assert all(attrs["type"] == "application/json" for tag, attrs in tags if tag == "script" and attrs)
    for tag, attrs in tags:
        assert "src" not in attrs, tag
        assert (attrs.get("href") or "#").startswith(("#", "../")), attrs
    policy = next(attrs["content"] for tag, attrs in tags if attrs.get("http-equiv"))
    assert policy is not None and policy.startswith("default-src 'none'")
    assert "http" not in re.sub(r"<meta http-equiv", "", text)


@pytest.mark.parametrize(
    ("verdict", "sentence"),
    [
        ("pass", "Every promise was kept: 1 of 1 scenario."),
        ("fail", "A promise was broken: 0 of 1 scenario failed."),
        ("inconclusive", "No verdict: nothing was proven."),
    ],
)
def test_the_sentence_of_each_verdict(verdict: str, sentence: str) -> None:
    made = page({"verdict": verdict, "scenarios": [{"id": "a::b", "verdict": "pass"}]}, [])
    assert sentence in Reader(made).said()


def test_a_lost_request_can_be_followed_from_the_page(tmp_path: Path) -> None:
    text = built(tmp_path, ("test_faulty", FAULTY, {}))
    said = Reader(text).said()
    ident = first_lost_id(FAULTY)
    assert text.count(f"<code>{ident}</code>") == 1  # in the table of the lost
    assert f"bluegreen trace {tmp_path}/20261127-110000-aaaa/test_faulty {ident}" in said
    assert "bluegreen trace" not in Reader(built(tmp_path / "calm", ("test_back", BACK, {}))).said()


def test_many_moves_have_a_panel_where_it_tells_most_and_a_note(tmp_path: Path) -> None:
    timeline = many()
    one = scene(timeline)
    shown = [number for number, _ in chosen(one, timeline.flips())]
    assert len(shown) == PANELS and 4 in shown and 12 in shown
    text = built(tmp_path, ("test_many", timeline, {}))
    assert "4 of 12 moves have a panel" in Reader(text).said()
    assert text.count('<figure class="chart"') == PANELS + 1
    assert "12. rollback to v1" in text


def test_of_many_stalls_the_longest_are_listed_and_the_rest_is_counted() -> None:
    def stall(ms: float | None, cls: str = "fresh") -> dict[str, Any]:
        return {"class": cls, "low_ms": 1.0, "high_ms": ms, "phase": "before cutover 1"}

    several = [stall(40), stall(None, "busy"), stall(300)]
    rows = re.findall(r"not bounded|[\d,]+ ms(?=</td><td>before)", str(details.outages({"outages": several}, None)))
    assert rows == ["not bounded", "300 ms", "40 ms"]
    text = str(details.outages({"outages": [stall(100 + one) for one in range(94)]}, None))
    rows = re.findall(r"[\d,]+ ms(?=</td><td>before)", text)
    assert rows == [f"{193 - one} ms" for one in range(20)]
    assert "Outages and stalls (94)" in text and "The longest 20; 74 more in verdict.json." in text
    few = str(details.outages({"outages": [stall(100 + one) for one in range(20)]}, None))
    assert "Outages and stalls (20)" in few and "verdict.json" not in few


def test_an_outages_time_goes_with_its_row(tmp_path: Path) -> None:
    found = play(World(downs=(Down(4.5, 4.6), Down(8, 8.4))))
    text = built(tmp_path, ("test_two", found, {}))
    (part,) = re.findall(r"Outages and stalls, with both bounds</caption>(.*?)</table>", text)
    times = [float(one) for one in re.findall(r"\+([\d.]+) s</td>", part)]
    assert max(times) == times[0] == pytest.approx(4, abs=0.1)  # the longer one is the later one


def test_one_move_stands_beside_the_whole_with_level_lanes(tmp_path: Path) -> None:
    text = built(tmp_path, ("test_faulty", FAULTY, {}))
    assert '<div class="charts beside">' in text
    lanes_of = [re.findall(r'class="lane" style="top:([\d.]+)px">(\w+)', part) for part in text.split("<figure")[1:]]
    assert len(lanes_of) == 2 and lanes_of[0] == lanes_of[1]


def test_sockets_mutants_and_switches_show_when_they_are_there(tmp_path: Path) -> None:
    told = {"never_back": 2, "bad": 5, "lost": 1}
    folder, document = run(tmp_path, [("test_back", BACK, {"sockets": told})])
    (tmp_path / "latest").mkdir()
    (tmp_path / "20261126-100000-bbbb").mkdir()
    (tmp_path / "20261126-100000-bbbb" / "mutants.json").write_text(json.dumps(MUTANTS))
    (tmp_path / "latest" / "mutants.json").symlink_to("../20261126-100000-bbbb/mutants.json")
    (tmp_path / "latest" / "switches.json").write_text(json.dumps(SWITCHES))
    said = Reader(files.build(folder, document)).said()
    assert "25.0 % caught; 1 false alarms in 20 runs of the unbroken release, in run 20261126-100000-bbbb." in said
    assert "2 without a verdict count as not caught: m6, m7." in said
    assert "84 (160)" in said and "9.1 (11.0)" in said and "3 (3 fresh)" in said
    assert "never back" in said
    assert "0, 5 sockets, 1 message" in said  # the index
    assert re.search(r"0 lost of [\d,]+, 5 sockets, 1 message · first new", said)  # the scenario's own line
    assert "requests where nothing may be lost; and 5 WebSockets" in said


@pytest.mark.parametrize(
    "timeline",
    [
        Timeline(),
        Timeline((event(0, "run.started"), event(1, "deploy.started", side="green"))),
        play(World(flips=())),
        play(World(classes=("busy",), flips=[Flip(4, acknowledged=False)])),
        changed(CALM, np.arange(len(CALM.samples)), revision=0, pod=0),
        changed(FRESH, np.arange(len(FRESH.samples)), outcome=FAILED, revision=0),
        play(World(seconds=0.1, flips=())),
    ],
    ids=["empty", "no load", "no move", "no fresh", "anonymous", "all lost", "short"],
)
def test_thin_records_still_make_a_page(timeline: Timeline) -> None:
    document = {"verdict": "inconclusive", "run": "r", "scenarios": [{"id": "a::b", "verdict": "inconclusive"}]}
    text = page(document, [scenario_section(document, 1, timeline)])
    Reader(text)
    assert "nan" not in re.sub(r"<style>.*?</style>", "", text, flags=re.S).lower()


def test_a_record_that_is_gone_leaves_its_numbers(tmp_path: Path) -> None:
    folder, document = run(tmp_path, [("test_back", BACK, {})])
    for file in (folder / "test_back").iterdir():
        file.unlink()
    said = Reader(files.build(folder, document)).said()
    assert "Its record is gone" in said and "cutover, latest" in said


def test_evidence_that_was_moved_is_found_in_the_runs_folder(tmp_path: Path) -> None:
    folder, _ = run(tmp_path / "a", [("test_back", BACK, {})])
    moved = folder.rename(tmp_path / folder.name)
    document = json.loads((moved / "verdict.json").read_text())
    assert "Its record is gone" not in files.build(moved, document)


def test_a_page_that_cannot_be_built_is_one_line_on_stderr(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, document = run(tmp_path, [("test_back", BACK, {})])
    assert files.write_report(folder, {**document, "scenarios": [{"samples": 7}]}) is None
    error = capsys.readouterr().err
    assert error.startswith("bluegreen: report.html could not be written (") and error.count("\n") == 1
    assert not (folder / "report.html").exists()


# -- bluegreen recheck and show ---------------------------------------------------------------------------------------


def test_show_prints_the_newest_report_and_builds_a_missing_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, document = run(tmp_path, [("test_back", BACK, {})])
    place = ["--print", "--artifacts", str(tmp_path)]
    assert main(["show", *place]) == 4
    assert "no run has a report" in capsys.readouterr().err
    for run_name in ("20261127", folder.name, str(folder), str(folder / "test_back")):
        (folder / "report.html").unlink(missing_ok=True)
        assert main(["show", run_name, *place]) == 0
        assert capsys.readouterr().out == f"{folder / 'report.html'}\n"
    assert files.write_report(folder, document, latest=True) == folder / "report.html"
    assert main(["show", *place]) == 0
    assert capsys.readouterr().out == f"{(folder / 'report.html').resolve()}\n"


def test_show_finds_the_newest_report_where_no_run_was_finished(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, document = run(tmp_path, [("test_back", BACK, {})])
    assert files.write_report(folder, document) is not None
    assert main(["show", "--print", "--artifacts", str(tmp_path)]) == 0
    assert capsys.readouterr().out.strip() == str(folder / "report.html")


@pytest.mark.parametrize(
    ("name", "message"),
    [("20261127-110000-aaab", "did you mean 20261127-110000-aaaa?"), ("zzz", "there is 20261127-110000-aaaa in")],
)
def test_show_names_the_run_that_was_meant(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, message: str
) -> None:
    run(tmp_path, [("test_back", BACK, {})])
    assert main(["show", name, "--print", "--artifacts", str(tmp_path)]) == 4
    assert message in capsys.readouterr().err


def test_show_opens_the_browser(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, _ = run(tmp_path, [("test_back", BACK, {})])
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", lambda url: opened.append(url))
    assert main(["show", str(folder)]) == 0
    assert opened == [(folder / "report.html").as_uri()]
    assert "no browser could be opened" in capsys.readouterr().err


def test_recheck_by_its_own_limits_renews_the_report_and_by_others_writes_one_beside(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    started = event(-1.9, "promise.declared", check="nothing_lost", params={})
    folder, _ = run(tmp_path, [("test_faulty", having(FAULTY, started), {"diagnosis": [DIAGNOSIS]})])
    assert main(["recheck", str(folder)]) == 1
    assert capsys.readouterr().out.splitlines()[-2:] == [f"report: {folder / 'report.html'}", "verdict: fail"]
    own = (folder / "report.html").read_text()
    assert DIAGNOSIS["cause"] in own and "24 s" in own and "Judged again" not in own
    assert main(["recheck", str(folder), "--strict", "--slo", "50"]) == 1
    other = (folder / "recheck.html").read_text()
    assert "Judged again by level strict; objective 50 %" in other and "own verdict was: fail" in other
    assert (folder / "report.html").read_text() == own


def test_recheck_of_a_run_that_was_killed_makes_its_report(tmp_path: Path) -> None:
    started = event(-1.9, "promise.declared", check="nothing_lost", params={})
    folder, _ = run(tmp_path, [("test_back", having(BACK, started), {})])
    (folder / "verdict.json").unlink()
    assert main(["recheck", str(folder)]) == 0
    said = Reader((folder / "report.html").read_text()).said()
    assert "Every promise was kept: 1 of 1 scenario." in said


def test_recheck_of_several_runs_writes_no_report(tmp_path: Path) -> None:
    started = event(-1.9, "promise.declared", check="nothing_lost", params={})
    for name in ("a", "b"):
        run(tmp_path / name, [("test_back", having(BACK, started), {})])
    assert main(["recheck", str(tmp_path)]) == 0
    assert list(tmp_path.rglob("*.html")) == []


def test_the_first_attempt_is_told_and_the_second_is_shown(tmp_path: Path) -> None:
    started = event(-1.9, "promise.declared", check="nothing_lost", params={})
    late, calm = play(World(lag_ms=60)), play(World())
    folder, _ = run(tmp_path, [("test_a", having(late, started), {}), ("test_a.attempt2", having(calm, started), {})])
    (folder / "verdict.json").unlink()
    assert main(["recheck", str(folder)]) == 0
    said = Reader((folder / "report.html").read_text()).said()
    assert "1 of 1 scenario" in said and "inconclusive, then pass" in said


def test_a_name_breaks_between_its_words_and_copies_whole() -> None:
    told = scenario_page.name({"id": "scenarios/test_a.py::test_of_two[service]"})
    assert told.split("<wbr>") == ["test_", "of_", "two", "[service]"]


@pytest.mark.parametrize(
    ("level", "said"),
    [
        ("user", "1 lost of 10 requests where nothing may be lost; 2 more may be sent again by any client"),
        ("strict", "3 lost of 10 requests where nothing may be lost "),
    ],
)
def test_the_headline_counts_what_its_level_counts(level: str, said: str) -> None:
    samples = {"issued": 10, "failed": 0, "unknown": 3, "retriable": 2}
    document = {"verdict": "fail", "scenarios": [{"expect": "no_loss", "level": level, "samples": samples}]}
    assert said in f"{Reader(index.banner(document)).said()} "

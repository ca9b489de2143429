"""The record on disk: layouts, cuts at any byte, damage, several files in any order."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.checks.promises import no_flip_back, nothing_lost, only
from harness.checks.registry import judge
from harness.errors import LoadError
from harness.evidence import samples as layout
from harness.evidence.store import decode, merge, parse_events, read
from tests import simulated
from tests.simulated import World, play, sample_file

SMALL = play(World(seconds=6, flips=[simulated.Flip(3.0)], classes=("fresh", "post")))
PROMISES = (nothing_lost(), only("v2"), no_flip_back())


@pytest.mark.parametrize(
    "dtype",
    [layout.SAMPLE, layout.STRING, layout.CLASS, layout.CLOSING, layout.CLOCK, layout.HEADER],
)
def test_every_record_has_64_bytes_and_begins_with_its_kind(dtype: np.dtype[np.void]) -> None:
    assert dtype.itemsize == layout.RECORD_SIZE
    assert dtype.names is not None and dtype.names[0] == "kind" and dtype.fields is not None
    assert dtype.fields["kind"][1] == 0


def test_the_packed_layouts_are_the_dtypes() -> None:
    sample = np.frombuffer(layout.SAMPLE_STRUCT.pack(*range(1, 19)), layout.SAMPLE)[0]
    assert list(sample.tolist()) == list(range(1, 19))
    definition = np.frombuffer(layout.class_record(3, 9, 2.5, -7, 1.5), layout.CLASS)[0]
    assert [definition[key].item() for key in ("kind", "cls", "name", "rate", "t0", "timeout")] == [
        3,
        3,
        9,
        2.5,
        -7,
        1.5,
    ]
    closing = np.frombuffer(layout.closing_record(3, 10, 8, 2, 1), layout.CLOSING)[0]
    assert [closing[key].item() for key in ("cls", "scheduled", "issued", "unsent", "open")] == [3, 10, 8, 2, 1]
    header = np.frombuffer(layout.header_record(77), layout.HEADER)[0]
    assert (header["magic"].item(), header["schema"].item(), header["pid"].item()) == (b"BGS1", 1, 77)
    clock = np.frombuffer(layout.clock_record(5, 6), layout.CLOCK)[0]
    assert (clock["monotonic"].item(), clock["wall"].item()) == (5, 6)


@given(st.dictionaries(st.integers(1, 65535), st.text(min_size=1, max_size=200), max_size=5))
@settings(max_examples=30)
def test_strings_of_any_length_come_back(texts: dict[int, str]) -> None:
    raw = layout.header_record(1) + b"".join(layout.string_records(key, text) for key, text in texts.items())
    assert decode(raw).strings == {key: text.encode().decode(errors="replace") for key, text in texts.items()}


@pytest.mark.parametrize("string_id", [0, -1, 65536])
def test_a_string_id_out_of_range_is_refused(string_id: int) -> None:
    with pytest.raises(ValueError, match="string id"):
        layout.string_records(string_id, "v1")


def test_a_folder_comes_back_as_it_was(tmp_path: Path) -> None:
    simulated.write(tmp_path, SMALL)
    timeline = read(tmp_path)
    assert timeline.notes == ()
    assert [spec.name for spec in timeline.classes] == ["fresh", "post"]
    assert len(timeline.samples) == len(SMALL.samples)
    assert [one.name for one in timeline.events] == [one.name for one in SMALL.events]
    fresh, was = timeline.of_class("fresh"), SMALL.of_class("fresh")
    for column in ("seq", "intended", "sent", "end", "outcome", "entry"):
        assert np.array_equal(fresh[column], was[column]), column
    for column in ("revision", "pod"):
        names = [timeline.string(key) for key in fresh[column]]
        assert names == [SMALL.string(key) for key in was[column]]
    assert judge(timeline, PROMISES) == judge(SMALL, PROMISES)


@given(st.integers(0, len(sample_file(SMALL))))
@settings(max_examples=40)
def test_a_file_cut_anywhere_is_judged_up_to_the_cut_and_says_so(cut: int) -> None:
    raw = sample_file(SMALL)
    part = decode(raw[:cut], "samples-7.bin")
    timeline = merge([part], SMALL.events)
    whole = np.frombuffer(raw[: cut - cut % 64], layout.SAMPLE)
    assert len(timeline.samples) == np.count_nonzero(whole["kind"] == layout.KIND_SAMPLE)
    ledger = next(one for one in judge(timeline, PROMISES) if one.check == "ledger")
    if cut == len(raw):
        assert ledger.verdict == "pass" and timeline.notes == ()
    else:
        assert ledger.verdict == "inconclusive" and ledger.voids
    if cut % 64:
        assert any(f"{cut % 64} bytes" in note for note in timeline.notes)
    if cut < 64:
        assert any("no samples" in note for note in timeline.notes)


def test_a_loss_before_the_cut_is_still_found() -> None:
    lost = simulated.changed(SMALL, np.arange(5), outcome=layout.UNKNOWN, error=7, revision=0)
    raw = sample_file(lost)
    timeline = merge([decode(raw[: len(raw) // 2 + 13])], SMALL.events)
    assert judge(timeline, PROMISES)[0].verdict == "fail"


@given(st.integers(2, 5), st.randoms(use_true_random=False))
@settings(max_examples=20)
def test_the_order_of_files_does_not_matter(count: int, shuffle: random.Random) -> None:
    world = World(seconds=6, flips=[simulated.Flip(3.0)], downs=[simulated.Down(4, 4.1)], classes=("fresh", "post"))
    timeline = play(world)
    owner = np.random.default_rng(count).integers(0, count, len(timeline.samples))
    files = [sample_file(timeline, pid=100 + one, keep=owner == one) for one in range(count)]
    parts = [decode(raw, f"samples-{one}.bin") for one, raw in enumerate(files)]
    in_order = merge(parts, timeline.events)
    shuffle.shuffle(parts)
    shuffled = merge(parts, timeline.events)
    assert np.array_equal(in_order.samples, shuffled.samples)
    assert in_order.classes == shuffled.classes and in_order.strings == shuffled.strings
    assert judge(in_order, PROMISES) == judge(shuffled, PROMISES)


def test_several_files_add_up() -> None:
    half = np.arange(len(SMALL.samples)) % 2 == 0
    parts = [decode(sample_file(SMALL, 1, half), "a"), decode(sample_file(SMALL, 2, ~half), "b")]
    timeline = merge(parts, SMALL.events)
    spec = timeline.spec("fresh")
    assert spec is not None and spec.rate == 400 and spec.scheduled == len(SMALL.of_class("fresh"))
    assert len(timeline.samples) == len(SMALL.samples)
    assert set(timeline.samples["source"].tolist()) == {0, 1}


def test_one_unclosed_file_leaves_the_class_open() -> None:
    half = np.arange(len(SMALL.samples)) % 2 == 0
    raw = sample_file(SMALL, 2, ~half)
    timeline = merge([decode(sample_file(SMALL, 1, half), "a"), decode(raw[: -2 * 64], "b")], SMALL.events)
    assert not any(spec.closed for spec in timeline.classes)


def test_damage_is_said() -> None:
    raw = bytearray(sample_file(SMALL))
    raw[64] = 99  # the clock record
    assert any("unknown kind" in note for note in decode(bytes(raw)).notes)
    sample = layout.SAMPLE_STRUCT.pack(1, 5, 0, 0, 0, 0, 200, 0, 1, 1, 1, 2, 3, 4, 40, 0, 0, 0)
    timeline = merge([decode(layout.header_record(1) + sample)])
    assert any("class 5" in note for note in timeline.notes) and any("string 40" in note for note in timeline.notes)
    assert timeline.string(int(timeline.samples["revision"][0])) == "?40"
    assert timeline.classes[0].name == "?5"
    torn_string = layout.header_record(1) + layout.string_records(3, "x" * 100)[:64]
    assert any("string 3 is cut" in note for note in decode(torn_string).notes)


def test_a_foreign_file_is_refused() -> None:
    with pytest.raises(LoadError, match="no sample file"):
        decode(b"x" * 64)
    later = bytearray(layout.header_record(1))
    later[2] = 2
    with pytest.raises(LoadError, match="schema 2"):
        decode(bytes(later))


def test_a_folder_without_a_journal_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LoadError, match=r"no events\.jsonl"):
        read(tmp_path)


def test_a_cut_or_damaged_journal_line_is_left_out_and_said() -> None:
    events, notes = parse_events(b'{"t": 1, "name": "a"}\nrubbish\n[1]\n{"t": 2, "name": "b"}\n{"t": 3, "na')
    assert [one.name for one in events] == ["a", "b"]
    assert [note.split(":")[1].split(" is ")[0] for note in notes] == [" line 2", " line 3", " line 5"]
    assert "is cut" in notes[-1]

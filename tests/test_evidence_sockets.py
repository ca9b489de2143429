"""Sockets' records: whatever is done to an honest history is counted, exactly, and nothing else is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import LoadError
from harness.evidence import samples as layout
from harness.evidence.socket_arrivals import reconcile_messages
from harness.evidence.socket_record import KIND_ACKED, KIND_LIFE, KIND_RECEIVED, KIND_SENT, decode_sockets
from harness.evidence.socket_summary import socket_numbers, socket_text
from harness.evidence.sockets import joined
from harness.evidence.store import read
from harness.evidence.summary import scenario_record
from tests import simulated
from tests.simulated import Flip, World, play
from tests.simulated_sockets import CUT, SERVER, SILENT, Close, Story, part, raw, sockets, with_sockets, written

PLAIN = play(World(seconds=8, flips=[Flip(4.0)], classes=("fresh",)))
CLOSES = tuple(Close(number, 5 + 0.1 * number) for number in range(12))
MANY = settings(max_examples=60)

numbers = st.tuples(st.integers(0, 11), st.integers(1, 5))
closes = st.lists(
    st.builds(
        Close,
        socket=st.integers(0, 11),
        at=st.floats(2, 7),
        end=st.sampled_from([SERVER, CUT]),
        code=st.sampled_from([1012, 1001, 1011]),
        back=st.floats(0.01, 0.5),
        refusals=st.integers(0, 2),
    ),
    max_size=8,
    unique_by=lambda close: close.socket,
)


@MANY
@given(st.sets(numbers, max_size=8), st.sets(numbers, max_size=8), st.sets(numbers, max_size=3), closes)
def test_lost_doubled_and_misordered_messages_are_counted_as_they_were(
    lost: set[tuple[int, int]], doubled: set[tuple[int, int]], late: set[tuple[int, int]], ends: list[Close]
) -> None:
    late = {one for one in late if one[1] % 2}  # never two in a row, and none that is lost, doubled, or behind a hole
    late = {(n, k) for n, k in late if not {(n, k), (n, k + 1)} & (lost | doubled)}
    # a message that comes late must still come on a connection that is open
    late = {(n, k) for n, k in late if all(n != end.socket for end in ends)}
    doubled -= lost
    found = sockets(Story(closes=ends, lost=lost, doubled=doubled, late=late)).messages
    assert (found.lost, found.doubled, found.disordered) == (len(lost), len(doubled), len(late))
    assert found.foreign == found.unacknowledged == 0


@MANY
@given(st.sets(numbers, max_size=5), closes)
def test_unacknowledged_messages_are_sent_again_after_a_reconnect_or_stay_open(
    unacked: set[tuple[int, int]], ends: list[Close]
) -> None:
    found = sockets(Story(closes=ends, unacked=unacked)).messages
    start = {one.socket: one.at for one in ends}
    resent = {(n, k) for n, k in unacked if n in start and 0.1 + 0.01 * n + k <= start[n]}
    assert (found.again, found.unacknowledged) == (len(resent), len(unacked - resent))


@MANY
@given(closes)
def test_every_end_is_told_and_every_way_back_is_timed(ends: list[Close]) -> None:
    record = sockets(Story(closes=ends))
    assert record.faults() == ()
    found = record.reconnects
    assert len(found.closed) == len(ends) and found.never == 0
    assert np.allclose(sorted(found.back / 1e9), sorted(one.back or 0 for one in ends), atol=1e-6)
    unclean = [one for one in ends if one.end == CUT or one.code == 1011]
    assert int(record.bad.sum()) == len(unclean) + sum(one.refusals for one in ends)
    assert record.losses == int(record.bad.sum())
    opened = sorted(one.at + (one.back or 0) for one in ends)
    windows = [sum(1 for other in opened if one <= other < one + 0.1 - 1e-6) for one in opened]
    assert record.peak() >= max(windows, default=0)
    assert record.revisions_at(record.end_ns) == {
        word: count for word, count in (("v1", 12 - len(ends)), ("v2", len(ends))) if count
    }


def test_a_socket_that_never_came_back_misses_all_messages_that_were_due() -> None:
    record = sockets(Story(closes=[Close(3, 5.0, back=None)]))
    # due at 0.13 + s: of 0..6 it has 0..4, and one within a second of the end is given
    assert record.messages.lost == 2
    assert record.reconnects.never == 1 and record.away_ns() is None
    assert record.revisions_at(record.end_ns) == {"v1": 11}


def test_a_stalled_server_without_a_close_loses_what_was_due() -> None:
    story = Story(lost={(2, seq) for seq in range(4, 9)})
    assert sockets(story).messages.lost == 3  # 4, 5 and 6; what was due in the last second may still be under way


def test_a_server_with_a_clock_behind_loses_nothing_and_is_not_called_late() -> None:
    found = sockets(Story(skew_s=3.0)).messages
    assert found.lost == 0 and found.late_ns < 2_000_000
    assert sockets(Story(skew_s=3.0, lost={(0, 2)})).messages.lost == 1


def test_silence_is_timed_from_the_last_sign_of_life() -> None:
    record = sockets(Story(closes=[Close(0, 5.0, SILENT, 1006)]))
    assert record.detect_ns() == 2_000_000_000
    assert sockets(Story()).detect_ns() is None


def test_while_the_client_runs_what_can_still_come_is_not_missed() -> None:
    record = sockets(Story(ended=False, unacked={(0, 7)}, closes=[Close(3, 5.0, back=None)]))
    assert record.messages.lost == record.messages.unacknowledged == 0
    assert not record.finished and record.faults() == ()


def records(data: bytes) -> np.ndarray[Any, np.dtype[np.void]]:
    return np.frombuffer(data, layout.SAMPLE)


@pytest.mark.parametrize(
    ("kind", "fault"),
    [(KIND_LIFE, "lives counted"), (KIND_RECEIVED, "received"), (KIND_SENT, "sent"), (KIND_ACKED, "acked")],
)
def test_a_record_that_lacks_one_thing_says_so(kind: int, fault: str) -> None:
    table = records(raw(Story(closes=CLOSES)))
    places = np.flatnonzero(table["kind"] == kind)
    if kind == KIND_LIFE:  # a life has two records: its opening and its end
        lives = decode_sockets(table, 0, "x").lives
        own = table[places].view(lives.dtype)
        places = places[(own["socket"] == 4) & (own["attempt"] == 1)]
        assert len(places) == 2
    else:
        places = places[3:4]
    found = joined([decode_sockets(np.delete(table, places), 0, "x")])
    assert found is not None
    assert any(fault in one for one in found.faults())


def test_a_hidden_attempt_leaves_a_hole() -> None:
    table = records(raw(Story(closes=[Close(4, 5.0, refusals=1)])))
    lives = decode_sockets(table, 0, "x").lives
    own = table.view(lives.dtype)
    hidden = (table["kind"] == KIND_LIFE) & (own["socket"] == 4) & (own["attempt"] == 1)
    found = joined([decode_sockets(table[~hidden], 0, "x")])
    assert found is not None
    assert "1 of 12 sockets lack an attempt to connect" in found.faults()


def test_a_cut_file_keeps_what_came_before_the_cut(tmp_path: Path) -> None:
    (tmp_path / "events.jsonl").write_bytes(simulated.journal(PLAIN))
    data = raw(Story())
    (tmp_path / "sockets-7.bin").write_bytes(data[: len(data) // 2 + 7])
    found = read(tmp_path).sockets
    assert found is not None and not found.finished
    assert "cut record" in found.faults()[0]
    (tmp_path / "sockets-7.bin").write_bytes(simulated.sample_file(PLAIN))
    with pytest.raises(LoadError, match="no sockets' file"):
        read(tmp_path)


def test_two_loads_one_after_the_other_are_judged_each_by_itself() -> None:
    both = joined([replace(part(Story()), name="b", began_ns=9), replace(part(Story(lost={(1, 2)})), name="a")])
    assert both is not None
    assert both.messages.lost == 1 and both.messages.doubled == 0
    assert len(both.lives) == 24 and both.count == 12


def test_the_summary_has_every_number_and_a_sentence() -> None:
    story = Story(closes=[*CLOSES[:10], Close(10, 5.0, CUT, 1006, revision="v1"), CLOSES[11]], lost={(0, 3)})
    timeline = with_sockets(PLAIN, story)
    numbers = scenario_record(timeline, [])["sockets"]
    assert numbers["count"] == 12 and numbers["open"] == {"v1": 1, "v2": 11}
    assert numbers["codes"] == {"1006 fin": 1, "1012": 11}
    assert numbers["reconnects"] == 12 and numbers["reconnect_ms"]["max"] == pytest.approx(50)
    assert numbers["lost"] == 1 and numbers["bad"] == 1 and numbers["unacknowledged"] == 0
    assert numbers["detect_ms"] is None
    text = socket_text(timeline)
    assert "1 of 24 connections (1 1006 fin) through worker, the first 1000 ms after a cutover" in text
    assert "1 of" in text and "messages never came" in text
    assert socket_numbers(PLAIN) == {} and socket_text(PLAIN) == "" == socket_text(with_sockets(PLAIN, Story()))


# -- what the application wrote down ----------------------------------------------------------------------------------


def test_every_acknowledged_message_is_in_the_records() -> None:
    timeline = written(PLAIN, Story(closes=CLOSES, unacked={(1, 2)}))
    assert timeline.sockets is not None and timeline.arrivals is not None
    found = reconcile_messages(timeline.sockets, timeline.arrivals)
    assert found.contradictions == found.beyond == 0
    assert found.acked == found.written == timeline.sockets.messages.sent


@pytest.mark.parametrize(
    ("extra", "less", "name", "told"),
    [
        (["W 1000000000000 sim-websocket-3 2"], [], "again", "websocket-3 2"),
        (["W 1000000000000 sim-websocket-3 99"], [], "unasked", "websocket-3 99"),
        (["W 1000000000000 sim-websocket-77 0"], [], "unasked", "websocket-77 0"),
        ([], ["sim-websocket-5 4"], "unwritten", "websocket-5 4"),
    ],
)
def test_each_contradiction_is_told(extra: list[str], less: list[str], name: str, told: str) -> None:
    timeline = written(PLAIN, Story(closes=CLOSES), extra, less)
    assert timeline.sockets is not None and timeline.arrivals is not None
    found = reconcile_messages(timeline.sockets, timeline.arrivals)
    assert getattr(found, name) == found.contradictions == 1
    assert found.told[name] == (told,)


def test_a_repetition_of_the_clients_own_is_no_contradiction() -> None:
    story = Story(closes=[Close(1, 5.0)], unacked={(1, 2)})  # sent, not acknowledged, sent again, acknowledged
    timeline = written(PLAIN, story, ["W 1000000000000 sim-websocket-1 2"])
    assert timeline.sockets is not None and timeline.arrivals is not None
    assert reconcile_messages(timeline.sockets, timeline.arrivals).contradictions == 0


def test_other_peoples_lines_and_handshakes_say_nothing() -> None:
    extra = ["W 1000000000000 other-websocket-1 2", "A 1000000000001 sim-websocket-1 GET /ws"]
    timeline = written(PLAIN, Story(), extra)
    assert timeline.sockets is not None and timeline.arrivals is not None
    assert all(not one.faults and not one.strange for one in timeline.arrivals.records)
    assert reconcile_messages(timeline.sockets, timeline.arrivals).contradictions == 0


def test_a_record_that_is_not_whole_proves_nothing_missing() -> None:
    timeline = written(PLAIN, Story(), less=["sim-websocket-5 4"])
    assert timeline.sockets is not None and timeline.arrivals is not None
    torn = tuple(replace(one, faults=("torn",)) for one in timeline.arrivals.records)
    found = reconcile_messages(timeline.sockets, replace(timeline.arrivals, records=torn))
    assert (found.unwritten, found.beyond) == (0, 1)

"""The rules by which the benchmark judges: rows, brackets, ladders, limits, tables."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import judging, modes, outages, running, speed, table, tools
from benchmarks.servers import server
from harness.checks.promise import promises_of
from harness.checks.registry import judge
from harness.client.misbehave import MODES
from harness.evidence import samples as layout
from harness.evidence.samples import ClassSpec
from harness.evidence.store import read
from harness.evidence.timeline import Timeline
from tests.simulated import MS, World, play

GOOD = {"injected": 10, "reported": 10, "issued": 1000, "arrivals": 1000}


@pytest.mark.parametrize(
    ("change", "under_way", "right"),
    [
        ({}, 0, True),
        ({"reported": 0}, 0, False),
        ({"arrivals": 1010}, 0, False),  # sent again behind the user's back
        ({"arrivals": 1010}, 10, True),  # a tool bounded by time may leave as many under way as it has connections
        ({"reported": 9, "arrivals": 1003}, 10, True),
        ({"reported": 8, "arrivals": 1003}, 10, False),
        ({"reported": 340, "issued": 666}, 0, False),  # more errors than there were
        ({"injected": 0, "reported": 0}, 0, False),  # nothing was tested
    ],
)
def test_a_row_is_right(change: dict[str, int], under_way: int, right: bool) -> None:
    assert modes.right({**GOOD, **change}, under_way) is right
    assert not modes.right(None, under_way)


def test_our_rows_must_be_exact_and_in_the_right_class() -> None:
    assert modes.exact({**GOOD, "right_class": 10})
    assert not modes.exact({**GOOD, "right_class": 9})
    assert not modes.exact({**GOOD, "right_class": 10, "arrivals": 1001})
    assert not modes.exact({**GOOD, "injected": 0, "reported": 0, "right_class": 0})


def line(rate: float, down: tuple[float, float], *, entry: int | None = None) -> Timeline:
    """A class that is refused from `down[0]` to `down[1]` seconds, at one of four entries or at all."""
    count = round(4 * rate)
    samples = layout.empty(count)
    samples["intended"] = samples["sent"] = (np.arange(count) * 1e9 / rate).astype(np.int64)
    samples["end"] = samples["sent"] + MS
    samples["entry"] = np.arange(count) % 4
    hit = (samples["sent"] >= down[0] * 1e9) & (samples["sent"] < down[1] * 1e9)
    if entry is not None:
        hit &= samples["entry"] == entry
    samples["outcome"][hit] = layout.UNKNOWN
    return Timeline(samples=samples, classes=(ClassSpec("log", 0, rate, 0, 5.0, count, count, 0, 0),))


def test_a_bracket_holds_the_truth_and_is_as_narrow_as_the_schedule() -> None:
    found, why = outages.bracket(line(200, (1, 1.5)), "log", outages.Truth(500 * MS), "refused")
    assert found is not None and why == ""
    assert found["low_ms"] <= 500 <= found["high_ms"]
    assert found["contains"] and found["width_ms"] <= found["limit_ms"] == pytest.approx(17.0)


def test_a_dead_backend_is_told_by_its_entry_and_by_its_share_of_the_schedule() -> None:
    timeline = line(200, (1, 2), entry=outages.DEAD)
    found, _ = outages.bracket(timeline, "log", outages.Truth(1000 * MS), "one_backend")
    assert found is not None and found["contains"] and "told_as" not in found
    assert found["width_ms"] <= found["limit_ms"] == pytest.approx(47.0)


def test_a_record_without_an_outage_or_without_its_end_is_no_bracket() -> None:
    assert outages.bracket(line(200, (9, 9)), "log", outages.Truth(MS), "refused") == (None, "it saw no outage")
    found, why = outages.bracket(line(200, (1, 9)), "log", outages.Truth(MS), "refused")
    assert found is None and "no end" in why


def test_the_true_p99_is_that_of_the_schedule() -> None:
    # 2,000 requests in 10 s, 200 of them wait for up to 1 s: the 20th longest waits 0.9 s
    assert outages.true_p99_ms() == pytest.approx(900, abs=6)


def test_the_server_refuses_and_comes_back_at_the_same_port() -> None:
    with server(2) as made:
        host = ("127.0.0.1", made.ports[1])
        with socket.create_connection(host, timeout=5) as kept:
            kept.sendall(b"GET /ok HTTP/1.1\r\nHost: a\r\n\r\n")
            assert kept.recv(1000).startswith(b"HTTP/1.1 200")
            closed = made.ask("close 1")
            assert kept.recv(1) == b""
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(host, timeout=5)
        assert made.ask("open 1") > closed
        socket.create_connection(host, timeout=5).close()
        assert made.arrivals() == 1


def test_a_ladder_ends_at_the_first_rate_that_is_missed_twice() -> None:
    seen: list[int] = []

    def one(rate: int, _: Any) -> tuple[Any, bool]:
        seen.append(rate)
        late = 5 * MS if rate == 3000 or (rate == 1000 and seen.count(1000) == 1) else MS
        return np.full(round(rate * speed.RUNG_S), late, np.int64), True

    rungs = speed.climb(one)
    assert seen == [500, 1000, 1000, 2000, 3000, 3000]
    assert speed.highest(rungs) == 2000


def test_a_command_tells_its_processor_time_and_is_bounded() -> None:
    done = running.execute(["sh", "-c", "echo out; echo error >&2; exit 3"], timeout=10)
    assert (done.out, done.error, done.code) == ("out\n", "error\n", 3)
    assert 0 <= done.cpu_s < 5
    with pytest.raises(running.Broken, match="was killed"):
        running.execute(["sleep", "60"], timeout=0.2)
    with pytest.raises(running.Broken, match="can't be run"):
        running.execute(["no-such-program-here"], timeout=1)


def test_the_synthetic_record_is_one_that_the_harness_reads_and_judges(tmp_path: Path) -> None:
    judging.write(tmp_path, 5_000)
    timeline = read(tmp_path)
    assert timeline.notes == () and len(timeline.samples) == 5_000
    assert len(timeline.flips()) == judging.MOVES
    findings = {finding.check: finding.verdict for finding in judge(timeline, promises_of(timeline))}
    assert findings.pop("nothing_lost") == "fail"
    assert set(findings.values()) == {"pass"}


def test_slope_is_the_exponent() -> None:
    assert judging.slope({10: 0.1, 100: 1.0, 1000: 10.0}) == pytest.approx(1.0)
    assert judging.slope({10: 1.0, 100: 100.0}) == pytest.approx(2.0)


def numbers() -> dict[str, Any]:
    """A small but whole set of results."""
    row = {**GOOD, "right_class": 10}
    cell = {"true_ms": 500.0, "low_ms": 495.0, "high_ms": 505.0, "contains": True, "width_ms": 10.0, "limit_ms": 15.0}
    base = {"version": "1", "reasons": {}, "p99_error": 0.01, "open_rate": 2000, "requests_per_cpu_second": 30_000}
    kinds: dict[str, Any] = {"refused": cell, "stopped": None}
    own = {**base, "modes": dict.fromkeys(MODES, row), "outages": kinds}
    own |= {"modes_fresh": own["modes"], "outages_fresh": kinds}
    own |= {"requests_per_cpu_second_in_locust_tasks": 25_000, "requests_per_cpu_second_open": 8_000}
    others = {}
    for kind in tools.OTHERS:
        rows = {mode: {**GOOD, "reported": 0 if mode == "fin" else 10} for mode in MODES}
        others[kind.name] = {**base, "modes": rows, "outages": {"refused": None, "stopped": cell}, "bounded": True}
        others[kind.name]["reasons"] = {"outages.refused": "totals only", "outages.stopped": "totals only"}
    others["oha"] |= {"version": None, "modes": None, "outages": None, "requests_per_cpu_second": None}
    others["locust-fasthttpuser"]["requests_per_cpu_second"] = 15_000
    made: dict[str, Any] = {
        "date": "2026-01-01",
        "machine": "m",
        "seconds": 1,
        "tools": {"this": own, **others},
        "judge": {
            "seconds": 1.0,
            "peak_mib": 200.0,
            "slope": 1.0,
            "slope_last_decade": 1.2,
            "sizes": {"1000000": {"seconds": 1.0, "peak_mib": 200.0}},
            "nightly": {"samples": 10, "moves": 60, "seconds": 1.0},
        },
        "self_test": {"seconds": 2.0, "injected": 90, "reported": 90},
    }
    made["limits"] = table.limits(made)
    return made


def test_limits_say_whether_they_are_met() -> None:
    met = {row["what"]: row["met"] for row in numbers()["limits"]}
    assert met["requests per CPU-second / locust-fasthttpuser"] is False  # 2 of 3
    assert met.pop("requests per CPU-second / locust-httpuser") is False  # 1 of 8
    assert sum(not value for value in met.values()) == 1


def test_a_lie_of_our_own_is_named() -> None:
    made = numbers()
    assert table.dishonest(made["tools"]["this"]) == []
    made["tools"]["this"]["modes_fresh"] = {**made["tools"]["this"]["modes"], "fin": {**GOOD, "right_class": 9}}
    assert table.dishonest(made["tools"]["this"]) == ["modes_fresh.fin"]
    made["tools"]["this"]["modes"] = None
    assert len(table.dishonest(made["tools"]["this"])) == len(MODES) + 1


def test_another_tool_that_is_right_becomes_an_anchor() -> None:
    made = numbers()
    assert table.all_right(made) == []
    assert "No other tool got every mode right; nearest: locust-httpuser (all but fin)" in table.printed(made)
    made["tools"]["wrk"]["modes"]["fin"] = GOOD
    assert table.all_right(made) == ["wrk"]
    assert "New anchor: wrk" in table.printed(made)


def test_the_page_is_rewritten_between_its_markers(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{table.BEGIN}\nstale numbers\n{table.END}\nafter\n")
    table.rewrite(page, numbers())
    once = page.read_text()
    assert once.startswith("before\n") and once.endswith("\nafter\n") and "stale numbers" not in once
    assert "25,000 requests per CPU-second (1.7 x locust-fasthttpuser" in once
    assert "**10 -> 0**" in once and "totals only" in once
    table.rewrite(page, numbers())
    assert page.read_text() == once
    page.write_text("no markers")
    with pytest.raises(ValueError, match="has no"):
        table.rewrite(page, numbers())


def test_every_tool_has_a_command_for_every_kind_of_work(tmp_path: Path) -> None:
    urls = tuple(f"http://127.0.0.1:{port}/ok" for port in range(1, 5))
    for kind in tools.OTHERS:
        tool = kind("/bin/tool", "1")
        for work in (
            tools.Work(urls, tmp_path, count=1000),
            tools.Work(urls, tmp_path, rate=200, seconds=4, detail=True),
            tools.Work(urls, tmp_path, seconds=2),
        ):
            words = [str(word) for word in tool._words(work)]
            assert words and not any("nan" in word for word in words)


def test_the_simulated_world_gives_no_bracket_without_an_outage() -> None:
    found, why = outages.bracket(play(World(seconds=4, flips=())), "fresh", outages.Truth(MS), "refused")
    assert (found, why) == (None, "it saw no outage")

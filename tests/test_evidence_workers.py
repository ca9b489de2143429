"""Records of several workers become one: on one clock, in one ledger, judged as a single process' record is."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.checks.registry import judge
from harness.checks.verdict import overall
from harness.client.divided import divided
from harness.client.plan import ClassPlan, Entry, LoadPlan
from harness.client.socket_plan import SocketPlan
from harness.errors import ConfigurationError
from harness.evidence import samples as layout
from harness.evidence.clocks import UNCERTAINTY_LIMIT_NS, Clock, Offset, best, clock, offset
from harness.evidence.ledger import ledger
from harness.evidence.matching import Sources
from harness.evidence.samples import FAILED, OK, ClassSpec
from harness.evidence.store import Part, merge, placed
from harness.evidence.summary import scenario_record
from harness.evidence.timeline import Event, Timeline
from harness.evidence.workers import absences, workers_of

MS = 1_000_000
SECOND = 1_000_000_000
T0 = 50 * SECOND
TIMES = st.integers(min_value=-(10**15), max_value=10**15)


# -- clocks -----------------------------------------------------------------------------------------------------------


@given(
    TIMES,
    st.integers(min_value=0, max_value=10**9),
    st.integers(min_value=0, max_value=10**9),
    st.integers(min_value=0, max_value=10**9),
)
def test_the_truth_lies_within_the_uncertainty_of_a_round_trip(ahead: int, asked: int, out: int, back: int) -> None:
    found = offset(asked, asked + out + ahead, asked + out + back)
    assert abs(found.ns - ahead) <= found.uncertainty_ns
    assert found.uncertainty_ns == (out + back + 1) // 2


@given(st.lists(st.tuples(st.integers(0, 10**8), st.integers(0, 10**8)), min_size=1), TIMES)
def test_the_shortest_round_trip_of_several_is_taken(trips: list[tuple[int, int]], ahead: int) -> None:
    taken = best(offset(0, out + ahead, out + back) for out, back in trips)
    assert taken.uncertainty_ns == min((out + back + 1) // 2 for out, back in trips)
    assert abs(taken.ns - ahead) <= taken.uncertainty_ns


@given(st.integers(0, 10**7), st.integers(0, 10**7), TIMES, st.integers(-(10**8), 10**8))
def test_a_drift_widens_what_is_open_so_that_both_ends_are_still_within(u: int, v: int, ahead: int, drift: int) -> None:
    whole = clock(Offset(u, ahead), Offset(v, ahead + drift))
    assert whole.drift_ns == drift
    for truth in (ahead - u, ahead + u, ahead + drift - v, ahead + drift + v):
        assert abs(whole.offset_ns - truth) <= whole.uncertainty_ns


def test_an_answer_before_its_question_is_refused() -> None:
    with pytest.raises(ValueError, match="before it was asked"):
        offset(10, 5, 9)


def test_more_than_5_ms_open_is_not_trusted() -> None:
    assert UNCERTAINTY_LIMIT_NS == 5 * MS
    assert Clock(0, 5 * MS).trusted
    assert not Clock(0, 5 * MS + 1).trusted
    assert not clock(Offset(MS, 0), Offset(MS, 9 * MS)).trusted


# -- dividing a plan --------------------------------------------------------------------------------------------------


def a_plan(folder: str = "/record", **changes: object) -> LoadPlan:
    known: dict[str, object] = {
        "entries": (Entry("10.96.0.7", 80, "Service"),),
        "hosts": ("10.96.0.7",),
        "host_header": "api",
        "classes": {"fresh": ClassPlan(40.0, in_flight=9), "idle": ClassPlan(2.0, gap_s=5.0)},
        "run_tag": "tag",
        "folder": folder,
        "sockets": SocketPlan("/ws", 20),
    }
    return LoadPlan(**{**known, **changes})  # type: ignore[arg-type]


@given(st.integers(1, 8))
def test_a_divided_plan_sends_as_much_as_the_whole(workers: int) -> None:
    plans = divided(a_plan(), workers)
    assert [plan.worker for plan in plans] == list(range(workers))
    assert {plan.workers for plan in plans} == {workers}
    for name, spec in a_plan().classes.items():
        assert sum(plan.classes[name].rate for plan in plans) == pytest.approx(spec.rate)
        assert sum(plan.in_flight_of(name) for plan in plans) >= a_plan().in_flight_of(name)
    assert [plan.sockets.count for plan in plans if plan.sockets] == [20]
    assert all(LoadPlan.from_json(plan.to_json()) == plan for plan in plans)


@pytest.mark.parametrize("workers", [0, 9])
def test_no_more_workers_than_eight_and_no_fewer_than_one(workers: int) -> None:
    with pytest.raises(ConfigurationError, match="worker"):
        list(divided(a_plan(), workers) or [replace(a_plan(), workers=workers)])


def test_tasks_of_the_users_own_run_in_one_process() -> None:
    with pytest.raises(ConfigurationError, match="in one process"):
        divided(a_plan(locustfile="/own.py", users=1), 2)


# -- merging ----------------------------------------------------------------------------------------------------------


def single(seconds: int, rate: float, lost: set[int]) -> Part:
    """What one process would have recorded of a class fresh, with these requests failed."""
    count = int(seconds * rate)
    samples = layout.empty(count)
    samples["seq"] = np.arange(count)
    samples["intended"] = [T0 + int(k * 1e9 / rate) for k in range(count)]
    samples["sent"] = samples["intended"] + MS // 2
    samples["end"] = samples["sent"] + 3 * MS
    samples["first_byte"] = samples["end"]
    samples["conn"] = np.arange(count) + 1
    samples["nth"] = 1
    samples["revision"] = 1
    samples["status"] = 200
    gone = np.isin(samples["seq"], list(lost))
    samples["outcome"] = np.where(gone, FAILED, OK)
    samples["first_byte"][gone] = samples["status"][gone] = samples["revision"][gone] = 0
    samples["error"] = np.where(gone, layout.ERRORS.index("connect_refused"), 0)
    spec = ClassSpec("fresh", 0, rate, T0, 5.0, count, count, 0, 0)
    return Part(samples=samples, strings={1: "v1"}, classes={0: spec}, clocks=[(T0, 0)], name="samples-1.bin")


def shared_out(whole: Part, workers: int, ahead: list[int]) -> list[Part]:
    """The same requests as ``workers`` would have recorded them, each on its own clock."""
    parts = []
    for number in range(workers):
        mine = whole.samples[whole.samples["seq"] % workers == number].copy()
        mine["conn"] = np.arange(len(mine)) + 1
        for column in ("intended", "sent", "end", "first_byte"):
            mine[column] = np.where(mine[column] > 0, mine[column] + ahead[number], 0)
        spec = replace(
            whole.classes[0],
            rate=whole.classes[0].rate / workers,
            t0_ns=T0 + ahead[number],
            scheduled=len(mine),
            issued=len(mine),
        )
        name = f"samples-load-{number}.bin"
        parts.append(
            Part(7, mine, dict(whole.strings), {0: spec}, [(T0 + ahead[number], 0)], [], name)  # pids may be the same
        )
    return parts


def joined(number: int, workers: int, ahead: int, **fields: object) -> Event:
    told = {"load": "load", "worker": number, "workers": workers, "offset_ns": ahead, "uncertainty_ns": MS}
    return Event(T0 - SECOND, "worker.joined", {**told, "node": f"node-{number}", **fields})


def left(number: int, ahead: int, uncertainty: int = MS) -> Event:
    told = {"load": "load", "worker": number, "offset_ns": ahead, "uncertainty_ns": uncertainty, "exit_code": 0}
    return Event(T0 + 60 * SECOND, "worker.left", told)


STARTED = Event(T0 - 2 * SECOND, "run.started", {"path": "clusterip", "identity": "header:X", "level": "strict"})
STOPPED = Event(T0 + 61 * SECOND, "load.stopped", {"exit_code": 0})


def merged(whole: Part, workers: int, ahead: list[int], order: int = 0) -> Timeline:
    events = [joined(number, workers, ahead[number]) for number in range(workers)]
    events += [left(number, ahead[number]) for number in range(workers)]
    known = workers_of(events)
    parts = [placed(part, known) for part in shared_out(whole, workers, ahead)]
    random.Random(order).shuffle(parts)
    return merge(parts, [STARTED, *events, STOPPED])


@settings(max_examples=25, deadline=None)
@given(
    st.integers(1, 8),
    st.lists(st.integers(-(10**12), 10**12), min_size=8, max_size=8),
    st.sets(st.integers(0, 199), max_size=20),
    st.integers(0, 100),
)
def test_the_merged_record_is_the_single_process_record(
    workers: int, ahead: list[int], lost: set[int], order: int
) -> None:
    whole = single(5, 40.0, lost)
    alone, together = merge([whole], [STARTED, STOPPED]), merged(whole, workers, ahead, order)
    for column in layout.SAMPLE.names or ():
        if column not in ("entry", "conn"):
            assert np.array_equal(alone.samples[column], together.samples[column]), column
    assert len(np.unique(together.samples["conn"])) == len(together.samples)
    assert set(together.samples["entry"].tolist()) == set(range(workers))
    assert replace(alone.classes[0], rate=0) == replace(together.classes[0], rate=0)
    assert together.classes[0].rate == pytest.approx(alone.classes[0].rate)
    assert ledger(alone) == ledger(together)
    assert not Sources(together.samples).overlap
    one, other = list(judge(alone, [])), list(judge(together, []))
    assert overall(one) == overall(other)
    same = {"workers"}
    assert [(f.check, f.verdict, f.measured) for f in one] == [
        (f.check, f.verdict, f.measured) for f in other if f.check not in same
    ]


def test_a_clock_that_is_not_known_well_enough_makes_the_verdict_inconclusive() -> None:
    whole = single(5, 40.0, set())
    for after, verdict, said in (
        (left(0, 0), "pass", "1 workers sent 40.00 of 40 requests/s"),
        (left(0, 0, uncertainty=6 * MS), "inconclusive", "known only within 6.0 ms"),
        (left(0, 9 * MS), "inconclusive", "9.0 ms of drift included"),
    ):
        events = [joined(0, 1, 0), after]
        timeline = merge([placed(shared_out(whole, 1, [0])[0], workers_of(events))], [STARTED, *events, STOPPED])
        finding = next(one for one in judge(timeline, []) if one.check == "workers")
        assert (finding.verdict, said in finding.detail) == (verdict, True), finding
        assert finding.limit == 5.0


def test_the_verdict_tells_each_workers_clock() -> None:
    record = scenario_record(merged(single(5, 40.0, set()), 2, [0, 7 * MS]), [])
    assert [(one["worker"], one["node"], one["offset_ms"], one["drift_ms"]) for one in record["workers"]] == [
        (0, "node-0", 0.0, 0.0),
        (1, "node-1", 7.0, 0.0),
    ]
    assert all(one["whole"] and one["uncertainty_ms"] == 1.0 for one in record["workers"])
    assert "workers" not in scenario_record(merge([single(5, 40.0, set())], [STARTED, STOPPED]), [])


def test_a_rate_that_is_off_by_more_than_one_percent_is_told() -> None:
    whole = single(5, 40.0, set())
    slow = whole.samples.copy()
    slow["sent"] = T0 + ((slow["sent"] - T0) * 1.02).astype(np.int64)
    slow["end"] = slow["sent"] + MS
    events = [joined(0, 1, 0), left(0, 0)]
    parts = [placed(part, workers_of(events)) for part in shared_out(replace(whole, samples=slow), 1, [0])]
    finding = next(one for one in judge(merge(parts, [STARTED, *events, STOPPED]), []) if one.check == "workers")
    assert finding.verdict == "inconclusive"
    assert "39.2" in finding.detail
    alone = judge(merge([whole], [STARTED, STOPPED]), [])
    assert "workers" not in [one.check for one in alone]


def test_two_loads_of_workers_one_after_the_other_are_two_sources() -> None:
    whole = single(5, 40.0, set())
    events = [joined(0, 1, 0), joined(0, 1, 0, load="later")]
    first = placed(shared_out(whole, 1, [0])[0], workers_of(events))
    late = single(5, 40.0, set())
    for column in ("intended", "sent", "end", "first_byte"):
        late.samples[column] += 20 * SECOND
    second = placed(replace(late, name="samples-later-0.bin"), workers_of(events))
    timeline = merge([second, first], events)
    assert len(np.unique(timeline.samples["source"])) == 2
    assert not Sources(timeline.samples).overlap


def test_a_worker_that_died_leaves_the_ledger_open() -> None:
    whole = single(5, 40.0, set())
    parts = shared_out(whole, 2, [0, 0])
    cut = replace(
        parts[1],
        samples=parts[1].samples[:40],
        classes={0: replace(parts[1].classes[0], scheduled=None, issued=None, unsent=None, open=None)},
    )
    lost = Event(T0 + 3 * SECOND, "worker.lost", {"load": "load", "worker": 1, "reason": "its pod is gone"})
    events = [joined(0, 2, 0), joined(1, 2, 0), lost, left(0, 0), STOPPED]
    known = workers_of(events)
    notes = absences(known, [part.name for part in (parts[0], cut)], finished=True)
    assert notes == ["worker 1 of 2 was lost: its pod is gone"]
    timeline = merge([placed(parts[0], known), placed(cut, known)], [STARTED, *events], notes)
    findings = {finding.check: finding for finding in judge(timeline, [])}
    assert findings["ledger"].verdict == "inconclusive"
    assert "its pod is gone" in findings["ledger"].detail


def test_a_worker_without_a_file_and_one_that_never_joined_are_told() -> None:
    known = workers_of([joined(0, 3, 0), joined(1, 3, 0), left(0, 0), left(1, 0)])
    said = absences(known, ["samples-load-0.bin"], finished=True)
    assert said == ["worker 1 of 3 left no record", "of 3 workers of load 2 joined"]
    assert absences(known, ["samples-load-0.bin"], finished=False) == ["of 3 workers of load 2 joined"]


def test_the_record_on_disk_is_read_on_one_clock(tmp_path: Path) -> None:
    """Bytes as a worker writes them, with the event that says how far its clock is ahead."""
    import json

    from harness.evidence.store import read

    ahead = 7 * SECOND
    sample = layout.empty(1)
    sample["intended"], sample["sent"], sample["end"], sample["seq"] = T0 + ahead, T0 + ahead, T0 + ahead + MS, 1
    raw = layout.header_record(1) + layout.string_records(1, "fresh")
    raw += layout.class_record(0, 1, 20.0, T0 + ahead, 5.0) + sample.tobytes() + layout.closing_record(0, 1, 1, 0, 0)
    (tmp_path / "samples-load-1.bin").write_bytes(raw)
    events = [STARTED, joined(1, 2, ahead)]
    lines = [json.dumps({"t": one.t, "name": one.name, **one.fields}) for one in events]
    (tmp_path / "events.jsonl").write_text("\n".join(lines) + "\n")
    timeline = read(tmp_path)
    only = timeline.samples[0]
    assert (int(only["intended"]), int(only["end"]), int(only["entry"])) == (T0, T0 + MS, 1)
    assert int(only["first_byte"]) == 0  # there was none, on any clock
    assert timeline.classes[0].t0_ns == T0

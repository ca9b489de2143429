"""What machines read: metrics, properties in junit.xml, the CI job's summary, traces."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from prometheus_client.parser import text_string_to_metric_families

from harness.checks.registry import judge
from harness.checks.verdict import overall
from harness.evidence.socket_record import CUT, SERVER
from harness.evidence.socket_summary import socket_numbers
from harness.evidence.summary import scenario_record
from harness.evidence.timeline import Event, Timeline
from harness.otel import MEND
from harness.outputs import publish
from harness.report import junit, markdown, metrics
from harness.report.artifacts import verdict_document
from harness.report.spans import spans
from harness.report.terminal import scenario_line
from harness.words import nothing_lost
from tests.conftest import closed_port
from tests.simulated import Down, Flip, World, event, having, play, without, write
from tests.simulated_sockets import Close, Story, with_sockets

CALM = play(World(flips=(Flip(4.0), Flip(8.0, move="rollback", to_revision="v1")), slo=0.999))
OUTAGE = play(World(downs=(Down(6.0, 6.2),)))
NAMES = ("scenarios/test_x.py::test_calm[service]", 'scenarios/test_x.py::test_"odd|\\name"\n[ingress]')


def record(timeline: Timeline, name: str = NAMES[0], **more: Any) -> dict[str, Any]:
    findings = judge(timeline, [nothing_lost()])
    made = scenario_record(timeline, findings, scenario_id=name)
    return {**made, "verdict": overall(findings), "evidence": "artifacts/run/x", **more}


def document(*records: dict[str, Any]) -> dict[str, Any]:
    return verdict_document("run-1", "fast", 12.3, {}, {}, records, ["test_z.py::z: no engine"], [])


BOTH = document(record(CALM), record(OUTAGE, NAMES[1]))
CLOSES = [Close(0, 3.0, CUT, 1006), Close(1, 3.0), Close(2, 4.0, SERVER, 1011, refusals=2)]
STORY = Story(closes=CLOSES, lost=[(3, 2)], unacked=[(4, 1), (5, 1)])
SOCKETS = socket_numbers(with_sockets(CALM, STORY))
CUT_ONLY = document(record(CALM, sockets=SOCKETS))
"""Lost no request: two connections cut, two refused, one message that never came, two never acknowledged."""


# -- metrics ----------------------------------------------------------------------------------------------------------


def parsed(text: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Every series of a valid exposition; a series that is there twice, or without its type, is none."""
    found: dict[tuple[str, frozenset[tuple[str, str]]], float] = {}
    for family in text_string_to_metric_families(text):
        assert family.type != "unknown" and family.documentation, family.name
        for one in family.samples:
            key = one.name, frozenset(one.labels.items())
            assert key not in found, key
            found[key] = one.value
    return found


def test_the_metrics_are_a_valid_exposition_of_the_verdict() -> None:
    text = metrics.exposition(BOTH)
    found = parsed(text)
    calm, odd = ({"scenario": name} for name in NAMES)

    def of(name: str, **labels: str) -> float:
        return found[f"bluegreen_{name}", frozenset(labels.items())]

    assert of("run_verdict", run="run-1", verdict="fail") == 1
    assert of("run_verdict", run="run-1", verdict="pass") == 0
    assert of("run_scenarios", run="run-1", verdict="fail") == 1
    assert of("run_harness_errors", run="run-1") == 1
    assert of("scenario_verdict", **odd, verdict="fail") == 1
    first = BOTH["scenarios"][0]
    assert of("milestone_seconds", **calm, move="cutover", milestone="first_new") == pytest.approx(
        first["cutover"]["first_new_ms"] / 1e3
    )
    assert of("milestone_seconds", **calm, move="rollback", milestone="acknowledged") == pytest.approx(0.02)
    assert of("requests", **odd, **{"class": "fresh"}, outcome="failed") == 40
    assert of("error_budget_burn", **calm) == 0
    assert of("longest_gap_seconds", **odd, **{"class": "fresh"}) > 0.15
    assert text.endswith("\n")


def test_what_only_sockets_lost_is_in_every_output() -> None:
    found = parsed(metrics.exposition(CUT_ONLY))
    base = {"scenario": NAMES[0]}
    told = {
        (name, kind): found[f"bluegreen_{name}", frozenset({**base, "kind": kind}.items())]
        for name, kind in (
            *(("sockets", "bad"), ("sockets", "attempts"), ("sockets", "count")),
            *(("socket_messages", "lost"), ("socket_messages", "unacknowledged"), ("socket_messages", "due")),
        )
    }
    assert [told["sockets", kind] for kind in ("bad", "attempts", "count")] == [4, 17, 12]
    assert [told["socket_messages", kind] for kind in ("lost", "unacknowledged")] == [1, 2]
    assert told["socket_messages", "due"] == SOCKETS["due"] > 0
    (one,) = CUT_ONLY["scenarios"]
    assert junit.properties(one) | {"bluegreen.sockets_lost": "4", "bluegreen.socket_messages_lost": "3"} == (
        junit.properties(one)
    )
    assert "  0 lost of " in scenario_line(one) and ", 4 sockets, 3 messages, burns" in scenario_line(one)
    assert ", 4 sockets, 3 messages | " in markdown.summary(CUT_ONLY)
    assert "bluegreen.sockets_lost" not in junit.properties(BOTH["scenarios"][0])
    for quiet in (BOTH["scenarios"][0], record(CALM, sockets={**SOCKETS, "bad": 0, "lost": 0, "unacknowledged": 0})):
        assert "socket" not in scenario_line(quiet) + markdown.summary(document(quiet))


def test_the_metrics_of_nothing_are_valid_too() -> None:
    assert len(parsed(metrics.exposition(document()))) == 8


# -- junit.xml --------------------------------------------------------------------------------------------------------


def test_the_properties_have_stable_names_and_numbers() -> None:
    found = junit.properties(BOTH["scenarios"][1])
    assert set(found) == {
        *("bluegreen.verdict", "bluegreen.issued", "bluegreen.lost", "bluegreen.retriable", "bluegreen.first_new_ms"),
        *("bluegreen.longest_gap_ms", "bluegreen.lag_p99_ms", "bluegreen.evidence"),
    }
    samples = BOTH["scenarios"][1]["samples"]
    assert found["bluegreen.lost"] == str(samples["failed"])
    assert found["bluegreen.verdict"] == "fail"
    assert float(found["bluegreen.first_new_ms"]) == pytest.approx(
        BOTH["scenarios"][1]["cutover"]["first_new_ms"], abs=1e-3
    )
    assert "bluegreen.rollback_first_new_ms" in junit.properties(BOTH["scenarios"][0])


def test_a_second_attempts_properties_take_the_place_of_the_firsts() -> None:
    known = [("mine", "1"), ("bluegreen.verdict", "inconclusive")]
    merged = junit.merged(known, BOTH["scenarios"][0])
    assert [value for name, value in merged if name == "bluegreen.verdict"] == ["pass"]
    assert merged[0] == ("mine", "1")
    assert junit.merged(known, None) == [("mine", "1")]


# -- the summary ------------------------------------------------------------------------------------------------------


def test_the_summary_is_short_and_begins_with_what_failed() -> None:
    lines = markdown.summary(BOTH).splitlines()
    assert lines[0] == "## ❌ Blue-green verdict: fail (1 of 2 scenarios; harness errors: 1)"
    rows = [line for line in lines if line.startswith("| ")][1:]
    assert rows[0].startswith('| ❌ fail | test\\_x.py::test\\_"odd\\|\\\\name" \\[ingress\\] | 54 of ')
    assert rows[1].startswith("| ✅ pass | ")
    assert all(row.replace("\\|", "").count("|") == 6 for row in rows)
    assert any("nothing\\_lost measured 54 requests, limit 0" in line for line in lines)
    assert "- harness error: test\\_z.py::z: no engine" in lines
    assert "Not covered: " in lines[-2]


def test_a_summary_of_hundreds_stays_short() -> None:
    many = document(*(record(CALM, f"x.py::test_{n}[service]") for n in range(3)), *([BOTH["scenarios"][0]] * 200))
    text = markdown.summary(many)
    assert text.count("\n| ") < 60 and "and 153 more in verdict.json" in text


def test_the_summary_is_appended_where_the_job_wants_it(tmp_path: Path) -> None:
    file = tmp_path / "summary.md"
    file.write_text("before\n")
    assert publish(BOTH, {"GITHUB_STEP_SUMMARY": str(file)}) == []
    assert file.read_text() == "before\n" + markdown.summary(BOTH)
    (note,) = publish(BOTH, {"GITHUB_STEP_SUMMARY": str(tmp_path)})
    assert note.startswith("no summary in GITHUB_STEP_SUMMARY: ")
    assert publish(BOTH, {}) == []


# -- traces -----------------------------------------------------------------------------------------------------------

WALL = 1_800_000_000 * 10**9


def clocked(timeline: Timeline) -> Timeline:
    started = timeline.first("run.started")
    assert started is not None
    others = without(timeline, "run.started")
    return having(others, Event(started.t, "run.started", {**started.fields, "wall_ns": WALL}))


FAULTED = clocked(
    having(OUTAGE, event(5, "fault.injected", kind="kill"), event(7, "fault.healed", kind="kill"),
           event(0.1, "deploy.started", side="green", version="v2"), event(0.15, "deploy.ready", side="green"),
           event(5.1, "notify.sent", to="http://chat.test"))
)  # fmt: skip


def test_scenario_phases_moves_and_faults_become_spans() -> None:
    found = spans(FAULTED, record(FAULTED))
    assert [one.name for one in found] == [NAMES[0], "deploy", "load", "watch", "cutover", "fault kill"]
    root, *others = found
    assert root.start_ns == WALL and root.error == "nothing_lost" and root.parent == -1
    assert [name for _, name, _ in root.events] == ["notify.sent"]
    for one in others:
        assert one.parent == 0
        assert root.start_ns <= one.start_ns <= one.end_ns <= root.end_ns
    fault = found[-1]
    assert fault.end_ns - fault.start_ns == 2 * 10**9
    assert {"acknowledged", "first_new"} <= {name for _, name, _ in found[4].events}
    assert spans(without(FAULTED, "run.started"), record(FAULTED)) == []


class Collector:
    def __init__(self, status: int) -> None:
        self.got: list[ExportTraceServiceRequest] = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(handler) -> None:  # noqa: N805 - self is the collector
                body = handler.rfile.read(int(handler.headers["Content-Length"]))
                self.got.append(ExportTraceServiceRequest.FromString(body))
                handler.send_response(status)
                handler.send_header("Content-Length", "0")
                handler.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class' name
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()


@pytest.fixture
def collectors() -> Iterator[dict[int, Collector]]:
    made = {status: Collector(status) for status in (200, 400)}
    yield made
    for one in made.values():
        one.server.shutdown()
        one.server.server_close()


def stored(tmp_path: Path) -> dict[str, Any]:
    write(tmp_path, FAULTED)
    return document(record(FAULTED, evidence=str(tmp_path)))


def endpoint(monkeypatch: pytest.MonkeyPatch, port: int) -> dict[str, str]:
    environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}"}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return environment


def test_a_collector_gets_one_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, collectors: dict[int, Collector]
) -> None:
    environment = endpoint(monkeypatch, collectors[200].server.server_port)
    assert publish(stored(tmp_path), environment) == ["6 spans were sent to the OpenTelemetry collector"]
    (request,) = collectors[200].got
    found = [span for part in request.resource_spans for scope in part.scope_spans for span in scope.spans]
    assert sorted(span.name for span in found) == sorted([NAMES[0], "deploy", "load", "watch", "cutover", "fault kill"])
    assert len({span.trace_id for span in found}) == 1
    (root,) = (span for span in found if not span.parent_span_id)
    assert root.start_time_unix_nano == WALL
    assert {span.parent_span_id for span in found if span is not root} == {root.span_id}


def test_a_collector_that_refuses_is_told_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, collectors: dict[int, Collector]
) -> None:
    kept = stored(tmp_path)
    (note,) = publish(kept, endpoint(monkeypatch, collectors[400].server.server_port))
    assert note.startswith("0 spans were sent; then the collector refused")


def test_without_the_extra_one_line_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("opentelemetry.exporter.otlp.proto.http.trace_exporter", "opentelemetry.sdk.trace.export"):
        monkeypatch.setitem(sys.modules, name, None)
    assert publish(stored(tmp_path), endpoint(monkeypatch, closed_port())) == [MEND]
    assert "pip install 'pytest-bluegreen[otel]'" in MEND and "\n" not in MEND

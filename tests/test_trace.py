"""One request followed from the report to the pod's log line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.cli import main
from harness.evidence.losses import lost_mask
from harness.evidence.requests import parts, request_id, samples_of
from harness.report.terminal import events_around_first_loss, first_lost_id
from tests.simulated import Down, World, arrival_files, arrival_lines, play, write
from tests.simulated_sockets import CUT, Close, Story, raw, with_sockets

OUTAGE = play(World(downs=(Down(6.0, 6.2),)))


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A stored run of two scenarios, of which the second kept arrivals and logs."""
    other, folder = tmp_path / "a", tmp_path / "b"
    other.mkdir()
    folder.mkdir()
    write(folder, OUTAGE, arrival_files(arrival_lines(OUTAGE)))
    (other / "events.jsonl").write_text(json.dumps({"t": 1, "name": "run.started", "run_tag": "other"}) + "\n")
    logs = folder / "cluster" / "logs"
    logs.mkdir(parents=True)
    lines = [{"event": "request", "request_id": f"sim-fresh-{n}", "status": 200} for n in (3, 33, 333)]
    (logs / "blue-0.api.log").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return tmp_path


def traced(run: Path, ident: str, capsys: pytest.CaptureFixture[str]) -> list[str]:
    assert main(["trace", str(run), ident]) == 0
    return capsys.readouterr().out.splitlines()


def test_an_answered_request_has_a_sample_an_arrival_and_a_log_line(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = traced(run, "sim-fresh-33", capsys)
    assert lines[0] == "scenario   simulated"
    assert lines[1].startswith("sample     ok, status 200, v1, pod blue-")
    assert any("sent as  GET through control-plane" in line for line in lines)
    assert any(line.endswith("ms from the cutover to v2") for line in lines)
    (arrived,) = (line for line in lines if line.startswith("arrived"))
    assert " sim-fresh-33 GET / " in arrived and ".arrivals: A " in arrived
    (logged,) = (line for line in lines if line.startswith("log"))
    assert '"sim-fresh-33"' in logged and logged.startswith("log        blue-0.api.log: ")


def test_the_first_lost_request_can_be_followed_by_the_id_in_the_failures_text(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ident = first_lost_id(OUTAGE)
    (first,) = (line for line in events_around_first_loss(OUTAGE) if "first lost request" in line)
    assert first.split("first lost request ")[1] == f"{ident} (connect_refused, through control-plane)"
    lines = traced(run, ident, capsys)
    assert lines[1] == "sample     failed (connect_refused)"
    assert "arrived    at no pod whose record was kept" in lines
    assert "log        no line of it in the logs that were kept (their last lines)" in lines


def test_a_socket_is_followed_over_all_its_connections(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    story = Story(closes=(Close(2, 6.0), Close(3, 6.1, CUT, 1006)))
    write(tmp_path, OUTAGE)
    (tmp_path / "sockets-7.bin").write_bytes(raw(story))
    for number, ends in ((2, "server (1012)"), (3, "cut (1006 ")):
        lines = traced(tmp_path, f"sim-websocket-{number}", capsys)
        lives = [line for line in lines if line.startswith("socket ")]
        assert lives[0].startswith(f"socket     {ends}") and ", v1, " in lives[0]
        assert any(line.startswith("  times    begun at ") and ", end +" in line for line in lines)
        assert any(line.endswith("ms from the cutover to v2") for line in lines)
        assert [line.split(", ")[1] for line in lives] == ["v1", "v2"]
    assert main(["trace", str(tmp_path), "sim-websocket-999"]) == 4
    assert main(["trace", str(tmp_path), "else-websocket-2"]) == 4


@pytest.mark.parametrize(
    ("where", "ident", "what"),
    [
        (".", "nonsense", "is no request's id"),
        (".", "sim-fresh-999999", "no scenario in"),
        (".", "else-fresh-1", "no scenario in"),
        ("nosuch", "sim-fresh-1", "no stored scenario in"),
    ],
)
def test_what_can_not_be_followed_is_refused(
    run: Path, capsys: pytest.CaptureFixture[str], where: str, ident: str, what: str
) -> None:
    assert main(["trace", str(run / where), ident]) == 4
    said = capsys.readouterr().err
    assert what in said and "  mend: " in said


def test_without_records_and_logs_it_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, OUTAGE)
    lines = traced(tmp_path, "sim-post-3", capsys)
    assert "arrived    unknown: no record was kept" in lines
    assert "log        no logs were kept: only a failed scenario's are" in lines


@given(st.integers(0, len(OUTAGE.samples) - 1))
def test_every_sample_is_found_by_its_own_id(index: int) -> None:
    sample = OUTAGE.samples[index]
    (found,) = samples_of(OUTAGE, request_id(OUTAGE, sample))
    assert found == sample


@given(st.text())
def test_whatever_is_asked_for_is_an_id_or_none(text: str) -> None:
    found = parts(text)
    assert found is None or f"{found[0]}-{found[1]}-" in text


def test_nothing_lost_has_no_first_loss() -> None:
    calm = play(World())
    assert not lost_mask(calm.samples).any() and first_lost_id(calm) == ""
    assert first_lost_id(with_sockets(calm, Story(closes=(Close(2, 6.0),)))) == ""


def test_where_only_sockets_were_lost_the_first_of_them_is_followed() -> None:
    story = Story(closes=(Close(4, 6.2, CUT, 1006), Close(3, 6.1, CUT, 1006), Close(2, 6.0)))
    assert first_lost_id(with_sockets(play(World()), story)) == "sim-websocket-3"
    assert "-fresh-" in first_lost_id(with_sockets(OUTAGE, story))

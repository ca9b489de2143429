"""The record of arrivals: stamped first, complete or openly incomplete, one line per fact."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from pathlib import Path

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.types import ASGIApp, Receive, Scope, Send

from images.app.bluegreen_app import app
from images.app.bluegreen_app.arrivals import Arrivals, Ledger, token
from images.app.bluegreen_app.identity import Identity
from images.app.bluegreen_app.settings import Settings
from images.app.bluegreen_app.sockets import Sockets
from images.app.bluegreen_app.state import State


def send(asgi: ASGIApp, *requests: tuple[str, str, str]) -> list[httpx.Response]:
    """Send (method, path, request id) one after the other."""

    async def run() -> list[httpx.Response]:
        transport = httpx.ASGITransport(asgi)
        async with httpx.AsyncClient(transport=transport, base_url="http://pod") as client:
            return [await client.request(m, p, headers={"X-Request-Id": i}) for m, p, i in requests]

    return asyncio.run(run())


def lines(folder: Path, pod: str = "p") -> list[list[str]]:
    """The lines after the first one, which must be the beginning's."""
    text = (folder / f"{pod}.arrivals").read_text("ascii")
    assert text.endswith("\n")
    first, *rest = [line.split(" ") for line in text.splitlines()]
    assert [first[0], *first[2:]] == ["S", pod, "v7"]
    assert int(first[1]) <= time.monotonic_ns()
    return rest


def test_arrivals_and_applied_posts_are_recorded_in_order_on_the_monotonic_clock(tmp_path: Path) -> None:
    state = State(Settings())
    before = time.monotonic_ns()
    ledger = Ledger(str(tmp_path), "p", "v7")
    public = app.build(state, ledger, Sockets(state, ledger))
    send(public, ("GET", "/?q=1", "a"), ("GET", "/readyz", "probe"), ("POST", "/orders", "b"), ("GET", "/x", "c"))
    records = lines(tmp_path)
    assert [[r[0], *r[2:]] for r in records] == [
        ["A", "a", "GET", "/"],
        ["A", "b", "POST", "/orders"],
        ["P", "b"],
        ["A", "c", "GET", "/x"],
    ]
    stamps = [int(r[1]) for r in records]
    assert stamps == sorted(stamps)
    assert before <= stamps[0] <= stamps[-1] <= time.monotonic_ns()
    assert state.last_arrival_ns == stamps[-1]


def test_the_stamp_is_on_disk_before_the_handler_runs_and_stays_when_it_fails(tmp_path: Path) -> None:
    seen: list[list[list[str]]] = []

    async def handler(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(lines(tmp_path))
        raise RuntimeError("the handler dies")

    state = State(Settings())
    asgi = Identity(Arrivals(handler, state, Ledger(str(tmp_path), "p", "v7")), state)
    with pytest.raises(RuntimeError, match="the handler dies"):
        send(asgi, ("GET", "/", "a"))
    assert [r[2] for r in seen[0]] == ["a"]
    assert (state.arrivals, state.in_flight) == (1, 0)


def test_a_restarted_pod_appends_to_its_record(tmp_path: Path) -> None:
    for _ in range(2):
        ledger = Ledger(str(tmp_path), "p", "v7")
        ledger.arrived(1, "a", "GET", "/")
        ledger.close()
    assert [line[0] for line in lines(tmp_path)] == ["A", "S", "A"]


def test_each_record_is_one_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writes: list[bytes] = []
    write = os.write

    def spy(descriptor: int, data: bytes) -> int:
        writes.append(data)
        return write(descriptor, data)

    monkeypatch.setattr(os, "write", spy)
    ledger = Ledger(str(tmp_path), "p", "v7")
    ledger.arrived(1, "a", "GET", "/")
    ledger.applied(2, "a")
    ledger.close()
    assert writes[0].startswith(b"S ")
    assert writes[1:] == [b"A 1 a GET /\n", b"P 2 a\n"]


def test_without_a_folder_the_service_runs_and_says_so_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        ledger = Ledger(str(tmp_path / "missing"), "p", "v7")
        state = State(Settings())
        answers = send(app.build(state, ledger, Sockets(state, ledger)), ("GET", "/", "a"), ("POST", "/orders", "b"))
    assert [a.status_code for a in answers] == [200, 201]
    assert [r.getMessage() for r in caplog.records] == ["ledger"]
    assert "No such file" in ledger.error


@pytest.mark.parametrize("failure", ["error", "short"])
def test_a_record_with_a_hole_is_given_up_and_says_so(
    failure: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    ledger = Ledger(str(tmp_path), "p", "v7")
    assert ledger.error == ""

    def full(descriptor: int, data: bytes) -> int:
        if failure == "error":
            raise OSError(28, "No space left on device")
        return len(data) - 1

    monkeypatch.setattr(os, "write", full)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            ledger.arrived(1, "a", "GET", "/")
    monkeypatch.undo()
    ledger.arrived(2, "b", "GET", "/")
    assert ledger.error
    assert len(caplog.records) == 1
    (left,) = tmp_path.iterdir()
    assert left.name == "p.arrivals.broken"  # what it holds is true, but not all
    assert left.read_text().startswith("S ")
    assert left.read_text().count("\n") == 1


def test_a_process_that_starts_after_a_broken_record_leaves_it_where_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", full)
        Ledger(str(tmp_path), "p", "v7")
    Ledger(str(tmp_path), "p", "v7").arrived(1, "a", "GET", "/")
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["p.arrivals", "p.arrivals.broken"]


def test_a_record_that_cant_even_be_renamed_stops_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = Ledger(str(tmp_path), "p", "v7")

    def refused(*_: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "write", refused)
    monkeypatch.setattr(Path, "replace", refused)
    ledger.arrived(1, "a", "GET", "/")
    assert "Input/output error" in ledger.error


def test_an_id_that_would_forge_a_line_or_a_header_is_made_one_word(tmp_path: Path) -> None:
    state, ledger = State(Settings()), Ledger(str(tmp_path), "p", "v7")
    public = app.build(state, ledger, Sockets(state, ledger))
    (answer,) = send(public, ("GET", "/a%20b%0aP%201%20x", "x y\tP 1 z"))
    assert answer.headers["x-request-id"] == "x?y?P?1?z"
    (record,) = lines(tmp_path)
    assert (record[0], record[2], len(record)) == ("A", "x?y?P?1?z", 5)


@settings(max_examples=60)
@given(st.text(), st.integers(min_value=1, max_value=50))
def test_a_token_is_one_visible_ascii_word_within_its_limit(text: str, limit: int) -> None:
    word = token(text, limit)
    assert 1 <= len(word) <= limit
    assert all("!" <= c <= "~" for c in word)
    if text and len(text) <= limit and all("!" <= c <= "~" for c in text):
        assert word == text

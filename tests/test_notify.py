"""The notification of a switch: what it says, and that it holds up nothing and gives nothing away."""

from __future__ import annotations

import io
import json
import logging
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from harness import notify
from harness.errors import ConfigurationError
from harness.evidence.store import read
from harness.evidence.timeline import Event
from harness.journal import Journal
from harness.notify import Notifier
from harness.webhook import Webhook, redacted, webhook_of
from tests.conftest import closed_port

SECRET = "T0P/s3cret-token"
ABOUT = {"scenario": "test_x.py::test_y", "namespace": "bg-1", "run": "r-1"}


class Chat:
    """A server that keeps what it gets and answers with these statuses in turn, the last one for good."""

    def __init__(self, *statuses: int) -> None:
        self.got: list[tuple[str, Any]] = []
        told = list(statuses)

        class Handler(BaseHTTPRequestHandler):
            def do_POST(handler) -> None:  # noqa: N805 - self is the chat
                body = handler.rfile.read(int(handler.headers["Content-Length"]))
                self.got.append((handler.path, json.loads(body)))
                handler.send_response(told.pop(0) if len(told) > 1 else told[0])
                handler.send_header("Content-Length", "0")
                handler.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class' name
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://user:{SECRET.replace('/', '-')}@127.0.0.1:{self.server.server_port}/hooks/{SECRET}?key={SECRET}"


@pytest.fixture
def chat() -> Iterator[Callable[..., Chat]]:
    made: list[Chat] = []

    def start(*statuses: int) -> Chat:
        made.append(Chat(*statuses))
        return made[-1]

    yield start
    for one in made:
        one.server.shutdown()
        one.server.server_close()


def cut_over(journal: Journal, color: str = "green", move: str = "cutover") -> float:
    """The events of one move; returns how long writing them took."""
    began = time.monotonic()
    journal.event("cutover.planned", move=move, at_ns=time.monotonic_ns(), to_side=color)
    journal.event("cutover.sent", move=move)
    journal.event("cutover.acknowledged", move=move, resource_version="7")
    return time.monotonic() - began


def told(folder: Path, count: int = 1) -> list[Event]:
    """The outcomes, once there are so many."""
    deadline = time.monotonic() + 10
    while len(found := read(folder).named("notify.sent", "notify.failed")) < count and time.monotonic() < deadline:
        time.sleep(0.02)
    return list(found)


def test_each_change_of_color_is_told_once(tmp_path: Path, chat: Callable[..., Chat]) -> None:
    there = chat(200)
    with Journal(tmp_path) as journal:
        notifier = Notifier(Webhook(there.url), tmp_path, journal, lambda: ABOUT)
        notifier.start()
        cut_over(journal)
        cut_over(journal, "blue", "rollback")
        found = told(tmp_path, 2)
        notifier.stop()
    assert [one.name for one in found] == ["notify.sent", "notify.sent"]
    assert [path for path, _ in there.got] == [f"/hooks/{SECRET}?key={SECRET}"] * 2
    first, second = (body for _, body in there.got)
    assert re.fullmatch(r"Color changed to green at \d\d:\d\d", first.pop("text"))
    assert first == {"color": "green", "move": "cutover", **ABOUT}
    assert (second["color"], second["move"]) == ("blue", "rollback")
    assert len(read(tmp_path).named("notify.sent", "notify.failed")) == 2


def test_a_move_that_was_not_answered_and_happened_is_told_too(tmp_path: Path, chat: Callable[..., Chat]) -> None:
    there = chat(200)
    with Journal(tmp_path) as journal:
        notifier = Notifier(Webhook(there.url), tmp_path, journal, lambda: ABOUT)
        notifier.start()
        journal.event("cutover.planned", move="cutover", at_ns=1, to_side="green")
        journal.event("cutover.settled", move="cutover", happened=False)
        journal.event("cutover.settled", move="cutover", happened=True)
        (found,) = told(tmp_path)
        notifier.stop()
    assert found.name == "notify.sent" and [body["color"] for _, body in there.got] == ["green"]


def test_a_failed_attempt_is_repeated_a_bounded_number_of_times(
    tmp_path: Path, chat: Callable[..., Chat], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notify, "PAUSES_S", (0.01, 0.01))
    for statuses, name, count in (
        ((500, 200), "notify.sent", 2),
        ((500,), "notify.failed", 3),
        ((302,), "notify.failed", 3),
    ):
        folder, there = tmp_path / f"{statuses}", chat(*statuses)
        with Journal(folder) as journal:
            notifier = Notifier(Webhook(there.url), folder, journal, lambda: ABOUT)
            notifier.start()
            cut_over(journal)
            (found,) = told(folder)
            notifier.stop()
        assert (found.name, found.fields["attempts"], len(there.got)) == (name, count, count)
        assert found.fields.get("error") == (f"status {statuses[-1]}" if name == "notify.failed" else None)
        assert found.fields["to"] == f"http://127.0.0.1:{there.server.server_port}"


def test_a_server_that_hangs_or_refuses_holds_up_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notify, "GRACE_S", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections into its backlog, and never answers
        for port in (silent.getsockname()[1], closed_port()):
            folder = tmp_path / str(port)
            with Journal(folder) as journal:
                notifier = Notifier(Webhook(f"http://127.0.0.1:{port}/{SECRET}"), folder, journal, lambda: ABOUT)
                notifier.start()
                assert cut_over(journal) < 0.5
                began = time.monotonic()
                notifier.stop()
                assert time.monotonic() - began < 3
            (found,) = read(folder).named("notify.sent", "notify.failed")
            assert found.name == "notify.failed"


def test_nothing_gives_the_secret_away(
    tmp_path: Path, chat: Callable[..., Chat], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(notify, "PAUSES_S", (0.01, 0.01))
    stream = io.StringIO()
    handler, root = logging.StreamHandler(stream), logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        for url in (chat(200).url, chat(500).url, f"http://127.0.0.1:{closed_port()}/{SECRET}"):
            folder = tmp_path / str(len(list(tmp_path.iterdir())))
            with Journal(folder) as journal:
                notifier = Notifier(Webhook(url), folder, journal, lambda: ABOUT)
                notifier.start()
                cut_over(journal)
                told(folder)
                notifier.stop()
            assert "notify." in (folder / "events.jsonl").read_text()
            assert "s3cret" not in (folder / "events.jsonl").read_text()
            assert "s3cret" not in f"{Webhook(url)} {Webhook(url)!r} {vars(notifier)}"
    finally:
        root.removeHandler(handler)
        root.setLevel(before)
    assert "s3cret" not in stream.getvalue()
    out = capfd.readouterr()
    assert "s3cret" not in out.out + out.err


@pytest.mark.parametrize("url", ["", "ftp://h/s3cret", "s3cret", "https://", "http://h:x/s3cret", "http://[s3cret"])
def test_what_is_no_url_is_refused_without_being_repeated(url: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        Webhook(url)
    assert "s3cret" not in str(refused.value) and refused.value.mend


def test_the_command_that_repeats_a_run_has_no_secret_in_it() -> None:
    url = f"https://chat.test/hooks/{SECRET}"
    assert redacted(["a", "--bg-notify", url, f"--bg-notify={url}", "--bg-notify=s3cret", "-k", "b"]) == [
        *(
            "a",
            "--bg-notify",
            "https://chat.test/...",
            "--bg-notify=https://chat.test/...",
            "--bg-notify=...",
            "-k",
            "b",
        )
    ]


def test_the_option_wins_over_the_environment() -> None:
    option = Webhook("https://one.test/x")
    assert webhook_of(None, {}) is None
    assert webhook_of(option, {"BLUEGREEN_NOTIFY": "https://two.test/x"}) is option
    found = webhook_of(None, {"BLUEGREEN_NOTIFY": "https://two.test/x"})
    assert found is not None and found.host == "https://two.test"
    with pytest.raises(ConfigurationError):
        webhook_of(None, {"BLUEGREEN_NOTIFY": "two"})

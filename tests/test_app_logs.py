"""The demo's log: cheap where there are many lines, at once where there are few, and never in anybody's way."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator

import pytest

from images.app.bluegreen_app.logs import ATOMIC, JsonFormatter, NeverBlocking


class Pipe:
    def __init__(self) -> None:
        self.reader, self.writer = os.pipe()
        os.set_blocking(self.reader, False)
        self.handler = NeverBlocking(self.writer)
        self.handler.setFormatter(JsonFormatter({"pod": "p"}))

    def log(self, event: str, **fields: object) -> None:
        self.handler.emit(logging.makeLogRecord({"msg": event, "fields": fields}))

    def read(self) -> bytes:
        try:
            return os.read(self.reader, 1_000_000)
        except BlockingIOError:
            return b""

    def events(self) -> list[str]:
        return [json.loads(line)["event"] for line in self.read().splitlines()]


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    made = Pipe()
    yield made
    os.close(made.reader)
    os.close(made.writer)


def test_requests_wait_and_anything_else_is_written_at_once_behind_them(pipe: Pipe) -> None:
    pipe.log("request", request_id="a")
    pipe.log("request", request_id="b")
    assert pipe.read() == b""
    pipe.log("drain.begun")
    assert pipe.events() == ["request", "request", "drain.begun"]
    pipe.log("request", request_id="c")
    pipe.handler.flush()
    assert pipe.events() == ["request"]
    pipe.handler.flush()
    assert pipe.read() == b""


def test_what_waits_never_outgrows_what_a_pipe_takes_whole(pipe: Pipe) -> None:
    for number in range(100):
        pipe.log("request", request_id=f"r-{number}", path="/" + "x" * 100)
        read = pipe.read()
        assert len(read) <= ATOMIC
        assert read == b"" or read.endswith(b"\n")


def test_a_full_pipe_drops_and_tells_how_many_once_somebody_reads_again(pipe: Pipe) -> None:
    while True:  # nobody reads
        try:
            os.write(pipe.writer, b" " * 65_536)
        except BlockingIOError:
            break
    for _ in range(3):
        pipe.log("request")
    pipe.handler.flush()
    pipe.log("exit")
    assert pipe.handler.dropped == 4
    while pipe.read():
        pass
    pipe.log("listening")
    told = [json.loads(line) for line in pipe.read().splitlines()]
    assert [one["event"] for one in told] == ["listening", "log.dropped"]
    assert told[1]["records"] == 4
    assert pipe.handler.dropped == 0

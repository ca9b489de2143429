"""One JSON object a line on standard output, so that a request id can be followed through both colors."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import stat
import time
from collections.abc import Mapping

STDOUT = 1
OF_EACH_REQUEST = "request"
"""The event of which there are many."""
FLUSH_SECONDS = 0.25
ATOMIC = 4096
"""A write up to this size goes into a pipe whole or not at all (PIPE_BUF of Linux): no line is cut."""


class JsonFormatter(logging.Formatter):
    """Formats a record as one line of JSON.

    The message is the event's name; ``extra={"fields": {...}}`` carries the rest.

    Args:
        identity: fields that every line carries.

    """

    def __init__(self, identity: Mapping[str, str]) -> None:
        super().__init__()
        self._identity = dict(identity)

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as a line of JSON, without its newline."""
        seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line = {
            "time": f"{seconds}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **self._identity,
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, separators=(",", ":"), default=str)


class NeverBlocking(logging.Handler):
    """Writes what was logged, and drops it where nobody reads: a log must not hold up a user's request.

    What is told of each request waits for up to ``FLUSH_SECONDS``, since every write wakes up the container runtime,
    which costs as much as the request itself; anything else is written at once, with whatever waits before it.

    Args:
        descriptor: the file descriptor to write to.

    Attributes:
        dropped: records dropped and not told yet.

    """

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._waiting: list[bytes] = []
        self._bytes = 0
        self.dropped = 0
        # A container's output is a pipe, read by the container runtime: while that is down, a full pipe would block.
        # Anything else (a terminal) is shared with other processes and stays as it is.
        if stat.S_ISFIFO(os.fstat(descriptor).st_mode):
            os.set_blocking(descriptor, False)

    def emit(self, record: logging.LogRecord) -> None:
        """Take the record; write it now unless it is one of many."""
        line = (self.format(record) + "\n").encode()
        if self._bytes + len(line) > ATOMIC:
            self.flush()
        self._waiting.append(line)
        self._bytes += len(line)
        if record.msg != OF_EACH_REQUEST:
            self.flush()

    def flush(self) -> None:
        """Write what waits by one ``write``, or count it as dropped; the next that gets through tells the count."""
        waiting, self._waiting, self._bytes = self._waiting, [], 0
        if not waiting:
            return
        lines = b"".join(waiting)
        if self.dropped:
            fields = {"records": self.dropped}
            lines += (self.format(logging.makeLogRecord({"msg": "log.dropped", "fields": fields})) + "\n").encode()
        try:
            os.write(self._descriptor, lines)
        except OSError:
            self.dropped += len(waiting)
        else:
            self.dropped = 0


async def keep_flushing() -> None:
    """Write what waits every ``FLUSH_SECONDS``, for ever."""
    while True:
        await asyncio.sleep(FLUSH_SECONDS)
        flush()


def flush() -> None:
    """Write what waits now."""
    for handler in logging.getLogger().handlers:
        handler.flush()


def configure(identity: Mapping[str, str]) -> None:
    """Send every logger's records to standard output as JSON; uvicorn tells only what is wrong."""
    handler = NeverBlocking(STDOUT)
    handler.setFormatter(JsonFormatter(identity))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)

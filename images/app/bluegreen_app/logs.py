"""One JSON object a line on standard output, so that a request id can be followed through both colors."""

from __future__ import annotations

import json
import logging
import os
import stat
import time
from collections.abc import Mapping

STDOUT = 1


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
    """Writes each record by one ``write`` and drops it where nobody reads: a log must not hold up a user's request.

    Args:
        descriptor: the file descriptor to write to.

    Attributes:
        dropped: records dropped and not told yet.

    """

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor
        self.dropped = 0
        # A container's output is a pipe, read by the container runtime: while that is down, a full pipe would block.
        # Anything else (a terminal) is shared with other processes and stays as it is.
        if stat.S_ISFIFO(os.fstat(descriptor).st_mode):
            os.set_blocking(descriptor, False)

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record, or count it as dropped; the next record that gets through is followed by the count."""
        lines = self.format(record) + "\n"
        if self.dropped:
            fields = {"records": self.dropped}
            lines += self.format(logging.makeLogRecord({"msg": "log.dropped", "fields": fields})) + "\n"
        try:
            os.write(self._descriptor, lines.encode())
        except OSError:
            self.dropped += 1
        else:
            self.dropped = 0


def configure(identity: Mapping[str, str]) -> None:
    """Send every logger's records to standard output as JSON; uvicorn tells only what is wrong."""
    handler = NeverBlocking(STDOUT)
    handler.setFormatter(JsonFormatter(identity))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)

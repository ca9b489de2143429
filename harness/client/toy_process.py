"""Toy servers as child processes: they tell their ports first, and answer each line with a report."""

from __future__ import annotations

import json
import select
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

LINE_S: Final = 10.0
"""Bound of the child's start and of one report in seconds."""


class ToyProcess:
    """A toy server as a child process; a context manager.

    Args:
        module: the server's.

    Attributes:
        port: where it listens on 127.0.0.1.
        hello: what the child told first, an object with "port".
        process: the child, for SIGSTOP and SIGCONT.

    """

    def __init__(self, module: str = "harness.client.misbehave") -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        )
        self.hello: Any = json.loads(self._line())
        self.port = int(self.hello["port"])

    def report(self) -> dict[str, dict[str, int]]:
        """What the child's server reports now."""
        if self.process.stdin is None:
            raise RuntimeError("the toy server has no standard input")
        self.process.stdin.write("report\n")
        self.process.stdin.flush()
        answer: Any = json.loads(self._line())
        return dict(answer)

    def close(self) -> None:
        """End the child."""
        self.process.kill()
        self.process.wait(timeout=10)
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                stream.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def _line(self) -> str:
        line = ""
        if self.process.stdout is not None and select.select([self.process.stdout], [], [], LINE_S)[0]:
            line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"no answer from the toy server (exit code {self.process.poll()})")
        return line


def serve_reports(hello: Mapping[str, Any], report: Callable[[], Mapping[str, Any]]) -> None:
    """The child's part: print ``hello``, answer each line on standard input with a report, return at its end."""
    _tell(hello)
    for _ in sys.stdin:
        _tell(report())


def _tell(what: Mapping[str, Any]) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()

"""One command, run to its end: what it said and what processor time it took."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.cluster.store import Store

BETWEEN_S = 1.0
"""The lock is free this long between two parts: a waiting scenario looks each half second."""


class Broken(Exception):
    """A measurement couldn't be made; the text says why."""


@dataclass(frozen=True)
class Done:
    """An ended command.

    Args:
        out: standard output.
        error: standard error.
        code: exit code, negative for a signal.
        cpu_s: user and system time of it and of the children that it waited for, in seconds.
        seconds: wall time.

    """

    out: str
    error: str
    code: int
    cpu_s: float
    seconds: float


def execute(
    words: Sequence[str | Path], *, timeout: float, env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> Done:
    """Run a command to its end.

    Args:
        words: program and arguments; never through a shell.
        timeout: seconds; then it and its process group are killed.
        env: added to this process' environment.
        cwd: working folder.

    Raises:
        Broken: it can't be started, or had to be killed.

    """
    with tempfile.TemporaryFile("w+", errors="replace") as out, tempfile.TemporaryFile("w+", errors="replace") as error:
        begun = time.monotonic()
        try:
            process = subprocess.Popen(
                [str(word) for word in words],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=error,
                env={**os.environ, **(env or {})},
                cwd=cwd,
                start_new_session=True,
            )
        except OSError as reason:
            raise Broken(f"{words[0]} can't be run: {reason.strerror}") from None
        late = threading.Event()

        def kill() -> None:
            late.set()
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)

        timer = threading.Timer(timeout, kill)
        timer.start()
        # wait4 instead of Popen.wait: it tells the processor time of exactly this child and its children.
        _, status, usage = os.wait4(process.pid, 0)
        timer.cancel()
        process.returncode = code = os.waitstatus_to_exitcode(status)
        seconds = time.monotonic() - begun
        if late.is_set():
            raise Broken(f"{words[0]} did not end within {timeout:g} s and was killed")
        out.seek(0)
        error.seek(0)
        cpu = usage.ru_utime + usage.ru_stime
        return Done(out.read(), error.read(), code, cpu, seconds)


@contextlib.contextmanager
def window(store: Store) -> Iterator[Path]:
    """Nobody else measures on this machine while the block runs; gives a folder that is gone afterwards."""
    with store.lock("measured-window"), tempfile.TemporaryDirectory(prefix="bench-") as folder:
        yield Path(folder)
    time.sleep(BETWEEN_S)


def realtime() -> tuple[str, ...]:
    """Command prefix for the priority that the harness gives its own load: here every tool gets it, or none does."""
    if shutil.which("chrt") is None:
        return ()
    tried = subprocess.run(["chrt", "-r", "1", "true"], capture_output=True, check=False)
    return ("chrt", "-r", "1") if tried.returncode == 0 else ()

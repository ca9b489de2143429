"""The records of arrivals that pods leave in a folder of the host: kept as evidence, put away with their namespace."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final, Protocol

from harness.evidence.arrivals import BROKEN, SUFFIX
from harness.evidence.probes import SUFFIX as PROBES
from harness.evidence.store import ARRIVALS

QUIET_S: Final = 1.0
"""Records that didn't grow for this long have settled: what a pod has received it stamps within milliseconds."""
SETTLE_S: Final = 10.0
"""The longest wait for that: twice a request's time-out."""
LOOK_S: Final = 0.1


class Journal(Protocol):
    """Where events go: `harness.journal.Journal`."""

    def event(self, name: str, /, **fields: Any) -> object:
        """Write one event."""


def keep(
    source: Path,
    folder: Path,
    journal: Journal,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Copy the records of a namespace into a scenario's folder, once the load has ended, and journal `arrivals.kept`.

    An answered request was written down before its answer left, so it is there. What a lost one, or one that a proxy
    has sent a second time, still reaches a pod (a process that was stopped reads its socket when it goes on) comes
    later, so the records are given time to settle.

    Args:
        source: the namespace's folder on the host; absent if no pod ever wrote.
        folder: the scenario's; gets ``arrivals/``.
        journal: gets the files' names and sizes in bytes, and what kept them from being all there is; those of
            probes by `probes.kept`.
        clock: monotonic seconds; tests pass a fake one.
        sleep: pauses for seconds; tests pass a fake one.

    Raises:
        OSError: the evidence can't be written.

    """
    faults = []
    if not _settled(source, clock, sleep):
        faults.append(f"records still grew {SETTLE_S:g} s after the load")
    if not source.is_dir():
        faults.append("no pod has written a record into the folder that the nodes share with this host")
    target = folder / ARRIVALS
    target.mkdir()
    files = _copy(_records(source), target, faults)
    journal.event("arrivals.kept", files=files, faults=faults)
    if probed := _records(source, PROBES):  # these never rest: what is there now is taken
        unread: list[str] = []
        journal.event("probes.kept", files=_copy(probed, target, unread), faults=unread)


def _copy(records: Iterable[Path], target: Path, faults: list[str]) -> dict[str, int]:
    """Copies the records; returns their names and sizes in bytes, and adds what can't be read to the faults."""
    files: dict[str, int] = {}
    for path in records:
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError as error:
            faults.append(f"{path.name} can't be read: {error.strerror}")
            continue
        with os.fdopen(descriptor, "rb") as record, (target / path.name).open("wb") as copy:
            shutil.copyfileobj(record, copy, 1 << 20)
            files[path.name] = copy.tell()
    return files


def discard(source: Path) -> None:
    """Remove a namespace's records; what can't be removed goes with the cluster."""
    shutil.rmtree(source, ignore_errors=True)


def _records(source: Path, suffix: str = SUFFIX) -> dict[Path, int]:
    """The records there are, by name, with their sizes in bytes.

    Regular files only: pods may write what they like there, and a link could lead anywhere on this host.
    """
    found = {}
    for path in sorted(path for end in (suffix, suffix + BROKEN) for path in source.glob(f"*{end}")):
        with contextlib.suppress(FileNotFoundError):  # renamed since it was listed
            status = path.lstat()
            if stat.S_ISREG(status.st_mode):
                found[path] = status.st_size
    return found


def _settled(source: Path, clock: Callable[[], float], sleep: Callable[[float], None]) -> bool:
    began = quiet_since = clock()
    before = _records(source)
    while clock() - quiet_since < QUIET_S:
        if clock() - began >= SETTLE_S:
            return False
        sleep(LOOK_S)
        now = _records(source)
        if now != before:
            before, quiet_since = now, clock()
    return True

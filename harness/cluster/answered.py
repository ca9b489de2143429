"""Which pod answered each request: the ingress proxy's access log, read once the load has ended, kept as evidence."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from harness.cluster.proxy_log import LINE, logs_of
from harness.evidence.proxied import SUFFIX
from harness.evidence.sockets import CLASS

if TYPE_CHECKING:
    from harness.cluster.kube import Kube

LINES: Final = 200_000
"""More than the kubelet keeps of one log (containerLogMaxSize, 10 MiB by default): of a longer one the end is read."""
FLUSHED_S: Final = 15.0
"""Envoy writes its log when a buffer is full or 10 s have passed (--file-flush-interval-msec)."""
LOOK_S: Final = 2.0


class Journal(Protocol):
    """Where events go: `harness.journal.Journal`."""

    def event(self, name: str, /, **fields: Any) -> object:
        """Write one event."""


def keep(
    kube: Kube,
    folder: Path,
    run_tag: str,
    sent: int,
    journal: Journal,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Write what each proxy tells of the scenario's requests into its folder, and journal `answers.kept`.

    The log is read again until it has a line for every request, or its buffers must have been written.

    Args:
        kube: of a cluster whose ingress is ours.
        folder: the scenario's.
        run_tag: what the ids of the scenario's requests begin with.
        sent: requests in the record that went to the wire.
        journal: gets the files' names and sizes in bytes, and what kept a log from being read.
        clock: monotonic seconds; tests pass a fake one.
        sleep: pauses for seconds; tests pass a fake one.

    Raises:
        OSError: the evidence can't be written.

    """
    began = clock()
    while True:
        logs, faults = logs_of(kube, LINES)
        found = {name: list(lines(text, run_tag)) for name, text in logs.items()}
        if sum(map(len, found.values())) >= sent or clock() - began >= FLUSHED_S:
            break
        sleep(LOOK_S)
    files = {}
    for name, told in found.items():
        text = "".join(f"{line}\n" for line in told).encode()
        (folder / f"{name}{SUFFIX}").write_bytes(text)
        files[f"{name}{SUFFIX}"] = len(text)
    journal.event("answers.kept", files=files, faults=faults)


def lines(log: str, run_tag: str) -> Iterator[str]:
    """The lines to keep of an access log in Envoy's default format, as `harness.evidence.proxied` reads them.

    Args:
        log: its text.
        run_tag: what the ids begin with.

    """
    shift = time.monotonic_ns() - time.time_ns()
    for line in log.splitlines():
        match = LINE.match(line) if run_tag in line else None
        if match is None or not match["id"].startswith(f"{run_tag}-"):
            continue
        if match["id"].startswith(f"{run_tag}-{CLASS}-"):
            continue  # a socket's line comes when it ends, and its id is that of all its connections
        try:
            start = datetime.fromisoformat(match["start"])
        except ValueError:
            continue
        ns = round(start.timestamp() * 1000) * 1_000_000 + shift
        yield f"U {max(ns, 0)} {match['id']} {match['flags']} {match['upstream'] or '-'}"

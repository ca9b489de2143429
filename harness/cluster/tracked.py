"""Which pod each connection went to: the nodes' tables of connections, looked at while the load runs."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from harness.errors import HarnessError, SetupError
from harness.evidence.tracked import SUFFIX

if TYPE_CHECKING:
    from harness.cluster.engine import Engine

EVERY_S: Final = 4.0
"""A connection that ended by a reset is forgotten after 10 s (nf_conntrack_tcp_timeout_close), others after longer."""
PROC: Final = Path("/proc")
_SIDE: Final = r"src=(\S+) dst=(\S+) sport=(\d+) dport=(\d+)"
_ROW: Final = re.compile(rf" tcp .* {_SIDE} (?:packets=\d+ bytes=\d+ )?{_SIDE} ")


class Journal(Protocol):
    """Where events go: `harness.journal.Journal`."""

    def event(self, name: str, /, **fields: Any) -> object:
        """Write one event."""


def rows(table: str, node_port: int) -> Iterator[tuple[int, str]]:
    """The client's port and the pod's ``ip:port`` of each connection to a NodePort that was answered.

    Args:
        table: as /proc/net/nf_conntrack has it: what the client sent to, then what answers it.
        node_port: the Service's.

    """
    for line in table.splitlines():
        if f" dport={node_port} " not in line or "[UNREPLIED]" in line:
            continue
        match = _ROW.search(f"{line} ")
        if match is not None and int(match[4]) == node_port:
            ip = f"[{match[5]}]" if ":" in match[5] else match[5]
            yield int(match[3]), f"{ip}:{match[7]}"


class Seen:
    """What the looks at one node's table have shown: in which of them, without a gap, a connection was."""

    def __init__(self) -> None:
        self._looks: list[tuple[int, int]] = []
        self._now: dict[tuple[int, str], int] = {}
        self._done: list[tuple[int, int, int, str]] = []

    def add(self, before_ns: int, after_ns: int, found: set[tuple[int, str]]) -> None:
        """One more look."""
        number = len(self._looks)
        self._looks.append((before_ns, after_ns))
        for gone in self._now.keys() - found:
            self._done.append((gone[0], self._now.pop(gone), number - 1, gone[1]))
        for one in found - self._now.keys():
            self._now[one] = number

    def lines(self) -> Iterator[str]:
        """As `harness.evidence.tracked` reads them."""
        last = len(self._looks) - 1
        yield from (f"L {before} {after}" for before, after in self._looks)
        still = [(port, first, last, address) for (port, address), first in self._now.items()]
        yield from (f"C {port} {first} {end} {address}" for port, first, end, address in (*self._done, *still))


class Tracker:
    """Looks at every node's table each few seconds, from this machine, whose kernel the nodes share.

    Args:
        engine: the nodes' container engine.
        nodes: their names.
        node_port: the Service's.
        folder: the scenario's; gets ``<node>.tracked``.
        journal: gets `answers.kept`, with the files' sizes in bytes and what kept a table from being read.
        proc: where the kernel tells of processes; tests pass another folder.

    """

    def __init__(
        self, engine: Engine, nodes: Sequence[str], node_port: int, folder: Path, journal: Journal, proc: Path = PROC
    ) -> None:
        self._engine = engine
        self._node_port = node_port
        self._folder = folder
        self._journal = journal
        self._seen = {node: Seen() for node in nodes}
        self._tables: dict[str, Path] = {}
        self._proc = proc
        self._faults: dict[str, None] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="tracker", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        for node in self._seen:
            try:
                done = self._engine("inspect", "--format", "{{.State.Pid}}", node, what=f"find the process of {node}")
                self._tables[node] = self._proc / str(int(done.stdout)) / "net" / "nf_conntrack"
            except (SetupError, ValueError) as error:
                self._faults[f"the table of {node} can't be found: {error}"] = None
        self._thread.start()

    def keep(self) -> None:
        """Look a last time, write down what was seen, and journal it.

        Raises:
            HarnessError: a look doesn't end.
            OSError: the evidence can't be written.

        """
        self._stop.set()
        self._thread.join(30)
        if self._thread.is_alive():
            raise HarnessError("the nodes' tables of connections can't be read", "report this as a bug")
        self._look()
        files = {}
        for node, seen in self._seen.items():
            text = "".join(f"{line}\n" for line in seen.lines()).encode()
            (self._folder / f"{node}{SUFFIX}").write_bytes(text)
            files[f"{node}{SUFFIX}"] = len(text)
        self._journal.event("answers.kept", files=files, faults=list(self._faults))

    def _run(self) -> None:
        while not self._stop.wait(EVERY_S):
            self._look()

    def _look(self) -> None:
        for node, table in self._tables.items():
            before = time.monotonic_ns()
            try:
                text = table.read_text(errors="replace")
            except OSError as error:
                self._faults[f"the table of {node} can't be read: {error.strerror}"] = None
                continue
            self._seen[node].add(before, time.monotonic_ns(), set(rows(text, self._node_port)))

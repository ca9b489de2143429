"""Who answered, where no answer tells it: the nodes' tables of connections (conntrack), joined by port and time. Pure.

One file per node, ``<node>.tracked``: looks at its table, and the connections to the Service's port that were in it:

    L <CLOCK_MONOTONIC ns before> <ns after>          a look, numbered from 0
    C <client's port> <first look> <last look> <ip:port>   in every look from the first to the last; the pod behind it

A table forgets a connection two minutes after its end, and at once where another one begins from the same port. So of
a client's connection those looks tell that began after its first answer, by when it was in the table, and ended before
the next connection to the same node from the same port. If they all name one pod, that one answered.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from harness.evidence.answerers import FOREVER, UNCLEAR, has_answer, told
from harness.evidence.timeline import Timeline

SUFFIX: Final = ".tracked"
_LOOK: Final = re.compile(r"L (\d{1,18}) (\d{1,18})")
_CONNECTION: Final = re.compile(r"C (\d{1,5}) (\d{1,6}) (\d{1,6}) (\S+)")


@dataclass(frozen=True)
class Table:
    """What one node's file holds.

    Args:
        before: of each look, when it began; ascending.
        after: of each look, when it had ended.
        seen: by the client's port (first look, last look, address).

    """

    before: tuple[int, ...]
    after: tuple[int, ...]
    seen: Mapping[int, tuple[tuple[int, int, str], ...]]


@dataclass(frozen=True)
class Connection:
    """One of the client's connections.

    Args:
        key: (source, number of the connection in it).
        entry: number of the node that it went to.
        port: of its own end.
        opened_ns: when it was sent off at the earliest.
        settled_ns: when its first answer had come.

    """

    key: tuple[int, int]
    entry: int
    port: int
    opened_ns: int
    settled_ns: int


def parse(text: str) -> tuple[Table, int]:
    """A node's file, and how many of its lines are none."""
    looks: list[tuple[int, int]] = []
    seen: dict[int, list[tuple[int, int, str]]] = defaultdict(list)
    strange = 0
    for line in text.splitlines():
        if match := _LOOK.fullmatch(line):
            looks.append((int(match[1]), int(match[2])))
        elif match := _CONNECTION.fullmatch(line):
            seen[int(match[1])].append((int(match[2]), int(match[3]), match[4]))
        else:
            strange += 1
    ordered = looks == sorted(looks) and all(one <= other for one, other in looks)
    strange += 0 if ordered else len(looks)
    made = {port: tuple(rows) for port, rows in seen.items()}
    return Table(tuple(one for one, _ in looks), tuple(other for _, other in looks), made), strange


def join(timeline: Timeline, texts: Mapping[str, str], faults: Iterable[str] = ()) -> Timeline:
    """The timeline with the revision and the pod of every answer that the tables tell beyond doubt.

    Args:
        timeline: its `ports` tell the connections' own ends.
        texts: the files' content by name.
        faults: what is missing of them.

    """
    said = list(faults)
    tables: dict[str, Table] = {}
    for name, text in texts.items():
        table, strange = parse(text)
        if strange:  # which looks a line speaks of can't be known then
            said.append(f"{strange} lines of {name} are torn or out of order")
            continue
        tables[name.removesuffix(SUFFIX)] = table
    addresses: dict[str, int] = {}
    owner: dict[tuple[int, int], int] = {}
    for connection, until_ns in _followed(list(_connections(timeline))):
        found = _address(tables.get(timeline.node(connection.entry)), connection, until_ns)
        if found:
            owner[connection.key] = addresses.setdefault(found, len(addresses))
    samples = timeline.samples
    answered = has_answer(samples)
    keys = zip(samples["source"].tolist(), samples["conn"].tolist(), answered.tolist(), strict=True)
    numbers = [owner.get((source, conn), UNCLEAR) if there else UNCLEAR for source, conn, there in keys]
    return told(timeline, np.asarray(numbers, np.int64), tuple(addresses), said)


def _connections(timeline: Timeline) -> Iterator[Connection]:
    """The client's connections whose port is known."""
    samples = timeline.samples[timeline.samples["conn"] > 0]
    opened: dict[tuple[int, int], int] = {}
    settled: dict[tuple[int, int], int] = {}
    entries: dict[tuple[int, int], int] = {}
    rows = (samples[name].tolist() for name in ("source", "conn", "entry", "sent", "end"))
    for source, conn, entry, sent, end, there in zip(*rows, has_answer(samples).tolist(), strict=True):
        key = (source, conn)
        opened[key] = min(sent, opened.get(key, FOREVER))
        entries[key] = entry
        if there:
            settled[key] = min(end, settled.get(key, FOREVER))
    for source, conn, port in timeline.ports.tolist():
        key = (source, conn)
        if key in opened and port:
            yield Connection(key, entries[key], port, opened[key], settled.get(key, FOREVER))


def _followed(connections: list[Connection]) -> Iterator[tuple[Connection, int]]:
    """Each connection with the time at which the next one from the same port to the same node was sent off."""
    by_end: dict[tuple[int, int], list[Connection]] = defaultdict(list)
    for one in connections:
        by_end[one.entry, one.port].append(one)
    for mine in by_end.values():
        mine.sort(key=lambda one: one.opened_ns)
        for one, following in zip(mine, [*mine[1:], None], strict=True):
            yield one, following.opened_ns if following else FOREVER


def _address(table: Table | None, connection: Connection, until_ns: int) -> str:
    """The one address that every look that can tell names; "" where none does, or they differ."""
    if table is None:
        return ""
    first = bisect_left(table.before, connection.settled_ns)
    last = bisect_left(table.after, until_ns) - 1
    named = {address for begin, end, address in table.seen.get(connection.port, ()) if begin <= last and end >= first}
    return named.pop() if first <= last and len(named) == 1 else ""

"""The nodes' tables of connections: what a line tells, and which looks saw it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from harness.cluster.engine import Engine
from harness.cluster.tracked import Seen, Tracker, rows
from harness.errors import SetupError
from harness.evidence.tracked import parse

# as kernel 6.18 writes them
WAITING = (
    "ipv4     2 tcp      6 112 TIME_WAIT src=10.89.0.1 dst=10.89.0.16 sport=49154 dport=30901 "
    "src=10.244.1.82 dst=10.89.0.16 sport=8080 dport=59671 [ASSURED] mark=0 zone=0 use=2"
)
COUNTED = (
    "ipv4     2 tcp      6 86399 ESTABLISHED src=10.89.0.1 dst=10.89.0.16 sport=41000 dport=30901 packets=3 bytes=164 "
    "src=10.244.2.70 dst=10.89.0.16 sport=8080 dport=41000 packets=2 bytes=112 [ASSURED] mark=0 zone=0 use=2"
)
V6 = (
    "ipv6     10 tcp      6 100 TIME_WAIT src=fd00::1 dst=fd00::16 sport=42000 dport=30901 "
    "src=fd00:10::7 dst=fd00::16 sport=8080 dport=42000 [ASSURED] mark=0 zone=0 use=2"
)
UNANSWERED = (
    "ipv4     2 tcp      6 118 SYN_SENT src=10.89.0.1 dst=10.89.0.16 sport=43000 dport=30901 [UNREPLIED] "
    "src=10.244.1.82 dst=10.89.0.16 sport=8080 dport=43000 mark=0 zone=0 use=2"
)
OTHERS = (
    WAITING.replace("dport=30901", "dport=30902"),
    WAITING.replace("dport=30901", "dport=8443").replace("dport=59671", "dport=30901"),
    WAITING.replace(" tcp      6 112 TIME_WAIT ", " udp      17 28 "),
    "",
)
TABLE = "\n".join([WAITING, COUNTED, V6, UNANSWERED, *OTHERS])


def test_of_a_table_the_answered_connections_to_the_port_count() -> None:
    assert list(rows(TABLE, 30901)) == [
        (49154, "10.244.1.82:8080"),
        (41000, "10.244.2.70:8080"),
        (42000, "[fd00:10::7]:8080"),
    ]


def test_a_gap_between_looks_ends_what_was_seen() -> None:
    seen, one, other = Seen(), (1, "10.0.0.1:80"), (2, "10.0.0.2:80")
    for number, found in enumerate(({one}, {one, other}, {other}, {one, other})):
        seen.add(10 * number, 10 * number + 5, found)
    table, strange = parse("\n".join(seen.lines()))
    assert (table.before, table.after, strange) == ((0, 10, 20, 30), (5, 15, 25, 35), 0)
    assert {port: sorted(found) for port, found in table.seen.items()} == {
        1: [(0, 1, "10.0.0.1:80"), (3, 3, "10.0.0.1:80")],
        2: [(1, 3, "10.0.0.2:80")],
    }


def kept(folder: Path, pids: dict[str, str | SetupError]) -> tuple[dict[str, Any], Tracker]:
    def inspect(*words: str, what: str) -> Any:
        found = pids[words[-1]]
        if isinstance(found, SetupError):
            raise found
        return SimpleNamespace(stdout=found)

    events: list[dict[str, Any]] = []
    journal = SimpleNamespace(event=lambda name, **fields: events.append({"name": name, **fields}))
    tracker = Tracker(cast(Engine, inspect), list(pids), 30901, folder, journal, proc=folder / "proc")
    tracker.start()
    tracker.keep()
    (event,) = events
    assert event.pop("name") == "answers.kept"
    return event, tracker


def test_a_last_look_is_taken_and_kept(tmp_path: Path) -> None:
    table = tmp_path / "proc" / "123" / "net" / "nf_conntrack"
    table.parent.mkdir(parents=True)
    table.write_text(TABLE)
    event, _ = kept(tmp_path, {"bg-worker": "123\n"})
    text = (tmp_path / "bg-worker.tracked").read_text()
    assert event == {"files": {"bg-worker.tracked": len(text)}, "faults": []}
    assert sorted(parse(text)[0].seen) == [41000, 42000, 49154]


def test_a_table_that_cant_be_read_is_a_fault_of_the_record(tmp_path: Path) -> None:
    event, _ = kept(tmp_path, {"bg-worker": "123\n", "bg-worker2": SetupError("gone", ""), "bg-worker3": "?"})
    assert list(event["files"].values()) == [0, 0, 0]
    assert [fault.partition(":")[0] for fault in event["faults"]] == [
        "the table of bg-worker2 can't be found",
        "the table of bg-worker3 can't be found",
        "the table of bg-worker can't be read",
    ]

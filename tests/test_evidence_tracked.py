"""Samples joined with the nodes' tables of connections: true where they tell without doubt, else unknown."""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from harness.checks.promises import CUTOVER, only
from harness.checks.registry import judge
from harness.cluster.tracked import Seen
from harness.evidence import samples as layout
from harness.evidence.store import read
from harness.evidence.timeline import Event, Timeline
from harness.evidence.tracked import SUFFIX, join, parse
from harness.journal import Journal
from tests.simulated import MS, NODES, T0, World, at, changed, event, play, write
from tests.test_evidence_proxied import IMAGE, IPS, PODS, changed_pod, words

LINGER_NS = 120_000 * MS


@dataclass
class Nat:
    """The nodes' tables as a kernel keeps them: an entry per client's port, until it is replaced or forgotten."""

    ports: int
    looks: tuple[float, ...]
    seed: int = 0
    linger_ns: int = LINGER_NS
    reset: float = 0.0
    missed: float = 0.0
    chance: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)

    def seen(self, truth: Timeline) -> tuple[Timeline, dict[str, str]]:
        """The record with the ports that its connections had, and what the looks at each table have shown."""
        samples, ports = truth.samples, []
        entries: dict[int, list[tuple[int, int, int, str]]] = {node: [] for node in range(len(NODES))}
        free: dict[tuple[int, int], int] = {}
        conns, first = np.unique(samples["conn"], return_index=True)
        for conn in conns[np.argsort(samples["sent"][first], kind="stable")].tolist():
            mine = samples[samples["conn"] == conn]
            entry, opened, ended = int(mine["entry"][0]), int(mine["sent"].min()), int(mine["end"].max())
            port = next(p for p in self._any_port() if free.get((entry, p), 0) < opened)
            free[entry, port] = ended
            ports.append((0, conn, port))
            answered = int(mine["end"].min())
            made = opened + self.chance.randint(0, answered - opened)
            # the kernel drops what it remembers of a port when the port begins anew
            entries[entry] = [
                (p, m, min(g, made), ip) if p == port else (p, m, g, ip) for p, m, g, ip in entries[entry]
            ]
            gone = ended + (10 * MS if self.chance.random() < self.reset else self.linger_ns)
            entries[entry].append((port, made, gone, IPS[truth.string(int(mine["pod"][0]))] + ":8080"))
        texts = {NODES[node]: "\n".join(self._file(rows).lines()) for node, rows in entries.items()}
        known = replace(truth, ports=np.asarray(ports, layout.PORT))
        return known, {f"{node}{SUFFIX}": text for node, text in texts.items()}

    def _any_port(self) -> list[int]:
        first = self.chance.randrange(self.ports)
        return [40_000 + (first + number) % self.ports for number in range(self.ports)]

    def _file(self, entries: list[tuple[int, int, int, str]]) -> Seen:
        seen = Seen()
        for seconds in self.looks:
            before = at(seconds)
            after = before + self.chance.randint(0, 50 * MS)
            found = set()
            for port in {one[0] for one in entries}:
                when = self.chance.randint(before, after)
                there = [one for one in entries if one[0] == port and one[1] <= when < one[2]]
                if there and self.chance.random() >= self.missed:
                    found.add((port, max(there, key=lambda one: one[1])[3]))
            seen.add(before, after, found)
        return seen


def world(seconds: float = 4.0, flips: bool = True, seed: int = 0) -> tuple[Timeline, Timeline]:
    """What really happened on fresh and one kept connection, and the record of it without revisions."""
    rates = {"fresh": 40.0, "busy": 10.0}
    moves = World().flips if flips else ()
    made = play(World(seconds, moves, classes=list(rates), rates=rates, seed=seed))
    samples = made.samples.copy()
    busy = samples["cls"] == made.samples["cls"][-1]
    samples["conn"] += 1
    samples["conn"][busy] = 1_000_000
    samples["pod"][busy], samples["revision"][busy] = samples["pod"][busy][0], samples["revision"][busy][0]
    started = {"identity": "conntrack", "container": "api", "image": IMAGE, "nodes": list(NODES)}
    events = [
        Event(one.t, one.name, {**one.fields, **started}) if one.name == "run.started" else one for one in made.events
    ]
    truth = replace(made, samples=samples, events=(*events, *(changed_pod(-1, pod) for pod in PODS)))
    return truth, changed(truth, np.arange(len(samples)), revision=0, pod=0)


def joined(nat: Nat, truth: Timeline, mute: Timeline) -> Timeline:
    made, texts = nat.seen(truth)
    return join(replace(mute, ports=made.ports), texts)


EVERY = tuple(float(second) for second in range(1, 6))


def test_every_answer_is_told_where_ports_are_plenty() -> None:
    truth, mute = world()
    made = joined(Nat(20_000, EVERY), truth, mute)
    assert words(made) == words(truth)
    assert made.joined is not None and made.joined.known == made.joined.answered == len(truth.samples)


@settings(max_examples=80, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    ports=st.integers(6, 400),
    looks=st.lists(st.floats(0, 5), max_size=8),
    linger=st.sampled_from([0, 500 * MS, LINGER_NS]),
    reset=st.floats(0, 1),
    missed=st.floats(0, 0.5),
)
@example(seed=1, ports=6, looks=[1.0, 2.0, 3.0, 4.0], linger=LINGER_NS, reset=0.0, missed=0.0)
def test_whatever_the_tables_forget_and_however_often_ports_come_back_nothing_wrong_is_told(
    seed: int, ports: int, looks: list[float], linger: int, reset: float, missed: float
) -> None:
    truth, mute = world(seed=seed % 1000)
    made = joined(Nat(ports, tuple(sorted(looks)), seed, linger, reset, missed), truth, mute)
    assert all(told in (true, ("", "")) for told, true in zip(words(made), words(truth), strict=True))


def test_a_port_that_comes_back_between_two_looks_leaves_the_first_connection_open() -> None:
    truth, mute = world(3.0, flips=False)
    made = joined(Nat(6, (10.0,)), truth, mute)
    assert made.joined is not None
    assert 0 < made.joined.known < made.joined.answered
    assert all(told in (true, ("", "")) for told, true in zip(words(made), words(truth), strict=True))


def test_a_look_that_began_before_the_answer_tells_nothing() -> None:
    """The table may still hold the former connection from this port."""
    truth, mute = world(1.0, flips=False)
    one = truth.samples[truth.samples["conn"] == 1][0]
    sent, end, node = int(one["sent"]), int(one["end"]), NODES[int(one["entry"])]
    ports = np.asarray([(0, 1, 40_000)], layout.PORT)
    for before, after, tells in ((sent, end + 1, False), (end, end + 1, True)):
        text = f"L {before} {after}\nC 40000 0 0 {IPS['blue-3']}:8080\n"
        made = join(replace(mute, ports=ports), {f"{node}{SUFFIX}": text})
        told = [one for one in words(made) if one != ("", "")]
        assert told == ([("v1", "blue-3")] if tells else [])


@pytest.mark.parametrize(
    "text",
    ["L 5 6\nL 4 7\n", "L 6 5\n", "L 5 6\nC 40000 0\n", "L 5 6\nC 40000 0 0 10.0.0.1:80 x\n", "nonsense\n"],
)
def test_a_damaged_file_is_said_and_tells_nothing(text: str) -> None:
    assert parse(text)[1]
    truth, mute = world(1.0, flips=False)
    made, texts = Nat(20_000, EVERY).seen(truth)
    node = NODES[0]
    whole = join(replace(mute, ports=made.ports), texts)
    torn = join(replace(mute, ports=made.ports), {**texts, f"{node}{SUFFIX}": texts[f"{node}{SUFFIX}"] + "\n" + text})
    assert whole.joined is not None and torn.joined is not None
    assert torn.joined.known < whole.joined.known
    assert "torn or out of order" in torn.joined.faults[0]


def test_without_ports_or_tables_nothing_is_known_and_that_is_inconclusive() -> None:
    truth, mute = world(8.0)
    made, texts = Nat(20_000, tuple(range(1, 10))).seen(truth)
    for timeline in (join(mute, texts), join(replace(mute, ports=made.ports), {}), mute):
        findings = {one.check: one for one in judge(timeline, [only("v2", after=CUTOVER, within=2.0)])}
        assert findings["only"].verdict == findings["identified"].verdict == "inconclusive"
    findings = {
        one.check: one
        for one in judge(join(replace(mute, ports=made.ports), texts), [only("v2", after=CUTOVER, within=2.0)])
    }
    assert findings["only"].verdict == findings["identified"].verdict == "pass"


def test_ports_and_tables_are_read_from_a_runs_folder(tmp_path: Path) -> None:
    truth, mute = world()
    made, texts = Nat(20_000, EVERY).seen(truth)
    port = dict(zip(made.ports["conn"].tolist(), made.ports["port"].tolist(), strict=True))
    on_disk = np.asarray([port[conn] for conn in mute.samples["conn"].tolist()], np.uint16)
    write(tmp_path, changed(mute, np.arange(len(mute.samples)), source=on_disk))
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    with Journal(tmp_path) as journal:
        journal.event("answers.kept", files={name: len(text) for name, text in texts.items()}, faults=[])
    found = read(tmp_path)
    assert sorted(found.ports["port"].tolist()) == sorted(made.ports["port"].tolist())
    assert found.joined is not None and found.joined.known == len(truth.samples)
    assert words(found) == words(truth)
    assert set(found.samples["source"].tolist()) == {0}
    assert event(0, "x").t == T0

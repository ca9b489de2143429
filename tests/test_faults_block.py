"""The protocol of a fault, on faults that only keep a list."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from harness.checks.moment import At, ms
from harness.checks.promises import CUTOVER, ROLLBACK
from harness.cluster.engine import Engine
from harness.errors import ConfigurationError, FaultNotConfirmed, HarnessError, SetupError, WaitTimeout
from harness.faults import left_over
from harness.faults.block import Fault, Faults, Plan
from harness.faults.ground import Ground
from harness.faults.left_over import Cure, FaultJournal
from harness.faults.placed import Strike, call, disarm, sleep_until
from harness.journal import Journal

SLACK_S = 0.25
"""By how much a sleeping thread may be late on a busy machine."""


class FakeEngine:
    """Notes its commands; those that hold a word of ``broken`` fail."""

    def __init__(self) -> None:
        self.ran: list[tuple[str, ...]] = []
        self.broken: set[str] = set()
        self.status = "paused"

    def __call__(self, *words: str, what: str, timeout: float = 0, check: bool = True) -> Any:
        if self.broken & set(" ".join(words).split()):
            raise SetupError(f"could not {what}", "")
        if words[0] != "inspect":
            self.ran.append(words)
        return type("Done", (), {"stdout": f"{self.status}\n"})


class FakeCluster:
    def __init__(self, state: Path | None, engine: FakeEngine | None) -> None:
        self.state, self.engine, self.allowed_faults = state, engine, ()


class Bench:
    """What a test breaks: a list of what was done, in order."""

    def __init__(self, folder: Path) -> None:
        self.did: list[str] = []
        self.engine = FakeEngine()
        self.state = folder / "state"
        self.journal = Journal(folder)
        cluster: Any = FakeCluster(self.state, self.engine)
        nothing: Any = None
        self.ground = Ground(nothing, "ns", nothing, nothing, cluster)
        self.faults = Faults(self.ground, self.journal, FaultJournal(self.state))

    def plan(self, name: str, **change: Any) -> Plan:
        def make(ground: Ground, ident: str) -> Fault:
            assert ground is self.ground and ident
            self.did.append(f"arm {name}")
            strike: Strike = call(lambda: self.did.append(f"inject {name}"))
            told: dict[str, Any] = {"undo": lambda: self.did.append(f"heal {name}"), **change}
            return Fault(f"target of {name}", told.pop("strike", strike), told.pop("seen", lambda: f"{name}!"), **told)

        return Plan(name, make)

    def announce(self, move: str, in_s: float) -> int:
        at_ns = time.monotonic_ns() + round(in_s * 1e9)
        self.journal.event("cutover.planned", move=move, at_ns=at_ns)
        return at_ns

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.journal.path.read_text().splitlines()]

    def named(self, name: str) -> list[dict[str, Any]]:
        return [event for event in self.events() if event["name"] == name]

    def on_disk(self) -> list[Path]:
        return sorted((self.state / "faults").glob("*"))


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_moments_are_names_with_an_offset() -> None:
    assert CUTOVER == "cutover" and CUTOVER + "s" == "cutovers"
    assert CUTOVER - ms(200) == At("cutover", -200.0)
    assert ROLLBACK + ms(1.5) == At("rollback", 1.5)
    assert str(CUTOVER - ms(200)) == "cutover - 200 ms"


def test_a_block_injects_confirms_and_heals_last_in_first_out(bench: Bench) -> None:
    with bench.faults.during(bench.plan("a"), bench.plan("b")):
        bench.did.append("body")
    assert bench.did == ["arm a", "inject a", "arm b", "inject b", "body", "heal b", "heal a"]
    names = [(event["name"], event["kind"]) for event in bench.events()]
    assert names == [
        *((f"fault.{verb}", kind) for kind in "ab" for verb in ("armed", "injected", "confirmed")),
        ("fault.healed", "b"),
        ("fault.healed", "a"),
    ]
    assert bench.named("fault.confirmed")[0]["effect"] == "a!"


def test_whatever_ends_the_body_all_is_healed(bench: Bench) -> None:
    with pytest.raises(KeyboardInterrupt), bench.faults.during(bench.plan("a")), bench.faults.during(bench.plan("b")):
        raise KeyboardInterrupt
    assert bench.did[-2:] == ["heal b", "heal a"]


def test_an_effect_that_nobody_sees_ends_the_block_and_heals(bench: Bench) -> None:
    hidden = bench.plan("b", seen=str, confirm_s=0.1)
    with pytest.raises(FaultNotConfirmed, match="b on target of b"), bench.faults.during(bench.plan("a"), hidden):
        pytest.fail("the body must not run")
    assert bench.did[-2:] == ["heal b", "heal a"]
    assert bench.named("fault.confirmed")[0]["kind"] == "a"
    assert len(bench.named("fault.healed")) == 2


def test_a_strike_that_fails_is_healed_all_the_same(bench: Bench) -> None:
    def strike(at_ns: int | None) -> int:
        raise SetupError("no", "")

    with pytest.raises(SetupError), bench.faults.during(bench.plan("a", strike=strike)):
        pytest.fail("the body must not run")
    assert bench.did == ["arm a", "heal a"]
    assert bench.named("fault.injected") == bench.named("fault.healed") == []


def test_a_heal_that_fails_is_an_error_and_tried_again_at_the_end(bench: Bench) -> None:
    well: list[bool] = []
    plan = bench.plan("a", recovered=lambda: bool(well), heal_s=0.05, cures=(Cure("node", "cure"),))
    with pytest.raises(WaitTimeout, match="recovery from a"), bench.faults.during(plan):
        pass
    assert len(bench.on_disk()) == 1 and bench.named("fault.healed") == []
    well.append(True)
    bench.faults.close()
    assert bench.on_disk() == [] and len(bench.named("fault.healed")) == 1


@pytest.mark.parametrize("offset", [-150.0, 0.0, 100.0])
def test_a_placed_fault_comes_at_its_offset_from_the_announced_instant(bench: Bench, offset: float) -> None:
    with bench.faults.at(At("cutover", offset), bench.plan("a"), bench.plan("b")):
        bench.announce("rollback", 0.0)  # not the one
        at_ns = bench.announce("cutover", 0.3)
        sleep_until(at_ns + 300_000_000)
    assert sorted(bench.did) == ["arm a", "arm b", "heal a", "heal b", "inject a", "inject b"]
    for event in bench.named("fault.injected"):
        assert event["asked_ms"] == offset and event["move"] == "cutover"
        assert offset <= event["reached_ms"] < offset + 1e3 * SLACK_S
        assert event["t"] == pytest.approx(at_ns + event["reached_ms"] * 1e6, abs=2)


def test_only_the_first_move_counts(bench: Bench) -> None:
    with bench.faults.at(CUTOVER, bench.plan("a")):
        for _ in range(2):
            sleep_until(bench.announce("cutover", 0.05))
    assert bench.did.count("inject a") == 1


def test_a_move_that_never_comes_is_said_and_nothing_was_injected(bench: Bench) -> None:
    with (
        pytest.raises(FaultNotConfirmed, match="no rollback was announced"),
        bench.faults.at(ROLLBACK, bench.plan("a")),
    ):
        bench.announce("cutover", 0.0)
    assert bench.did == [] and bench.journal.listeners == []


def test_the_bodys_own_error_is_the_one_to_read(bench: Bench) -> None:
    with pytest.raises(ZeroDivisionError), bench.faults.at(CUTOVER, bench.plan("a")):
        raise ZeroDivisionError


def test_what_a_placed_fault_raises_comes_at_the_end_of_the_block(bench: Bench) -> None:
    hidden = bench.plan("b", seen=str, confirm_s=0.05)
    with pytest.raises(FaultNotConfirmed), bench.faults.at(CUTOVER, bench.plan("a"), hidden):
        bench.announce("cutover", 0.05)
        bench.did.append("body")
    assert "body" in bench.did and {"heal a", "heal b"} <= set(bench.did)


# -- healing by the next run ------------------------------------------------------------------------------------------


def _cures(name: str) -> tuple[Cure, ...]:
    return disarm("node", name), Cure("node", f"cure {name}"), Cure(engine=("unpause", name))


def test_what_will_be_injected_is_on_disk_before_and_gone_once_healed(bench: Bench) -> None:
    seen: list[int] = []
    strike = call(lambda: seen.append(len(bench.on_disk())))
    with bench.faults.during(bench.plan("a", strike=strike, cures=_cures("a"))):
        assert len(bench.on_disk()) == 1
    assert seen == [1] and bench.on_disk() == []
    assert [words[-1] for words in bench.engine.ran][1:] == ["cure a", "a"]


def _killed(bench: Bench) -> None:
    """The files that a run leaves which never came to heal."""
    for name in ("a", "b"):
        FaultJournal(bench.state).write("id", name, f"target of {name}", _cures(name))


def test_the_next_run_heals_last_in_first_out(bench: Bench) -> None:
    _killed(bench)
    said: list[str] = []
    assert left_over.heal(bench.state, cast(Engine, bench.engine), said.append) == []
    assert [words[-1] for words in bench.engine.ran if "cure" in words[-1] or words[0] == "unpause"] == [
        "cure b",
        "b",
        "cure a",
        "a",
    ]
    assert bench.on_disk() == [] and len(said) == 2
    assert left_over.heal(bench.state, cast(Engine, bench.engine), said.append) == []


def test_what_cant_be_healed_is_said_and_stays(bench: Bench) -> None:
    _killed(bench)
    bench.engine.broken = {"b"}
    said: list[str] = []
    assert left_over.heal(bench.state, cast(Engine, bench.engine), said.append) == ["b"]
    assert len(bench.on_disk()) == 1 and any("could not be healed" in line for line in said)


def test_only_what_is_paused_is_unpaused(bench: Bench) -> None:
    bench.engine.status = "running"
    Cure(engine=("unpause", "node")).run(cast(Engine, bench.engine))
    assert bench.engine.ran == []


def test_a_damaged_file_stops_nothing(bench: Bench) -> None:
    _killed(bench)
    (bench.state / "faults" / "0.json").write_text("{")
    assert left_over.heal(bench.state, cast(Engine, bench.engine), lambda text: None) == ["0.json"]


def test_on_somebody_elses_cluster_nothing_is_broken_that_its_namespace_doesnt_take_along(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    nobodys: Any = FakeCluster(None, None)
    faults = Faults(Ground(bench.ground.kube, "ns", bench.ground.config, bench.ground.release, nobodys), bench.journal,
                    FaultJournal(None))  # fmt: skip
    with pytest.raises(ConfigurationError, match="node-paused"), faults.during(bench.plan("node-paused")):
        pytest.fail("the body must not run")
    with pytest.raises(SetupError), faults.during(Plan("x", lambda ground, ident: _never(_cures("x")))):
        pytest.fail("the body must not run")
    assert bench.did == []


def _never(cures: tuple[Cure, ...]) -> Fault:
    def strike(at_ns: int | None) -> int:
        raise AssertionError("injected")

    return Fault("x", strike, str, cures)


def test_a_helper_that_never_ends_is_an_error_not_a_hang(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    import threading

    monkeypatch.setattr("harness.faults.block.END_S", 0.05)
    gate = threading.Event()
    wait: Callable[[], object] = lambda: gate.wait(10)  # noqa: E731
    with pytest.raises(HarnessError, match="did not end"), bench.faults.at(CUTOVER, bench.plan("a", strike=call(wait))):
        bench.announce("cutover", 0.0)
    gate.set()

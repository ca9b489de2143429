"""The runner of procedures, and the hands that do what people do: against fakes, the real ones are on the cluster."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from harness.cluster.answers import PodInfo
from harness.errors import IllegalMove, SetupError, SmokeFailed
from harness.journal import Journal
from harness.mutants.hands import Hands
from harness.mutants.mutant import Mutant
from harness.mutants.procedure import NUMBERED, STEPS, parse
from harness.mutants.runner import Runner, nobody
from tests.fake_kube import config_in


class Recorded:
    """Notes every call; `active` and `idle` are sides."""

    active, idle = "blue", "green"

    def __init__(self, told: list[str]) -> None:
        self._told = told

    def __getattr__(self, name: str) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            shown = [str(one) for one in args] + [f"{k}={v}" for k, v in kwargs.items() if v is not nobody]
            self._told.append(" ".join([name, *shown]))
            if name == "smoke" and "bad" in self._told[0]:
                raise SmokeFailed("no", "mend it")
            if name == "rollback":
                raise IllegalMove("no", "don't")
            return ["p"] * 4 if name == "ready" else contextlib.nullcontext()

        return call


def ran(procedure: str, folder: Path, new: str = "v2") -> list[str]:
    told: list[str] = []

    @contextlib.contextmanager
    def load() -> Iterator[Any]:
        told.append("load")
        yield None
        told.append("unload")

    mutant = Mutant("x", folder, "M3", "", "", "traffic", parse(procedure, "x"))
    with Journal(folder) as journal:
        both = cast(Any, Recorded(told))
        Runner(both, load, both, both, journal, new).run(mutant)
    steps = [json.loads(line)["step"] for line in journal.path.read_text().splitlines()]
    assert steps == [one.strip() for one in procedure.split(",")]
    return told


def test_the_steps_go_one_after_the_other_and_the_load_ends_last(tmp_path: Path) -> None:
    told = ran("deploy, smoke, load, cutover, watch 4", tmp_path)
    assert told == ["deploy v2", "smoke", "load", "cutover", "watch seconds=4", "unload"]


def test_who_moves_users_by_hand_knows_where_they_are_afterwards(tmp_path: Path) -> None:
    told = ran("start, select-idle, delete-pod, select-idle, delete-pod, scale-idle 1", tmp_path)
    assert told[:2] == ["ready blue", "put green v2 4"]
    assert told[2:] == ["select green", "delete_pod green", "select blue", "delete_pod blue", "scale green 1"]


def test_a_smoke_that_is_only_tried_stops_nothing_and_a_refusal_does(tmp_path: Path) -> None:
    assert ran("deploy, try-smoke, select-idle", tmp_path, "bad")[-1] == "select green"
    with pytest.raises(IllegalMove):
        ran("load, rollback, watch 3", tmp_path)


def test_every_step_can_be_done(tmp_path: Path) -> None:
    for name in STEPS:
        if name != "rollback":
            assert ran(f"{name} 3" if name in NUMBERED else name, tmp_path / name)


def hands(folder: Path, exit_code: int = 0) -> tuple[Hands, Path]:
    program, log = folder / "kubectl", folder / "log"
    program.write_text(f'#!/bin/sh\necho "$@" >> {log}\nexit {exit_code}\n')
    program.chmod(0o755)
    pods = [
        PodInfo(f"shop-green-{n}", "w", n != 1, "", 0, "", "Running", n == 2, ("api",)) for n in range(4)
    ]  # fmt: skip
    kube = SimpleNamespace(kubeconfig=folder / "config", pods_of=lambda *_: pods)
    place = SimpleNamespace(name="ns", kube=kube)
    cluster = SimpleNamespace(kubectl=program)
    return Hands(cast(Any, cluster), cast(Any, place), config_in(folder), folder), log


def said(log: Path, folder: Path) -> list[str]:
    front = f"--kubeconfig {folder / 'config'} --namespace ns "
    lines = log.read_text().splitlines()
    assert all(line.startswith(front) for line in lines)
    return [line.removeprefix(front) for line in lines]


def test_hands_speak_kubectl(tmp_path: Path) -> None:
    mine, log = hands(tmp_path)
    file = tmp_path / "by-hand.json"
    mine.put("green", "v2", 4)
    mine.delete("blue")
    mine.restart("green")
    mine.select(None)
    mine.select_nothing()
    assert mine.delete_pod("green") == "shop-green-0"
    assert mine.evict("green") == 2  # not the one that isn't ready, nor the one that ends already
    assert mine.drain_pod("green", 8) == "shop-green-0"
    assert said(log, tmp_path) == [
        "set image deployment/shop-green api=localhost/shop:v2",
        "scale deployment/shop-green --replicas=4",
        "delete deployment/shop-blue --wait=false",
        "rollout restart deployment/shop-green",
        "rollout status deployment/shop-green --timeout=60s",
        'patch service/shop --type=merge --patch {"spec": {"selector": {"color": null}}}',
        'patch service/shop --type=merge --patch {"spec": {"selector": null}}',
        "delete pod/shop-green-0 --wait=false",
        *(f"create --raw /api/v1/namespaces/ns/pods/shop-green-{n}/eviction -f {file}" for n in (0, 3)),
        f"create --raw /api/v1/namespaces/ns/pods/shop-green-0:9000/proxy/drain?seconds=8 -f {file}",
    ]
    assert json.loads(file.read_text()) == {}


def test_an_eviction_that_is_refused_is_counted_and_any_other_refusal_is_an_error(tmp_path: Path) -> None:
    mine, _ = hands(tmp_path, exit_code=1)
    assert mine.evict("green") == 0
    for deed in (lambda: mine.scale("green", 1), lambda: mine.drain_pod("green", 3)):
        with pytest.raises(SetupError):
            deed()

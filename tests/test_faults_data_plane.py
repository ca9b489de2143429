"""What is done to the data plane, on a cluster in memory: seen by its pods, written down before, over after."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from harness.cluster.running import Cluster
from harness.errors import ConfigurationError
from harness.faults.block import Faults, Plan
from harness.faults.data_plane import (
    edit_another_ingress,
    kill_ingress_proxies,
    restart_ingress_controller,
    restart_ingress_proxies,
    restart_kube_proxy,
)
from harness.faults.ground import Ground
from harness.faults.left_over import FaultJournal, heal
from harness.journal import Journal
from tests.fake_kube import CONFIG, FakeKube, config_in


class World(FakeKube):
    """A cluster whose restarts give new pods at once."""

    def __init__(self) -> None:
        super().__init__()
        self.scripts: list[str] = []
        self.generation = 0
        self.ingresses: dict[str, dict[str, Any]] = {}
        self.seen: list[str] = []
        self.engine: Any = self

    def __call__(self, *words: str, what: str, timeout: float = 0, check: bool = True) -> SimpleNamespace:
        assert words[:4] == ("exec", "x-control-plane", "bash", "-c")
        script = words[4]
        self.scripts.append(script)
        if "rollout restart" in script or "delete pods" in script:
            self.generation += 1
            return SimpleNamespace(stdout="armed 1\nreached 2\n", returncode=0)
        if "delete ingress" in script:
            self.ingresses.clear()
        return SimpleNamespace(stdout="daemon set successfully rolled out\n", returncode=0)

    def objects(self, namespace: str, resource: str, group: str = "v1", selector: str = "") -> list[dict[str, Any]]:
        return list(self.ingresses.values())

    def pods(self, namespace: str, labels: dict[str, str]) -> list[SimpleNamespace]:
        (name,) = labels.values()
        return [SimpleNamespace(name=f"{namespace}/{name}-{self.generation}")]

    def apply(self, objects: list[dict[str, Any]], namespace: str) -> None:
        for item in objects:
            self.ingresses[item["metadata"]["name"]] = item
            self.seen.append(item["spec"]["rules"][0]["http"]["paths"][0]["path"])


@dataclass
class Bench:
    world: World
    journal: Journal
    folder: Path

    def faults(self, text: str = CONFIG) -> Faults:
        nodes = [SimpleNamespace(name=f"x-{end}") for end in ("worker", "worker2", "control-plane")]
        cluster = cast(Cluster, SimpleNamespace(engine=self.world.engine, nodes=nodes, allowed_faults=()))
        nobody: Any = None
        ground = Ground(self.world.kube, "ns", config_in(self.folder, text), nobody, cluster)
        return Faults(ground, self.journal, FaultJournal(self.folder / "state"))

    def events(self) -> list[str]:
        return [json.loads(line)["name"] for line in self.journal.path.read_text().splitlines()]

    def on_disk(self) -> list[dict[str, Any]]:
        return [json.loads(file.read_text()) for file in (self.folder / "state" / "faults").glob("*.json")]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with Journal(tmp_path / "run") as journal:
        yield Bench(World(), journal, tmp_path)


ACTS = ["fault.armed", "fault.injected", "fault.confirmed", "fault.healed"]


@pytest.mark.parametrize(
    ("plan", "namespace", "pods", "act"),
    [
        (restart_ingress_controller(), "projectcontour", "contour", "rollout restart deployment/contour"),
        (restart_ingress_proxies(), "projectcontour", "envoy", "rollout restart daemonset/envoy"),
        (
            kill_ingress_proxies(),
            "projectcontour",
            "envoy",
            "delete pods --selector app=envoy --grace-period=0 --force",
        ),
        (restart_kube_proxy(), "kube-system", "kube-proxy", "rollout restart daemonset/kube-proxy"),
    ],
    ids=lambda value: value.kind if isinstance(value, Plan) else "",
)
def test_new_pods_are_seen_and_the_old_ones_waited_for(
    bench: Bench, plan: Plan, namespace: str, pods: str, act: str
) -> None:
    with bench.faults().during(plan):
        assert bench.events() == ACTS[:3]
        assert [told["kind"] for told in bench.on_disk()] == [plan.kind]
    assert bench.events() == ACTS
    assert bench.on_disk() == []
    assert f"--namespace {namespace} {act}" in bench.world.scripts[0]
    (confirmed,) = [line for line in bench.journal.path.read_text().splitlines() if "fault.confirmed" in line]
    assert json.loads(confirmed)["effect"] == f"{namespace}/{pods}-1 wasn't there before"


def test_another_ingress_comes_changes_and_goes(bench: Bench) -> None:
    with pytest.raises(RuntimeError), bench.faults().during(edit_another_ingress(times=3)):
        assert bench.world.seen == ["/0", "/1", "/2"]
        (rule,) = bench.world.ingresses["other"]["spec"]["rules"]
        assert rule["host"] != "shop.example.com"
        raise RuntimeError
    assert bench.world.ingresses == {}
    assert bench.events() == ACTS


def test_the_next_run_takes_away_another_ingress_that_a_killed_one_left(bench: Bench) -> None:
    with bench.faults().during(edit_another_ingress()):
        left = bench.folder / "killed"
        (bench.folder / "state").rename(left)
        bench.world.scripts.clear()
        assert heal(left, bench.world.engine, print) == []
        assert bench.world.ingresses == {}
        assert "delete ingress other --namespace ns --ignore-not-found" in bench.world.scripts[0]
        (left / "faults").rmdir()


def test_a_cluster_of_somebody_else_s_is_left_alone(bench: Bench) -> None:
    bench.world.engine = None
    for plan in (restart_ingress_controller(), edit_another_ingress(), restart_kube_proxy()):
        with pytest.raises(ConfigurationError, match="a cluster that the harness made"), bench.faults().during(plan):
            pytest.fail("it was let in")
    assert bench.events() == []


def test_without_an_ingress_no_other_is_edited(bench: Bench) -> None:
    faults = bench.faults(CONFIG.replace('[ingress]\nname = "shop"\nhost = "shop.example.com"\n', ""))
    with pytest.raises(ConfigurationError, match=r"no \[ingress\]"), faults.during(edit_another_ingress()):
        pytest.fail("it was let in")

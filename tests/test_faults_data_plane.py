"""What is done to the data plane, on a cluster in memory: every act is an event, and ends with its block."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from harness.cluster.running import Cluster
from harness.errors import ConfigurationError
from harness.faults.data_plane import RESTARTED, DataPlane
from harness.faults.reach import BEYOND
from harness.journal import Journal
from tests.fake_kube import CONFIG, FakeKube, config_in


class World(FakeKube):
    """A cluster whose restarts give new pods at once, and whose node can be paused."""

    def __init__(self) -> None:
        super().__init__()
        self.commands: list[tuple[str, ...]] = []
        self.generation = 0
        self.ingresses: dict[str, dict[str, Any]] = {}
        self.seen: list[str] = []
        self.status = "running"
        self.engine: Any = self

    def __call__(self, *words: str, what: str, timeout: float = 0) -> SimpleNamespace:
        self.commands.append(words)
        if "restart" in words:
            self.generation += 1
        if "delete" in words:
            del self.ingresses[words[-1]]
        if words[0] in ("pause", "unpause"):
            self.status = {"pause": "paused", "unpause": "running"}[words[0]]
        return SimpleNamespace(stdout=f"{self.status}\n")

    def objects(self, namespace: str, resource: str, group: str = "v1", selector: str = "") -> list[dict[str, Any]]:
        if resource == "ingresses":
            return list(self.ingresses.values())
        names = [name for space, kind, name in RESTARTED.values() if (space, f"{kind}s") == (namespace, resource)]
        return [{"metadata": {"name": name}, "spec": {"selector": {"matchLabels": {"app": name}}}} for name in names]

    def pods(self, namespace: str, labels: dict[str, str]) -> list[SimpleNamespace]:
        return [SimpleNamespace(name=f"{labels['app']}-{self.generation}")]

    def apply(self, objects: list[dict[str, Any]], namespace: str) -> None:
        for item in objects:
            self.ingresses[item["metadata"]["name"]] = item
            self.seen.append(item["spec"]["rules"][0]["http"]["paths"][0]["path"])


@dataclass
class Bench:
    world: World
    journal: Journal
    folder: Path
    nodes: list[SimpleNamespace] = field(
        default_factory=lambda: [SimpleNamespace(name=f"x-{end}") for end in ("control-plane", "worker", "worker2")]
    )

    def plane(self, text: str = CONFIG) -> DataPlane:
        cluster = cast(Cluster, SimpleNamespace(engine=self.world.engine, nodes=self.nodes, allowed_faults=()))
        return DataPlane(self.world.kube, "ns", config_in(self.folder, text), cluster, self.journal)

    def events(self) -> list[str]:
        return [json.loads(line)["name"] for line in self.journal.path.read_text().splitlines()]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with Journal(tmp_path / "run") as journal:
        yield Bench(World(), journal, tmp_path)


ACTS = ["fault.injected", "fault.confirmed", "fault.healed"]


@pytest.mark.parametrize("kind", RESTARTED)
def test_a_restart_is_confirmed_by_new_pods_and_waited_for(bench: Bench, kind: str) -> None:
    plane = bench.plane()
    act = {
        "ingress-controller-restarted": plane.controller_restarted,
        "ingress-proxy-restarted": plane.proxy_restarted,
        "kube-proxy-restarted": plane.kube_proxy_restarted,
    }[kind]
    namespace, resource, name = RESTARTED[kind]
    with act():
        assert bench.events() == ACTS[:2]
    assert bench.events() == ACTS
    restart, status = bench.world.commands
    assert restart[:2] == ("exec", "x-control-plane")
    assert restart[-3:] == ("rollout", "restart", f"{resource}/{name}")
    assert namespace in restart
    assert "status" in status


def test_another_ingress_comes_changes_and_goes(bench: Bench) -> None:
    with bench.plane().another_ingress_edited(times=3):
        assert bench.world.seen == ["/0", "/1", "/2"]
        assert list(bench.world.ingresses) == ["other"]
        (rule,) = bench.world.ingresses["other"]["spec"]["rules"]
        assert rule["host"] != "shop.example.com"
    assert bench.world.ingresses == {}
    assert bench.events() == ACTS


def test_a_node_is_paused_for_the_block_even_if_that_breaks(bench: Bench) -> None:
    with pytest.raises(RuntimeError), bench.plane().node_paused():
        assert bench.world.status == "paused"
        raise RuntimeError
    assert bench.world.status == "running"
    assert bench.events() == ACTS
    assert ("pause", "x-worker2") in bench.world.commands


def test_a_cluster_of_somebody_else_s_is_left_alone(bench: Bench) -> None:
    bench.world.engine = None
    plane = bench.plane()
    for act in (plane.controller_restarted, plane.another_ingress_edited, plane.node_paused):
        with pytest.raises(ConfigurationError, match="a cluster that the harness made"), act():
            pytest.fail("it was let in")
    assert set(RESTARTED) <= set(BEYOND)
    assert bench.events() == []


def test_without_an_ingress_no_other_is_edited(bench: Bench) -> None:
    plane = bench.plane(CONFIG.replace('[ingress]\nname = "shop"\nhost = "shop.example.com"\n', ""))
    with pytest.raises(ConfigurationError, match=r"no \[ingress\]"), plane.another_ingress_edited():
        pytest.fail("it was let in")

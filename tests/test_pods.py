"""What a scenario does to one pod: each act reaches the switch, is seen elsewhere, is healed, and is in the record."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from harness.cluster.answers import PodInfo
from harness.cluster.kube import Kube
from harness.errors import ClusterError, ConfigurationError, WaitTimeout
from harness.faults import pods as module
from harness.faults.pods import Pods
from harness.journal import Journal
from harness.release.verbs import Release
from tests.fake_kube import CONFIG, config_in

SWITCHES = CONFIG.replace("port = 9000\n", 'port = 9000\nswitches = "/x"\n')


@dataclass
class FakePod:
    info: PodInfo
    lives: bool = True


class FakePods:
    """Two ready pods of blue whose switches work as the demo application's do, with a kubelet that sees all at once."""

    def __init__(self) -> None:
        self.pods = {
            name: FakePod(PodInfo(name, "worker", True, "10.0.0.1", 0, "", "Running", False, ("api",)))
            for name in ("shop-blue-a-0", "shop-blue-a-1")
        }
        self.posted: list[tuple[str, int, str]] = []
        self.deleted: list[str] = []
        self.restarts_hung = True
        self.believes = True

    def pods_of(self, namespace: str, deployment: str) -> tuple[PodInfo, ...]:
        return tuple(pod.info for pod in self.pods.values()) if deployment == "shop-blue" else ()

    def get_deployment(self, namespace: str, name: str) -> dict[str, Any]:
        ports = [{"containerPort": 9000}, {"containerPort": 8080}]
        return {"spec": {"template": {"spec": {"containers": [{"name": "api", "ports": ports}]}}}}

    def post_raw(self, namespace: str, pod: str, port: int, path: str) -> bytes:
        self.posted.append((pod, port, path))
        one = self.pods[pod]
        if "ready?" in path and self.believes:
            one.info = replace(one.info, ready=path.endswith("=1"))
        if "hang?" in path:
            one.lives = path.endswith("=0")
            if not one.lives and self.restarts_hung:
                one.info = replace(one.info, restarts=1)
        return b"{}"

    def get_raw(self, namespace: str, pod: str, port: int, path: str, timeout: float = 5.0) -> bytes:
        assert (port, path) == (8080, "livez")
        if not self.pods[pod].lives:
            raise ClusterError("no answer", "")
        return b"alive"

    def delete_pod(self, namespace: str, pod: str) -> None:
        self.deleted.append(pod)


class Bench:
    def __init__(self, folder: Path, text: str = SWITCHES) -> None:
        self.fake = FakePods()
        self.journal = Journal(folder / "run")
        release = cast(Release, SimpleNamespace(active="blue", idle="green"))
        self.pods = Pods(cast(Kube, self.fake), "ns", config_in(folder, text), release, self.journal)

    def events(self) -> list[str]:
        found = [json.loads(line) for line in self.journal.path.read_text().splitlines()]
        return [f"{one['name']} {one.get('kind', '')} {one.get('target', one.get('pod', ''))}" for one in found]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.journal.close()


def acts(kind: str, pod: str) -> list[str]:
    return [f"fault.{verb} {kind} {pod}" for verb in ("injected", "confirmed", "healed")]


def test_unready_is_seen_by_the_kubelets_condition_and_healed(bench: Bench) -> None:
    first, second = bench.pods.ready()
    with bench.pods.unready(first):
        assert bench.pods.ready() == [second]
    assert bench.pods.ready() == [first, second]
    assert bench.fake.posted == [(first, 9000, "/x/ready?on=0"), (first, 9000, "/x/ready?on=1")]
    assert bench.events() == acts("pod-unready", first)


def test_what_nobody_else_sees_is_never_confirmed_and_is_healed_all_the_same(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CONFIRM_S", 0.2)
    bench.fake.believes = False
    with pytest.raises(WaitTimeout, match="an effect of pod-unready"), bench.pods.unready("shop-blue-a-0"):
        raise AssertionError("the block may not begin")
    assert [path for _, _, path in bench.fake.posted] == ["/x/ready?on=0", "/x/ready?on=1"]
    assert bench.events() == ["fault.injected pod-unready shop-blue-a-0"]


def test_a_hung_pod_is_healed_by_its_restart_or_by_its_switch(bench: Bench) -> None:
    with bench.pods.hung("shop-blue-a-0"):
        pass
    assert [path for _, _, path in bench.fake.posted] == ["/x/hang?on=1"]
    bench.fake.restarts_hung = False
    with bench.pods.hung("shop-blue-a-1", restarts=False):
        assert not bench.fake.pods["shop-blue-a-1"].lives
    assert bench.fake.pods["shop-blue-a-1"].lives
    assert bench.events() == acts("pod-hung", "shop-blue-a-0") + acts("pod-hung", "shop-blue-a-1")


def test_a_slow_pod_is_seen_by_asking_it(bench: Bench) -> None:
    with bench.pods.slow("shop-blue-a-0", 0):
        pass
    assert [path for _, _, path in bench.fake.posted] == ["/x/delay?ms=0", "/x/delay?ms=0"]
    assert bench.events() == acts("pod-slow", "shop-blue-a-0")


def test_deletion_and_drain_are_told_before_they_are_done(bench: Bench) -> None:
    bench.pods.delete("shop-blue-a-0")
    bench.pods.drain_side("blue")
    assert bench.fake.deleted == ["shop-blue-a-0"]
    assert [path for _, _, path in bench.fake.posted] == ["/x/drain", "/x/drain"]
    assert bench.events() == [
        "pod.deleted  shop-blue-a-0",
        "side.drained  ",
        "pod.drained  shop-blue-a-0",
        "pod.drained  shop-blue-a-1",
    ]


def test_without_switches_nothing_is_done(tmp_path: Path) -> None:
    bench = Bench(tmp_path, CONFIG)
    with pytest.raises(ConfigurationError, match="no switches under"):
        bench.pods.drain("shop-blue-a-0")
    assert bench.fake.posted == []
    bench.journal.close()

"""The gate before users, and a scenario's changes to the manifests."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.errors import ConfigurationError, IllegalMove, UnsafeProbes
from harness.journal import Journal
from harness.release.changed import Change, apply_changes, both_sides, idle_side, service
from harness.release.switches.selector import SelectorSwitch
from harness.release.verbs import Release
from tests.fake_kube import CONFIG, FakeClock, FakeKube, config_in

READINESS = {"httpGet": {"path": "/readyz"}, "periodSeconds": 1}


class Bench:
    def __init__(self, folder: Path, text: str = CONFIG) -> None:
        self.fake, self.clock = FakeKube(), FakeClock()
        self.journal = Journal(folder / "run")
        config = config_in(folder, text)
        switch = SelectorSwitch(self.fake.kube, "ns", config)
        kube, clock = self.fake.kube, self.clock.clock
        self.release = Release(kube, config, switch, self.journal, "ns", smoke_image="smoke:1", clock=clock)
        self.release.install("v1", [{"kind": "Service", "metadata": {"name": "shop"}}])

    def events(self, name: str) -> list[dict[str, Any]]:
        found = [json.loads(line) for line in self.journal.path.read_text().splitlines()]
        return [event for event in found if event["name"] == name]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.release.close()
    made.journal.close()


def test_a_side_without_readiness_is_refused_before_it_has_a_pod(bench: Bench) -> None:
    bench.fake.probes["shop-green"] = {}
    with pytest.raises(UnsafeProbes, match="deploy: the probes of green are unsafe: green: container api has no"):
        bench.release.deploy("v2")
    assert ("scale", "shop-green", "4") not in bench.fake.calls
    assert bench.release.version_of("green") is None
    (refusal,) = bench.events("deploy.refused")
    assert "no readinessProbe" in refusal["reason"]
    look = bench.events("probes.applied")[-1]
    assert (look["verb"], look["side"], look["sides"]["green"]) == ("deploy", "green", {})
    assert look["missing"] == ["container api has no readinessProbe: its pods get users as soon as their process runs"]


def test_drift_between_deploy_and_cutover_is_refused_by_name(bench: Bench) -> None:
    bench.release.deploy("v2")
    bench.release.smoke()
    bench.fake.probes["shop-green"] = {"readinessProbe": {**READINESS, "periodSeconds": 10}}
    with pytest.raises(IllegalMove, match=r"green and blue differ in api\.readinessProbe\.periodSeconds: 10 and 1"):
        bench.release.cutover()
    assert bench.fake.selector["color"] == "blue"
    assert [one["move"] for one in bench.events("cutover.refused")] == ["cutover"]


def test_a_rollback_is_never_barred(bench: Bench) -> None:
    bench.release.deploy("v2")
    bench.release.smoke()
    bench.release.cutover()
    bench.fake.probes["shop-blue"] = {}
    bench.release.rollback()
    assert bench.fake.selector["color"] == "blue"


def test_a_gate_that_only_tells_lets_it_pass_and_keeps_the_evidence(bench: Bench, tmp_path: Path) -> None:
    bench.fake.probes["shop-green"] = {}
    bench.release.probes.trust()
    bench.release.deploy("v2")
    assert [one["refuses"] for one in bench.events("probes.applied")] == [True, False]
    (tmp_path / "other").mkdir()
    told = Bench(tmp_path / "other", CONFIG + '[probes]\ngate = "tell"\n')
    told.fake.probes["shop-green"] = {}
    told.release.deploy("v2")
    assert told.release.version_of("green") == "v2"
    assert told.events("probes.applied")[-1]["missing"]
    told.release.close()
    told.journal.close()


def objects() -> list[dict[str, Any]]:
    def deployment(name: str) -> dict[str, Any]:
        env = [{"name": "A", "value": "1"}, {"name": "POD", "valueFrom": {}}]
        api = {"name": "api", "env": env, "readinessProbe": {"httpGet": {"path": "/", "port": 1}, "periodSeconds": 1}}
        spec = {"template": {"spec": {"containers": [api, {"name": "proxy"}]}}}
        return {"kind": "Deployment", "metadata": {"name": name}, "spec": spec}

    switch = {"kind": "Service", "metadata": {"name": "shop"}, "spec": {"selector": {"color": "blue"}, "type": "X"}}
    return [deployment("shop-blue"), deployment("shop-green"), switch]


def container(items: list[dict[str, Any]], at: int) -> dict[str, Any]:
    found: dict[str, Any] = items[at]["spec"]["template"]["spec"]["containers"][0]
    return found


def test_changes_reach_what_they_name_and_nothing_else(tmp_path: Path) -> None:
    config, given = config_in(tmp_path), objects()
    changes = (
        both_sides(readinessProbe={"httpGet": {"path": "/readyz"}}, env={"B": "2"}),
        idle_side(readinessProbe={"periodSeconds": None}, env={"A": None}),
        service(sessionAffinity="ClientIP", type=None),
    )
    changed = apply_changes(config, given, changes)
    assert given == objects(), "the given ones stay as they are"
    blue, green = container(changed, 0), container(changed, 1)
    assert blue["readinessProbe"] == {"httpGet": {"path": "/readyz", "port": 1}, "periodSeconds": 1}
    assert green["readinessProbe"] == {"httpGet": {"path": "/readyz", "port": 1}}
    assert blue["env"] == [{"name": "A", "value": "1"}, {"name": "POD", "valueFrom": {}}, {"name": "B", "value": "2"}]
    assert green["env"] == [{"name": "POD", "valueFrom": {}}, {"name": "B", "value": "2"}]
    assert changed[0]["spec"]["template"]["spec"]["containers"][1] == {"name": "proxy"}
    assert changed[2]["spec"] == {"selector": {"color": "blue"}, "sessionAffinity": "ClientIP"}


def test_a_probe_is_removed_and_a_change_without_a_target_is_refused(tmp_path: Path) -> None:
    config = config_in(tmp_path)
    changed = apply_changes(config, objects(), [idle_side(readinessProbe=None)])
    assert "readinessProbe" in container(changed, 0)
    assert "readinessProbe" not in container(changed, 1)
    with pytest.raises(ConfigurationError, match="reaches no"):
        apply_changes(config, objects(), [Change("nobody", {})])

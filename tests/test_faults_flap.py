"""Readiness that goes and comes: by the application's switch, seen by the pod's condition, ended with the block."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from harness.cluster.running import Cluster
from harness.errors import ConfigurationError, FaultNotConfirmed
from harness.faults import pod as module
from harness.faults.block import Faults
from harness.faults.ground import Ground
from harness.faults.left_over import FaultJournal
from harness.faults.pod import flap_pod
from harness.journal import Journal
from tests.fake_kube import CONFIG, config_in
from tests.test_pods import SWITCHES

POD = "shop-blue-a-0"


class Cluster4:
    """Pods whose conditions, at each look, are what the kubelet has told by then."""

    def __init__(self, told: list[bool]) -> None:
        self.told = told
        self.posted: list[tuple[str, int, str]] = []

    def _pods(self, ready: bool) -> list[SimpleNamespace]:
        return [SimpleNamespace(name=name, ready=ready or name != POD, terminating=False) for name in (POD, "other")]

    def pods_of(self, namespace: str, deployment: str) -> list[SimpleNamespace]:
        assert deployment == "shop-blue"
        return self._pods(True)

    def pods(self, namespace: str) -> list[SimpleNamespace]:
        assert self.posted, "looked at once the switch is on"
        return self._pods(self.told.pop(0) if len(self.told) > 1 else self.told[0])

    def post_raw(self, namespace: str, pod: str, port: int, path: str) -> bytes:
        self.posted.append((pod, port, path))
        return b"{}"

    def rollout_status(self, namespace: str, name: str) -> SimpleNamespace:
        return SimpleNamespace(ready=4, wanted=4)


def faults_on(kube: Cluster4, folder: Path, text: str = SWITCHES) -> tuple[Faults, Journal]:
    journal = Journal(folder / "run")
    cluster = cast(Cluster, SimpleNamespace(engine=None, nodes=(), state=None, allowed_faults=()))
    ground = Ground(cast(Any, kube), "ns", config_in(folder, text), cast(Any, None), cluster)
    return Faults(ground, journal, FaultJournal(None)), journal


def test_it_is_confirmed_by_a_condition_that_went_and_came_back_also_on_somebody_elses_cluster(tmp_path: Path) -> None:
    kube = Cluster4([True, False, False, True])
    faults, journal = faults_on(kube, tmp_path)
    with faults.during(flap_pod("blue", off_s=4, on_s=3, at_most_s=50)):
        assert kube.told == [True], "each of its looks was needed"
        assert kube.posted == [(POD, 9000, "/x/flap?off_ms=4000&on_ms=3000&seconds=50")]
    assert kube.posted[1:] == [(POD, 9000, "/x/flap?off_ms=4000&on_ms=3000&seconds=0")]
    journal.close()
    events = [json.loads(line) for line in journal.path.read_text().splitlines()]
    assert [(one["name"], one["kind"], one["target"]) for one in events] == [
        (f"fault.{verb}", "pod-flaps", POD) for verb in ("armed", "injected", "confirmed", "healed")
    ]


@pytest.mark.parametrize("told", [[True], [False]], ids=["stays-ready", "stays-away"])
def test_a_pod_that_doesnt_flap_is_no_fault(told: list[bool], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FLAP_CONFIRM_S", 0.2)
    kube = Cluster4(told)
    faults, journal = faults_on(kube, tmp_path)
    with pytest.raises(FaultNotConfirmed, match="pod-flaps"), faults.during(flap_pod("blue")):
        raise AssertionError("the block may not begin")
    assert kube.posted[-1][2].endswith("seconds=0"), "ended all the same"
    journal.close()


def test_without_switches_it_is_refused(tmp_path: Path) -> None:
    faults, journal = faults_on(Cluster4([True]), tmp_path, CONFIG)
    with pytest.raises(ConfigurationError, match="no switches under"), faults.during(flap_pod("blue")):
        raise AssertionError("the block may not begin")
    journal.close()

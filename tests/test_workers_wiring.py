"""How scenarios come to workers: the path, the number, the Job, the Service's address; and how a worker paces."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import collecting
from harness.client.divided import divided, names_taken
from harness.client.generator import Generator
from harness.client.plan import ClassPlan, Entry, LoadPlan
from harness.cluster.kube import Kube
from harness.cluster.owned import OWNED
from harness.config import Config
from harness.errors import ConfigurationError
from harness.evidence import samples as layout
from harness.workers.job import job
from harness.workers.loading import entries, names
from tests.conftest import closed_port
from tests.fake_kube import config_in


class Asked:
    """What pytest asks a plugin's hook with."""

    def __init__(self, **markers: pytest.Mark) -> None:
        self.definition = SimpleNamespace(get_closest_marker=markers.get)
        self.got: list[Any] = []

    def parametrize(self, names: Any, values: Any, *, indirect: bool) -> None:
        assert indirect
        self.got = [getattr(value, "values", (value,)) for value in values]
        self.tiers = [[mark.name for mark in getattr(value, "marks", ())] for value in values]


def ways(workers: int, switches: tuple[str, ...] = (), **markers: pytest.Mark) -> Asked:
    asked = Asked(**markers)
    collecting.parametrize(cast("pytest.Metafunc", asked), switches, workers)
    return asked


def test_with_workers_the_services_users_are_inside() -> None:
    assert ways(0).got == [("service",), ("ingress",)]
    assert ways(2).got == [("clusterip",), ("ingress",)]
    marked = ways(2, paths=pytest.mark.paths(smoke="service").mark)
    assert (marked.got, marked.tiers) == ([("clusterip",), ("ingress",)], [["smoke"], []])
    assert ways(0, paths=pytest.mark.paths("clusterip").mark).got == [("clusterip",)]


def test_every_switch_is_tried_from_inside_too() -> None:
    mark = pytest.mark.every_switch.mark
    assert ("service", "selector") in [tuple(*one) for one in ways(0, ("selector",), every_switch=mark).got]
    inside = [tuple(*one) for one in ways(1, ("selector",), every_switch=mark).got]
    assert ("clusterip", "selector") in inside
    assert ("service", "selector") not in inside


def test_the_job_is_ours_bounded_and_restricted() -> None:
    made = job("bluegreen-load-1", 3, "image", "token", 3600.0)
    template = made["spec"]["template"]
    assert made["metadata"]["labels"].items() >= dict([OWNED]).items() <= template["metadata"]["labels"].items()
    assert (made["spec"]["completions"], made["spec"]["parallelism"], made["spec"]["backoffLimit"]) == (3, 3, 0)
    assert made["spec"]["activeDeadlineSeconds"] > 3600
    container = template["spec"]["containers"][0]
    assert container["securityContext"]["runAsNonRoot"] and container["securityContext"]["readOnlyRootFilesystem"]
    assert not template["spec"]["automountServiceAccountToken"]


class Services:
    """A cluster that knows one Service."""

    def __init__(self, address: str | None) -> None:
        self._address = address

    def service(self, namespace: str, name: str) -> dict[str, Any]:
        return {"spec": {"clusterIP": self._address}}


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return config_in(tmp_path)


def test_the_way_in_is_the_services_own_address(config: Config) -> None:
    assert entries(cast(Kube, Services("10.96.0.9")), "ns", config) == [("10.96.0.9", 80, "Service")]
    assert names(2) == ["worker 0", "worker 1"]


@pytest.mark.parametrize("address", [None, "", "None"])
def test_a_headless_service_has_none(config: Config, address: str | None) -> None:
    with pytest.raises(ConfigurationError, match="headless"):
        entries(cast(Kube, Services(address)), "ns", config)


def a_plan(folder: Path, rate: float, **changes: Any) -> LoadPlan:
    port = closed_port()
    values: dict[str, Any] = {
        "entries": (Entry("127.0.0.1", port, "Service"),),
        "hosts": ("127.0.0.1",),
        "host_header": "x.test",
        "classes": {"fresh": ClassPlan(rate)},
        "run_tag": "tag",
        "folder": str(folder),
        "timeout_s": 0.5,
        "max_seconds": 0.495,  # between two requests: the last one is nobody's by rounding
    }
    return LoadPlan(**{**values, **changes})


def sent(plan: LoadPlan) -> layout.Samples:
    """What one worker records of a plan against a port where nobody listens."""

    def spawn(function: Any, *args: Any) -> None:
        threading.Thread(target=function, args=args, daemon=True).start()

    generator = Generator(plan, spawn)
    generator.run("fresh")
    generator.close()
    raw = np.fromfile(generator.recorder.path, layout.SAMPLE)
    found: layout.Samples = raw[raw["kind"] == layout.KIND_SAMPLE]
    return found


def test_together_workers_keep_the_schedule_of_one(tmp_path: Path) -> None:
    """Same numbers, same instants, whoever sends them."""
    t0 = time.monotonic_ns() + 50_000_000
    plan = a_plan(tmp_path, 100.0, t0_ns=t0)
    alone = {int(one["seq"]): int(one["intended"]) for one in sent(plan)}
    together: dict[int, int] = {}
    for share in divided(plan, 3):
        folder = tmp_path / str(share.worker)
        folder.mkdir()
        for one in sent(elsewhere(share, folder)):
            assert int(one["seq"]) % 3 == share.worker
            assert int(one["seq"]) not in together
            together[int(one["seq"])] = int(one["intended"])
    assert set(together) == set(alone) == set(range(50))
    assert all(abs(together[number] - alone[number]) <= 2 for number in alone)  # ns, of rounding


def elsewhere(plan: LoadPlan, folder: Path) -> LoadPlan:
    """The plan with its record elsewhere, so that workers of one process don't share a file."""
    from dataclasses import replace

    return replace(plan, folder=str(folder))


@given(st.sampled_from(["${A}", "Bearer ${A}", "$${A}", "x"]), st.sampled_from(["", "{${B}}"]))
def test_what_a_plan_takes_from_the_environment_is_known(header: str, body: str) -> None:
    plan = a_plan(Path("/record"), 1.0, headers={"X-One": header}, body=body)
    wanted = (["A"] if header in ("${A}", "Bearer ${A}") else []) + (["B"] if body else [])
    assert list(names_taken(plan)) == wanted

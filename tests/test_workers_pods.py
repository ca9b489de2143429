"""Workers as pods: when they count as there, how they are spoken to, and what is said where they can't be had."""

from __future__ import annotations

from typing import Any, cast

import pytest

from harness.cluster.answers import Refused
from harness.cluster.kube import Kube
from harness.errors import ClusterError
from harness.workers.job import INDEX
from harness.workers.pods import Pods


class Api:
    """A cluster whose pods come up one look at a time."""

    def __init__(self, *looks: list[dict[str, Any]]) -> None:
        self.looks = list(looks)
        self.jobs: list[dict[str, Any]] = []
        self.asked: list[tuple[str, str, str, Any]] = []
        self.deaf = 0

    def run_job(self, namespace: str, manifest: dict[str, Any]) -> None:
        self.jobs.append(manifest)

    def objects(self, namespace: str, resource: str, group: str = "v1", selector: str = "") -> list[dict[str, Any]]:
        assert (namespace, resource) == ("ns", "pods")
        assert selector == f"job-name={self.jobs[0]['metadata']['name']}"
        return list(self.looks.pop(0) if len(self.looks) > 1 else self.looks[0])

    def get_raw(self, namespace: str, pod: str, port: int, path: str, timeout: float = 5.0) -> bytes:
        self.asked.append(("GET", pod, path.split("/", 1)[1], None))
        if self.deaf:
            self.deaf -= 1
            raise Refused("503 connection refused", status=503)
        return b"1"

    def post_raw(self, namespace: str, pod: str, port: int, path: str, timeout: float = 5.0, body: Any = None) -> bytes:
        self.asked.append(("POST", pod, path.split("/", 1)[1], body))
        return b"{}"

    def log_tail(self, namespace: str, pod: str, container: str, lines: int, previous: bool = False) -> str:
        return "no module named harness\n"


def pod(number: int, phase: str = "Running", waiting: str = "") -> dict[str, Any]:
    states = [{"state": {"waiting": {"reason": waiting}}}] if waiting else [{"state": {"running": {}}}]
    return {
        "metadata": {"name": f"load-{number}-x", "annotations": {INDEX: str(number)}},
        "spec": {"nodeName": f"node-{number}"},
        "status": {"phase": phase, "podIP": f"10.1.0.{number}", "containerStatuses": states},
    }


def pods(api: Api, workers: int = 2) -> Pods:
    return Pods(cast(Kube, api), "ns", "registry/load:1", workers, 60.0)


def test_they_are_there_once_all_run_and_every_agent_answers() -> None:
    api = Api([], [pod(1)], [pod(1), pod(0, "Pending", "ContainerCreating")], [pod(1), pod(0)])
    api.deaf = 1
    made = pods(api)
    members = made.begin()
    assert [(one.number, one.pod, one.node, one.address) for one in members] == [
        (0, "load-0-x", "node-0", "10.1.0.0"),
        (1, "load-1-x", "node-1", "10.1.0.1"),
    ]
    made.call(1, "POST", "go/7", {"a": 1})
    assert api.asked[-1] == ("POST", "load-1-x", "go/7", {"a": 1})
    assert made.call(0, "GET", "clock") == b"1"


def test_an_image_that_is_not_there_is_told_at_once() -> None:
    api = Api([pod(0, "Pending", "ErrImagePull")])
    with pytest.raises(ClusterError, match=r"ErrImagePull of registry/load:1") as caught:
        pods(api, 1).begin()
    assert "--bg-load-image" in caught.value.mend


def test_a_pod_that_ends_before_it_began_is_told_with_its_last_words() -> None:
    with pytest.raises(ClusterError, match="load-0-x ended before it began: no module named harness"):
        pods(Api([pod(0, "Failed")]), 1).begin()


def test_two_loads_never_share_a_name_or_a_token() -> None:
    first, second = Api([pod(0)]), Api([pod(0)])
    for api in (first, second):
        pods(api, 1).begin()
    names = {api.jobs[0]["metadata"]["name"] for api in (first, second)}
    environments = [api.jobs[0]["spec"]["template"]["spec"]["containers"][0]["env"] for api in (first, second)]
    assert len(names) == 2
    assert environments[0] != environments[1]

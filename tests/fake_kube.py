"""A cluster in memory for the tests of the release: Deployments that roll out at once unless told otherwise."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

from harness.cluster.answers import Endpoint, EventInfo, JobResult, PodInfo, Refused, RolloutStatus
from harness.cluster.kube import Kube
from harness.config import Config, load
from harness.errors import ClusterError
from harness.release.clock import Clock

CONFIG = """
schema = 1
[app]
name = "shop"
manifests = "manifests"
container = "api"
image = "localhost/shop:{version}"
old = "v1"
new = "v2"
[sides]
blue = "shop-blue"
green = "shop-green"
[service]
name = "shop"
port = 80
selector_key = "color"
internal = "shop-{side}"
[ingress]
name = "shop"
host = "shop.example.com"
[identity]
revision = "header:X-Revision"
[ledger]
host_path = "/var/lib/shop"
[admin]
port = 9000
[limits]
ready_seconds = 30
warm_seconds = 1800
smoke_seconds = 20
"""


def config_in(folder: Path, text: str = CONFIG) -> Config:
    """Write a configuration with a manifests folder beside it, and read it."""
    (folder / "manifests").mkdir(exist_ok=True)
    (folder / "manifests" / "kustomization.yaml").write_text("resources: []\n")
    (folder / "bluegreen.toml").write_text(text)
    return load(folder / "bluegreen.toml")


@dataclass
class FakeClock:
    """A clock that only sleeping moves."""

    ns: int = 1_000_000_000_000
    slept: list[float] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        assert seconds >= 0
        self.slept.append(seconds)
        self.ns += round(seconds * 1e9)

    @property
    def clock(self) -> Clock:
        return Clock(lambda: self.ns, self.sleep)


@dataclass
class FakeDeployment:
    replicas: int
    image: str
    broken: bool = False


class FakeKube:
    """What of ``Kube`` the release uses; ``calls`` holds every change in order."""

    def __init__(self, active: str = "blue", replicas: int = 4) -> None:
        self.deployments = {"shop-blue": FakeDeployment(0, ""), "shop-green": FakeDeployment(0, "")}
        self.selector = {"app": "shop", "color": active}
        self.manager = "bluegreen"
        self.replicas = replicas
        self.calls: list[tuple[str, ...]] = []
        self.broken_images: set[str] = set()
        self.job = JobResult(True, True, "", json.dumps({"result": "pass", "detail": "20 of 20"}))
        self.job_manifest: dict[str, Any] = {}
        self.usage: list[dict[str, Any]] = [{"open": 0, "arrivals": 7}]
        self.lingering: dict[str, int] = {}
        self.flip_error: ClusterError | None = None
        self.flip_applies = True
        self.apply_error: Refused | None = None
        self.slices: list[tuple[Endpoint, ...] | ClusterError | Exception] = []
        self.selectors: list[dict[str, str]] = []
        self.probes: dict[str, dict[str, Any]] = {
            name: {"readinessProbe": {"httpGet": {"path": "/readyz"}, "periodSeconds": 1}} for name in self.deployments
        }
        self.pod_items: list[dict[str, Any]] = []
        self.followed: list[tuple[str, str]] = []
        self.last_words: Callable[[str], str] = lambda pod: f"{pod} ends\n"
        self.items: dict[str, list[dict[str, Any]]] = {}

    @property
    def kube(self) -> Kube:
        return cast(Kube, self)

    def apply(self, objects: list[dict[str, Any]], namespace: str) -> None:
        if self.apply_error:
            raise self.apply_error
        for item in objects:
            self.calls.append(("apply", item["kind"], item["metadata"]["name"]))
        self.deployments["shop-blue"] = FakeDeployment(self.replicas, "localhost/shop:v1")

    def rollout_status(self, namespace: str, name: str) -> RolloutStatus:
        d = self.deployments[name]
        ready = 0 if d.broken or d.image in self.broken_images else d.replicas
        return RolloutStatus(ready, d.replicas, ready, d.replicas, d.replicas, True, False, f"{ready} ready")

    def get_deployment(self, namespace: str, name: str) -> dict[str, Any]:
        container = {"name": "api", **self.probes[name]}
        return {"spec": {"template": {"spec": {"containers": [container], "terminationGracePeriodSeconds": 5}}}}

    def patch_deployment_image(self, namespace: str, name: str, container: str, image: str) -> None:
        self.calls.append(("image", name, container, image))
        self.deployments[name] = replace(self.deployments[name], image=image)

    def scale(self, namespace: str, name: str, replicas: int) -> None:
        self.calls.append(("scale", name, str(replicas)))
        self.deployments[name].replicas = replicas

    def service_selector(self, namespace: str, name: str) -> dict[str, str]:
        return dict(self.selector)

    def service(self, namespace: str, name: str) -> dict[str, Any]:
        held = {"manager": self.manager, "fieldsV1": {"f:spec": {"f:selector": {}}}}
        ports = [{"port": 80, "targetPort": "http", "nodePort": 30080}]
        return {
            "metadata": {"name": name, "labels": {"app": "shop"}, "managedFields": [held], "uid": "u"},
            "spec": {"type": "NodePort", "clusterIP": "10.96.0.9", "ports": ports, "selector": dict(self.selector)},
        }

    def patch_service_selector(
        self, namespace: str, name: str, selector: Mapping[str, str | None], manager: str = "bluegreen"
    ) -> str:
        return self._flipped(selector, manager)

    def apply_service_selector(self, namespace: str, name: str, selector: Mapping[str, str], manager: str) -> str:
        return self._flipped(selector, manager)

    def _flipped(self, selector: Mapping[str, str | None], manager: str) -> str:
        self.calls.append(("flip", str(selector["color"])))
        self.manager = manager
        if self.flip_error is None or self.flip_applies:
            changed = {**self.selector, **selector}
            self.selector = {key: value for key, value in changed.items() if value is not None}
        if self.flip_error:
            raise self.flip_error
        return "77"

    def pods_of(self, namespace: str, deployment: str) -> tuple[PodInfo, ...]:
        d = self.deployments[deployment]
        leaving = 0
        if not d.replicas and self.lingering.get(deployment, 0):
            self.lingering[deployment] -= 1
            leaving = 1
        ready = self.rollout_status(namespace, deployment).ready > 0
        waiting = "" if ready else "CrashLoopBackOff"
        return tuple(
            PodInfo(f"{deployment}-abc-{i}", "worker", ready, "10.0.0.1", 2, waiting, "Running", False, ("api",))
            for i in range(d.replicas + leaving)
        )

    def objects(self, namespace: str, resource: str, group: str = "v1") -> list[dict[str, Any]]:
        return self.items.get(resource, [])

    def events(self, namespace: str) -> tuple[EventInfo, ...]:
        return (
            EventInfo("2026-01-01T00:00:00Z", "Pod", "shop-green-abc-0", "Warning", "BackOff", "back-off restarting"),
            EventInfo("2026-01-01T00:00:01Z", "Pod", "other-abc-0", "Normal", "Pulled", "not of this side"),
        )

    def log_tail(
        self, namespace: str, pod: str, container: str, lines: int, previous: bool = False, follow_s: float = 0.0
    ) -> str:
        if follow_s:
            self.followed.append((pod, container))
            return self.last_words(pod)
        return "KeyError: DATABASE_URL\n" if previous else ""

    def run_job(self, namespace: str, manifest: dict[str, Any]) -> None:
        self.calls.append(("job", manifest["metadata"]["name"]))
        self.job_manifest = manifest

    def job_result(self, namespace: str, name: str) -> JobResult:
        return self.job

    def get_raw(self, namespace: str, pod: str, port: int, path: str) -> bytes:
        state = self.usage.pop(0) if len(self.usage) > 1 else self.usage[0]
        return json.dumps(state).encode()

    def post_raw(self, namespace: str, pod: str, port: int, path: str) -> bytes:
        self.calls.append(("post", pod, f"{port}{path}"))
        return b"{}"

    def watch_slices(self, namespace: str, service: str, stop: threading.Event) -> Iterator[tuple[Endpoint, ...]]:
        while self.slices:
            item = self.slices.pop(0)
            if isinstance(item, Exception):
                raise item
            yield item
        stop.wait(10)

    def watch_pods(self, namespace: str, stop: threading.Event) -> Iterator[dict[str, Any]]:
        while self.pod_items:
            yield self.pod_items.pop(0)
        stop.wait(10)

    def watch_selector(self, namespace: str, service: str, stop: threading.Event) -> Iterator[dict[str, str]]:
        while self.selectors:
            yield self.selectors.pop(0)
        stop.wait(10)

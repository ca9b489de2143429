"""An API server over HTTP that keeps objects: enough of one to see what is created, refused and removed."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import unquote

import pytest
import yaml

from harness.cluster.permissions import asked, plural
from tests.test_kube import FakeApi, Wire

KINDS = {
    "/api/v1": ["Namespace", "Service", "Pod", "ConfigMap", "Secret", "PersistentVolumeClaim", "Node", "ResourceQuota"],
    "/apis/apps/v1": ["Deployment", "ReplicaSet", "StatefulSet"],
    "/apis/batch/v1": ["Job"],
    "/apis/networking.k8s.io/v1": ["Ingress", "NetworkPolicy", "IngressClass"],
    "/apis/policy/v1": ["PodDisruptionBudget"],
    "/apis/discovery.k8s.io/v1": ["EndpointSlice"],
}
WIDE = {"Namespace", "Node", "IngressClass"}
NS = "/api/v1/namespaces/shop"


class Server:
    """Keeps objects by their path; ``changes`` holds what was asked beside reading.

    Attributes:
        forbidden: rights, as ``verb resource``, that the account doesn't have.
        status: answers everything with this status, if set.

    """

    def __init__(self, api: FakeApi) -> None:
        self.api = api
        self.objects: dict[str, dict[str, Any]] = {}
        self.forbidden: set[str] = set()
        self.status = 0
        self.changes: list[str] = []
        api.on(".*", self.answer)

    def put(self, path: str, labels: dict[str, str] | None = None, **more: Any) -> None:
        self.objects[path] = {"metadata": {"name": path.rsplit("/", 1)[1], "labels": labels or {}}, **more}

    def names(self, resource: str = "") -> list[str]:
        return sorted("/".join(path.split("/")[-2:]) for path in self.objects if f"/{resource}" in path)

    def answer(self, wire: Wire) -> None:
        method, (path, _, _) = wire.command, wire.path.partition("?")
        right = asked(method, path, wire.query)
        if self.status:
            return wire.reply(self.status, {"message": "Unauthorized"})
        if right and f"{right.verb} {right.resource}" in self.forbidden:
            message = f'User "u" cannot {right.verb} resource "{right.resource}"'
            return wire.reply(403, {"reason": "Forbidden", "message": message})
        if path == "/version":
            return wire.reply(200, {"gitVersion": "v1.36.3"})
        if path in KINDS:
            kinds = [{"name": plural(kind), "kind": kind, "namespaced": kind not in WIDE} for kind in KINDS[path]]
            return wire.reply(200, {"resources": kinds})
        if path.endswith("/selfsubjectaccessreviews"):
            assert wire.sent is not None
            spec = wire.sent["spec"]["resourceAttributes"]
            resource = "/".join(part for part in (spec["resource"], spec["subresource"]) if part)
            return wire.reply(201, {"status": {"allowed": f"{spec['verb']} {resource}" not in self.forbidden}})
        if method != "GET":
            dry = " (dry run)" if wire.query.get("dryRun") else ""
            self.changes.append(f"{method} {path}{dry}")
        answers = {"GET": self.get, "POST": self.post, "DELETE": self.delete}
        return answers[method](wire, path)

    def get(self, wire: Wire, path: str) -> None:
        if path in self.objects:
            return wire.reply(200, self.objects[path])
        if path.rsplit("/", 1)[1] in {plural(kind) for kinds in KINDS.values() for kind in kinds}:
            return wire.reply(200, {"items": list(self.selected(wire, path).values())})
        return wire.reply(404, {"message": f"no {path}"})

    def post(self, wire: Wire, path: str) -> None:
        assert wire.sent is not None
        name = f"{path}/{wire.sent['metadata']['name']}"
        if name in self.objects:
            return wire.reply(409, {"reason": "AlreadyExists", "message": f"{name} already exists"})
        if not wire.query.get("dryRun"):
            self.objects[name] = wire.sent
        return wire.reply(201, wire.sent)

    def delete(self, wire: Wire, path: str) -> None:
        for name in [path, *self.selected(wire, path)]:
            self.objects.pop(name, None)
            if re.fullmatch(r"/api/v1/namespaces/[^/]+", path):
                for below in [one for one in self.objects if f"/namespaces/{path.rsplit('/', 1)[1]}/" in one]:
                    del self.objects[below]
        return wire.reply(200, {})

    def selected(self, wire: Wire, path: str) -> dict[str, dict[str, Any]]:
        key, _, value = unquote(wire.query.get("labelSelector", "")).partition("=")
        found = {name: one for name, one in self.objects.items() if name.rsplit("/", 1)[0] == path}
        labels = {name: one["metadata"].get("labels") or {} for name, one in found.items()}
        return {name: one for name, one in found.items() if not key or labels[name].get(key) == value}


def shop_manifests() -> str:
    """The manifests that ``tests.fake_kube.CONFIG`` speaks of."""

    def deployment(side: str) -> dict[str, Any]:
        volume = {"name": "ledger", "hostPath": {"path": "/var/lib/shop"}}
        container = {"name": "api", "image": "shop", "volumeMounts": [{"name": "ledger", "mountPath": "/ledger"}]}
        template = {"metadata": {"labels": {"color": side}}, "spec": {"containers": [container], "volumes": [volume]}}
        spec = {"replicas": 2, "selector": {"matchLabels": {"color": side}}, "template": template}
        return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": f"shop-{side}"}, "spec": spec}

    def service(name: str, side: str) -> dict[str, Any]:
        spec = {"selector": {"app": "shop", "color": side}, "ports": [{"port": 80}]}
        return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}

    ingress = {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "shop"},
               "spec": {"rules": [{"host": "shop.example.com"}], "tls": [{"hosts": ["shop.example.com"]}]}}  # fmt: skip
    sides = ("blue", "green")
    objects = [*(deployment(side) for side in sides), *(service(f"shop-{side}", side) for side in sides)]
    return yaml.safe_dump_all([*objects, service("shop", "blue"), ingress])


@pytest.fixture
def cluster(server: FakeApi) -> Server:
    """A server with the namespace that the tests are given."""
    made = Server(server)
    made.put(NS)
    return made

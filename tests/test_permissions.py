"""The table of what the harness may ask, and that it asks nothing else."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import urllib3

from harness.cluster.answers import Json
from harness.cluster.api import Api
from harness.cluster.kube_careful import SELECTOR, CarefulKube
from harness.cluster.owned import OWNED
from harness.cluster.permissions import EVERYBODYS, READS, Right, asked, needed, plural, role, rules
from harness.release.switches.known import KNOWN
from tests.test_kube import FakeApi, Wire, server

__all__ = ["server"]

NS = "/api/v1/namespaces/ns"


@pytest.mark.parametrize(
    ("call", "query", "right"),
    [
        ("GET /api/v1/namespaces/ns", {}, "get namespaces"),
        ("POST /api/v1/namespaces", {}, "create namespaces"),
        (f"GET {NS}/pods", {}, "list pods"),
        (f"GET {NS}/services", {"watch": "true"}, "watch services"),
        (f"GET {NS}/pods/p/log", {}, "get pods/log"),
        (f"GET {NS}/pods/p%3A9000/proxy/some/path", {}, "get pods/proxy"),
        (f"DELETE {NS}/pods", {}, "deletecollection pods"),
        ("DELETE /api/v1/namespaces/ns", {}, "delete namespaces"),
        ("PATCH /apis/apps/v1/namespaces/ns/deployments/d/scale", {}, "patch deployments/scale.apps"),
        ("GET /api/v1/nodes", {}, "list nodes"),
    ],
)
def test_a_request_is_one_right(call: str, query: dict[str, str | int], right: str) -> None:
    method, path = call.split(" ")
    assert str(asked(method, path, query)) == right


@pytest.mark.parametrize("path", ["/version", "/readyz", "/api/v1", "/apis/apps/v1"])
def test_what_is_no_resource_needs_no_right(path: str) -> None:
    assert asked("GET", path) is None


def test_plurals_are_kubernetes_own_guess() -> None:
    kinds = ["Service", "Ingress", "NetworkPolicy", "PodDisruptionBudget", "ServiceAccount", "Gateway", "Endpoints"]
    assert [plural(kind) for kind in kinds] == [
        *(
            "services",
            "ingresses",
            "networkpolicies",
            "poddisruptionbudgets",
            "serviceaccounts",
            "gateways",
            "endpoints",
        ),
    ]


def item(kind: str, version: str = "v1") -> Json:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": "shop", "labels": dict([OWNED])}, "spec": {}}


OBJECTS = [item("Service"), item("Deployment", "apps/v1"), item("Ingress", "networking.k8s.io/v1"), item("Secret")]


def stopped(watch: Callable[..., Any]) -> Callable[[CarefulKube], object]:
    def first(kube: CarefulKube) -> object:
        stop = threading.Event()
        for _ in watch(kube, "ns", "shop", stop):
            stop.set()
        return None

    return first


CALLS: dict[str, Callable[[CarefulKube], object]] = {
    "ready": lambda kube: kube.ready(),
    "version": lambda kube: kube.version(),
    "nodes": lambda kube: kube.nodes(),
    "create_namespace": lambda kube: kube.create_namespace("bg-00000000", {}),
    "namespaces": lambda kube: kube.namespaces(SELECTOR),
    "delete_namespace": lambda kube: kube.delete_namespace("bg-00000000"),
    "end_namespace": lambda kube: kube.end_namespace("bg-00000000"),
    "delete_pods_now": lambda kube: kube.delete_pods_now("ns"),
    "apply": lambda kube: kube.apply(OBJECTS, "ns"),
    "try_out": lambda kube: kube.try_out(OBJECTS[0], "ns"),
    "remove": lambda kube: kube.remove("ns", {(one["apiVersion"], one["kind"]) for one in OBJECTS}),
    "residents": lambda kube: kube.residents("ns", [("v1", "Secret")]),
    "require_usable": lambda kube: kube.require_usable("ns"),
    "namespace_labels": lambda kube: kube.namespace_labels("ns"),
    "may": lambda kube: kube.may(Right("", "pods", "get"), "ns"),
    "ingress_classes": lambda kube: kube.ingress_classes(),
    "images_on_nodes": lambda kube: kube.images_on_nodes(),
    "get_deployment": lambda kube: kube.get_deployment("ns", "shop"),
    "patch_deployment_image": lambda kube: kube.patch_deployment_image("ns", "shop", "api", "i:1"),
    "scale": lambda kube: kube.scale("ns", "shop", 1),
    "rollout_status": lambda kube: kube.rollout_status("ns", "shop"),
    "pods_of": lambda kube: kube.pods_of("ns", "shop"),
    "service_selector": lambda kube: kube.service_selector("ns", "shop"),
    "node_port": lambda kube: kube.node_port("ns", "shop", 80),
    "patch_service_selector": lambda kube: kube.patch_service_selector("ns", "shop", {}),
    "service_endpoints": lambda kube: kube.service_endpoints("ns", "shop"),
    "service": lambda kube: kube.service("ns", "shop"),
    "apply_service_selector": lambda kube: kube.apply_service_selector("ns", "shop", {}, "m"),
    "get_object": lambda kube: kube.get_object("ns", "ingresses", "networking.k8s.io/v1", "shop"),
    "patch_object": lambda kube: kube.patch_object("ns", "ingresses", "networking.k8s.io/v1", "shop", {}, "m"),
    "watch_slices": stopped(CarefulKube.watch_slices),
    "watch_selector": stopped(CarefulKube.watch_selector),
    "watch_pods": stopped(lambda kube, namespace, _, stop: kube.watch_pods(namespace, stop)),
    "pods": lambda kube: kube.pods("ns"),
    "events": lambda kube: kube.events("ns"),
    "log_tail": lambda kube: kube.log_tail("ns", "p", "api", 5),
    "get_raw": lambda kube: kube.get_raw("ns", "p", 9000, "/state"),
    "post_raw": lambda kube: kube.post_raw("ns", "p", 9000, "/ready?on=0"),
    "delete_pod": lambda kube: kube.delete_pod("ns", "p"),
    "objects": lambda kube: kube.objects("ns", "deployments", "apps/v1"),
    "run_job": lambda kube: kube.run_job("ns", item("Job", "batch/v1")),
    "job_result": lambda kube: kube.job_result("ns", "shop"),
}


def test_every_method_is_called_below() -> None:
    public = {name for name, _ in inspect.getmembers(CarefulKube, inspect.isfunction) if not name.startswith("_")}
    assert public - {"dump"} == set(CALLS)


@pytest.mark.parametrize("method", [*CALLS, "dump"])
def test_every_call_is_in_the_table(server: FakeApi, tmp_path: Path, method: str) -> None:
    kinds = ("Service", "Deployment", "Ingress", "Secret", "Job", "Pod", "ReplicaSet")
    resources = [{"name": plural(kind), "kind": kind, "namespaced": True} for kind in kinds]
    metadata = {"name": "shop", "resourceVersion": "1", "labels": dict([OWNED])}
    one = {"metadata": metadata, "spec": {"selector": {}, "containers": [{"name": "api"}]}, "status": {}}

    def answer(wire: Wire) -> None:
        if "watch" in wire.query:
            wire.stream()({"type": "BOOKMARK", "object": one})
            wire.end_stream()
            return
        gone = method == "require_usable" or any(call.startswith("DELETE") for call in server.calls())
        wire.reply(200, {**one, "resources": resources, "gitVersion": "v1", "items": [] if gone else [one]})

    server.on(".*", answer)
    api = Api(urllib3.PoolManager(), f"http://127.0.0.1:{server.server_address[1]}", dict)
    kube = CarefulKube(tmp_path, api=api)
    if method == "dump":
        kube.dump("ns", tmp_path / "dump", SELECTOR)
    else:
        CALLS[method](kube)
    rights = {right for verb, path, query, *_ in server.seen if (right := asked(verb, path, query))}
    every = needed(OBJECTS, admin=True, made=True, drain=True, switches=True, moved_by=KNOWN)
    allowed = {right.key for right in (*every, *READS, *EVERYBODYS)}
    assert server.seen
    assert {str(right) for right in rights if right.key not in allowed} == set()


def test_what_is_needed_follows_the_application() -> None:
    plain = {right.key for right in needed([], admin=False, made=False)}
    assert ("", "pods/proxy", "get") not in plain
    assert ("", "pods/proxy", "get") in {right.key for right in needed([], admin=True, made=False)}
    assert ("", "pods/proxy", "create") not in {right.key for right in needed([], admin=True, made=False)}
    assert ("", "pods/proxy", "create") in {right.key for right in needed([], admin=True, made=False, drain=True)}
    secret = {right.key for right in needed([item("Secret")], admin=False, made=False)} - plain
    assert secret == {("", "secrets", verb) for verb in ("create", "list", "deletecollection")}
    made = {right.key for right in needed([], admin=False, made=True)} - plain
    assert ("", "namespaces", "create") in made
    assert not any(resource in ("secrets", "namespaces") and verb != "get" for _, resource, verb in plain)


def test_workers_are_spoken_to_through_the_api_server() -> None:
    without, having = needed(OBJECTS, admin=False, made=False), needed(OBJECTS, admin=False, made=False, workers=2)
    assert {one.key for one in having} - {one.key for one in without} == {
        ("", "pods/proxy", "get"),
        ("", "pods/proxy", "create"),
    }


def test_a_role_allows_exactly_what_is_needed() -> None:
    rights = needed(OBJECTS, admin=True, made=False)
    made = role("Role", "r", "ns", rights)
    said = {
        (g, r, v) for one in made["rules"] for g in one["apiGroups"] for r in one["resources"] for v in one["verbs"]
    }
    assert said == {right.key for right in rights}
    assert "*" not in str(made)
    assert made["metadata"] == {"name": "r", "namespace": "ns"}
    assert len(rules(rights)) < len({(right.group, right.resource) for right in rights})


def test_pods_are_changed_only_where_the_application_has_switches() -> None:
    without, having = needed(OBJECTS, admin=True, made=False), needed(OBJECTS, admin=True, made=False, switches=True)
    assert {one.key for one in having} - {one.key for one in without} == {("", "pods/proxy", "create")}

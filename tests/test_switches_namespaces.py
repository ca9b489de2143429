"""Sides in namespaces of their own: where each object is put, and where each request goes."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar, cast

import pytest

from harness import fixtures
from harness.cluster import existing, own
from harness.cluster.answers import Json
from harness.cluster.api import Api
from harness.cluster.kube import Kube
from harness.cluster.kube_break import evict_pod
from harness.cluster.owned import OWNED
from harness.cluster.ports import Leases
from harness.cluster.spread import SpreadApi
from harness.errors import ClusterError, ConfigurationError
from harness.release.switches.known import KNOWN
from harness.release.switches.namespaces import NamespacesSwitch, names_by_side
from tests.fake_kube import config_in
from tests.test_switches import SECRET, deployments, objects
from tests.test_switches_routes import WithRoute

APART = {"blue": "ns-blue", "green": "ns-green"}


class Server(Api):
    """An API server in memory: objects by path, and what it was sent."""

    def __init__(self) -> None:
        self.objects: dict[str, Json] = {}
        self.sent: list[tuple[str, str, Any]] = []
        self.breaks = ""

    def send(self, method: str, path: str, **given: Any) -> bytes:
        self.sent.append((method, path, given.get("body")))
        if path in self.objects:
            return json.dumps(self.objects[path]).encode()
        items = [item for key, item in self.objects.items() if key.rpartition("/")[0] == path]
        return json.dumps({"items": items, "metadata": {"resourceVersion": "1"}}).encode()

    def watch(self, path: str, query: Any, stop: threading.Event) -> Iterator[dict[str, Json]]:
        if self.breaks and self.breaks in path:
            raise ClusterError("broken", "wait")
        items = [item for key, item in self.objects.items() if key.rpartition("/")[0] == path]
        yield {item["metadata"]["name"]: item for item in items}
        stop.wait(10)

    def put(self, path: str) -> None:
        self.objects[path] = {"metadata": {"name": path.rpartition("/")[2], "at": path}, "spec": {}}


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def kube(server: Server, tmp_path: Path) -> Kube:
    homes = {name: APART[side] for side, names in names_by_side(config_in(tmp_path)).items() for name in names}
    return Kube(tmp_path, api=SpreadApi(server, "ns", homes))


def test_an_object_is_asked_for_where_its_name_says_that_it_lives(kube: Kube, server: Server) -> None:
    for path in (
        "/apis/apps/v1/namespaces/ns-green/deployments/shop-green",
        "/api/v1/namespaces/ns-blue/services/shop-blue",
        "/api/v1/namespaces/ns/services/shop",
    ):
        server.put(path)
    assert kube.get_deployment("ns", "shop-green")["metadata"]["at"].startswith("/apis/apps/v1/namespaces/ns-green/")
    assert kube.service("ns", "shop-blue")["metadata"]["at"].startswith("/api/v1/namespaces/ns-blue/")
    assert kube.service("ns", "shop")["metadata"]["at"] == "/api/v1/namespaces/ns/services/shop"
    kube.get_raw("ns", "shop-green-6d4f-x2x2x", 9000, "/state")
    assert server.sent[-1][1] == "/api/v1/namespaces/ns-green/pods/shop-green-6d4f-x2x2x%3A9000/proxy/state"
    kube.run_job("ns", {"metadata": {"name": "smoke-blue-1"}})
    assert server.sent[-1][:2] == ("POST", "/apis/batch/v1/namespaces/ns-blue/jobs")
    assert kube.ready()
    assert server.sent[-1][1] == "/readyz"


def test_a_name_that_only_begins_alike_is_not_moved(kube: Kube, server: Server) -> None:
    for name, home in (("shop-bluebird", "ns"), ("shop-blue-env", "ns-blue"), ("smoke-greenish-1", "ns")):
        kube.delete_pod("ns", name)
        assert server.sent[-1][1] == f"/api/v1/namespaces/{home}/pods/{name}"
    kube.delete_pod("elsewhere", "shop-blue-1")
    assert server.sent[-1][1] == "/api/v1/namespaces/elsewhere/pods/shop-blue-1"


def test_an_object_that_names_its_namespace_names_the_right_one(kube: Kube, server: Server) -> None:
    evict_pod(kube, "ns", "shop-green-6d4f-x2x2x")
    method, path, body = server.sent[-1]
    assert (method, path) == ("POST", "/api/v1/namespaces/ns-green/pods/shop-green-6d4f-x2x2x/eviction")
    assert body["metadata"] == {"name": "shop-green-6d4f-x2x2x", "namespace": "ns-green"}


def test_a_list_is_of_all_namespaces(kube: Kube, server: Server) -> None:
    for namespace, pod in (("ns-blue", "shop-blue-0"), ("ns-green", "shop-green-0"), ("ns", "other-0"), ("x", "y")):
        server.put(f"/api/v1/namespaces/{namespace}/pods/{pod}")
    assert {item["metadata"]["name"] for item in kube.objects("ns", "pods")} == {
        "shop-blue-0",
        "shop-green-0",
        "other-0",
    }
    kube.delete_pods_now("ns")
    ended = [path for method, path, _ in server.sent if method == "DELETE"]
    assert ended == [f"/api/v1/namespaces/{one}/pods" for one in ("ns", "ns-blue", "ns-green")]


def test_a_watch_tells_of_all_namespaces_together(kube: Kube, server: Server) -> None:
    for namespace, pod in (("ns-blue", "shop-blue-0"), ("ns-green", "shop-green-0")):
        server.put(f"/api/v1/namespaces/{namespace}/pods/{pod}")
    stop = threading.Event()
    for seen in kube.watch_pods("ns", stop):
        assert set(seen) == {"shop-blue-0", "shop-green-0"}
        stop.set()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("spread-")]


def test_a_watch_of_which_one_part_breaks_is_broken(kube: Kube, server: Server) -> None:
    server.breaks = "ns-green"
    with pytest.raises(ClusterError, match="broken"):
        next(kube.watch_pods("ns", threading.Event()))


def made(tmp_path: Path) -> NamespacesSwitch:
    return NamespacesSwitch(cast(Any, WithRoute()), "ns", config_in(tmp_path), lambda: "gateways/shop", APART)


def test_each_object_is_put_where_it_belongs(tmp_path: Path) -> None:
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "shop", "namespace": "ns"}}
    binding: Json = {"apiVersion": "rbac/v1", "kind": "RoleBinding", "metadata": {"name": "shop"}}
    binding["subjects"] = [{"kind": "ServiceAccount", "name": "shop", "namespace": "ns"}]
    given = [account, binding, SECRET, *deployments(), *objects()]
    put = made(tmp_path).prepare(given)
    where = [(item["kind"], item["metadata"]["name"], item["metadata"]["namespace"]) for item in put]
    everywhere = ("ns", "ns-blue", "ns-green")
    assert where == [
        *(("ServiceAccount", "shop", one) for one in everywhere),
        *(("RoleBinding", "shop", one) for one in everywhere),
        *(("Secret", "token", one) for one in everywhere),
        ("Deployment", "shop-blue", "ns-blue"),
        ("Deployment", "shop-green", "ns-green"),
        ("Service", "shop", "ns"),
        ("Service", "shop-blue", "ns-blue"),
        ("Service", "shop-green", "ns-green"),
        ("HTTPRoute", "shop", "ns"),
        ("ReferenceGrant", "shop-route", "ns-blue"),
        ("ReferenceGrant", "shop-route", "ns-green"),
    ]
    assert [one["subjects"][0]["namespace"] for one in put if one["kind"] == "RoleBinding"] == list(everywhere)
    route, blue, green = put[-3:]
    backends = route["spec"]["rules"][0]["backendRefs"]
    assert backends == [
        {"name": "shop-blue", "namespace": "ns-blue", "port": 8000, "weight": 100},
        {"name": "shop-green", "namespace": "ns-green", "port": 8000, "weight": 0},
    ]
    for grant, name in ((blue, "shop-blue"), (green, "shop-green")):
        assert grant["spec"] == {
            "from": [{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "namespace": "ns"}],
            "to": [{"group": "", "kind": "Service", "name": name}],
        }
    assert account["metadata"] == {"name": "shop", "namespace": "ns"}


def test_what_is_installed_is_installed_there(tmp_path: Path, server: Server) -> None:
    put: list[tuple[str, str]] = []

    class Applying(WithRoute):
        def apply(self, objects: list[Json], namespace: str) -> None:
            put.extend((item["metadata"]["name"], namespace) for item in objects)

    switch = NamespacesSwitch(cast(Any, Applying()), "ns", config_in(tmp_path), lambda: "gateways/shop", APART)
    assert switch.install(switch.prepare([*deployments(), *objects()]))
    assert put[:2] == [("shop-blue", "ns-blue"), ("shop-green", "ns-green")]


def test_without_further_namespaces_there_is_no_such_switch(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no namespaces of their own"):
        NamespacesSwitch(cast(Any, WithRoute()), "ns", config_in(tmp_path), lambda: "gateways/shop", {})


class Named:
    """A cluster of which only the namespaces are known."""

    made: ClassVar[list[str]] = []
    ended: ClassVar[list[str]] = []
    refused = ""

    def __init__(self, kubeconfig: Path, context: str | None = None, *, api: Any = None) -> None:
        self.api = api or Server()

    def create_namespace(self, name: str, labels: dict[str, str]) -> None:
        if self.refused and name.endswith(self.refused):
            raise ClusterError("no more", "wait")
        assert labels == dict([OWNED])
        self.made.append(name)

    def end_namespace(self, name: str) -> None:
        self.ended.append(name)


@pytest.mark.parametrize("refused", ["", "-green"])
def test_a_side_s_namespace_is_the_run_s_and_gone_after_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, refused: str
) -> None:
    monkeypatch.setattr(own, "Kube", Named)
    monkeypatch.setattr(Named, "made", [])
    monkeypatch.setattr(Named, "ended", [])
    monkeypatch.setattr(Named, "refused", refused)
    nothing: Any = None
    given: Any = ([], Leases(), None, {}, "smoke", nothing, nothing, nothing, nothing, nothing)
    made = own.OwnCluster("c", Path(), Path(), Path(), *given)
    names = names_by_side(config_in(tmp_path))
    if refused:
        with pytest.raises(ClusterError, match="no more"), made.place("ingress", names):
            pass
    else:
        with made.place("ingress", names) as place:
            assert place.apart == {"blue": f"{place.name}-blue", "green": f"{place.name}-green"}
            assert Named.made == [place.name, *place.apart.values()]
            assert Named.ended == []
            assert cast(Any, place.kube).api.home("smoke-green-1") == place.apart["green"]
        with made.place("service") as place:
            assert (place.apart, isinstance(place.kube.api, SpreadApi)) == ({}, False)
    assert sorted(Named.ended) == sorted(Named.made) and Named.made


def test_a_cluster_that_was_given_has_no_further_namespaces(tmp_path: Path) -> None:
    given: Any = (None, Path(), {}, None)
    with pytest.raises(ConfigurationError, match="only on a cluster that the harness made"):
        existing.Existing(*given).place("ingress", names_by_side(config_in(tmp_path))).__enter__()
    assert [name for name, kind in KNOWN.items() if kind.apart(config_in(tmp_path))] == ["namespaces"]


@pytest.mark.parametrize(
    ("engine", "switch", "said"),
    [
        (None, "namespaces", ["switch namespaces: it needs a cluster that the harness made"]),
        (None, "route-weight", []),
        (None, "", []),
        ("podman", "namespaces", []),
    ],
)
def test_there_it_is_skipped_by_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, engine: str | None, switch: str, said: list[str]
) -> None:
    monkeypatch.setattr(fixtures, "configuration_of", lambda *_: config_in(tmp_path))
    node = SimpleNamespace(get_closest_marker=lambda _: None, iter_markers=lambda _: [])
    if switch:
        node.callspec = SimpleNamespace(params={"path": "ingress", "switch": switch})
    request: Any = SimpleNamespace(node=node, config=None)
    cluster: Any = SimpleNamespace(engine=engine, lacks=lambda _: "")
    assert list(fixtures._obstacles(request, cluster, "ingress")) == said

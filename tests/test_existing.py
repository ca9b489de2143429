"""A cluster that somebody else owns: what is touched, what never is, and what is said about it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from harness import dry_run
from harness.cluster import existing
from harness.cluster.answers import Refused
from harness.cluster.existing import Options
from harness.cluster.kube_careful import SELECTOR, CarefulKube
from harness.cluster.owned import ALLOWED, OWNED
from harness.cluster.permissions import needed
from harness.cluster.running import Place
from harness.cluster.targets import entries, parse
from harness.config import Config, Ingress, Tls
from harness.errors import ClusterError, ConfigurationError, SetupError
from harness.faults import reach
from harness.release.isolate import isolate, private
from harness.release.manifests import Placement, mark, prepare
from harness.release.start import start
from harness.release.switches.selector import SelectorSwitch
from tests.conftest import Programs
from tests.fake_kube import config_in
from tests.fake_server import NS, Server, cluster, shop_manifests
from tests.test_kube import FakeApi, kubeconfig, server

__all__ = ["cluster", "server"]

DEPLOYMENTS = "/apis/apps/v1/namespaces/shop/deployments"
OURS = dict([OWNED])


@pytest.fixture
def options(cluster: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Options:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    file = kubeconfig(tmp_path, f"http://127.0.0.1:{cluster.api.server_address[1]}")
    return Options(file, "c", "shop", (parse("10.0.0.1"),), kubectl="/bin/true")


@pytest.fixture
def kube(options: Options) -> CarefulKube:
    return CarefulKube(options.kubeconfig, options.context)


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return config_in(tmp_path)


@pytest.fixture
def rendered() -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(shop_manifests()))


@pytest.fixture
def running(options: Options) -> Iterator[existing.Existing]:
    with existing.cluster(options, lambda text: None) as made:
        yield made


# -- what is touched --------------------------------------------------------------------------------------------------


def test_a_given_namespace_is_left_as_it_was(
    running: existing.Existing, cluster: Server, config: Config, rendered: list[dict[str, Any]]
) -> None:
    before = dict(cluster.objects)
    with running.place("service") as place:
        assert (place.name, place.node_port, place.selector) == ("shop", 0, SELECTOR)
        objects = isolate(config, prepare(config, rendered, Placement("shop", "v1", 0)), place.prefix)
        place.kube.apply(objects, "shop")
        place.kube.run_job("shop", {"metadata": {"name": "smoke-1", "labels": OURS}})
        assert len(cluster.names()) == len(before) + 7
        labelled = [one for path, one in cluster.objects.items() if path not in before]
        assert all(one["metadata"]["labels"].items() >= OURS.items() for one in labelled)
        assert all(cluster.objects[f"{DEPLOYMENTS}/shop-{side}"]["spec"]["template"]["metadata"]["labels"].items()
                   >= OURS.items() for side in ("blue", "green"))  # fmt: skip
        cluster.put(f"{NS}/configmaps/theirs")  # meanwhile
    assert set(cluster.objects) == {*before, f"{NS}/configmaps/theirs"}
    assert not any(call.startswith(("PATCH", "PUT")) for call in cluster.changes)
    assert {call for call in cluster.changes if call.startswith("DELETE")} == {
        *(f"DELETE {path}" for path in (f"{NS}/services", DEPLOYMENTS, "/apis/batch/v1/namespaces/shop/jobs")),
        "DELETE /apis/networking.k8s.io/v1/namespaces/shop/ingresses",
    }


def test_a_namespace_of_its_own_is_bounded_and_goes(options: Options, cluster: Server) -> None:
    with existing.cluster(replace(options, namespace=""), lambda text: None) as made, made.place("service") as place:
        assert place.name.startswith("bg-")
        assert cluster.objects[f"/api/v1/namespaces/{place.name}"]["metadata"]["labels"] == OURS
        quota = cluster.objects[f"/api/v1/namespaces/{place.name}/resourcequotas/bluegreen"]
        assert quota["spec"]["hard"]["services.loadbalancers"] == "0"
    assert list(cluster.objects) == [NS]


def test_a_namespace_that_can_not_be_bounded_is_not_used(options: Options, cluster: Server) -> None:
    cluster.forbidden = {"create resourcequotas"}
    fresh = replace(options, namespace="")
    with existing.cluster(fresh, print) as made, pytest.raises(Refused, match="resourcequotas"), made.place("service"):
        raise AssertionError("never entered")
    assert list(cluster.objects) == [NS]


def test_pods_of_others_stay(kube: CarefulKube, cluster: Server) -> None:
    cluster.put(f"{NS}/pods/theirs")
    cluster.put(f"{NS}/pods/ours", OURS)
    kube.delete_pods_now("shop")
    assert cluster.names("pods/") == ["pods/theirs"]


def test_a_name_that_exists_is_refused_and_stays_as_it_is(kube: CarefulKube, cluster: Server) -> None:
    cluster.put(f"{NS}/services/shop", spec={"selector": {"app": "theirs"}})
    item = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "shop"}}
    with pytest.raises(Refused, match=r"Service/shop can't be made.*409") as error:
        kube.apply([item], "shop")
    assert "never changed" in error.value.mend
    assert cluster.objects[f"{NS}/services/shop"]["spec"] == {"selector": {"app": "theirs"}}


@pytest.mark.parametrize(
    ("path", "labels", "allowed", "said", "mend"),
    [
        (f"{DEPLOYMENTS}/theirs", {}, False, "not ours: deployments/theirs", "bluegreen.dev/allow=pytest-bluegreen"),
        (f"{NS}/pods/left", OURS, True, "a harness made: pods/left", "bluegreen clean"),
        (f"{DEPLOYMENTS}/theirs", {}, True, "", ""),
        (f"{NS}/configmaps/kube-root-ca.crt", {}, False, "", ""),
    ],
)
def test_who_lives_in_a_namespace_decides_whether_it_is_used(
    kube: CarefulKube, cluster: Server, path: str, labels: dict[str, str], allowed: bool, said: str, mend: str
) -> None:
    cluster.put(path, labels)
    cluster.put(NS, dict([ALLOWED]) if allowed else {})
    if not said:
        kube.require_usable("shop")
        return
    with pytest.raises(ConfigurationError, match=said) as error:
        kube.require_usable("shop")
    assert mend in error.value.mend
    assert cluster.changes == []


@pytest.mark.parametrize(("name", "said"), [("kube-system", "Kubernetes' own"), ("shpo", "no namespace shpo")])
def test_namespaces_that_can_not_be_used(kube: CarefulKube, name: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        kube.require_usable(name)


@pytest.mark.parametrize(("name", "labels"), [("shop", OURS), ("bg-00000000", {}), ("bg-mine", OURS)])
def test_a_namespace_of_somebody_else_is_never_deleted(
    kube: CarefulKube, cluster: Server, name: str, labels: dict[str, str]
) -> None:
    cluster.put(f"/api/v1/namespaces/{name}", labels)
    with pytest.raises(ConfigurationError, match="not made here"):
        kube.delete_namespace(name)
    assert cluster.changes == []


def test_a_scenario_that_breaks_leaves_nothing_either(running: existing.Existing, cluster: Server) -> None:
    item = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d", "labels": OURS}}
    cluster.put(f"{NS}/services/shop")
    with pytest.raises(ConfigurationError, match="not ours"), running.place("service"):
        raise AssertionError("never entered")
    del cluster.objects[f"{NS}/services/shop"]
    with pytest.raises(RuntimeError), running.place("service") as place:
        place.kube.apply([item], "shop")
        raise RuntimeError
    assert list(cluster.objects) == [NS]


UNKNOWN = ("example.com/v1", "Service")


def test_a_kind_that_can_not_be_located_is_none_that_was_made(kube: CarefulKube, cluster: Server) -> None:
    with pytest.raises(Refused, match="Service/w can't be made"):
        kube.apply([{"apiVersion": UNKNOWN[0], "kind": UNKNOWN[1], "metadata": {"name": "w"}}], "shop")
    assert kube.made == set()


@pytest.mark.parametrize("verb", ["list", "deletecollection"])
def test_a_kind_that_is_unknown_or_forbidden_keeps_no_other_from_going(
    kube: CarefulKube, cluster: Server, verb: str
) -> None:
    for path in (f"{NS}/configmaps/c", f"{NS}/services/s", f"{DEPLOYMENTS}/d"):
        cluster.put(path, OURS)
    cluster.forbidden = {f"{verb} configmaps"}
    kinds = [UNKNOWN, ("v1", "ConfigMap"), ("v1", "Service"), ("apps/v1", "Deployment")]
    with pytest.raises(ClusterError, match=r"Service of example.com/v1") as error:
        kube.remove("shop", kinds)
    assert "ConfigMap of v1 (" in error.value.what and "Service of v1 (" not in error.value.what
    assert cluster.names(f"{NS[1:]}/") == ["configmaps/c"]


@pytest.mark.parametrize("send", ["apply", "try_out"])
def test_an_object_of_the_whole_cluster_is_refused(kube: CarefulKube, cluster: Server, send: str) -> None:
    item = {"apiVersion": "networking.k8s.io/v1", "kind": "IngressClass", "metadata": {"name": "mine"}}
    with pytest.raises(ConfigurationError, match="IngressClass/mine is cluster-wide"):
        kube.apply([item], "shop") if send == "apply" else kube.try_out(item, "shop")
    assert (cluster.changes, kube.made) == ([], set())


def test_what_is_of_the_whole_cluster_is_never_removed(kube: CarefulKube, cluster: Server) -> None:
    cluster.put("/api/v1/namespaces/labelled", OURS)
    cluster.put(f"{NS}/services/s", OURS)
    with pytest.raises(ClusterError, match="Namespace is cluster-wide"):
        kube.remove("shop", [("v1", "Namespace"), ("v1", "Service")])
    assert list(cluster.objects) == [NS, "/api/v1/namespaces/labelled"]


def test_what_a_run_left_of_the_manifests_own_kinds_is_found(running: existing.Existing, cluster: Server) -> None:
    made = [("v1", "Secret"), UNKNOWN, ("v1", "Service")]
    with running.place("service") as place:
        cluster.put(f"{NS}/secrets/pull")
        place.check(made)  # the owner's own
        cluster.put(f"{NS}/secrets/bluegreen-smoke", OURS)
        with pytest.raises(ConfigurationError, match="a harness made: secrets/bluegreen-smoke"):
            place.check(made)
    assert cluster.names("secrets/") == ["secrets/bluegreen-smoke", "secrets/pull"]


def test_what_comes_of_an_object_is_labelled_and_removed_too(kube: CarefulKube, cluster: Server) -> None:
    job: dict[str, Any] = {"spec": {"template": {"spec": {}}}}
    cron: dict[str, Any] = {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "c"}}
    cron["spec"] = {"jobTemplate": job}
    store: dict[str, Any] = {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "s"}}
    store["spec"] = {"template": {"spec": {}}, "volumeClaimTemplates": [{"metadata": {"name": "data"}}]}
    for item in (cron, store):
        mark(item)
    template = cron["spec"]["jobTemplate"]
    (claim,) = store["spec"]["volumeClaimTemplates"]
    for one in (cron, template, template["spec"]["template"], store, store["spec"]["template"], claim):
        assert one["metadata"]["labels"] == OURS
    kube.apply([store], "shop")
    cluster.put(f"{NS}/persistentvolumeclaims/data-s-0", claim["metadata"]["labels"])
    cluster.put(f"{NS}/persistentvolumeclaims/theirs")
    kube.remove("shop", kube.made)
    assert list(cluster.objects) == [NS, f"{NS}/persistentvolumeclaims/theirs"]
    verbs = {right.verb for right in needed([store], admin=False, made=False) if "claims" in right.resource}
    assert verbs == {"list", "deletecollection"}


def test_a_scenario_looks_for_what_was_left_before_it_makes_anything(
    config: Config, rendered: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.release.start.render", lambda *_: rendered)
    looked: list[set[tuple[str, str]]] = []

    def left(kinds: Any) -> None:
        looked.append(set(kinds))
        raise ConfigurationError("left")

    nothing: Any = None
    scenario: Any = SimpleNamespace(path="service", folder=Path(), journal=None, changes=())
    cluster: Any = SimpleNamespace(kubectl=Path())
    switch = SelectorSwitch(nothing, "shop", config)
    with pytest.raises(ConfigurationError, match="left"):
        start(config, cluster, Place("shop", 0, nothing, check=left), scenario, switch)
    assert looked == [{("v1", "Service"), ("apps/v1", "Deployment")}]


# -- isolation --------------------------------------------------------------------------------------------------------


def test_hosts_and_node_folders_are_the_applications_own(config: Config, rendered: list[dict[str, Any]]) -> None:
    prepared = prepare(config, rendered, Placement("shop", "v1", 0))
    made = {(item["kind"], item["metadata"]["name"]): item for item in isolate(config, prepared, "bg-shop")}
    assert made["Ingress", "shop"]["spec"] == {"rules": [{"host": "bg-shop.shop.example.com"}]}
    ingress = private(config, "bg-shop").ingress
    assert ingress is not None
    assert ingress.host == "bg-shop.shop.example.com"
    assert private(config, "") is config
    volumes = made["Deployment", "shop-blue"]["spec"]["template"]["spec"]["volumes"]
    assert volumes == [{"name": "ledger", "emptyDir": {}}]
    assert "nodePort" not in made["Service", "shop"]["spec"]["ports"][0]
    assert made["Service", "shop"]["spec"]["type"] == "NodePort"
    assert "hostPath" in str(prepared)  # the given ones stay as they are


@pytest.mark.parametrize(
    "spec", [{"rules": [{"http": {}}]}, {"defaultBackend": {}, "rules": [{"host": "a.example"}]}, {"rules": []}]
)
def test_an_ingress_for_every_host_is_refused(config: Config, spec: dict[str, Any]) -> None:
    item = {"kind": "Ingress", "metadata": {"name": "shop"}, "spec": spec}
    with pytest.raises(ConfigurationError, match="answers for every host"):
        isolate(config, [item], "bg-shop")


@pytest.mark.parametrize("kind", ["HTTPRoute", "HTTPProxy", "VirtualService", "IngressRoute", "Gateway"])
def test_what_leads_hosts_by_other_means_is_refused(config: Config, kind: str) -> None:
    item = {"kind": kind, "metadata": {"name": "shop"}, "spec": {"hostnames": ["shop.example.com"]}}
    with pytest.raises(ConfigurationError, match=f"{kind}/shop could lead your users") as error:
        isolate(config, [item], "bg-shop")
    assert "leave it out" in error.value.mend


# -- targets ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("texts", "service", "ingress"),
    [
        (["10.0.0.1"], [("10.0.0.1", 31000, "10.0.0.1")], [("10.0.0.1", 80, "10.0.0.1")]),
        (["n1:8080"], [("n1", 31000, "n1")], [("n1", 8080, "n1:8080")]),
        (
            ["service=127.0.0.1:2001", "service=127.0.0.1:2002", "ingress=lb"],
            [("127.0.0.1", 2001, "127.0.0.1:2001"), ("127.0.0.1", 2002, "127.0.0.1:2002")],
            [("lb", 80, "lb")],
        ),
    ],
)
def test_the_load_goes_to_named_hosts_only(texts: list[str], service: list[Any], ingress: list[Any]) -> None:
    targets = [parse(text) for text in texts]
    assert entries(targets, "service", 31000) == service
    assert entries(targets, "ingress", 31000) == ingress


@pytest.mark.parametrize("text", ["", "a b", "http://host", "host:0", "host:70000", "egress=host", "host:", "-h"])
def test_what_is_no_host_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="--bg-target"):
        parse(text)


def test_a_path_without_a_host_is_named(options: Options) -> None:
    only = Options(options.kubeconfig, "c", targets=(parse("ingress=lb"),))
    with existing.cluster(only, lambda text: None) as made:
        assert made.lacks("ingress") == ""
        assert made.lacks("service") == "no --bg-target was named for the service path"
        with made.place("ingress") as place:
            assert place.node_port is None  # the Service stays as it is
        assert (made.names("ingress"), made.names("service"), made.nodes) == (["lb"], [], ())


def test_routes_attach_to_the_gateway_that_the_configuration_names(running: existing.Existing) -> None:
    named = Ingress("shop", "shop.example.com", "/", "gateways/shop", None)
    with running.gateway(named, "shop") as name:
        assert name == "gateways/shop"
    theirs = Tls("shop-tls", "manifests", None)
    with running.gateway(replace(named, tls=theirs), "shop") as name:
        assert name == "gateways/shop"
    for wrong, said in (
        (None, "no Gateway is named"),
        (replace(named, gateway=""), "no Gateway is named"),
        (replace(named, tls=replace(theirs, certificate="run")), "no listener .* has the run's certificate"),
    ):
        with pytest.raises(ConfigurationError, match=said), running.gateway(wrong, "shop"):
            pass


# -- what is said -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "said", "mend"),
    [
        ({"targets": ()}, "no host was named", "--bg-target"),
        ({"targets": (parse("service=h:99"),)}, "NodePort that isn't named", "--bg-node-port"),
        ({"context": "cc"}, "no context 'cc'", "did you mean c?"),
        ({"context": "production"}, "no context 'production'", "it has c"),
        ({"kubeconfig": Path("/nowhere")}, "/nowhere: can't be used", "--bg-kubeconfig"),
        ({"namespace": "gone"}, "no namespace gone", "kubectl create namespace gone"),
    ],
)
def test_wrong_options_name_the_mend(options: Options, change: dict[str, Any], said: str, mend: str) -> None:
    with pytest.raises(ConfigurationError, match=said) as error, existing.cluster(replace(options, **change), print):
        pass
    assert mend in error.value.mend


def test_expired_credentials_and_missing_rights_are_told_apart(options: Options, cluster: Server) -> None:
    cluster.status = 401
    with pytest.raises(ClusterError, match="401") as expired, existing.cluster(options, print):
        pass
    assert "log in again" in expired.value.mend
    cluster.status = 0
    cluster.forbidden = {"get namespaces"}
    with (
        pytest.raises(ClusterError, match='cannot get resource "namespaces"') as error,
        existing.cluster(options, print),
    ):
        pass
    assert "get namespaces" in error.value.mend
    assert "bluegreen rbac" in error.value.mend


def test_an_exceeded_quota_is_no_missing_right(kube: CarefulKube, cluster: Server, server: FakeApi) -> None:
    server.routes.insert(0, (f"POST {NS}/services", lambda wire: wire.reply(403, {"message": "exceeded quota: q"})))
    item = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "shop"}}
    with pytest.raises(Refused, match="exceeded quota") as error:
        kube.apply([item], "shop")
    assert "rbac" not in error.value.mend


def test_nodes_that_may_not_be_listed_are_done_without(options: Options, cluster: Server) -> None:
    cluster.put("/api/v1/nodes/n", status={})
    with existing.cluster(options, lambda text: None) as made:
        assert made.environment["nodes"] == 1
    cluster.forbidden = {"list nodes"}
    with existing.cluster(options, lambda text: None) as made:
        assert made.environment["nodes"] is None
        assert made.environment["kubernetes"] == "v1.36.3"


def test_without_kubectl_it_is_said(programs: Programs) -> None:
    with pytest.raises(SetupError, match="kubectl is not on PATH"):
        existing.find_kubectl(None)
    assert existing.find_kubectl(str(programs.add("kubectl"))).is_absolute()


def test_faults_beyond_the_namespace_are_off(running: existing.Existing) -> None:
    assert "needs a cluster that the harness made" in reach.why_not("controller-manager-stalled", running)
    with pytest.raises(ConfigurationError, match="no fault beyond") as error:
        reach.known("controller-manager-staled")
    assert error.value.mend == "did you mean controller-manager-stalled?"


def test_a_fault_that_needs_no_engine_is_off_unless_named(options: Options, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(reach.BEYOND, "node-drained", False)
    for allowed, said in (((), "--bg-allow-faults node-drained"), (("node-drained",), "")):
        with existing.cluster(replace(options, allowed_faults=allowed), lambda text: None) as made:
            reason = reach.why_not("node-drained", made)
            assert said in reason and bool(said) == bool(reason)


def test_a_dry_run_tells_every_object_and_sends_nothing(
    options: Options, cluster: Server, config: Config, rendered: list[dict[str, Any]]
) -> None:
    given = dry_run.lines(config, rendered, options)
    assert {f"  create           {one}" for one in ("services/shop", "deployments/shop-green")} <= set(given)
    assert any("deletecollection" in line and "label" in line for line in given)
    assert not any("delete " in line for line in given)
    made = dry_run.lines(config, rendered, replace(options, namespace=""))
    assert any("create           namespaces/bg-" in line for line in made)
    assert cluster.api.seen == []


def test_a_dry_run_tells_of_the_loads_workers(
    options: Options, cluster: Server, config: Config, rendered: list[dict[str, Any]]
) -> None:
    without = dry_run.lines(config, rendered, options)
    told = dry_run.lines(config, rendered, replace(options, workers=3))
    assert "  create           jobs/bluegreen-load-(6 hex digits), 3 pods (clusterip path only)" in told
    assert "  create           pods/proxy: POST to the load's workers" in told
    assert not any("bluegreen-load" in line or "workers" in line for line in without)
    assert cluster.api.seen == []


def test_inside_the_cluster_no_host_has_to_be_named(options: Options, cluster: Server) -> None:
    with existing.cluster(replace(options, targets=(parse("ingress=10.0.0.1"),)), lambda text: None) as made:
        assert "no --bg-target" in made.lacks("service")
        assert made.lacks("clusterip") == ""
        assert made.load_image() == "localhost/bluegreen/load:1"


WITHOUT_KIND = """
import sys
sys.modules["pytest_kind"] = None
from harness.cluster import existing
from harness import cli_cluster, clean_existing, fixtures, plugin, preflight, setup
from harness.cluster.targets import parse
assert "harness.cluster.kind" not in sys.modules
assert not any(name.split(".")[0] == "pytest_kind" and module for name, module in sys.modules.items())
"""


@pytest.mark.processes
def test_neither_pytest_kind_nor_an_engine_is_needed() -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT_KIND], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr

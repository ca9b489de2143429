"""The Gateway API on a cluster of ours: what Contour is told, and a Gateway that is gone after its scenario."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from harness.cluster import gateway, ingress
from harness.cluster.gateway import KINDS, NOT_SERVED, Gateways, contour_patch, contour_settings
from harness.cluster.session import OwnCluster
from harness.cluster.store import Store
from harness.config_ingress import Ingress, Tls
from harness.errors import ClusterError, SetupError

MANIFESTS = Path(__file__).resolve().parents[1] / "manifests"
FOLDER = MANIFESTS / "gateway"
GATEWAY_API_1_3_0 = {
    "gatewayclasses": "7c8ee2c1878d9dcc6ba106181e3d14d7eaa520ec070233d62f3aa0d674d19450",
    "gateways": "c949e7c3951227b92a582817a7a660558ce0fb94c081da264b4e2bbe4a1e5387",
    "httproutes": "a4ecf600c7e0bfd3cdb24e6411938d9b330117a26675f303cc6d9a407cb257d1",
    "referencegrants": "7587b2e7e5b1b9a26717b3ef8142f64e6600637eadf481a6bd0031740644b495",
}


@pytest.fixture(scope="module")
def contour() -> dict[str, Any]:
    """Contour's Deployment and settings, as its own manifest has them."""
    text = (MANIFESTS / "ingress" / "contour.yaml").read_text()
    wanted = [part for part in text.split("\n---\n") if "\nkind: Deployment\n" in part or "kind: ConfigMap\n" in part]
    found = [one for part in wanted if (one := yaml.load(part, yaml.CSafeLoader))]
    return {one["kind"]: one for one in found}


class Kubectl:
    """A cluster whose kubectl answers as told, and writes down what it was asked."""

    def __init__(self, contour: dict[str, Any]) -> None:
        self.deployment = contour["Deployment"]
        self.settings = contour["ConfigMap"]["data"]["contour.yaml"]
        self.calls: list[tuple[str, ...]] = []
        self.applied: list[dict[str, Any]] = []
        self.defined = ""
        self.refuses: tuple[str, ...] = ()

    def kubectl(self, *words: str, timeout: float) -> str:
        assert 0 < timeout <= 160
        self.calls.append(words)
        if words[0] in self.refuses:
            raise SetupError(f"could not {words[0]}", "look")
        if words[:2] == ("get", "deployment"):
            return json.dumps(self.deployment)
        if words[:2] == ("get", "configmap"):
            return str(self.settings)
        if words[:2] == ("get", "crd"):
            return self.defined
        if words[0] == "apply" and words[-1].endswith(".json"):
            self.applied += json.loads(Path(words[-1]).read_text())["items"]
        if words[0] == "patch":
            self.deployment = patched(self.deployment, json.loads(words[-1]))
        return ""

    def did(self, verb: str) -> list[tuple[str, ...]]:
        return [words for words in self.calls if words[0] == verb]


def patched(deployment: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    """As the API server does by names: of a list of containers and volumes alone."""
    changed = json.loads(json.dumps(deployment))
    for kind, ones in patch["spec"]["template"]["spec"].items():
        for one in ones:
            (there,) = (held for held in changed["spec"]["template"]["spec"][kind] if held["name"] == one["name"])
            there.update({key: {**there[key], **value} if isinstance(value, dict) else value
                          for key, value in one.items()})  # fmt: skip
    return dict(changed)


@pytest.fixture
def cluster(contour: dict[str, Any]) -> Kubectl:
    return Kubectl(contour)


@pytest.fixture
def gateways(cluster: Kubectl, store: Store) -> Gateways:
    ours: Any = cluster
    return Gateways(ours, store, FOLDER)


def test_the_definitions_are_unmodified_and_their_source_is_told() -> None:
    assert tuple(GATEWAY_API_1_3_0) == KINDS
    for kind, digest in GATEWAY_API_1_3_0.items():
        assert hashlib.sha256((FOLDER / f"{kind}.yaml").read_bytes()).hexdigest() == digest
    assert sorted(file.name for file in FOLDER.iterdir()) == ["README.md", *sorted(f"{kind}.yaml" for kind in KINDS)]
    told = (FOLDER / "README.md").read_text()
    assert all(word in told for word in ("config/crd/standard", "v1.3.0", "Apache License 2.0"))


def test_contour_is_told_of_the_gateway_beside_all_that_it_was_told(contour: dict[str, Any]) -> None:
    kind, settings = contour_settings(contour["ConfigMap"]["data"]["contour.yaml"])
    before = yaml.safe_load(contour["ConfigMap"]["data"]["contour.yaml"])
    after = yaml.safe_load(settings["data"]["contour.yaml"])
    assert after == {**before, "gateway": {"gatewayRef": {"namespace": ingress.NAMESPACE, "name": gateway.NAME}}}
    made = gateway.gateway("bg-1", "")
    assert made["spec"]["gatewayClassName"] == kind["metadata"]["name"]
    assert (made["metadata"]["namespace"], made["metadata"]["name"]) == (ingress.NAMESPACE, gateway.NAME)


def test_contours_deployment_is_changed_once(contour: dict[str, Any]) -> None:
    before = contour["Deployment"]
    after = patched(before, contour_patch(before))
    assert contour_patch(after) == {}
    pod, old = after["spec"]["template"]["spec"], before["spec"]["template"]["spec"]
    args = [f"--disable-feature={feature}" for feature in NOT_SERVED]
    assert pod["containers"][0]["args"] == old["containers"][0]["args"] + args
    assert [one.get("configMap", {}).get("name") for one in pod["volumes"]] == [None, gateway.SETTINGS]


def test_a_listener_for_tls_is_there_where_a_secret_is() -> None:
    plain, secure = gateway.gateway("bg-1", ""), gateway.gateway("bg-1", "shop-tls")
    assert [one["name"] for one in plain["spec"]["listeners"]] == ["http"]
    *_, https = secure["spec"]["listeners"]
    assert (https["port"], https["protocol"]) == (443, "HTTPS")
    assert https["tls"]["certificateRefs"] == [{"kind": "Secret", "namespace": "bg-1", "name": "shop-tls"}]


@pytest.mark.parametrize("fails", [False, True])
def test_a_gateway_is_gone_after_its_scenario(cluster: Kubectl, gateways: Gateways, fails: bool) -> None:
    with gateways.open("bg-1", "") as name:
        assert name == "projectcontour/bluegreen"
        assert not cluster.did("delete")
    assert [one["kind"] for one in cluster.applied] == ["GatewayClass", "ConfigMap", "Gateway"]
    assert ("apply", "--server-side", "-f", str(FOLDER)) in cluster.calls
    assert cluster.did("rollout")
    assert [words[2] for words in cluster.did("delete")] == ["bluegreen"]
    cluster.calls.clear()
    cluster.refuses = ("wait",) if fails else ()
    with pytest.raises(ClusterError if fails else ZeroDivisionError), gateways.open("bg-2", ""):
        raise ZeroDivisionError
    assert not cluster.did("patch") and not cluster.did("rollout")  # Contour serves it already
    assert len(cluster.did("delete")) == 1


def test_a_cluster_of_ours_that_refuses_is_an_error_and_no_reason_to_skip(cluster: Kubectl, gateways: Gateways) -> None:
    cluster.refuses = ("rollout",)
    with pytest.raises(ClusterError, match="could not rollout"), gateways.open("bg-1", ""):
        pass


def test_what_a_killed_run_left_is_taken_away(cluster: Kubectl, gateways: Gateways) -> None:
    gateways.tidy()
    assert not cluster.did("delete")
    cluster.defined = "customresourcedefinition.apiextensions.k8s.io/gateways.gateway.networking.k8s.io\n"
    gateways.tidy()
    assert len(cluster.did("delete")) == 1


def test_the_scenarios_secret_is_the_gateways_certificate() -> None:
    opened: list[tuple[str, str]] = []
    nothing: Any = None
    gateways: Any = SimpleNamespace(open=lambda *given: opened.append(given))
    given: Any = ([], nothing, None, {}, "smoke", nothing, nothing, nothing, gateways, nothing)
    own = OwnCluster("c", Path(), Path(), Path(), *given)
    tls = Tls("shop-tls", "run", None)
    for one in (None, Ingress("shop", "a.test", "/", "", None), Ingress("shop", "a.test", "/", "", tls)):
        own.gateway(one, "bg-1")
    assert opened == [("bg-1", ""), ("bg-1", ""), ("bg-1", "shop-tls")]

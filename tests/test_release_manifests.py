from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.config import Config
from harness.errors import ConfigurationError, SetupError
from harness.release.manifests import Placement, prepare
from harness.release.rendering import kustomize
from harness.release.sources import file_of
from tests.fake_kube import CONFIG, config_in


def deployment(name: str) -> dict[str, Any]:
    container = {"name": "api", "image": "shop", "volumeMounts": [{"name": "record", "mountPath": "/record"}]}
    sidecar = {"name": "proxy", "image": "proxy:1", "imagePullPolicy": "Always"}
    volumes = [{"name": "record", "hostPath": {"path": "/var/lib/shop/"}}]
    spec = {"containers": [sidecar, container], "volumes": volumes}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {"replicas": 4, "template": {"spec": spec}},
    }


def service(name: str, **selector: str) -> dict[str, Any]:
    spec = {"selector": selector, "ports": [{"port": 9, "targetPort": 9}, {"port": 80, "targetPort": 8080}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}


def shop() -> list[dict[str, Any]]:
    ingress = {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "shop"}, "spec": {}}
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "shop"},
        "subjects": [{"kind": "ServiceAccount", "name": "shop", "namespace": "prod"}],
    }
    return [
        ingress,
        deployment("shop-blue"),
        deployment("shop-green"),
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "prod"}},
        service("shop", app="shop", color="blue"),
        service("shop-blue"),
        service("shop-green"),
        binding,
    ]


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return config_in(tmp_path)


PLACE = Placement("bg-1", "v1", 30123)


def by_name(objects: list[dict[str, Any]]) -> dict[tuple[str, str], dict[str, Any]]:
    return {(item["kind"], item["metadata"]["name"]): item for item in objects}


def test_objects_of_a_scenario(config: Config) -> None:
    given = shop()
    before = copy.deepcopy(given)
    made = prepare(config, given, PLACE)
    assert given == before
    found = by_name(made)
    assert {item["metadata"]["namespace"] for item in made} == {"bg-1"}
    assert not [item for item in made if item["kind"] == "Namespace"]
    assert [i["kind"] for i in made].index("Service") < [i["kind"] for i in made].index("Deployment")
    users = found["Service", "shop"]["spec"]
    assert users["type"] == "NodePort"
    assert [port.get("nodePort") for port in users["ports"]] == [None, 30123]
    assert users["selector"] == {"app": "shop", "color": "blue"}
    assert "type" not in found["Service", "shop-green"]["spec"]
    assert [found["Deployment", f"shop-{side}"]["spec"]["replicas"] for side in ("blue", "green")] == [4, 0]
    for side in ("blue", "green"):
        proxy, api = found["Deployment", f"shop-{side}"]["spec"]["template"]["spec"]["containers"]
        assert (api["image"], proxy["image"]) == ("localhost/shop:v1", "proxy:1")
        assert {api["imagePullPolicy"], proxy["imagePullPolicy"]} == {"IfNotPresent"}
        assert api["volumeMounts"] == [{"name": "record", "mountPath": "/record", "subPath": "bg-1"}]
    assert found["RoleBinding", "shop"]["subjects"][0]["namespace"] == "bg-1"


def test_green_may_be_the_live_side_at_first(config: Config) -> None:
    objects = shop()
    by_name(objects)["Service", "shop"]["spec"]["selector"]["color"] = "green"
    found = by_name(prepare(config, objects, PLACE))
    assert [found["Deployment", f"shop-{side}"]["spec"]["replicas"] for side in ("blue", "green")] == [0, 4]


def test_without_ingress_and_node_port(config: Config) -> None:
    made = by_name(prepare(config, shop(), Placement("n", "v1", None, ingress=False)))
    assert ("Ingress", "shop") not in made
    assert "type" not in made["Service", "shop"]["spec"]


def without(kind: str, name: str) -> list[dict[str, Any]]:
    return [item for item in shop() if (item["kind"], item["metadata"]["name"]) != (kind, name)]


def changed(kind: str, name: str, change: Any) -> list[dict[str, Any]]:
    objects = shop()
    change(by_name(objects)[kind, name])
    return objects


@pytest.mark.parametrize(
    ("objects", "said", "mend"),
    [
        (without("Deployment", "shop-green"), "no Deployment 'shop-green'", "did you mean 'shop-blue'"),
        (without("Service", "shop-green"), "no Service 'shop-green'", "shop-blue"),
        (without("Ingress", "shop"), "no Ingress 'shop'", "none of that kind"),
        (changed("Service", "shop", lambda s: s["spec"]["ports"].pop()), "has no port 80", "agree"),
        (changed("Service", "shop", lambda s: s["spec"]["selector"].pop("color")), "color=None", "blue, green"),
        (changed("Service", "shop", lambda s: s["spec"].update(selector={"color": "red"})), "color='red'", "blue"),
        (
            changed("Deployment", "shop-green", lambda d: d["spec"]["template"]["spec"]["containers"].pop()),
            "Deployment shop-green has no container 'api'",
            "proxy",
        ),
        (
            [*shop(), {"apiVersion": "rbac/v1", "kind": "ClusterRole", "metadata": {"name": "all"}}],
            "ClusterRole/all is cluster-wide",
            "beforehand",
        ),
    ],
)
def test_manifests_that_dont_fit(config: Config, objects: list[dict[str, Any]], said: str, mend: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        prepare(config, objects, PLACE)
    assert said in error.value.what
    assert str(config.app.manifests) in error.value.what
    assert mend in error.value.mend


def test_a_record_that_nobody_mounts(tmp_path: Path) -> None:
    config = config_in(tmp_path, CONFIG.replace("/var/lib/shop", "/var/lib/other"))
    with pytest.raises(ConfigurationError, match="neither side mounts a hostPath volume /var/lib/other"):
        prepare(config, shop(), PLACE)


def kubectl(folder: Path, script: str) -> Path:
    program = folder / "kubectl"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return program


def test_render(tmp_path: Path) -> None:
    (tmp_path / "out").write_text(yaml.safe_dump_all([None, *shop()]))
    program = kubectl(tmp_path, '[ "$1" = kustomize ] && cat "$2/out"')
    assert kustomize(program, tmp_path) == shop()


def test_the_file_of_an_object_is_found_wherever_it_is_listed(tmp_path: Path) -> None:
    base, overlay = tmp_path / "base", tmp_path / "overlay"
    base.mkdir()
    overlay.mkdir()
    (base / "kustomization.yaml").write_text("resources: [two.yaml, broken.yaml, absent.yaml, ../overlay]")
    (base / "two.yaml").write_text(
        yaml.safe_dump_all([{"kind": kind, "metadata": {"name": "shop"}} for kind in ("Service", "Deployment")])
    )
    (base / "broken.yaml").write_text("a: [b")
    (overlay / "kustomization.yml").write_text("resources: [../base, https://example.com/x]\nnamePrefix: other-")
    assert file_of(overlay, "Deployment", "shop") == base / "two.yaml"
    assert file_of(overlay, "Deployment", "other-shop") == overlay  # renamed on the way


def test_render_fails_with_kubectls_words(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="accumulating resources: no such file"):
        kustomize(kubectl(tmp_path, "echo 'accumulating resources: no such file' >&2; exit 1"), tmp_path)
    with pytest.raises(ConfigurationError, match="hold no object"):
        kustomize(kubectl(tmp_path, "true"), tmp_path)
    with pytest.raises(ConfigurationError, match="not YAML"):
        kustomize(kubectl(tmp_path, "echo 'a: [b'"), tmp_path)
    with pytest.raises(SetupError, match="not installed"):
        kustomize(tmp_path / "absent", tmp_path)

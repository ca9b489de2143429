"""Contour's own manifest, unmodified, and patches that still meet what they patch."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
import yaml

FOLDER = Path(__file__).parent.parent / "manifests" / "ingress"
CONTOUR_1_33_8 = "5738381ac751bf5983c6125f6ee0489b2e2ab2b8bf732c7de409476f3b103696"


def read(name: str) -> Any:
    return yaml.safe_load((FOLDER / name).read_text())


@pytest.fixture(scope="module")
def upstream() -> dict[tuple[str, str], Any]:
    """Contour's workloads and Services by (kind, name); its CRDs are skipped, being 9,000 lines."""
    text = (FOLDER / "contour.yaml").read_text()
    wanted = [part for part in text.split("\n---\n") if "kind: CustomResourceDefinition" not in part]
    documents = [d for d in (yaml.load(part, yaml.CSafeLoader) for part in wanted) if d]
    return {(d["kind"], d["metadata"]["name"]): d for d in documents}


def test_contours_manifest_is_unmodified_and_its_source_is_told() -> None:
    assert hashlib.sha256((FOLDER / "contour.yaml").read_bytes()).hexdigest() == CONTOUR_1_33_8
    told = (FOLDER / "README.md").read_text()
    assert all(word in told for word in ("examples/render/contour.yaml", "v1.33.8", "Apache License 2.0"))


def test_the_tags_are_those_that_contour_was_released_with(upstream: dict[tuple[str, str], Any]) -> None:
    pinned = {f"{image['name']}:{image['newTag']}" for image in read("kustomization.yaml")["images"]}
    used = set()
    for kind, name in (("DaemonSet", "envoy"), ("Deployment", "contour"), ("Job", "contour-certgen-v1-33-8")):
        pod = upstream[kind, name]["spec"]["template"]["spec"]
        for container in [*pod["containers"], *pod.get("initContainers", [])]:
            used.add(container["image"])
            assert container["imagePullPolicy"] == "IfNotPresent"
    assert pinned == used


def test_every_patch_is_applied_and_meets_an_object_of_contours(upstream: dict[tuple[str, str], Any]) -> None:
    patches = [patch["path"] for patch in read("kustomization.yaml")["patches"]]
    assert sorted(patches) == sorted(f.name for f in FOLDER.glob("*-patch.yaml"))
    for patch in map(read, patches):
        target = upstream[patch["kind"], patch["metadata"]["name"]]
        assert target["metadata"]["namespace"] == patch["metadata"]["namespace"] == "projectcontour"
        if patch["kind"] == "Service":
            continue
        pod, patched = target["spec"]["template"]["spec"], patch["spec"]["template"]["spec"]
        for group in ("containers", "initContainers"):
            # A container under a name that isn't there would be added, not patched.
            assert {c["name"] for c in patched.get(group, [])} <= {c["name"] for c in pod.get(group, [])}


def test_every_host_port_is_removed(upstream: dict[tuple[str, str], Any]) -> None:
    def ports(pod: Any) -> dict[int, Any]:
        return {p["containerPort"]: p for c in pod["containers"] for p in c.get("ports", []) if "hostPort" in p}

    taken = ports(upstream["DaemonSet", "envoy"]["spec"]["template"]["spec"])
    removed = ports(read("envoy-patch.yaml")["spec"]["template"]["spec"])
    assert set(taken) == set(removed) == {8080, 8443}
    assert all(port["hostPort"] is None for port in removed.values())


def test_every_node_answers_and_a_proxy_leaves_within_20_seconds() -> None:
    assert read("envoy-service-patch.yaml")["spec"] == {"type": "NodePort", "externalTrafficPolicy": "Cluster"}
    pod = read("envoy-patch.yaml")["spec"]["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] == 20
    for container in pod["containers"]:
        assert "memory" in container["resources"]["limits"]
        assert "cpu" not in container["resources"]["limits"]


def test_the_node_port_is_left_to_whoever_owns_the_nodes() -> None:
    assert not any("nodePort:" in f.read_text() for f in FOLDER.glob("*-patch.yaml"))

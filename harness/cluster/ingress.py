"""The ingress path: Contour with Envoy, behind one NodePort of every node, and one for TLS."""

from __future__ import annotations

from pathlib import Path

import yaml

from harness import waiting
from harness.cluster.kind import BlueGreenKind
from harness.cluster.ports import INGRESS_NODE_PORT, INGRESS_TLS_NODE_PORT
from harness.cluster.store import Store
from harness.errors import SetupError

NAMESPACE = "projectcontour"


def install(cluster: BlueGreenKind, store: Store, manifests: Path, envoy_image: str) -> None:
    """Apply manifests/ingress with this cluster's choices on top, and wait for Envoy and Contour.

    Args:
        cluster: where to.
        store: for a temporary folder.
        manifests: the folder manifests/ingress.
        envoy_image: name that the nodes know the proxy by.

    Raises:
        SetupError: the API server refused the manifests.
        WaitTimeout: Envoy or Contour never became ready.

    """
    if _ready(cluster):
        return
    name, tag = envoy_image.rsplit(":", 1)
    with store.step("ingress (Contour, Envoy)", "about 20 s"), store.context() as folder:
        overlay = {
            "resources": ["base"],
            "images": [{"name": "docker.io/envoyproxy/envoy", "newName": name, "newTag": tag}],
            "patches": [
                {
                    "target": {"kind": "Service", "name": "envoy"},
                    "patch": "".join(
                        f"- op: add\n  path: /spec/ports/{at}/nodePort\n  value: {port}\n"
                        for at, port in enumerate((INGRESS_NODE_PORT, INGRESS_TLS_NODE_PORT))  # as contour.yaml's
                    ),
                }
            ],
        }
        (folder / "base").symlink_to(manifests)
        (folder / "kustomization.yaml").write_text(yaml.safe_dump(overlay))
        rendered = cluster.kubectl("kustomize", "--load-restrictor=LoadRestrictionsNone", str(folder))
        (folder / "rendered.yaml").write_text(rendered)
        cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", str(folder / "rendered.yaml"), timeout=120)
        waiting.until(
            lambda: _ready(cluster),
            "Contour and Envoy to be ready",
            timeout=180,
            every=1,
            status=lambda: cluster.kubectl("get", "pods", "-n", NAMESPACE, "-o", "wide"),
            mend=f"kubectl describe pods -n {NAMESPACE}",
        )


def _ready(cluster: BlueGreenKind) -> bool:
    """True if both workloads have every wanted pod ready, at the generation that was applied."""
    path = (
        "jsonpath={.items[*].status.numberReady}/{.items[*].status.desiredNumberScheduled}"
        "/{.items[*].status.observedGeneration}/{.items[*].metadata.generation}"
    )
    try:
        envoy = cluster.kubectl("get", "daemonsets", "-n", NAMESPACE, "-o", path).split("/")
        contour = cluster.kubectl(
            "get", "deployments", "-n", NAMESPACE, "-o", "jsonpath={.items[*].status.readyReplicas}"
        )
    except SetupError:
        return False
    return envoy[0] not in ("", "0") and envoy[0] == envoy[1] and envoy[2] == envoy[3] and contour not in ("", "0")

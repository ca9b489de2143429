"""Argo Rollouts, where a switch asks for it: its controller in a namespace of its own, and its kubectl plugin."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import yaml

from harness import waiting
from harness.cluster.images import Images
from harness.cluster.kind import BlueGreenKind
from harness.cluster.kube_rollouts import NAMESPACE
from harness.cluster.offline.components import Component
from harness.cluster.offline.golang import ARGO, ARGO_VERSION
from harness.cluster.owned import OWNED
from harness.cluster.store import Store
from harness.errors import SetupError

REPOSITORY = "quay.io/argoproj/argo-rollouts"
IMAGE = f"{REPOSITORY}:{ARGO_VERSION}"
MODULE = "argo-rollouts"
PLUGIN = "kubectl-argo-rollouts"
USER = "999"
"""As its own image has it: its manifests ask for any user but root, by number."""


def provide(cluster: BlueGreenKind, source: Images, store: Store, load: Callable[[list[str]], None]) -> Path:
    """Have the controller running, and return the plugin, both of one version.

    The namespace is labelled as the harness' own, so that a later session on a kept cluster takes it away with all
    else that was left: nothing of it is there unless it is asked for.

    Args:
        cluster: one of ours.
        source: where images and binaries come from.
        store: for a temporary folder.
        load: has images of the engine on the nodes.

    Raises:
        SetupError: it isn't to be had, or the API server refused it.
        WaitTimeout: the controller never became ready.

    """
    if shutil.which("go") is None:
        raise SetupError("Argo Rollouts is built from its Go module, and Go is not installed", "install Go")
    builder = source.builder()
    found = None if source.builds else shutil.which(PLUGIN)
    plugin = Path(found) if found else builder.go.binaries(MODULE) / PLUGIN
    if _ready(cluster):
        return plugin
    if source.builds:
        builder.component(Component(IMAGE, MODULE, "rollouts-controller", path="/bin/", user=USER))
    else:
        source.pull(IMAGE)
    load([IMAGE])
    manifests = builder.go.source(MODULE, ARGO) / "manifests" / "install.yaml"
    with store.step("Argo Rollouts", "about 20 s"), store.context() as folder:
        _apply(cluster, manifests, folder)
        waiting.until(
            lambda: _ready(cluster),
            "the controller of Argo Rollouts to be ready",
            timeout=120,
            every=0.5,
            status=lambda: cluster.kubectl("get", "pods", "-n", NAMESPACE, "-o", "wide"),
            mend=f"kubectl describe pods -n {NAMESPACE}",
        )
    return plugin


def _apply(cluster: BlueGreenKind, manifests: Path, folder: Path) -> None:
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": dict([OWNED])}}
    here = [{"op": "replace", "path": "/spec/template/spec/containers/0/imagePullPolicy", "value": "IfNotPresent"}]
    overlay = {
        "resources": ["namespace.yaml", "install.yaml"],
        "namespace": NAMESPACE,
        "images": [{"name": REPOSITORY, "newTag": ARGO_VERSION}],
        "patches": [{"target": {"kind": "Deployment", "name": "argo-rollouts"}, "patch": yaml.safe_dump(here)}],
    }
    shutil.copyfile(manifests, folder / "install.yaml")
    (folder / "namespace.yaml").write_text(yaml.safe_dump(namespace))
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(overlay))
    cluster.kubectl("apply", "--server-side", "--force-conflicts", "-k", str(folder), timeout=180)


def _ready(cluster: BlueGreenKind) -> bool:
    """True where a controller of this very version is ready."""
    path = "jsonpath={.spec.template.spec.containers[0].image} {.status.readyReplicas}"
    words = ["get", "deployment", "argo-rollouts", "-n", NAMESPACE, "--ignore-not-found", "-o", path]
    return cluster.kubectl(*words).split() == [IMAGE, "1"]

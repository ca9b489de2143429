"""The Gateway API on a cluster of ours: Contour is made to serve it once, and a Gateway is there for one scenario.

Contour serves one Gateway, known to it by name. As long as there is none of this name, its listeners are those that it
has for Ingresses alone (Contour, internal/dag/listener_processor.go): scenarios that don't ask for one see no change.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness.cluster.ingress import NAMESPACE
from harness.cluster.kind import BlueGreenKind
from harness.cluster.store import Store
from harness.errors import ClusterError, SetupError

NAME = "bluegreen"
GROUP = "gateway.networking.k8s.io"
CONTROLLER = "projectcontour.io/gateway-controller"
SETTINGS = "contour-gateway"
"""The ConfigMap that stands for Contour's own."""
KINDS = ("gatewayclasses", "gateways", "httproutes", "referencegrants")
"""Whose definitions are in manifests/gateway."""
NOT_SERVED = ("tlsroutes", "grpcroutes", "tcproutes", "backendtlspolicies")
"""Contour would not start without their definitions."""

Json = dict[str, Any]


class Gateways:
    """Makes Gateways.

    Args:
        cluster: where, with Contour running.
        store: for temporary folders.
        manifests: the folder manifests/gateway.

    """

    def __init__(self, cluster: BlueGreenKind, store: Store, manifests: Path) -> None:
        self._cluster = cluster
        self._store = store
        self._manifests = manifests

    def tidy(self) -> None:
        """Take away the Gateway that a killed run has left."""
        gateways = f"gateways.{GROUP}"
        if self._kubectl("get", "crd", gateways, "--ignore-not-found", "-o", "name").strip():
            self._delete()

    @contextlib.contextmanager
    def open(self, namespace: str, secret: str) -> Iterator[str]:
        """A Gateway behind the ports that Ingresses are entered by, for the duration of the block.

        Args:
            namespace: the scenario's.
            secret: with the certificate, in that namespace; "" where nobody comes by TLS.

        Returns:
            ``namespace/name``.

        Raises:
            ClusterError: the API server refused, or Contour never became ready.

        """
        self._serve()
        self._apply(gateway(namespace, secret))
        try:
            self._kubectl("wait", f"gateways.{GROUP}/{NAME}", "-n", NAMESPACE, "--for=condition=Accepted",
                          "--timeout=30s")  # fmt: skip
            yield f"{NAMESPACE}/{NAME}"
        finally:
            self._delete()

    def _serve(self) -> None:
        """Define the kinds, and have Contour look for the Gateway."""
        deployment = json.loads(self._kubectl("get", "deployment", "contour", "-n", NAMESPACE, "-o", "json"))
        patch = contour_patch(deployment)
        if not patch:
            return
        with self._store.step("Gateway API (Contour)", "about 30 s"):
            self._kubectl("apply", "--server-side", "-f", str(self._manifests), timeout=120)
            definitions = [f"crd/{kind}.{GROUP}" for kind in KINDS]
            self._kubectl("wait", "--for=condition=Established", "--timeout=30s", *definitions)
            settings = self._kubectl(
                "get", "configmap", "contour", "-n", NAMESPACE, "-o", r"jsonpath={.data.contour\.yaml}"
            )
            self._apply(*contour_settings(settings))
            self._kubectl(
                "patch", "deployment", "contour", "-n", NAMESPACE, "--type=strategic", "-p", json.dumps(patch)
            )
            self._kubectl("rollout", "status", "deployment/contour", "-n", NAMESPACE, "--timeout=150s", timeout=160)

    def _delete(self) -> None:
        self._kubectl("delete", f"gateways.{GROUP}", NAME, "-n", NAMESPACE, "--ignore-not-found", "--timeout=30s")

    def _apply(self, *objects: Json) -> None:
        with self._store.context() as folder:
            file = folder / "objects.json"
            file.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)}))
            self._kubectl("apply", "--server-side", "--force-conflicts", "-f", str(file))

    def _kubectl(self, *words: str, timeout: float = 60) -> str:
        try:
            return self._cluster.kubectl(*words, timeout=timeout)
        except SetupError as error:  # a cluster of ours that refuses is a fault, not a thing that isn't to be had
            raise ClusterError(error.what, error.mend) from error


def gateway(namespace: str, secret: str) -> Json:
    """The Gateway, entered by ports 80 and 443: Contour's Envoy listens for them where it does for Ingresses."""
    everybody = {"namespaces": {"from": "All"}}
    listeners: list[Json] = [{"name": "http", "protocol": "HTTP", "port": 80, "allowedRoutes": everybody}]
    if secret:
        tls = {"mode": "Terminate", "certificateRefs": [{"kind": "Secret", "namespace": namespace, "name": secret}]}
        listeners.append({"name": "https", "protocol": "HTTPS", "port": 443, "allowedRoutes": everybody, "tls": tls})
    return {
        "apiVersion": f"{GROUP}/v1",
        "kind": "Gateway",
        "metadata": {"name": NAME, "namespace": NAMESPACE},
        "spec": {"gatewayClassName": NAME, "listeners": listeners},
    }


def contour_settings(settings: str) -> tuple[Json, Json]:
    """The class of the Gateway, and Contour's settings with its name beside what they were.

    Args:
        settings: contour.yaml as it is.

    """
    reference = f"gateway:\n  gatewayRef:\n    namespace: {NAMESPACE}\n    name: {NAME}\n"
    changed = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": SETTINGS, "namespace": NAMESPACE},
        "data": {"contour.yaml": f"{settings.rstrip()}\n{reference}"},
    }
    kind = {"apiVersion": f"{GROUP}/v1", "kind": "GatewayClass", "metadata": {"name": NAME}}
    return {**kind, "spec": {"controllerName": CONTROLLER}}, changed


def contour_patch(deployment: Json) -> Json:
    """What of Contour's Deployment must change, as a strategic merge patch; empty where it serves Gateways already."""
    pod = deployment["spec"]["template"]["spec"]
    (volume,) = (one for one in pod["volumes"] if one["name"] == "contour-config")
    if volume["configMap"]["name"] == SETTINGS:
        return {}
    (container,) = (one for one in pod["containers"] if one["name"] == "contour")
    args = [*container["args"], *(f"--disable-feature={feature}" for feature in NOT_SERVED)]
    changed = {
        "volumes": [{"name": "contour-config", "configMap": {"name": SETTINGS}}],
        "containers": [{"name": "contour", "args": args}],
    }
    return {"spec": {"template": {"spec": changed}}}

"""The objects of one scenario: the user's manifests, moved into a namespace of their own."""

from __future__ import annotations

import contextlib
import copy
import difflib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.cluster.answers import Refused
from harness.cluster.owned import OWNED
from harness.cluster.permissions import claims
from harness.config import Config
from harness.errors import ConfigurationError
from harness.release.sources import file_of

if TYPE_CHECKING:
    from harness.cluster.kube import Kube

Json = dict[str, Any]

ORDER = (
    "ServiceAccount",
    "Role",
    "RoleBinding",
    "Secret",
    "ConfigMap",
    "NetworkPolicy",
    "Service",
    "PodDisruptionBudget",
    "Deployment",
)
"""What others need comes first; kinds that aren't listed come last, as rendered."""
CLUSTER_WIDE = (
    "ClusterRole",
    "ClusterRoleBinding",
    "CustomResourceDefinition",
    "GatewayClass",
    "IngressClass",
    "MutatingWebhookConfiguration",
    "PersistentVolume",
    "PriorityClass",
    "RuntimeClass",
    "StorageClass",
    "ValidatingWebhookConfiguration",
)


@dataclass(frozen=True)
class Placement:
    """Where and how one scenario's objects run.

    Attributes:
        namespace: the namespace's name.
        version: the application's version, on both sides; the idle one has no pods yet.
        node_port: the leased NodePort; 0 lets the API pick one, None leaves the Service as the manifests have it.
        ingress: whether the Ingress is kept.

    """

    namespace: str
    version: str
    node_port: int | None = None
    ingress: bool = True


def prepare(config: Config, objects: Sequence[Json], placement: Placement) -> list[Json]:
    """The objects to apply, in order; the given ones stay as they are.

    Changed are: the namespace; the image (and pull policy) of the application's container; the idle side's
    replicas, 0 until something is deployed there; the arrival record's folder, one per namespace; the Service's
    type, NodePort on the leased port. The NodePort is only the way in: the selector stays the switch. Everything gets
    the harness' label.

    Raises:
        ConfigurationError: the manifests lack what the configuration names, or hold what can't be thrown away.

    """
    changed = [copy.deepcopy(item) for item in objects if item.get("kind") != "Namespace"]
    if not placement.ingress:
        changed = [item for item in changed if item["kind"] != "Ingress"]
    elif config.ingress is not None:
        _one(config, changed, "Ingress", config.ingress.name)
    for item in changed:
        _move(config, item, placement.namespace)
        mark(item)
    service = _one(config, changed, "Service", config.service.name)
    for side in config.sides.deployments:
        _one(config, changed, "Service", config.service.internal_of(side))
    active = _active(config, service)
    if placement.node_port is not None:
        _enter_by(config, service, placement.node_port)
    recorded = False
    for side, name in config.sides.deployments.items():
        deployment = _one(config, changed, "Deployment", name)
        _set_image(config, deployment, placement.version)
        recorded = _own_record(config, deployment, placement.namespace) or recorded
        if side != active:
            deployment["spec"]["replicas"] = 0
    if config.ledger is not None and not recorded:
        raise ConfigurationError(
            f"{config.app.manifests}: neither side mounts a hostPath volume {config.ledger.host_path}",
            "mount it, or take [ledger] out of the configuration",
        )
    return sorted(changed, key=lambda item: ORDER.index(item["kind"]) if item["kind"] in ORDER else len(ORDER))


def mark(item: Json) -> None:
    """Label an object, and what comes of it, as the harness' own: what is cleaned up is found by it.

    That is pods, a CronJob's Jobs with their pods, and a StatefulSet's claims.
    """
    job = _below(item, "jobTemplate")
    templates = (_below(item, "template"), job, _below(job, "template"))
    for part in (item, *(one for one in templates if "spec" in one), *claims(item)):
        metadata = part.setdefault("metadata", {})
        metadata["labels"] = {**(metadata.get("labels") or {}), **dict([OWNED])}


def _below(item: Json, key: str) -> Json:
    spec = item.get("spec")
    part = spec.get(key) if isinstance(spec, dict) else None
    return part if isinstance(part, dict) else {}


def apply(kube: Kube, config: Config, objects: Iterable[Json], namespace: str) -> None:
    """Apply the prepared objects.

    Raises:
        ConfigurationError: the API server refuses one, with its file and the server's message.
        ClusterError: it doesn't answer, or is itself at fault.

    """
    for item in objects:
        with blaming_file(config, item):
            kube.apply([item], namespace)


@contextlib.contextmanager
def blaming_file(config: Config, item: Json) -> Iterator[None]:
    """Where the API server refuses an object in the block, name the file that it is from.

    Raises:
        ConfigurationError: as ``apply``.

    """
    try:
        yield
    except Refused as error:
        if error.status >= 500 or error.status == 401 or error.lacks_right:
            raise
        kind, name = item["kind"], item["metadata"]["name"]
        if kind == "Deployment" and config.sides.template and name in config.sides.deployments.values():
            name = config.sides.template
        file = file_of(config.app.manifests, kind, name)
        mend = error.mend or "mend the manifests by the server's message"
        raise ConfigurationError(f"{file}: {error.what}", mend) from error


def _move(config: Config, item: Json, namespace: str) -> None:
    """Into the namespace, with what an object says about its own namespace."""
    if item["kind"] in CLUSTER_WIDE:
        raise ConfigurationError(
            f"{config.app.manifests}: {item['kind']}/{item['metadata']['name']} is cluster-wide, would outlive the run",
            "install it in the cluster beforehand and leave it out of the manifests",
        )
    item["metadata"]["namespace"] = namespace
    if item["kind"] == "RoleBinding":
        for subject in item.get("subjects") or []:
            if subject.get("kind") == "ServiceAccount":
                subject["namespace"] = namespace


def _one(config: Config, objects: Sequence[Json], kind: str, name: str) -> Json:
    names = [item["metadata"]["name"] for item in objects if item["kind"] == kind]
    for item in objects:
        if item["kind"] == kind and item["metadata"]["name"] == name:
            return item
    near = difflib.get_close_matches(name, names, n=1)
    there = f"did you mean {near[0]!r}?" if near else f"they hold {', '.join(names) or 'none of that kind'}"
    raise ConfigurationError(f"{config.app.manifests}: the manifests hold no {kind} {name!r}", there)


def _active(config: Config, service: Json) -> str:
    """The side that the manifests point users at."""
    value = (service["spec"].get("selector") or {}).get(config.service.selector_key)
    if value not in config.sides.deployments:
        raise ConfigurationError(
            f"{config.app.manifests}: Service {config.service.name} selects {config.service.selector_key}={value!r}",
            f"its selector's {config.service.selector_key} must be one of {', '.join(config.sides.deployments)}",
        )
    return str(value)


def _enter_by(config: Config, service: Json, node_port: int) -> None:
    ports = [port for port in service["spec"].get("ports", []) if port.get("port") == config.service.port]
    if not ports:
        raise ConfigurationError(
            f"{config.app.manifests}: Service {config.service.name} has no port {config.service.port}",
            "make service.port and the manifests agree",
        )
    service["spec"]["type"] = "NodePort"
    service["spec"].pop("clusterIP", None)
    ports[0].pop("nodePort", None)
    if node_port:
        ports[0]["nodePort"] = node_port


def _containers(deployment: Json) -> Iterator[Json]:
    spec = deployment["spec"]["template"]["spec"]
    yield from spec.get("initContainers") or []
    yield from spec["containers"]


def _set_image(config: Config, deployment: Json, version: str) -> None:
    name = config.app.container
    names = [container["name"] for container in deployment["spec"]["template"]["spec"]["containers"]]
    if name not in names:
        raise ConfigurationError(
            f"{config.app.manifests}: Deployment {deployment['metadata']['name']} has no container {name!r}",
            f"set app.container to one of {', '.join(names)}",
        )
    for container in _containers(deployment):
        container["imagePullPolicy"] = "IfNotPresent"  # the images are on the nodes already, with or without a registry
        if container["name"] == name:
            container["image"] = config.app.image_of(version)


def _own_record(config: Config, deployment: Json, namespace: str) -> bool:
    """Give the namespace a folder of its own below the arrival record's: ``<host_path>/<namespace>`` on the node.

    As a subPath, not as a longer hostPath: the kubelet makes a subPath with the mode of the folder above it, which an
    application without privileges can write to; a missing hostPath it would make for root alone.
    """
    if config.ledger is None:
        return False
    volumes = {
        volume["name"]
        for volume in deployment["spec"]["template"]["spec"].get("volumes") or []
        if (volume.get("hostPath") or {}).get("path", "").rstrip("/") == config.ledger.host_path
    }
    found = False
    for container in _containers(deployment):
        for mount in container.get("volumeMounts") or []:
            if mount["name"] in volumes:
                key = "subPathExpr" if mount.get("subPathExpr") else "subPath"
                mount[key] = f"{namespace}/{mount[key]}" if mount.get(key) else namespace
                found = True
    return found

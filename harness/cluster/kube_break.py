"""Calls to the API server that faults make, and nothing else does: each of them once, as all others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.cluster.api import APPLY, STRATEGIC, segment

if TYPE_CHECKING:
    from harness.cluster.answers import Json
    from harness.cluster.kube import Kube


def evict_pod(kube: Kube, namespace: str, pod: str) -> None:
    """Ask for a pod's eviction, as a drain does.

    Raises:
        Refused: 429 where a PodDisruptionBudget says no.

    """
    body = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": pod, "namespace": namespace},
    }
    kube.api.send("POST", f"{_pod(namespace, pod)}/eviction", body=body)


def delete_pod(kube: Kube, namespace: str, pod: str, grace_s: int | None = None) -> None:
    """Delete a pod, by its own grace period unless told otherwise."""
    query: dict[str, str | int] = {} if grace_s is None else {"gracePeriodSeconds": grace_s}
    kube.api.send("DELETE", _pod(namespace, pod), query=query)


def cordon(kube: Kube, node: str) -> None:
    """Have no further pod put on a node."""
    kube.api.patch(f"/api/v1/nodes/{segment(node)}", {"spec": {"unschedulable": True}})


def create_network_policy(kube: Kube, namespace: str, policy: Json) -> None:
    """Create a NetworkPolicy."""
    kube.api.send("POST", f"/apis/networking.k8s.io/v1/namespaces/{segment(namespace)}/networkpolicies", body=policy)


def delete_network_policy(kube: Kube, namespace: str, name: str) -> None:
    """Delete a NetworkPolicy."""
    kube.api.send(
        "DELETE", f"/apis/networking.k8s.io/v1/namespaces/{segment(namespace)}/networkpolicies/{segment(name)}"
    )


def patch_deployment(kube: Kube, namespace: str, name: str, body: Json) -> None:
    """Change a Deployment by a strategic merge; None takes a field away."""
    path = f"/apis/apps/v1/namespaces/{segment(namespace)}/deployments/{segment(name)}"
    kube.api.patch(path, body, STRATEGIC)


def replace_service(kube: Kube, namespace: str, service: Json) -> None:
    """Put a Service as it was read, at the version that was read.

    Raises:
        Refused: 409 where somebody has changed it since.

    """
    path = f"/api/v1/namespaces/{segment(namespace)}/services/{segment(service['metadata']['name'])}"
    kube.api.send("PUT", path, body=service)


def read_service(kube: Kube, namespace: str, name: str) -> Json:
    """A Service, as the server holds it."""
    return kube.api.get(f"/api/v1/namespaces/{segment(namespace)}/services/{segment(name)}")


def let_go_of_service(kube: Kube, namespace: str, name: str, manager: str) -> None:
    """Give up every field of a Service that a manager has applied: what others hold too stays as it is."""
    body = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}}
    path = f"/api/v1/namespaces/{segment(namespace)}/services/{segment(name)}"
    kube.api.patch(path, body, APPLY, fieldManager=manager)


def annotate_ingress(kube: Kube, namespace: str, name: str, annotations: dict[str, str | None]) -> None:
    """Set annotations of an Ingress; None takes one away."""
    path = f"/apis/networking.k8s.io/v1/namespaces/{segment(namespace)}/ingresses/{segment(name)}"
    kube.api.patch(path, {"metadata": {"annotations": annotations}})


def _pod(namespace: str, pod: str) -> str:
    return f"/api/v1/namespaces/{segment(namespace)}/pods/{segment(pod)}"

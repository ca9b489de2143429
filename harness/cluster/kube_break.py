"""Calls to the API server that faults make, and nothing else does: each of them once, as all others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.cluster import kube_rollouts
from harness.cluster.answers import Refused
from harness.cluster.api import APPLY, STRATEGIC, segment

if TYPE_CHECKING:
    from harness.cluster.answers import Json
    from harness.cluster.kube import Kube

FLOW_CONTROL = "/apis/flowcontrol.apiserver.k8s.io/v1"
NOT_YET = 10**15
"""A version of the cluster's contents that no cluster has come to."""


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
    """Change a Deployment by a strategic merge; None takes a field away. Where another object stands in, that one."""
    if (standing := kube.stand_in(name)) is not None:
        (owner,) = standing["metadata"]["ownerReferences"]
        kube_rollouts.patch_containers(kube, namespace, owner["name"], body)
        return
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


def who_am_i(kube: Kube) -> tuple[str, frozenset[str]]:
    """The name and the groups of the account that asks, as the API server sees it."""
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    told = kube.api.post("/apis/authentication.k8s.io/v1/selfsubjectreviews", body)["status"]["userInfo"]
    return str(told["username"]), frozenset(told.get("groups") or ())


def create_flow_control(kube: Kube, level: Json, schema: Json) -> None:
    """Create a PriorityLevelConfiguration, and the FlowSchema that leads requests to it."""
    kube.api.send("POST", f"{FLOW_CONTROL}/prioritylevelconfigurations", body=level)
    kube.api.send("POST", f"{FLOW_CONTROL}/flowschemas", body=schema)


def wait_in_vain(kube: Kube, namespace: str) -> int:
    """Ask for a namespace's PodTemplates as they will be at a version that never comes.

    The API server waits 3 s for it (its watch cache's blockTimeout) and answers 504; so long the request is executing.

    Returns:
        the status: 504, or 429 where it wasn't let in.

    """
    query: dict[str, str | int] = {"resourceVersion": NOT_YET, "resourceVersionMatch": "NotOlderThan"}
    try:
        kube.api.send("GET", f"/api/v1/namespaces/{segment(namespace)}/podtemplates", query=query)
    except Refused as error:
        return error.status
    return 200


def try_patch_service(kube: Kube, namespace: str, name: str) -> None:
    """Have the server go through a patch of a Service that changes nothing, and isn't stored.

    Raises:
        Refused: 429 where it isn't let in.

    """
    kube.api.patch(f"/api/v1/namespaces/{segment(namespace)}/services/{segment(name)}", {}, dryRun="All")


def rejected_by(kube: Kube, schema: str) -> int:
    """How many requests the API server has rejected by a FlowSchema, as its own metrics say."""
    counted = f'apiserver_flowcontrol_rejected_requests_total{{flow_schema="{schema}"'
    lines = kube.api.send("GET", "/metrics").decode(errors="replace").splitlines()
    return sum(int(float(line.rsplit(" ", 1)[1])) for line in lines if line.startswith(counted))


def _pod(namespace: str, pod: str) -> str:
    return f"/api/v1/namespaces/{segment(namespace)}/pods/{segment(pod)}"

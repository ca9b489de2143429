"""What the harness asks of the API server, as one table, and which line of it a request is. Pure: no network.

Beside what the table holds it reads ``/version``, ``/readyz`` and the lists of kinds below ``/api`` and ``/apis``, and
asks for its own rights: every account that is logged in may do that.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, order=True)
class Right:
    """One verb on one resource.

    Attributes:
        group: the API group, "" for the core.
        resource: in the plural, with its subresource after a slash.
        verb: as RBAC names it.
        why: what it is for.

    """

    group: str
    resource: str
    verb: str
    why: str = ""

    def __str__(self) -> str:
        return f"{self.verb} {self.resource}{f'.{self.group}' if self.group else ''}"

    @property
    def key(self) -> tuple[str, str, str]:
        """What RBAC knows of it."""
        return self.group, self.resource, self.verb


APPS, BATCH, DISCOVERY, NETWORKING, POLICY = "apps", "batch", "discovery.k8s.io", "networking.k8s.io", "policy"
NAMESPACED = (
    Right("", "namespaces", "get", "whether the namespace may be used"),
    Right("", "services", "get", "the switch"),
    Right("", "services", "patch", "the switch"),
    Right("", "services", "list", "the switch as it changes; the record of a failure"),
    Right("", "services", "watch", "the switch as it changes"),
    Right("", "pods", "list", "how sides come up"),
    Right("", "pods", "watch", "how pods live and end, for the diagnosis"),
    Right("", "pods", "deletecollection", "the end of a scenario"),
    Right("", "pods", "delete", "a fault: one pod goes"),
    Right("", "pods/eviction", "create", "a fault: one pod goes, as in a drain"),
    Right("", "pods/log", "get", "why a pod isn't ready; the smoke check's answer; the last words of pods that end"),
    Right("", "events", "list", "why a pod isn't ready"),
    Right("", "configmaps", "list", "the record of a failure"),
    Right(APPS, "deployments", "get", "how sides come up"),
    Right(APPS, "deployments", "list", "the record of a failure"),
    Right(APPS, "deployments", "patch", "a new version on the idle side"),
    Right(APPS, "deployments/scale", "patch", "the idle side's size"),
    Right(APPS, "replicasets", "list", "the record of a failure"),
    Right(BATCH, "jobs", "create", "the smoke check"),
    Right(BATCH, "jobs", "get", "the smoke check"),
    Right(BATCH, "jobs", "list", "the record of a failure"),
    Right(BATCH, "jobs", "deletecollection", "the end of a scenario"),
    Right(DISCOVERY, "endpointslices", "list", "what a cutover does"),
    Right(DISCOVERY, "endpointslices", "watch", "what a cutover does"),
    Right(NETWORKING, "ingresses", "list", "the record of a failure"),
    Right(NETWORKING, "networkpolicies", "list", "the record of a failure"),
    Right(POLICY, "poddisruptionbudgets", "list", "the record of a failure"),
)
"""Needed in the namespace, whatever the application is."""
WITH_ADMIN = (Right("", "pods/proxy", "get", "whether users are still on a side, by [admin]"),)
WITH_DRAIN = (Right("", "pods/proxy", "create", "users made to leave a side, by [admin] drain"),)
WITH_SWITCHES = (Right("", "pods/proxy", "create", "the application's own switches, by [admin]"),)
WITH_WORKERS = tuple(
    Right("", "pods/proxy", verb, "the load's workers, with --bg-load-workers") for verb in ("get", "create")
)
_ROUTES = tuple(
    Right("gateway.networking.k8s.io", "httproutes", verb, "the switches route-weight and route-ramp")
    for verb in ("create", "deletecollection", "get", "list", "patch")
)
BY_SWITCH = {
    "route-weight": _ROUTES,
    "route-ramp": _ROUTES,
    "ingress": (
        Right(NETWORKING, "ingresses", "get", "the switch, with --bg-switch ingress"),
        Right(NETWORKING, "ingresses", "patch", "the switch, with --bg-switch ingress"),
    ),
}
"""What a switch needs beside reading and patching the Service."""
PER_KIND = {
    "create": "an object of the manifests",
    "list": "what is in the namespace before, and left after",
    "deletecollection": "the end of a scenario",
}
"""Needed in the namespace for each kind that the manifests hold."""
CLAIMS = tuple(Right("", "persistentvolumeclaims", verb, why) for verb, why in PER_KIND.items() if verb != "create")
"""Needed in the namespace where a StatefulSet makes claims."""
MADE = (
    Right("", "namespaces", "create", "a namespace of its own for each scenario"),
    Right("", "namespaces", "delete", "the end of a scenario"),
    Right("", "namespaces", "list", "what a crash left behind"),
    Right("", "resourcequotas", "create", "a bound on what a scenario can start"),
    Right(NETWORKING, "ingresses", "deletecollection", "hosts are free at once"),
)
"""Needed in the whole cluster, beside all the others, where each scenario's namespace is made."""
READS = (
    Right("", "nodes", "list", "the number of nodes, for the record"),
    Right(NETWORKING, "ingressclasses", "list", "bluegreen preflight: whether the Ingress' class exists"),
)
"""Of the whole cluster, and done without where they aren't allowed."""
EVERYBODYS = (Right("authorization.k8s.io", "selfsubjectaccessreviews", "create", "bluegreen preflight"),)
"""What every account that is logged in may do."""


def kinds(objects: Iterable[Mapping[str, Any]]) -> set[tuple[str, str]]:
    """(apiVersion, kind) of what the objects put into a namespace; a Namespace among them is never created."""
    found: set[tuple[str, str]] = set()
    for item in objects:
        if item["kind"] != "Namespace":
            found.add((item["apiVersion"], item["kind"]))
        if claims(item):
            found.add(("v1", "PersistentVolumeClaim"))
    return found


def claims(item: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Templates of the claims that a StatefulSet makes; they outlive it, and have to be removed by themselves."""
    return (item.get("spec") or {}).get("volumeClaimTemplates") or [] if item["kind"] == "StatefulSet" else []


def needed(
    objects: Iterable[Mapping[str, Any]],
    *,
    admin: bool,
    made: bool,
    drain: bool = False,
    switches: bool = False,
    moved_by: Iterable[str] = (),
    workers: int = 0,
) -> list[Right]:
    """Every right that a run needs, sorted, each once.

    Args:
        objects: the application's manifests, rendered.
        admin: it has an admin port.
        made: each scenario's namespace is made, not given.
        drain: the admin port can be asked to make users leave.
        switches: its admin port has switches.
        moved_by: names of the switches that move users.
        workers: how many pods send the load on the path clusterip.

    """
    rights = [*NAMESPACED, *(WITH_ADMIN if admin else ()), *(WITH_DRAIN if drain else ())]
    rights += [*(WITH_SWITCHES if switches else ()), *(MADE if made else ())]
    rights += WITH_WORKERS if workers else ()
    rights += [right for name in moved_by for right in BY_SWITCH.get(name, ())]
    for item in objects:
        if item["kind"] != "Namespace":
            group = item["apiVersion"].rpartition("/")[0]
            rights += [Right(group, plural(item["kind"]), verb, why) for verb, why in PER_KIND.items()]
        if claims(item):
            rights += CLAIMS
    once: dict[tuple[str, str, str], Right] = {}
    for right in rights:
        once.setdefault(right.key, right)
    return sorted(once.values())


def rules(rights: Iterable[Right]) -> list[dict[str, list[str]]]:
    """The rules of a Role: resources of one group with the same verbs share one."""
    verbs: dict[tuple[str, str], list[str]] = {}
    for right in sorted(rights):
        verbs.setdefault((right.group, right.resource), []).append(right.verb)
    shared: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for (group, resource), known in verbs.items():
        shared.setdefault((group, tuple(known)), []).append(resource)
    return [
        {"apiGroups": [group], "resources": resources, "verbs": list(known)}
        for (group, known), resources in sorted(shared.items())
    ]


def plural(kind: str) -> str:
    """The resource of a kind, by Kubernetes' own guess (apimachinery, meta.UnsafeGuessKindToResource).

    But for a y after a vowel, which stays: no kind's author follows the guess there.
    """
    name = kind.lower()
    if name.endswith("endpoints"):
        return name
    if name.endswith("s"):
        return f"{name}es"
    return f"{name[:-1]}ies" if name.endswith("y") and name[-2:-1] not in "aeiou" else f"{name}s"


def asked(method: str, path: str, query: Mapping[str, str | int] | None = None) -> Right | None:
    """Which right a request needs, by the rules of the API server (apiserver, request.RequestInfo).

    Args:
        method: the HTTP method.
        path: from the server's root.
        query: its parameters.

    Returns:
        None for a path that is no resource's, such as ``/version``.

    """
    parts = path.strip("/").split("/")
    head = 2 if parts[0] == "api" else 3
    if parts[0] not in ("api", "apis") or len(parts) <= head:
        return None
    group, rest = "" if head == 2 else parts[1], parts[head:]
    if rest[0] == "namespaces" and len(rest) > 2:
        rest = rest[2:]
    resource, name, *below = (*rest, "") if len(rest) == 1 else rest
    if below:
        resource = f"{resource}/{below[0]}"
    return Right(group, resource, _verb(method, name, query or {}))


def _verb(method: str, name: str, query: Mapping[str, str | int]) -> str:
    if method == "GET":
        if query.get("watch") == "true":
            return "watch"
        return "get" if name else "list"
    if method == "DELETE":
        return "delete" if name else "deletecollection"
    return {"POST": "create", "PUT": "update", "PATCH": "patch"}[method]


def role(kind: str, name: str, namespace: str, rights: Sequence[Right]) -> dict[str, Any]:
    """A Role or ClusterRole as data; ``namespace`` may be empty."""
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    return {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": metadata, "rules": rules(rights)}

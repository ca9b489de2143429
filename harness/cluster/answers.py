"""What the API server says, as small frozen records: pure translation of its JSON, no network."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from harness.errors import ClusterError

Json = dict[str, Any]


class Refused(ClusterError):
    """The API server answered with an error status.

    Attributes:
        status: the HTTP status.
        reason: the server's one-word reason, e.g. ``NotFound``.

    """

    def __init__(self, what: str, mend: str = "", *, status: int, reason: str = "") -> None:
        super().__init__(what, mend)
        self.status = status
        self.reason = reason

    @property
    def lacks_right(self) -> bool:
        """RBAC has said no; an exceeded quota or a policy for pods is forbidden in other words."""
        return self.status == 403 and " cannot " in self.what


@dataclass(frozen=True)
class RolloutStatus:
    """How far a Deployment's rollout is, counted in pods.

    Attributes:
        ready: pods of any revision that are ready.
        updated: pods of the present pod template.
        available: pods that are available.
        total: pods of any revision.
        wanted: ``spec.replicas``.
        observed: the controller has seen the newest spec.
        failed: the controller gave up (progress deadline exceeded).
        message: one line for a person.

    """

    ready: int
    updated: int
    available: int
    total: int
    wanted: int
    observed: bool
    failed: bool
    message: str

    @property
    def done(self) -> bool:
        """All wanted pods, and only they, run the newest template and are available (as kubectl rollout status)."""
        return self.observed and self.updated == self.wanted == self.total == self.available


@dataclass(frozen=True)
class PodInfo:
    """One pod; ``waiting`` is the reason why its first stuck container doesn't run, or empty."""

    name: str
    node: str
    ready: bool
    ip: str
    restarts: int
    waiting: str
    phase: str
    terminating: bool
    containers: tuple[str, ...]


@dataclass(frozen=True)
class NodeInfo:
    """One node and its address inside the cluster's network."""

    name: str
    ready: bool
    internal_ip: str


@dataclass(frozen=True)
class EventInfo:
    """One Kubernetes event; ``when`` is the server's wall clock, ISO 8601, at most 1 s fine."""

    when: str
    kind: str
    name: str
    type: str
    reason: str
    message: str

    def __str__(self) -> str:
        return f"{self.when} {self.type} {self.kind}/{self.name} {self.reason}: {self.message}"


@dataclass(frozen=True)
class Endpoint:
    """One address behind a Service.

    Attributes:
        address: the IP.
        ready: new connections may be led there.
        pod: empty for an address that is no pod.
        node: where it is; empty where the slice doesn't tell.
        port: the first of the slice; 0 where it leads to none, because the pod lacks a port of that name.

    """

    address: str
    ready: bool
    pod: str
    node: str = ""
    port: int = 0


@dataclass(frozen=True)
class JobResult:
    """How a Job ended.

    Attributes:
        done: it ended.
        succeeded: and well.
        waiting: why its pod doesn't start.
        log: its pod's last lines once it is done.
        started: its pod has run at some time.

    """

    done: bool
    succeeded: bool
    waiting: str
    log: str
    started: bool = True


def rollout_status(deployment: Mapping[str, Any]) -> RolloutStatus:
    """Read a Deployment."""
    spec, status = deployment["spec"], deployment.get("status", {})
    wanted = int(spec.get("replicas", 1))
    ready, updated = int(status.get("readyReplicas", 0)), int(status.get("updatedReplicas", 0))
    available, total = int(status.get("availableReplicas", 0)), int(status.get("replicas", 0))
    observed = int(status.get("observedGeneration", 0)) >= int(deployment["metadata"].get("generation", 0))
    stuck = [
        condition
        for condition in status.get("conditions", [])
        if condition.get("type") == "Progressing" and condition.get("reason") == "ProgressDeadlineExceeded"
    ]
    message = f"{ready} of {wanted} pods ready, {updated} updated, {available} available, {total} in all"
    if not observed:
        message += "; the controller has not seen the change yet"
    if stuck:
        message += f"; {stuck[0].get('message', 'progress deadline exceeded')}"
    return RolloutStatus(ready, updated, available, total, wanted, observed, bool(stuck) and observed, message)


def pod_info(pod: Mapping[str, Any]) -> PodInfo:
    """Read a Pod."""
    spec, status = pod.get("spec", {}), pod.get("status", {})
    containers = [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]
    waiting = [state for c in containers if (state := c.get("state", {}).get("waiting"))]
    # A pod waits for its init containers in the plain state "PodInitializing": that is no reason to report.
    reasons = [str(state.get("reason", "")) for state in waiting if state.get("reason") != "PodInitializing"]
    return PodInfo(
        name=pod["metadata"]["name"],
        node=spec.get("nodeName", ""),
        ready=_condition(status, "Ready"),
        ip=status.get("podIP", ""),
        restarts=sum(int(c.get("restartCount", 0)) for c in containers),
        waiting=reasons[0] if reasons else "",
        phase=status.get("phase", ""),
        terminating="deletionTimestamp" in pod["metadata"],
        containers=tuple(c["name"] for c in spec.get("containers", [])),
    )


def node_info(node: Mapping[str, Any]) -> NodeInfo:
    """Read a Node."""
    status = node.get("status", {})
    addresses = [a["address"] for a in status.get("addresses", []) if a.get("type") == "InternalIP"]
    return NodeInfo(node["metadata"]["name"], _condition(status, "Ready"), addresses[0] if addresses else "")


def event_infos(items: Iterable[Mapping[str, Any]]) -> tuple[EventInfo, ...]:
    """Read Events, newest last."""
    read = [
        EventInfo(
            when=str(
                (item.get("series") or {}).get("lastObservedTime")
                or item.get("lastTimestamp")
                or item.get("eventTime")
                or item["metadata"].get("creationTimestamp", "")
            ),
            kind=item.get("involvedObject", {}).get("kind", ""),
            name=item.get("involvedObject", {}).get("name", ""),
            type=item.get("type", ""),
            reason=item.get("reason", ""),
            message=str(item.get("message", "")).strip(),
        )
        for item in items
    ]
    return tuple(sorted(read, key=lambda event: event.when))


def endpoints(slices: Iterable[Mapping[str, Any]]) -> tuple[Endpoint, ...]:
    """The distinct endpoints of a Service's EndpointSlices; one that two slices hold is ready if either says so."""
    found: dict[tuple[str, str], Endpoint] = {}
    for slice_ in slices:
        port = next((int(one.get("port") or 0) for one in slice_.get("ports") or []), 0)
        for endpoint in slice_.get("endpoints") or []:
            ready = (endpoint.get("conditions") or {}).get("ready") is not False  # absent means ready, by the API
            target = endpoint.get("targetRef") or {}
            pod = target.get("name", "") if target.get("kind") == "Pod" else ""
            for address in endpoint.get("addresses", []):
                known = found.get((address, pod))
                node = str(endpoint.get("nodeName") or "")
                either = ready or (known is not None and known.ready)
                found[address, pod] = Endpoint(address, either, pod, node, port or (known.port if known else 0))
    return tuple(one for _, one in sorted(found.items()))


def deployment_of(pod: str) -> str:
    """The Deployment's name in a pod's name ``<deployment>-<template hash>-<five letters>``; else empty."""
    parts = pod.rsplit("-", 2)
    return parts[0] if len(parts) == 3 else ""


def job_state(job: Mapping[str, Any]) -> tuple[bool, bool]:
    """Whether a Job is done, and whether it succeeded."""
    status = job.get("status", {})
    complete = _condition(status, "Complete")
    return complete or _condition(status, "Failed"), complete


def _condition(status: Mapping[str, Any], kind: str) -> bool:
    return any(c.get("type") == kind and c.get("status") == "True" for c in status.get("conditions") or [])

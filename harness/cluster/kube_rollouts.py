"""Calls to the API server about Argo Rollouts' objects, each of them once, and what its controller says in them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.cluster.answers import Refused

if TYPE_CHECKING:
    from harness.cluster.answers import Json
    from harness.cluster.kube import Kube

API_VERSION = "argoproj.io/v1alpha1"
NAMESPACE = "argo-rollouts"
"""Where its own manifests put the controller."""
HASH = "rollouts-pod-template-hash"
"""The label by which the controller tells ReplicaSets apart, and what it puts into the Services' selectors."""
REVISION = "rollout.argoproj.io/revision"
"""The annotation of a ReplicaSet that ``undo --to-revision`` asks for."""
PAUSE = "BlueGreenPause"


@dataclass(frozen=True)
class RolloutState:
    """What the controller says of a blue-green Rollout.

    Attributes:
        observed: it has seen the newest spec.
        current: hash of the newest template, as far as it was seen.
        stable: hash of what was promoted last.
        active: hash that the active Service selects; "" before the first time.
        preview: hash that the preview Service selects.
        paused: it waits to be promoted.
        aborted: it was aborted.
        said: one line for a person.

    """

    observed: bool
    current: str
    stable: str
    active: str
    preview: str
    paused: bool
    aborted: bool
    said: str


def state(rollout: Mapping[str, Any]) -> RolloutState:
    """Read a Rollout."""
    status = rollout.get("status") or {}
    services = status.get("blueGreen") or {}
    waits = any(one.get("reason") == PAUSE for one in status.get("pauseConditions") or [])
    said = f"{status.get('phase', 'not seen by its controller')} {status.get('message', '')}".strip()
    return RolloutState(
        # the controller writes the generation as a string
        observed=str(status.get("observedGeneration", "")) == str(rollout["metadata"].get("generation", 0)),
        current=str(status.get("currentPodHash", "")),
        stable=str(status.get("stableRS", "")),
        active=str(services.get("activeSelector", "")),
        preview=str(services.get("previewSelector", "")),
        paused=waits,
        aborted=bool(status.get("abort")),
        said=said,
    )


def rollout(kube: Kube, namespace: str, name: str) -> Json:
    """A Rollout as the server holds it."""
    return kube.get_object(namespace, "rollouts", API_VERSION, name)


def patch_rollout(kube: Kube, namespace: str, name: str, body: Json, manager: str) -> None:
    """Change a Rollout by a merge patch (RFC 7386)."""
    kube.patch_object(namespace, "rollouts", API_VERSION, name, body, manager)


def patch_containers(kube: Kube, namespace: str, name: str, body: Json) -> None:
    """Change containers of a Rollout's template, as a strategic merge of a Deployment would; None takes a field away.

    A custom resource has no strategic merge: its lists are replaced.
    """
    containers = rollout(kube, namespace, name)["spec"]["template"]["spec"]["containers"]
    changes = {one["name"]: one for one in body["spec"]["template"]["spec"]["containers"]}
    merged = [_merged(one, changes.get(one["name"], {})) for one in containers]
    patch_rollout(kube, namespace, name, {"spec": {"template": {"spec": {"containers": merged}}}}, "somebody")


def replica_set(kube: Kube, namespace: str, name: str) -> Json | None:
    """A ReplicaSet as the server holds it; None where there is none."""
    try:
        return kube.get_object(namespace, "replicasets", "apps/v1", name)
    except Refused as error:
        if error.status != 404:
            raise
        return None


def _merged(one: Any, change: Any) -> Any:
    """By RFC 7386."""
    if not isinstance(change, dict):
        return change
    kept = {key: value for key, value in one.items() if key not in change} if isinstance(one, dict) else {}
    before = one if isinstance(one, dict) else {}
    return kept | {key: _merged(before.get(key), value) for key, value in change.items() if value is not None}

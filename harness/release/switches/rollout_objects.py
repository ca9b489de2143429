"""An application's two Deployments as the one Rollout that Argo Rollouts wants, and back again. Pure."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from harness.cluster.kube_rollouts import API_VERSION, HASH, RolloutState
from harness.config import Config
from harness.errors import ConfigurationError

Json = dict[str, Any]

KEPT = ("replicas", "minReadySeconds", "progressDeadlineSeconds", "selector", "template")
"""What of a Deployment's spec a Rollout has by the same name."""
NONE = "none"
"""In place of the hash of a side that has none yet."""
ONE_WAY_BACK = 1
"""Of the sides that were left, so many stay warm: the last one."""


def preview_name(config: Config) -> str:
    """The Service that leads to what isn't promoted yet."""
    return f"{config.service.name}-preview"


def rolled(config: Config, objects: Sequence[Json]) -> tuple[list[Json], str]:
    """The objects with one Rollout in the live Deployment's place, and the live side.

    What is about the idle side alone goes: a Rollout makes the new side of the same template. The color goes from all
    else, since sides are told by the hashes that the controller gives them. The live side's internal Service becomes
    the preview Service.

    Args:
        config: names the Service, the sides and the Rollout.
        objects: as ``harness.release.manifests.prepare`` gives them; they stay as they are.

    Raises:
        ConfigurationError: nothing but its color tells the application's pods from others.

    """
    key, service = config.service.selector_key, config.service.name
    live = next(one for one in objects if _is(one, "Service", service))["spec"]["selector"][key]
    idle = next(side for side in config.sides.deployments if side != live)
    changed: list[Json] = []
    for given in objects:
        if _is(given, "Deployment", config.sides.deployments[idle]) or (given["kind"] != "Deployment" and
                                                                       _names(given, key, idle)):  # fmt: skip
            continue
        item = _without(copy.deepcopy(given), key, live)
        if _is(item, "Deployment", config.sides.deployments[live]):
            item = _rollout(config, item)
        elif _is(item, "Service", config.service.internal_of(live)):
            item["metadata"]["name"] = preview_name(config)
        _require_selector(config, item)
        changed.append(item)
    return changed, str(live)


def standing(
    deployment: str, rollout: Json, state: RolloutState, replica_set: Json | None, other: Json | None = None
) -> Json:
    """A side's ReplicaSet in the form of a Deployment, as everything that reads Deployments understands it.

    Args:
        deployment: what the side's Deployment would be called.
        rollout: whose side it is.
        state: what its controller says.
        replica_set: the side's; None where it has none yet.
        other: the other side's. Of its template a side without a ReplicaSet would be, with what the server fills in.

    """
    spec = rollout["spec"]
    if replica_set is None:
        like = (other or rollout)["spec"]["template"]
        labels = {**((like.get("metadata") or {}).get("labels") or {}), HASH: NONE}
        template = {**like, "metadata": {**(like.get("metadata") or {}), "labels": labels}}
        side: Json = {"replicas": 0, "selector": {"matchLabels": labels}, "template": template}
        status: Json = {}
        newest, seen = False, state.observed
    else:
        side, status = replica_set["spec"], replica_set.get("status") or {}
        newest = replica_set["metadata"]["labels"][HASH] == state.current
        grown = int(status.get("observedGeneration", 0)) >= int(replica_set["metadata"].get("generation", 0))
        seen = state.observed and grown
    owner = {"kind": rollout["kind"], "name": rollout["metadata"]["name"]}
    pods = int(status.get("replicas", 0))
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": deployment, "generation": 1, "ownerReferences": [owner]},
        "spec": {
            # a new ReplicaSet begins with none, and is made as large as the Rollout says right after
            "replicas": _wanted(spec, state) if newest else side.get("replicas", 0),
            "selector": side["selector"],
            "template": side["template"],
            # nothing replaces a ReplicaSet's pods one by one
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "100%", "maxUnavailable": 0}},
        },
        "status": {
            **{key: int(status.get(key, 0)) for key in ("readyReplicas", "availableReplicas")},
            "replicas": pods,
            "updatedReplicas": pods,
            "observedGeneration": 1 if seen else 0,
            "conditions": (rollout.get("status") or {}).get("conditions") or [] if newest else [],
        },
    }


def _wanted(spec: Json, state: RolloutState) -> int:
    before = spec["strategy"]["blueGreen"].get("previewReplicaCount")
    return int(spec.get("replicas", 1) if before is None or state.current == state.active else before)


def _rollout(config: Config, deployment: Json) -> Json:
    """A Rollout that waits to be promoted, and keeps the side that was left warm."""
    strategy = {
        "activeService": config.service.name,
        "previewService": preview_name(config),
        "autoPromotionEnabled": False,
        "scaleDownDelaySeconds": round(config.limits.warm_seconds),
        "scaleDownDelayRevisionLimit": ONE_WAY_BACK,
    }
    spec = {key: deployment["spec"][key] for key in KEPT if key in deployment["spec"]}
    metadata = {**deployment["metadata"], "name": config.app.name}
    head = {"apiVersion": API_VERSION, "kind": "Rollout", "metadata": metadata}
    return {**head, "spec": {**spec, "strategy": {"blueGreen": strategy}}}


def _is(item: Json, kind: str, name: str) -> bool:
    return bool(item["kind"] == kind and item["metadata"]["name"] == name)


def _names(part: Any, key: str, side: str) -> bool:
    """Whether a label of this value is told somewhere in an object."""
    if isinstance(part, Mapping):
        return part.get(key) == side or any(_names(value, key, side) for value in part.values())
    return isinstance(part, list) and any(_names(value, key, side) for value in part)


def _without(part: Any, key: str, side: str) -> Any:
    """Without the color; and with the controller's label where a Deployment's is named."""
    if isinstance(part, dict):
        return {name: _without(value, key, side) for name, value in part.items() if (name, value) != (key, side)}
    if isinstance(part, list):
        return [_without(value, key, side) for value in part]
    return HASH if part == "pod-template-hash" else part


def _require_selector(config: Config, item: Json) -> None:
    """A selector without any label would match every pod of the namespace."""
    selector = (item.get("spec") or {}).get("selector")
    if {"Service": selector, "Rollout": (selector or {}).get("matchLabels")}.get(item["kind"]) == {}:
        raise ConfigurationError(
            f"{config.app.manifests}: only {config.service.selector_key} tells the application's pods from others",
            "give them another label, or leave the switch `argo-rollouts` out",
        )

"""Two sides made of the user's only Deployment, with all that is about it alone. Pure: from objects to objects."""

from __future__ import annotations

import copy
import difflib
from collections.abc import Iterator, Sequence
from typing import Any

from harness.config import Config
from harness.errors import ConfigurationError
from harness.labels import selects

Json = dict[str, Any]

SCALED_BY = ("scaleTargetRef", "targetRef")
"""Where a HorizontalPodAutoscaler, and whatever else sizes pods, names its Deployment."""
WITH_PODS = ("Deployment", "StatefulSet", "DaemonSet")
KEPT_PORT = ("name", "port", "targetPort", "protocol", "appProtocol")


def two_sides(config: Config, objects: Sequence[Json]) -> list[Json]:
    """What ``sides.template`` makes of the manifests; without one they are as they were. The given ones stay so.

    The Deployment becomes one per side. ``service.selector_key`` with the side as its value is put where Kustomize's
    ``includeSelectors`` would put it: into the selector, the pods' labels, and those rules of the pods' affinity and
    spread that are about pods like themselves, or else the new side's pods would have to keep clear of the old one's.
    A budget that selects those pods alone, and what scales the Deployment, becomes one per side too. The users' Service
    gets the key, at first for blue, and so do the sides' internal Services; where the manifests have none, they are
    made of it.

    Raises:
        ConfigurationError: no such Deployment, its labels use the key for something else, or a name is taken.

    """
    template = config.sides.template
    if template is None:
        return list(objects)
    deployment = _deployment(config, objects)
    key, labels = config.service.selector_key, _labels(deployment)
    if labels.get(key) not in (None, *config.sides.deployments):
        raise ConfigurationError(
            f"{config.app.manifests}: Deployment {template} has the label {key}={labels[key]!r} already",
            "set service.selector_key to a label that it doesn't have",
        )
    made: list[Json] = []
    for item in objects:
        if item is deployment:
            made += [_side(config, item, side, name) for side, name in config.sides.deployments.items()]
        elif item["kind"] == "PodDisruptionBudget" and _protects_alone(item, deployment, objects):
            made += [_per_side(item, side, ("selector", "matchLabels", key), side) for side in config.sides.deployments]
        elif where := _scales(item, template):
            names = config.sides.deployments
            made += [_per_side(item, side, (where, "name"), name) for side, name in names.items()]
        else:
            made.append(copy.deepcopy(item))
    made += _services(config, made)
    _require_unique(config, made)
    return made


def _deployment(config: Config, objects: Sequence[Json]) -> Json:
    there = {item["metadata"]["name"]: item for item in objects if item["kind"] == "Deployment"}
    name = str(config.sides.template)
    if name in there:
        return there[name]
    near = difflib.get_close_matches(name, there, n=1)
    mend = f"did you mean {near[0]!r}?" if near else f"they hold {', '.join(there) or 'none'}"
    raise ConfigurationError(f"{config.app.manifests}: the manifests hold no Deployment {name!r}: sides.template", mend)


def _side(config: Config, template: Json, side: str, name: str) -> Json:
    made, key = copy.deepcopy(template), config.service.selector_key
    made["metadata"]["name"] = name
    _under(made, "metadata", "labels")[key] = side
    _under(made, "spec", "selector", "matchLabels")[key] = side
    own = _labels(template)
    for selector in _selectors(made["spec"]["template"]["spec"]):
        if isinstance(selector, dict) and selects(selector, own):  # one that is missing selects nothing
            _under(selector, "matchLabels")[key] = side
    _under(made, "spec", "template", "metadata", "labels")[key] = side
    return made


def _protects_alone(budget: Json, deployment: Json, objects: Sequence[Json]) -> bool:
    """Whether the budget is about the Deployment's pods, and about nothing else of the manifests."""
    selector = budget["spec"].get("selector")
    if not isinstance(selector, dict) or not selects(selector, _labels(deployment)):
        return False
    others = [item for item in objects if item["kind"] in WITH_PODS and item is not deployment]
    return not any(selects(selector, _labels(other)) for other in others)


def _selectors(pod: Json) -> Iterator[Any]:
    """The label selectors of a pod's own rules of where it may run."""
    for rule in pod.get("topologySpreadConstraints") or []:
        yield rule.get("labelSelector")
    affinity = pod.get("affinity") or {}
    for kind in ("podAffinity", "podAntiAffinity"):
        rules = affinity.get(kind) or {}
        for rule in rules.get("requiredDuringSchedulingIgnoredDuringExecution") or []:
            yield rule.get("labelSelector")
        for preferred in rules.get("preferredDuringSchedulingIgnoredDuringExecution") or []:
            yield (preferred.get("podAffinityTerm") or {}).get("labelSelector")


def _scales(item: Json, template: str) -> str:
    """The field by which the object sizes the Deployment; "" where it doesn't."""
    spec = item.get("spec")
    fields = spec if isinstance(spec, dict) else {}
    for where in SCALED_BY:
        target = fields.get(where)
        if isinstance(target, dict) and target.get("name") == template and target.get("kind") in ("Deployment", None):
            return where
    return ""


def _per_side(item: Json, side: str, path: Sequence[str], value: str) -> Json:
    made = copy.deepcopy(item)
    made["metadata"]["name"] = f"{item['metadata']['name']}-{side}"
    *above, last = path
    _under(made, "spec", *above)[last] = value
    return made


def _services(config: Config, objects: Sequence[Json]) -> list[Json]:
    """Let the Services that are there select by the key; the internal ones that are missing."""
    key, names = config.service.selector_key, {item["metadata"]["name"]: item for item in objects if _is_service(item)}
    users = names.get(config.service.name)
    if users is None:  # that is said where the Service is looked for
        return []
    own = dict(_under(users, "spec", "selector"))
    _under(users, "spec", "selector").setdefault(key, next(iter(config.sides.deployments)))
    ports = [{field: port[field] for field in KEPT_PORT if field in port} for port in users["spec"].get("ports") or []]
    made = []
    for side in config.sides.deployments:
        name = config.service.internal_of(side)
        if name in names:
            _under(names[name], "spec", "selector").setdefault(key, side)
            continue
        labels = {**(users["metadata"].get("labels") or {}), key: side}
        spec = {"type": "ClusterIP", "selector": {**own, key: side}, "ports": copy.deepcopy(ports)}
        made.append({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "labels": labels}, "spec": spec})
    return made


def _require_unique(config: Config, made: Sequence[Json]) -> None:
    seen = set()
    for item in made:
        name = (str(item.get("apiVersion")), item["kind"], item["metadata"]["name"])
        if item["kind"] in ("Deployment", "PodDisruptionBudget", "HorizontalPodAutoscaler") and name in seen:
            raise ConfigurationError(
                f"{config.app.manifests}: the manifests hold a {name[1]} {name[2]!r} beside sides.template's own",
                "leave sides.template out if both sides are there, else name sides.blue and sides.green differently",
            )
        seen.add(name)


def _is_service(item: Json) -> bool:
    return bool(item["kind"] == "Service" and str(item.get("apiVersion", "v1")) == "v1")


def _labels(deployment: Json) -> dict[str, str]:
    return dict((deployment["spec"]["template"].get("metadata") or {}).get("labels") or {})


def _under(item: Json, *path: str) -> Json:
    """The table at a path, made where it is missing."""
    for key in path:
        if not isinstance(item.get(key), dict):
            item[key] = {}
        item = item[key]
    return item

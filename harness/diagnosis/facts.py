"""What objects of the cluster say about a release, as small JSON-able dicts without any secret.

The same functions read rendered manifests and what the API server holds, so that a lint means the same for both.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.labels import matches, selects

Json = Mapping[str, Any]
Fact = tuple[str, dict[str, Any]]
"""Name and fields of an event."""

KINDS = ("Deployment", "Service", "Ingress", "NetworkPolicy", "PodDisruptionBudget")
"""What `described` reads."""
_MILLI = {"m": 1e-3, "": 1.0, "k": 1e3, "Ki": 1024.0, "M": 1e6, "Mi": 1024.0**2, "G": 1e9, "Gi": 1024.0**3}


@dataclass(frozen=True)
class Names:
    """What of the configuration the facts need.

    Attributes:
        sides: Deployment by side.
        service: the Service that users enter by.
        internal: each side's internal Service, by side.
        port: the Services' port.
        selector_key: the switch.
        container: the application's.
        values: of the selector, by side, where they aren't the sides' own names.

    """

    sides: Mapping[str, str]
    service: str
    internal: Mapping[str, str]
    port: int
    selector_key: str
    container: str
    values: Mapping[str, str] = field(default_factory=dict)


def described(objects: Iterable[Json], names: Names, key: bytes) -> list[Fact]:
    """The events that tell of these objects; kinds that nothing is known of are left out.

    Args:
        objects: each with its kind.
        names: which of them are the release's.
        key: of this run alone and never written down: values of environments are only ever compared.

    """
    known = [item for item in objects if item.get("kind") in KINDS]
    deployments = [item for item in known if item["kind"] == "Deployment"]
    told: list[Fact] = []
    for side, name in names.sides.items():
        item = next((one for one in deployments if _name(one) == name), None)
        fields = {"exists": False} if item is None else deployment(item, names.container, key)
        told.append(("side.described", {"side": side, "deployment": name, **fields}))
    for item in known:
        if item["kind"] == "Service":
            told.append(("service.described", service(item, names, deployments)))
        elif item["kind"] == "Ingress":
            told.append(("ingress.described", {"ingress": _name(item), "services": sorted(set(_backends(item)))}))
        elif item["kind"] == "NetworkPolicy":
            told.append(("policy.described", policy(item, names, deployments)))
        elif item["kind"] == "PodDisruptionBudget":
            told.append(("budget.described", budget(item, names, deployments)))
    return told


def deployment(item: Json, container: str, key: bytes) -> dict[str, Any]:
    """A side: its size, probes, ports, way to stop, resources, environment."""
    spec = item["spec"]
    template = spec["template"]
    pod = template["spec"]
    main = next((one for one in pod["containers"] if one["name"] == container), pod["containers"][0])
    ports = {str(one.get("name") or one["containerPort"]): int(one["containerPort"]) for one in main.get("ports") or []}
    rolling = (spec.get("strategy") or {}).get("rollingUpdate") or {}
    kind = (spec.get("strategy") or {}).get("type", "RollingUpdate")
    return {
        "exists": True,
        "replicas": int(spec.get("replicas", 1)),
        "image": str(main.get("image", "")),
        "ports": ports,
        "probes": {name: probe(main.get(f"{name}Probe"), ports) for name in ("readiness", "liveness", "startup")},
        "pre_stop": hook((main.get("lifecycle") or {}).get("preStop")),
        "grace": int(pod.get("terminationGracePeriodSeconds", 30)),
        "shell": bool(re.search(r"(^|/)(ba|da)?sh$", str((main.get("command") or [""])[0]))),
        "init": [str(one["name"]) for one in pod.get("initContainers") or []],
        "environment": dict(_environment(main, key)),
        "references": sorted(set(_references(pod))),
        "resources": {
            f"{what}_{name}": number(amount)
            for what in ("requests", "limits")
            for name, amount in sorted(((main.get("resources") or {}).get(what) or {}).items())
        },
        "max_unavailable": "100%" if kind == "Recreate" else str(rolling.get("maxUnavailable", "25%")),
        "labels": dict((template.get("metadata") or {}).get("labels") or {}),
        "selector": dict((spec.get("selector") or {}).get("matchLabels") or {}),
    }


def probe(item: Json | None, ports: Mapping[str, int]) -> dict[str, Any] | None:
    """A probe: how it asks, and whether its port is one that the container names; None where there is none."""
    if not item:
        return None
    kind = next((name for name in ("httpGet", "tcpSocket", "grpc", "exec") if name in item), "")
    how = item.get(kind) or {}
    told = how.get("port")
    port: int | None = ports.get(str(told)) if isinstance(told, str) and not told.isdigit() else int(told or 0) or None
    return {
        "kind": kind,
        "path": str(how.get("path", "")),
        "port": port,
        "asked": str(told) if told is not None else "",
        "known": kind == "exec" or port in ports.values() or (not ports and port is not None),
        "delay": int(item.get("initialDelaySeconds", 0)),
        "period": int(item.get("periodSeconds", 10)),
        "timeout": int(item.get("timeoutSeconds", 1)),
        "failures": int(item.get("failureThreshold", 3)),
    }


def hook(item: Json | None) -> dict[str, Any] | None:
    """A preStop hook: its kind, and how long it lasts where it says so; None where there is none."""
    if not item:
        return None
    kind = next((name for name in ("httpGet", "exec", "sleep", "tcpSocket") if name in item), "")
    seconds: float | None = None
    if kind == "sleep":
        seconds = float(item["sleep"].get("seconds", 0))
    elif kind == "exec":
        found = re.search(r"\bsleep\s+(\d+(\.\d+)?)", " ".join(map(str, item["exec"].get("command") or [])))
        seconds = float(found[1]) if found else None
    return {"kind": kind, "seconds": seconds}


def service(item: Json, names: Names, deployments: Sequence[Json]) -> dict[str, Any]:
    """A Service, and by each side's value of the switch the Deployments whose pods it selects, or would."""
    spec = item["spec"]
    selector = dict(spec.get("selector") or {})
    role = "users" if _name(item) == names.service else next(
        (side for side, name in names.internal.items() if name == _name(item)), "other"
    )  # fmt: skip
    selectors = (
        {
            side: {**selector, names.selector_key: names.values.get(side, side)} if selector else {}
            for side in names.sides
        }
        if role == "users"
        else {role: selector}
    )
    port: Json = next((one for one in spec.get("ports") or [] if one.get("port") == names.port), {})
    return {
        "service": _name(item),
        "role": role,
        "type": str(spec.get("type", "ClusterIP")),
        "selector": selector,
        "matches": {
            side: [_name(one) for one in deployments if wanted and matches(wanted, _labels(one))]
            for side, wanted in selectors.items()
        },
        "target": str(port.get("targetPort", port.get("port", ""))),
        "affinity": str(spec.get("sessionAffinity", "None")),
        "traffic_policy": str(spec.get("externalTrafficPolicy", "Cluster")),
        "published": str(spec.get("type", "ClusterIP")) in ("NodePort", "LoadBalancer"),
    }


def policy(item: Json, names: Names, deployments: Sequence[Json]) -> dict[str, Any]:
    """A NetworkPolicy: which sides' pods it is about, and whether it bears on what comes in."""
    spec = item["spec"]
    kinds = list(spec.get("policyTypes") or (["Ingress"] if "egress" not in spec else ["Ingress", "Egress"]))
    return {
        "policy": _name(item),
        "types": kinds,
        "sides": _sides(spec.get("podSelector") or {}, names, deployments),
        "sources": len(spec.get("ingress") or []),
    }


def budget(item: Json, names: Names, deployments: Sequence[Json]) -> dict[str, Any]:
    """A PodDisruptionBudget: which sides' pods it protects, and how many it lets go."""
    spec = item["spec"]
    return {
        "budget": _name(item),
        "sides": _sides(spec.get("selector") or {}, names, deployments),
        "max_unavailable": None if "maxUnavailable" not in spec else str(spec["maxUnavailable"]),
        "min_available": None if "minAvailable" not in spec else str(spec["minAvailable"]),
    }


def pod(item: Json) -> dict[str, Any]:
    """One pod as it is now: where, its images, ready, restarts, why a container waits, how it ended the last time."""
    spec, status = item.get("spec") or {}, item.get("status") or {}
    own = list(status.get("containerStatuses") or [])
    init = list(status.get("initContainerStatuses") or [])
    ended = [end for one in (*init, *own) for end in (_terminated(one),) if end]
    waiting = [str(why.get("reason", "")) for one in (*init, *own) if (why := (one.get("state") or {}).get("waiting"))]
    return {
        "pod": item["metadata"]["name"],
        "node": spec.get("nodeName", ""),
        "ip": status.get("podIP", ""),
        "images": {one["name"]: one.get("image", "") for one in spec.get("containers") or []},
        "phase": status.get("phase", ""),
        "ready": any(c.get("type") == "Ready" and c.get("status") == "True" for c in status.get("conditions") or []),
        "running": any("running" in (one.get("state") or {}) for one in own),
        "restarts": sum(int(one.get("restartCount", 0)) for one in own),
        "waiting": next((why for why in waiting if why != "PodInitializing"), ""),
        "init_failed": any((end := _terminated(one)) and end.get("exitCode") for one in init),
        "last_exit": int(ended[-1].get("exitCode", 0)) if ended else None,
        "last_reason": str(ended[-1].get("reason", "")) if ended else "",
        "image_id": str(own[0].get("imageID", "")).rsplit("@", 1)[-1] if own else "",
        "stopping": "deletionTimestamp" in item["metadata"],
        "evicted": any(c.get("type") == "DisruptionTarget" for c in status.get("conditions") or []),
    }


def number(amount: object) -> float | None:
    """A Kubernetes quantity, such as 500m or 256Mi, as a number; None where it is none."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([a-zA-Z]*)", str(amount))
    return float(found[1]) * _MILLI[found[2]] if found and found[2] in _MILLI else None


def _terminated(status: Json) -> Json | None:
    for state in ("state", "lastState"):
        if end := (status.get(state) or {}).get("terminated"):
            return dict(end)
    return None


def _environment(main: Json, key: bytes) -> Iterator[tuple[str, str]]:
    for one in main.get("env") or []:
        value = repr(sorted(str(item) for item in (one.get("valueFrom") or {"value": one.get("value", "")}).items()))
        yield str(one["name"]), hmac.new(key, value.encode(), hashlib.sha256).hexdigest()[:12]


def _references(pod_spec: Json) -> Iterator[str]:
    """Names of the Secrets and ConfigMaps that a pod reads."""
    for container in (*(pod_spec.get("initContainers") or []), *pod_spec["containers"]):
        for one in container.get("env") or []:
            for kind, name in (("secretKeyRef", "Secret"), ("configMapKeyRef", "ConfigMap")):
                if ref := (one.get("valueFrom") or {}).get(kind):
                    yield f"{name}/{ref.get('name', '')}"
        for one in container.get("envFrom") or []:
            for kind, name in (("secretRef", "Secret"), ("configMapRef", "ConfigMap")):
                if ref := one.get(kind):
                    yield f"{name}/{ref.get('name', '')}"
    for volume in pod_spec.get("volumes") or []:
        if ref := volume.get("secret"):
            yield f"Secret/{ref.get('secretName', '')}"
        if ref := volume.get("configMap"):
            yield f"ConfigMap/{ref.get('name', '')}"


def _backends(item: Json) -> Iterator[str]:
    """The Services that users are led to; a name below .invalid is nobody's, and never resolves (RFC 6761, 6.4)."""
    spec = item.get("spec") or {}
    found = [spec.get("defaultBackend") or {}]
    for rule in spec.get("rules") or []:
        if str(rule.get("host") or "").endswith(".invalid"):
            continue
        found += [path.get("backend") or {} for path in (rule.get("http") or {}).get("paths") or []]
    yield from (str(one["service"]["name"]) for one in found if "service" in one)


def _sides(selector: Json, names: Names, deployments: Sequence[Json]) -> list[str]:
    """The sides whose pods a label selector matches; an empty one matches all. Expressions are read too."""
    return [
        side
        for side, name in names.sides.items()
        for one in deployments
        if _name(one) == name and selects(selector, _labels(one))
    ]


def _labels(item: Json) -> Mapping[str, str]:
    return dict(((item["spec"].get("template") or {}).get("metadata") or {}).get("labels") or {})


def _name(item: Json) -> str:
    return str(item["metadata"]["name"])

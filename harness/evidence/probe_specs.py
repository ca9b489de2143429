"""What the applied objects say of probes, as data: which there are, and in what two sides differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

KINDS: Final = ("startupProbe", "readinessProbe", "livenessProbe")

Specs = dict[str, dict[str, Any]]
"""By container: its probes by kind, as the API server holds them; a kind that isn't there has no entry."""


def probes_of(deployment: Mapping[str, Any]) -> Specs:
    """The probes of a Deployment's containers; one without any has no entry: a sidecar more is no drift of probes."""
    containers = deployment["spec"]["template"]["spec"]["containers"]
    found = {one["name"]: {kind: one[kind] for kind in KINDS if one.get(kind)} for one in containers}
    return {name: probes for name, probes in found.items() if probes}


def missing(specs: Specs, container: str) -> str:
    """Why users could be sent to a container that isn't ready for them; "" where its readiness is asked for."""
    if "readinessProbe" in specs.get(container, {}):
        return ""
    return f"container {container} has no readinessProbe: its pods get users as soon as their process runs"


def differences(one: Specs, other: Specs) -> tuple[str, ...]:
    """What differs, one line each: ``api.readinessProbe.periodSeconds: 1 and 10``."""
    return tuple(_differing(one, other, ""))


def readiness_paths(specs: Specs) -> set[str]:
    """The paths that readiness probes ask for by HTTP."""
    probes = [kinds["readinessProbe"] for kinds in specs.values() if "readinessProbe" in kinds]
    return {str(probe["httpGet"].get("path") or "/") for probe in probes if probe.get("httpGet")}


def _differing(one: Any, other: Any, path: str) -> Iterator[str]:
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        for key in sorted({*one, *other}):
            yield from _differing(one.get(key), other.get(key), f"{path}.{key}" if path else str(key))
    elif one != other:
        yield f"{path}: {_short(one)} and {_short(other)}"


def _short(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_short(inner)}" for key, inner in sorted(value.items())) + "}"
    return str(value)

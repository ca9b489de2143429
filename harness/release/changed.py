"""A scenario's changes to the prepared objects, as data: a probe, a setting, a line of the Service."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from harness.config import Config
from harness.errors import ConfigurationError

Json = dict[str, Any]

BOTH: Final = "both"
IDLE: Final = "idle"
SERVICE: Final = "service"


@dataclass(frozen=True)
class Change:
    """One change, merged by RFC 7386: None removes a key.

    Args:
        what: BOTH or IDLE, of which the application's container is changed; or SERVICE, the one that users enter by.
        fields: the container's, or the Service's spec's; ``env`` of a container is a table of values by name.

    """

    what: str
    fields: Mapping[str, Any] = field(default_factory=dict)


def both_sides(**fields: Any) -> Change:
    """Change the application's container on both sides: ``both_sides(livenessProbe={"periodSeconds": 1})``."""
    return Change(BOTH, fields)


def idle_side(**fields: Any) -> Change:
    """Change the container of the side that is idle at first: ``idle_side(readinessProbe=None)``."""
    return Change(IDLE, fields)


def service(**fields: Any) -> Change:
    """Change the spec of the Service that users enter by: ``service(sessionAffinity="ClientIP")``."""
    return Change(SERVICE, fields)


def apply_changes(config: Config, objects: Sequence[Json], changes: Iterable[Change]) -> list[Json]:
    """The changed objects; the given ones stay as they are.

    Args:
        config: names the objects.
        objects: as ``harness.release.manifests.prepare`` gives them.
        changes: in the order in which they are made.

    Raises:
        ConfigurationError: a change that reaches nothing.

    """
    changed = [copy.deepcopy(item) for item in objects]
    for change in changes:
        targets = _targets(config, changed, change.what)
        if not targets:
            raise ConfigurationError(f"a scenario's change reaches no {change.what}", "see harness.release.changed")
        for target in targets:
            fields = dict(change.fields)
            if change.what != SERVICE and "env" in fields:
                target["env"] = _environment(target.get("env") or [], fields.pop("env"))
            _merge(target, fields)
    return changed


def _targets(config: Config, objects: Sequence[Json], what: str) -> list[Json]:
    (switch,) = (one for one in objects if one["kind"] == "Service" and one["metadata"]["name"] == config.service.name)
    if what == SERVICE:
        return [switch["spec"]]
    active = config.sides.deployments.get(switch["spec"]["selector"][config.service.selector_key], "")
    names = {name for name in config.sides.deployments.values() if what == BOTH or (what == IDLE and name != active)}
    return [
        container
        for item in objects
        if item["kind"] == "Deployment" and item["metadata"]["name"] in names
        for container in item["spec"]["template"]["spec"]["containers"]
        if container["name"] == config.app.container
    ]


def _environment(known: Sequence[Json], values: Mapping[str, str | None]) -> list[Json]:
    kept = [one for one in known if one["name"] not in values]
    return [*kept, *({"name": name, "value": value} for name, value in values.items() if value is not None)]


def _merge(target: Json, fields: Mapping[str, Any]) -> None:
    for key, value in fields.items():
        if value is None:
            target.pop(key, None)
        elif isinstance(value, Mapping):
            inner = target[key] = dict(target.get(key) or {})
            _merge(inner, value)
        else:
            target[key] = value

"""An application as a Helm chart with two colors: the prepared objects, with what a release changes as values. Pure."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from harness.config import Config

Json = dict[str, Any]
_VALUE = "bluegreen-value-"


def chart(config: Config, objects: Sequence[Json]) -> dict[str, str]:
    """The chart's files by their path in it.

    Its values are those that the pattern's textbook form has: ``liveColor``, and for each side ``image.tag`` and
    ``replicas``. values.schema.json refuses any other color, so that a misspelt one never reaches the cluster.

    Args:
        config: names the Service, its key, the sides and the container.
        objects: as the switch would have them applied.

    """
    files = {"Chart.yaml": _dump({"apiVersion": "v2", "name": config.app.name, "version": "0.1.0"})}
    values: Json = {"liveColor": ""}
    for number, given in enumerate(objects):
        item = copy.deepcopy(given)
        name: str = item["metadata"]["name"]
        told: Mapping[str, str] = {}
        if item["kind"] == "Service" and name == config.service.name:
            values["liveColor"] = item["spec"]["selector"][config.service.selector_key]
            item["spec"]["selector"][config.service.selector_key] = _VALUE + "color"
            told = {"color": "{{ .Values.liveColor | quote }}"}
        for side, deployment in config.sides.deployments.items():
            if item["kind"] == "Deployment" and name == deployment:
                values[side], told = _parametrize(config, item, side)
        text = _dump(item).replace("{{", '{{ "{{" }}')
        for key, template in told.items():
            text = text.replace(_VALUE + key, template)
        files[f"templates/{number:02}-{item['kind'].lower()}-{name}.yaml"] = text
    files["values.yaml"] = _dump(values)
    files["values.schema.json"] = json.dumps(_schema(config), indent=1)
    return files


def _parametrize(config: Config, item: Json, side: str) -> tuple[Json, Mapping[str, str]]:
    """A side's values, and what stands for them in its Deployment."""
    spec = item["spec"]
    (container,) = (one for one in spec["template"]["spec"]["containers"] if one["name"] == config.app.container)
    repository, tag = split(container["image"])
    values = {"image": {"tag": tag}, "replicas": spec.get("replicas", 1)}
    container["image"] = f"{repository}:{_VALUE}tag"
    spec["replicas"] = f"{_VALUE}replicas"
    return values, {"tag": f"{{{{ .Values.{side}.image.tag }}}}", "replicas": f"{{{{ .Values.{side}.replicas }}}}"}


def split(image: str) -> tuple[str, str]:
    """Repository and tag; a colon before the last slash is a registry's port."""
    repository, colon, tag = image.rpartition(":")
    return (repository, tag) if colon and "/" not in tag else (image, "latest")


def _schema(config: Config) -> Json:
    sides = list(config.sides.deployments)
    side = {
        "type": "object",
        "required": ["image", "replicas"],
        "properties": {
            "image": {
                "type": "object",
                "required": ["tag"],
                "properties": {"tag": {"type": "string", "minLength": 1}},
                "additionalProperties": False,
            },
            "replicas": {"type": "integer", "minimum": 0},
        },
        "additionalProperties": False,
    }
    return {
        "$schema": "https://json-schema.org/draft-07/schema#",
        "type": "object",
        "required": ["liveColor", *sides],
        "properties": {"liveColor": {"enum": sides}, **dict.fromkeys(sides, side)},
        "additionalProperties": False,
    }


def _dump(document: Json) -> str:
    return yaml.safe_dump(document, sort_keys=False, width=1000)

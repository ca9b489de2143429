"""What a folder of manifests is, and in which of its files an object is written, so that an error can name it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

KUSTOMIZATION = "kustomization.yaml"
CHART = "Chart.yaml"
YAML = "*.yaml"
_KUSTOMIZATIONS = (KUSTOMIZATION, "kustomization.yml", "Kustomization")


def form_of(folder: Path) -> str:
    """How a folder's manifests are rendered: KUSTOMIZATION, CHART or YAML; "" where there are none."""
    try:
        if any((folder / name).is_file() for name in _KUSTOMIZATIONS):
            return KUSTOMIZATION
        if (folder / CHART).is_file():
            return CHART
        return YAML if yaml_files(folder) else ""
    except (OSError, ValueError):  # no path at all: a NUL in it, or too long a name
        return ""


def yaml_files(folder: Path) -> list[Path]:
    """The YAML files of a folder by name, as ``kubectl apply -f`` takes them: those of folders in it aren't."""
    return sorted(file for file in folder.iterdir() if file.suffix in (".yaml", ".yml")) if folder.is_dir() else []


def file_of(folder: Path, kind: str, name: str) -> Path:
    """The file that holds the object, or ``folder`` itself where that can't be told (a renamed or generated object)."""
    plain = form_of(folder) == YAML
    for file in yaml_files(folder) if plain else _files(folder.resolve(), set()):
        if any(item.get("kind") == kind and _name(item) == name for item in _objects(file)):
            return file
    return folder


def _files(folder: Path, seen: set[Path]) -> Iterator[Path]:
    """What the folder's kustomization lists, and what those that it lists list in turn."""
    if folder in seen:
        return
    seen.add(folder)
    for kustomization in (folder / name for name in _KUSTOMIZATIONS):
        for table in _objects(kustomization):
            listed = [entry for key in ("resources", "bases", "components") for entry in table.get(key) or []]
            for path in ((folder / str(entry)).resolve() for entry in listed):
                yield from _files(path, seen) if path.is_dir() else (path,)


def _objects(file: Path) -> list[dict[str, Any]]:
    try:
        return [item for item in yaml.safe_load_all(file.read_text(encoding="utf-8")) if isinstance(item, dict)]
    except (OSError, ValueError, yaml.YAMLError):  # not there, an address, or no YAML: not where the object is
        return []


def _name(item: dict[str, Any]) -> object:
    metadata = item.get("metadata")
    return metadata.get("name") if isinstance(metadata, dict) else None

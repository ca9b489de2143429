"""In which file of a Kustomize folder an object is written, so that an error can name it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

_KUSTOMIZATIONS = ("kustomization.yaml", "kustomization.yml", "Kustomization")


def file_of(folder: Path, kind: str, name: str) -> Path:
    """The file that holds the object, or ``folder`` itself where that can't be told (a renamed or generated object)."""
    for file in _files(folder.resolve(), set()):
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

"""The user's manifests as objects: a kustomization, a Helm chart, or YAML files as they are."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from harness.cluster.shell import run, tail
from harness.config_model import Config, Helm
from harness.errors import ConfigurationError, SetupError
from harness.release.sources import CHART, KUSTOMIZATION, form_of, yaml_files
from harness.release.template import two_sides

Json = dict[str, Any]

RENDER_SECONDS = 60.0


def require_programs(config: Config) -> None:
    """Say before anything starts that a chart can't be rendered here.

    Raises:
        SetupError: the manifests are a chart, and helm isn't on PATH.

    """
    if form_of(config.app.manifests) == CHART and shutil.which("helm") is None:
        mend = "install Helm 3.10 or newer, or name a folder of what it renders"
        raise SetupError(f"{config.app.manifests} is a Helm chart, and helm is not on PATH", mend)


def render(config: Config, kubectl: Path, namespace: str) -> list[Json]:
    """What ``app.manifests`` holds, rendered by what kind of folder it is; both sides, where they are made of one.

    Args:
        config: the application.
        kubectl: renders a kustomization.
        namespace: what a chart reads as ``.Release.Namespace``.

    Raises:
        SetupError: kubectl or helm is missing or hangs.
        ConfigurationError: the folder can't be rendered, with the program's message; or it doesn't hold what
            ``sides.template`` names.

    """
    return two_sides(config, _as_written(config, kubectl, namespace))


def _as_written(config: Config, kubectl: Path, namespace: str) -> list[Json]:
    folder = config.app.manifests
    form = form_of(folder)
    if form == KUSTOMIZATION:
        return kustomize(kubectl, folder)
    if form == CHART:
        require_programs(config)
        return chart(folder, config.app.name, namespace, config.helm)
    return objects(folder, read_yaml(yaml_files(folder)))


def kustomize(kubectl: Path, folder: Path) -> list[Json]:
    """What ``kubectl kustomize`` makes of a folder.

    Raises:
        SetupError: kubectl is missing or hangs.
        ConfigurationError: the folder can't be rendered, with kubectl's message.

    """
    return _rendered([kubectl, "kustomize", folder], folder)


def chart(folder: Path, name: str, namespace: str, helm: Helm | None) -> list[Json]:
    """What ``helm template`` makes of a chart, without hooks: those are for an installation.

    Raises:
        SetupError: helm isn't on PATH, or hangs.
        ConfigurationError: the chart can't be rendered, with helm's message.

    """
    command: list[str | Path] = ["helm", "template", name, folder, "--namespace", namespace, "--no-hooks"]
    for file in helm.values if helm else ():
        command += ["--values", file]
    for key, value in helm.set.items() if helm else ():
        command += ["--set-json", f"{key}={json.dumps(value)}"]
    return _rendered(command, folder)


def objects(folder: Path, text: str) -> list[Json]:
    """The objects in a stream of YAML documents; a List is taken apart.

    Raises:
        ConfigurationError: no YAML, no object in it, or something that is none.

    """
    try:
        found = [item for item in yaml.safe_load_all(text) if item]
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{folder}: the rendered manifests are not YAML: {error}", "mend them") from error
    _require_objects(folder, found)
    found = [inner for item in found for inner in (item.get("items") or [] if item.get("kind") == "List" else [item])]
    _require_objects(folder, found)
    if not found:
        raise ConfigurationError(f"{folder}: the manifests hold no object", "name the folder with the application")
    for item in found:
        if not item.get("kind") or not (item.get("metadata") or {}).get("name"):
            what = f"{folder}: the manifests hold an object without kind or name: {str(item)[:80]}"
            raise ConfigurationError(what, "mend it, or move the file away if it is none of Kubernetes'")
    return found


def _require_objects(folder: Path, found: Sequence[Any]) -> None:
    if not all(isinstance(item, dict) and isinstance(item.get("metadata", {}), dict | None) for item in found):
        raise ConfigurationError(f"{folder}: the manifests hold YAML that is no object", "mend them, or move it away")


def read_yaml(files: Sequence[Path]) -> str:
    """The files as one stream of documents.

    Raises:
        ConfigurationError: one can't be read.

    """
    texts = []
    for file in files:
        try:
            texts.append(file.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"{file}: can't be read as UTF-8: {error}", "mend or move it away") from error
    return "\n---\n".join(texts)


def _rendered(command: Sequence[str | Path], folder: Path) -> list[Json]:
    done = run(command, f"render {folder}", timeout=RENDER_SECONDS, check=False)
    if done.returncode != 0:
        raise ConfigurationError(
            f"{folder}: {' '.join(str(word) for word in command[:2])} refuses it\n{tail(done.stderr or done.stdout)}",
            f"mend it until this passes: {' '.join(str(word) for word in command)}",
        )
    return objects(folder, done.stdout)

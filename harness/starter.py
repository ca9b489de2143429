"""``bluegreen init``: a first bluegreen.toml from the manifests, each guess with its reason, each gap to fill in."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.config_key import described
from harness.config_model import NEEDS_REVISION, SCHEMA, App, Ingress, Service, Sides
from harness.config_schema import needed
from harness.errors import ConfigurationError
from harness.files import write_atomically
from harness.guess import Guess, Json, guesses, only, pairs
from harness.release.rendering import chart, kustomize, objects, read_yaml
from harness.release.sources import CHART, KUSTOMIZATION, form_of, yaml_files

STDOUT = "-"
MOST_FOLDERS = 50
IDENTITY = (
    "# how an answer tells its version; the one thing that no manifest says. One of:",
    '# revision = "header:X-Version"    # a header of every answer',
    '# revision = "json:build.version"  # a dotted path into a JSON body',
    '# revision = "envoy"               # the proxy\'s log tells it, on the ingress path alone',
    '# revision = "conntrack"           # the nodes\' tables of connections tell it, on the service path alone',
    '# revision = "none"                # nothing tells it; then what stays unproven must be accepted by name:',
    f"# accept_unproven = {json.dumps(NEEDS_REVISION)}",
)


def init(folder: Path, target: str, *, force: bool) -> list[str]:
    """Look at the manifests and write a first configuration.

    Args:
        folder: of the manifests, or one somewhere above them.
        target: the file to write; STDOUT writes none.
        force: whether an existing file may be replaced.

    Returns:
        The lines to print: the file itself for STDOUT, else what is left to do.

    Raises:
        ConfigurationError: no manifests, several folders of them, or the file exists.
        SetupError: helm is needed and missing.

    """
    file = Path(target)
    if target != STDOUT and file.exists() and not force:
        raise ConfigurationError(f"{file} exists", "name another file with --write, or replace it with --force")
    where, found, how = look(folder)
    beside = Path.cwd() if target == STDOUT else file.resolve().parent
    lines = text(guesses(found), os.path.relpath(where, beside), how)
    if target == STDOUT:
        return lines
    try:
        write_atomically(file, "\n".join(lines) + "\n")
    except OSError as error:
        raise ConfigurationError(f"{file}: can't be written: {error.strerror}", "name another file") from error
    gaps = [f"  {file}:{at}: {line.lstrip('# ')}" for at, line in enumerate(lines, 1) if "FILL IN" in line]
    return [f"{file} written from {where}", *(["to fill in:", *gaps] if gaps else [])]


def look(folder: Path) -> tuple[Path, list[Json], str]:
    """The folder with the manifests, their objects, and how they were read.

    Raises:
        ConfigurationError: no manifests at or below ``folder``, or several folders with two sides.

    """
    folder = folder.resolve()
    if form_of(folder):
        return folder, *_objects(folder)
    below = [
        path for path in sorted(folder.rglob("*")) if path.is_dir() and form_of(path) and not _hidden(path, folder)
    ]
    found, single = [], []
    for path in below[:MOST_FOLDERS]:
        try:
            read = _objects(path)
        except ConfigurationError:  # a part that can't be rendered alone, or YAML of something else
            continue
        if pairs(read[0]):
            found.append((path, *read))
        elif only(read[0]):
            single.append((path, *read))
    found = found or single
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(str(path) for path, *_ in found)
        what = "two sides" if found is not single else "one Deployment, that two sides can be made of"
        raise ConfigurationError(f"several folders hold {what}: {names}", "name one: bluegreen init FOLDER")
    mend = "name the folder of a kustomization, a Helm chart or YAML files: bluegreen init FOLDER"
    raise ConfigurationError(f"no folder with two sides, or with one Deployment, at or below {folder}", mend)


def _objects(folder: Path) -> tuple[list[Json], str]:
    form, kubectl = form_of(folder), shutil.which("kubectl")
    if form == KUSTOMIZATION and kubectl:
        return kustomize(Path(kubectl), folder), "rendered by kubectl kustomize"
    if form == CHART:
        return chart(folder, folder.name, "default", None), "rendered by helm template with the chart's own values"
    if form == KUSTOMIZATION:
        text = read_yaml(sorted(file for file in folder.rglob("*.y*ml") if "kustomization" not in file.name.lower()))
        return objects(folder, text), "kubectl is not on PATH: read as they are, which a kustomization may change"
    return objects(folder, read_yaml(yaml_files(folder))), "read as they are"


def _hidden(path: Path, above: Path) -> bool:
    return any(part.startswith(".") or part == "node_modules" for part in path.relative_to(above).parts)


def text(found: Mapping[str, Guess], manifests: str, how: str) -> list[str]:
    """The configuration's lines.

    Args:
        found: guesses by dotted key.
        manifests: the folder, relative to the file.
        how: how its objects were read.

    """
    lines = ["# Written by bluegreen init: see what it guessed, and why. docs/configuration.md explains every key."]
    lines += [f"schema = {SCHEMA}", "", "[app]", f"manifests = {json.dumps(manifests, ensure_ascii=False)}  # {how}"]
    lines += _table("app", App, found, without="manifests")
    lines += ["", "[sides]", *_sides(found)]
    lines += ["", "[service]  # the switch: selector_key's value is a side", *_table("service", Service, found)]
    if any(key.startswith("ingress.") for key in found):
        lines += ["", "[ingress]", *_table("ingress", Ingress, found)]
    else:
        lines += ["", "# no Ingress with a host leads to that Service: without [ingress] its path is skipped by name"]
    lines += ["", "[identity]", "# FILL IN: revision", *IDENTITY]
    lines += [
        "",
        "[request]  # what users ask for; [request.slow], [request.post] and [[requests]] say more",
        'path = "/"',
    ]
    if smoke := found.get("smoke.path"):
        lines += ["", "[smoke]"]
        lines += (
            [f"# path = {json.dumps(smoke.value, ensure_ascii=False)}  # {smoke.why}"]
            if smoke.value
            else [f"# {smoke.why}"]
        )
    return lines


def _sides(found: Mapping[str, Guess]) -> list[str]:
    """The two Deployments, or the one that both are made of."""
    (template,) = (one for one in described(Sides) if one.name == "template")
    if one := found.get("sides.template"):
        return [
            *_key("template", one, template.key.like),
            f"# they are called {one.value}-blue and {one.value}-green, unless blue = and green = say otherwise",
        ]
    lines = _table("sides", Sides, found, without="template")
    if found["sides.blue"].value is None:
        lines += [f"# or the only Deployment, that both sides are made of: template = {json.dumps(template.key.like)}"]
    return lines


def _table(name: str, kind: type, found: Mapping[str, Guess], without: str = "") -> list[str]:
    lines: list[str] = []
    for one in described(kind):
        guess = found.get(f"{name}.{one.name}")
        if one.name != without and one.table is None and (guess is not None or needed(one)):
            lines += _key(one.name, guess or Guess(None, "not found"), one.key.like)
    return lines


def _key(name: str, guess: Guess, like: str) -> list[str]:
    if guess.value is not None:
        return [f"{name} = {json.dumps(guess.value, ensure_ascii=False)}  # {guess.why}"]
    example = f", like {json.dumps(like)}" if like and not guess.candidates else ""
    return [f"# {name} =  # FILL IN: {guess.why}{example}", *_listed(guess.candidates)]


def _listed(candidates: Sequence[str]) -> list[str]:
    return [f"#   {candidate}" for candidate in candidates]

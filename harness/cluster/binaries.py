"""kind and kubectl: from PATH if their versions fit, else built where Go is there, else the error says how."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from harness.cluster.images import Images
from harness.cluster.shell import run
from harness.errors import SetupError

KIND_MINIMUM = (0, 27)
KUBECTL_MINIMUM = (1, 32)
_OFFICIAL = {
    "kind": "https://kind.sigs.k8s.io/docs/user/quick-start/#installation",
    "kubectl": "https://kubernetes.io/docs/tasks/tools/",
    "helm": "https://helm.sh/docs/intro/install/",
}


@dataclass(frozen=True)
class Binaries:
    """Paths of the two commands."""

    kind: Path
    kubectl: Path


def find(images: Images, kind: str | None, kubectl: str | None) -> Binaries:
    """Both binaries; ``kind`` and ``kubectl`` are explicit paths that win.

    Where images are built both are built too: kind must be the one whose files the node image carries.

    Raises:
        SetupError: neither on PATH nor to be built.

    """
    return Binaries(
        _one(images, "kind", "kind", kind, KIND_MINIMUM),
        _one(images, "kubectl", "kubernetes", kubectl, KUBECTL_MINIMUM),
    )


def helm(images: Images) -> Path:
    """Helm from PATH, else built.

    Raises:
        SetupError: neither on PATH nor to be built.

    """
    if found := shutil.which("helm"):
        return Path(found)
    if shutil.which("go") is None:
        raise SetupError("helm is not on PATH", f"install it: {_OFFICIAL['helm']}")
    return images.builder().go.binaries("helm") / "helm"


def _one(images: Images, name: str, module: str, given: str | None, minimum: tuple[int, int]) -> Path:
    if given:
        path = Path(given).absolute()
        if not path.exists():
            raise SetupError(f"{path} does not exist", f"give the path of a {name} binary, or leave the option out")
        return path
    if not images.builds:
        found = shutil.which(name)
        if found and _version(Path(found), name) >= minimum:
            return Path(found)
        if shutil.which("go") is None:
            wanted = ".".join(str(part) for part in minimum)
            raise SetupError(f"{name} {wanted} or newer is not on PATH", f"install it: {_OFFICIAL[name]}")
    return images.builder().go.binaries(module) / name


def _version(path: Path, name: str) -> tuple[int, int]:
    words: list[str | Path] = [path, "version"] if name == "kind" else [path, "version", "--client", "-o", "yaml"]
    text = run(words, f"ask {path} for its version", timeout=20, check=False).stdout
    match = re.search(r"v(\d+)\.(\d+)", text)
    return (int(match[1]), int(match[2])) if match else (0, 0)

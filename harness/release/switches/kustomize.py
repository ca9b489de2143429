"""The switch of those who keep overlays: ``kubectl apply -k`` of the one that has the color."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from harness.cluster.shell import run
from harness.errors import ClusterError, SetupError
from harness.release.switches import Acknowledged
from harness.release.switches.selector import SelectorSwitch

if TYPE_CHECKING:
    from harness.cluster.kube import Kube
    from harness.config import Config

APPLY_SECONDS = 30.0
KEPT = ("type", "ports", "selector", "sessionAffinity", "externalTrafficPolicy")
"""What of the Service's spec its author writes; the rest is the API server's."""


class KustomizeSwitch(SelectorSwitch):
    """Applies one of two overlays of the Service; the base is the Service as it was installed.

    Args:
        kube, namespace, config: as for `SelectorSwitch`.
        kubectl: the program, which has kustomize in it.
        folder: where base/ and overlays/<side>/ are written, and kept as evidence.

    """

    name = "kustomize"
    tool = "kubectl-client-side-apply"
    by_command = True

    def __init__(self, kube: Kube, namespace: str, config: Config, kubectl: Path, folder: Path) -> None:
        super().__init__(kube, namespace, config)
        self._kubectl = kubectl
        self._folder = folder

    def flip(self, to: str) -> Acknowledged:
        """One ``kubectl apply -k``."""
        overlay = self._overlay(to)
        command: list[str | Path] = [self._kubectl, "--kubeconfig", self._kube.kubeconfig]
        if self._kube.context:
            command += ["--context", self._kube.context]
        command += ["--namespace", self._namespace, "apply", "-k", overlay]
        try:
            run(command, f"apply {overlay}", timeout=APPLY_SECONDS)
        except SetupError as error:
            raise ClusterError(error.what, error.mend) from error
        return Acknowledged()

    def _overlay(self, side: str) -> Path:
        if not self._folder.exists():
            self._write(self._folder / "base" / "service.yaml", self._base())
            self._write(self._folder / "base" / "kustomization.yaml", {"resources": ["service.yaml"]})
            for color in self._sides:
                patch = [{"op": "replace", "path": f"/spec/selector/{self._escaped_key()}", "value": self.color(color)}]
                target = {"kind": "Service", "name": self._service.name}
                overlay = {"resources": ["../../base"], "patches": [{"target": target, "patch": yaml.safe_dump(patch)}]}
                self._write(self._folder / "overlays" / color / "kustomization.yaml", overlay)
        return self._folder / "overlays" / side

    def _escaped_key(self) -> str:
        """As a JSON pointer has it (RFC 6901, 3)."""
        return self._service.selector_key.replace("~", "~0").replace("/", "~1")

    def _base(self) -> dict[str, Any]:
        live = self._kube.service(self._namespace, self._service.name)
        spec = {key: live["spec"][key] for key in KEPT if key in live["spec"]}
        metadata = {"name": self._service.name, "labels": live["metadata"].get("labels") or {}}
        return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}

    def _write(self, path: Path, document: dict[str, Any]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        kind = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization"}
        path.write_text(yaml.safe_dump({**kind, **document} if path.stem == "kustomization" else document))

"""The switch of those who release by Helm: the application is a chart, and ``liveColor`` one of its values."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from harness.cluster.shell import run
from harness.errors import ClusterError, SetupError
from harness.release.manifests import apply
from harness.release.switches import Acknowledged, Json
from harness.release.switches.chart import chart, split
from harness.release.switches.selector import SelectorSwitch

if TYPE_CHECKING:
    from harness.cluster.kube import Kube
    from harness.config import Config

HELM_SECONDS = 60.0


class HelmSwitch(SelectorSwitch):
    """Installs, deploys and flips by Helm, as one release of a chart made of the application's objects.

    A cutover is ``helm upgrade --set liveColor=``; the way back right after it is ``helm rollback`` to the revision
    before.

    Args:
        kube, namespace, config: as for `SelectorSwitch`.
        helm: the program, version 3.10 or newer.
        folder: where the chart is written, and kept as evidence.

    """

    name = "helm"
    tool = "helm"
    by_command = True

    def __init__(self, kube: Kube, namespace: str, config: Config, helm: Path, folder: Path) -> None:
        super().__init__(kube, namespace, config)
        self._release = config.app.name
        self._config = config
        self._helm = helm
        self._folder = folder
        self._revision = 0
        self._way_back: tuple[str, int] | None = None

    def install(self, objects: Sequence[Json]) -> bool:
        """``helm lint``, then ``helm install``; Secrets are left out of the chart, since that stays on disk."""
        apply(self._kube, self._config, [item for item in objects if item["kind"] == "Secret"], self._namespace)
        charted = [item for item in objects if item["kind"] != "Secret"]
        for name, text in chart(self._config, charted).items():
            (self._folder / name).parent.mkdir(parents=True, exist_ok=True)
            (self._folder / name).write_text(text)
        self._call("lint", "--strict", self._folder)
        self._change("install", self._release, self._folder)
        return True

    def put(self, side: str, image: str | None, replicas: int) -> bool:
        """``helm upgrade --set <side>.image.tag=,<side>.replicas=``."""
        tag = {f"{side}.image.tag": split(image)[1]} if image else {}
        self._upgrade(tag, {f"{side}.replicas": str(replicas)})
        self._way_back = None
        return True

    def flip(self, to: str) -> Acknowledged:
        """One ``helm upgrade``, or one ``helm rollback`` where nothing came between."""
        before, way_back = self._revision, self._way_back
        origin = next(side for side in self._sides if side != to)
        if way_back is not None and way_back[0] == to:
            self._change("rollback", self._release, str(way_back[1]))
        else:
            self._upgrade({"liveColor": self.color(to)}, {})
        self._way_back = (origin, before)
        return Acknowledged(f"helm revision {self._revision}")

    def _upgrade(self, strings: Mapping[str, str], numbers: Mapping[str, str]) -> None:
        words = [word for key, value in strings.items() for word in ("--set-string", f"{key}={value}")]
        words += [word for key, value in numbers.items() for word in ("--set", f"{key}={value}")]
        self._change("upgrade", self._release, self._folder, "--reuse-values", *words)

    def _change(self, verb: str, *words: str | Path) -> None:
        """A command that makes a revision."""
        where = ["--namespace", self._namespace, "--kubeconfig", str(self._kube.kubeconfig)]
        where += ["--kube-context", self._kube.context] if self._kube.context else []
        try:
            self._call(verb, *words, *where)
        except ClusterError:
            # what the cluster refuses is a revision as well (failed), what Helm itself refuses is none
            self._way_back = None
            with suppress(ClusterError):
                history = self._call("history", self._release, "--max", "1", "--output", "json", *where)
                self._revision = int(json.loads(history)[-1]["revision"])
            raise
        self._revision += 1

    def _call(self, *words: str | Path) -> str:
        try:
            return run([self._helm, *words], f"helm {words[0]}", timeout=HELM_SECONDS).stdout
        except SetupError as error:
            raise ClusterError(error.what, error.mend) from error

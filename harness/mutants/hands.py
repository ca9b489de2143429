"""What people do to a release by hand, with kubectl: nothing of it is taken back, the namespace ends with it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from harness.cluster.shell import run

if TYPE_CHECKING:
    from harness.cluster.running import Cluster, Place
    from harness.config import Config

SECONDS = 30.0
ROLLOUT_SECONDS = 60.0


class Hands:
    """Somebody with access to a namespace.

    Args:
        cluster: its kubectl.
        place: the namespace.
        config: names.
        folder: for files that kubectl reads.

    """

    def __init__(self, cluster: Cluster, place: Place, config: Config, folder: Path) -> None:
        self._kubectl: list[str | Path] = [cluster.kubectl, "--kubeconfig", place.kube.kubeconfig]
        self._kubectl += ["--namespace", place.name]
        self._place = place
        self._config = config
        self._folder = folder

    def put(self, side: str, version: str, replicas: int | None = None) -> None:
        """Give a side another version, and perhaps another size; nothing is waited for."""
        name = self._config.sides.deployments[side]
        self._do(
            "set", "image", f"deployment/{name}", f"{self._config.app.container}={self._config.app.image_of(version)}"
        )
        if replicas is not None:
            self.scale(side, replicas)

    def scale(self, side: str, replicas: int) -> None:
        """Give a side so many pods; nothing is waited for."""
        self._do("scale", f"deployment/{self._config.sides.deployments[side]}", f"--replicas={replicas}")

    def delete(self, side: str) -> None:
        """Delete a side's Deployment."""
        self._do("delete", f"deployment/{self._config.sides.deployments[side]}", "--wait=false")

    def restart(self, side: str) -> None:
        """Roll a side out anew, and wait until the new pods are ready; the old ones may still be ending."""
        name = f"deployment/{self._config.sides.deployments[side]}"
        self._do("rollout", "restart", name)
        self._do("rollout", "status", name, f"--timeout={ROLLOUT_SECONDS:g}s", seconds=2 * ROLLOUT_SECONDS)

    def select(self, value: str | None) -> None:
        """Change the switch's value in the Service's selector; None takes the key away."""
        self._patch({"spec": {"selector": {self._config.service.selector_key: value}}})

    def select_nothing(self) -> None:
        """Take the Service's whole selector away."""
        self._patch({"spec": {"selector": None}})

    def lead_locally(self) -> None:
        """Have each node lead users to its own pods only."""
        self._patch({"spec": {"externalTrafficPolicy": "Local"}})

    def delete_pod(self, side: str) -> str:
        """Delete one ready pod of a side, with its grace; nothing is waited for. Returns its name."""
        name = self.ready(side)[0]
        self._do("delete", f"pod/{name}", "--wait=false")
        return name

    def evict(self, side: str) -> int:
        """Ask for the eviction of each ready pod of a side; returns how many were let go."""
        let_go = 0
        for name in self.ready(side):
            body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}}
            let_go += self._post(f"pods/{name}/eviction", body)
        return let_go

    def drain_pod(self, side: str, seconds: int) -> str:
        """Have one ready pod of a side drain itself where it is. Returns its name."""
        name = self.ready(side)[0]
        port = self._config.admin.port if self._config.admin else 0
        if not self._post(f"pods/{name}:{port}/proxy/drain?seconds={seconds}", {}):
            run([*self._kubectl, "get", "pod", name], f"drain {name}: it refused", timeout=SECONDS)
        return name

    def ready(self, side: str) -> list[str]:
        """Names of a side's ready pods."""
        pods = self._place.kube.pods_of(self._place.name, self._config.sides.deployments[side])
        return [pod.name for pod in pods if pod.ready and not pod.terminating]

    def _patch(self, body: object) -> None:
        self._do("patch", f"service/{self._config.service.name}", "--type=merge", "--patch", json.dumps(body))

    def _post(self, path: str, body: object) -> bool:
        """POST to the namespace; whether the server did it."""
        file = self._folder / "by-hand.json"
        file.write_text(json.dumps(body), encoding="utf-8")
        address = f"/api/v1/namespaces/{self._place.name}/{path}"
        done = run(
            [*self._kubectl, "create", "--raw", address, "-f", file], f"post {path}", timeout=SECONDS, check=False
        )
        return done.returncode == 0

    def _do(self, *words: str, seconds: float = SECONDS) -> None:
        run([*self._kubectl, *words], " ".join(words[:2]), timeout=seconds)

"""What happens beside a release to the way that users come in: another Ingress edited, a proxy started anew."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from harness.cluster.ingress import NAMESPACE
from harness.config import Config
from harness.errors import ConfigurationError
from harness.faults.reach import why_not
from harness.journal import Journal
from harness.waiting import until

if TYPE_CHECKING:
    from harness.cluster.answers import Json
    from harness.cluster.engine import Engine
    from harness.cluster.kube import Kube
    from harness.cluster.running import Cluster

HEAL_S = 120.0
RESTARTED = {
    "ingress-controller-restarted": (NAMESPACE, "deployment", "contour"),
    "ingress-proxy-restarted": (NAMESPACE, "daemonset", "envoy"),
    "kube-proxy-restarted": ("kube-system", "daemonset", "kube-proxy"),
}
"""By fault: namespace, kind and name of what is started anew, as Contour's manifests and kubeadm call it."""


class DataPlane:
    """Works on what leads to the application; every act is an event.

    Args:
        kube, namespace, config: where the application is.
        cluster: its nodes, for what is done from the control plane.
        journal: the scenario's record.

    """

    def __init__(self, kube: Kube, namespace: str, config: Config, cluster: Cluster, journal: Journal) -> None:
        self._kube = kube
        self._namespace = namespace
        self._config = config
        self._cluster = cluster
        self._journal = journal

    def controller_restarted(self) -> AbstractContextManager[None]:
        """Replace the pods of the ingress controller, which tells the proxies where to lead whom."""
        return self._restarted("ingress-controller-restarted")

    def proxy_restarted(self) -> AbstractContextManager[None]:
        """Replace the pods of the ingress' proxy, one after the other."""
        return self._restarted("ingress-proxy-restarted")

    def kube_proxy_restarted(self) -> AbstractContextManager[None]:
        """Replace kube-proxy's pods, one after the other; its rules are the kernel's and stay."""
        return self._restarted("kube-proxy-restarted")

    @contextlib.contextmanager
    def another_ingress_edited(self, times: int = 5) -> Iterator[None]:
        """Make an Ingress for another host, and change its path a few times; its removal ends the block.

        Raises:
            ConfigurationError: the application has no Ingress, or the cluster is somebody else's.

        """
        kind, name = "other-ingress-edited", "other"
        self._require(kind)
        self._journal.event("fault.injected", kind=kind, target=name)
        for number in range(times):
            self._kube.apply([self._other(name, f"/{number}")], self._namespace)
        edited = f"/{times - 1}"
        until(lambda: edited in self._paths(name), f"Ingress {name} to have its last path", timeout=HEAL_S)
        self._journal.event("fault.confirmed", kind=kind, target=name)
        try:
            yield
        finally:
            self._kubectl(self._namespace, "delete", "ingress", name)
            until(lambda: not self._paths(name), f"Ingress {name} to be gone", timeout=HEAL_S)
            self._journal.event("fault.healed", kind=kind, target=name)

    @contextlib.contextmanager
    def node_paused(self) -> Iterator[None]:
        """Stop everything in the last worker node for the block: its pods' peers hear nothing more, not even a FIN."""
        kind = "node-paused"
        self._require(kind)
        node = max(node.name for node in self._cluster.nodes if not node.name.endswith("control-plane"))
        engine = self._engine
        self._journal.event("fault.injected", kind=kind, target=node)
        engine("pause", node, what=f"pause {node}")
        try:
            until(lambda: self._container(node) == "paused", f"{node} to be paused", timeout=HEAL_S)
            self._journal.event("fault.confirmed", kind=kind, target=node)
            yield
        finally:
            engine("unpause", node, what=f"unpause {node}")
            until(lambda: self._container(node) == "running", f"{node} to run again", timeout=HEAL_S)
            until(self._all_ready, "all pods to be ready again", timeout=HEAL_S)
            self._journal.event("fault.healed", kind=kind, target=node)

    def _container(self, node: str) -> str:
        words = ("inspect", "--format", "{{.State.Status}}", node)
        return self._engine(*words, what=f"inspect {node}").stdout.strip()

    def _all_ready(self) -> bool:
        names = self._config.sides.deployments.values()
        found = [self._kube.rollout_status(self._namespace, name) for name in names]
        return all(status.ready >= status.wanted for status in found)

    @contextlib.contextmanager
    def _restarted(self, kind: str) -> Iterator[None]:
        """Confirmed by pods that weren't there before; healed once all of them are new and ready."""
        self._require(kind)
        namespace, resource, name = RESTARTED[kind]
        before = self._pods(namespace, resource, name)
        self._journal.event("fault.injected", kind=kind, target=name)
        self._kubectl(namespace, "rollout", "restart", f"{resource}/{name}")
        until(lambda: self._pods(namespace, resource, name) - before, f"new pods of {name}", timeout=HEAL_S)
        self._journal.event("fault.confirmed", kind=kind, target=name)
        try:
            yield
        finally:
            status = ("rollout", "status", f"{resource}/{name}", f"--timeout={HEAL_S:g}s")
            self._kubectl(namespace, *status, timeout=HEAL_S + 10)
            until(
                lambda: not self._pods(namespace, resource, name) & before,
                f"the old pods of {name} to be gone",
                timeout=HEAL_S,
            )
            self._journal.event("fault.healed", kind=kind, target=name)

    def _require(self, kind: str) -> None:
        if kind == "other-ingress-edited" and self._config.ingress is None:
            raise ConfigurationError(f"{self._config.file} has no [ingress]", "run this on an application that has")
        if reason := why_not(kind, self._cluster):
            raise ConfigurationError(reason, "run this scenario on a cluster of its own")

    def _pods(self, namespace: str, resource: str, name: str) -> frozenset[str]:
        """Names of the pods, those that are ending too."""
        (owner,) = (
            item
            for item in self._kube.objects(namespace, f"{resource}s", "apps/v1")
            if item["metadata"]["name"] == name
        )
        return frozenset(pod.name for pod in self._kube.pods(namespace, owner["spec"]["selector"]["matchLabels"]))

    def _paths(self, name: str) -> list[str]:
        return [
            path["path"]
            for item in self._kube.objects(self._namespace, "ingresses", "networking.k8s.io/v1")
            if item["metadata"]["name"] == name
            for rule in item["spec"]["rules"]
            for path in rule["http"]["paths"]
        ]

    def _other(self, name: str, path: str) -> Json:
        service = self._config.service
        backend = {"service": {"name": service.name, "port": {"number": service.port}}}
        rule = {
            "host": f"{self._namespace}.other.example.com",
            "http": {"paths": [{"path": path, "pathType": "Prefix", "backend": backend}]},
        }
        return {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "Ingress",
            "metadata": {"name": name},
            "spec": {"rules": [rule]},
        }

    def _kubectl(self, namespace: str, *words: str, timeout: float = 60.0) -> None:
        """On the control plane, as a person would."""
        engine = self._engine
        node = next(node.name for node in self._cluster.nodes if node.name.endswith("control-plane"))
        command = ["kubectl", "--kubeconfig", "/etc/kubernetes/admin.conf", "--namespace", namespace, *words]
        engine("exec", node, *command, what=f"kubectl {' '.join(words)}", timeout=timeout)

    @property
    def _engine(self) -> Engine:
        assert self._cluster.engine is not None, "asked beforehand"  # noqa: S101
        return self._cluster.engine

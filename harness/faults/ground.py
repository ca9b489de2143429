"""Where faults happen: what their makers need to know of the cluster and the application."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.errors import ConfigurationError, HarnessError
from harness.faults.left_over import Cure

if TYPE_CHECKING:
    from harness.cluster.answers import PodInfo
    from harness.cluster.engine import Engine
    from harness.cluster.kube import Kube
    from harness.cluster.running import Cluster
    from harness.config import Config
    from harness.release.verbs import Release

KUBECTL = "kubectl --kubeconfig /etc/kubernetes/admin.conf"
"""In the control plane's container, by the administrator's own file."""


@dataclass(frozen=True)
class Ground:
    """A scenario's surroundings.

    Attributes:
        kube, namespace, config: where.
        release: tells which side is which.
        cluster: its nodes, for what no API call can do.

    """

    kube: Kube
    namespace: str
    config: Config
    release: Release
    cluster: Cluster

    @property
    def engine(self) -> Engine:
        """The container engine that the nodes run in.

        Raises:
            ConfigurationError: somebody else made the cluster.

        """
        if self.cluster.engine is None:
            raise ConfigurationError("this fault works inside the nodes", "run it on a cluster that the harness makes")
        return self.cluster.engine

    def node(self, name: str) -> str:
        """A node's full name from the end of it: "control-plane", "worker", "worker2".

        Raises:
            ConfigurationError: there is no such node.

        """
        for node in self.cluster.nodes:
            if node.name == name or node.name.endswith(f"-{name}"):
                return node.name
        known = ", ".join(node.name for node in self.cluster.nodes)
        raise ConfigurationError(f"the cluster has no node {name!r}", f"one of {known or 'those of a cluster of ours'}")

    @property
    def control_plane(self) -> str:
        """The control plane's node."""
        return self.node("control-plane")

    def other_than(self, node: str) -> str:
        """A node to look from."""
        return next(one.name for one in self.cluster.nodes if one.name != node)

    def address(self, node: str) -> str:
        """A node's address inside the cluster's network."""
        return next(one.internal_ip for one in self.kube.nodes() if one.name == node)

    def deployment(self, side: str) -> str:
        """The side's Deployment."""
        return self.config.sides.deployments[side]

    def container_port(self, side: str) -> int:
        """The port that the side's first container names first."""
        deployment = self.kube.get_deployment(self.namespace, self.deployment(side))
        return int(deployment["spec"]["template"]["spec"]["containers"][0]["ports"][0]["containerPort"])

    def ready_pods(self, side: str) -> list[PodInfo]:
        """The side's pods that serve, by name."""
        pods = self.kube.pods_of(self.namespace, self.deployment(side))
        return [pod for pod in pods if pod.ready and not pod.terminating]

    def pod(self, side: str) -> PodInfo:
        """One that serves: the first by name.

        Raises:
            HarnessError: there is none.

        """
        pods = self.ready_pods(side)
        if not pods:
            raise HarnessError(f"{self.deployment(side)} has no ready pod to break", "deploy to that side first")
        return pods[0]

    def whole(self, side: str) -> bool:
        """Whether the side has all the pods that it wants, ready."""
        status = self.kube.rollout_status(self.namespace, self.deployment(side))
        return status.ready >= status.wanted

    def run(self, node: str, script: str, timeout: float = 30) -> str:
        """What bash in a node prints; "" where it fails.

        Raises:
            SetupError: it took longer than ``timeout`` seconds.

        """
        done = self.engine("exec", node, "bash", "-c", script, what=f"look in {node}", timeout=timeout, check=False)
        return done.stdout if done.returncode == 0 else ""

    def asks(self, node: str, url: str) -> bool:
        """Whether somebody answers a node within a second, whatever he says."""
        return self.run(node, f"curl -sk -m 1 -o /dev/null -w '%{{http_code}}' {url} || true") not in ("", "000")

    def by_kubectl(self, words: str) -> Cure:
        """A cure by kubectl on the control plane."""
        return Cure(self.control_plane, f"{KUBECTL} {words}")

"""A kind cluster of our own, by pytest-kind's KindCluster (the only import of pytest_kind)."""

from __future__ import annotations

import concurrent.futures
import contextlib
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from harness import waiting
from harness.cluster import arrivals, ports
from harness.cluster.engine import Engine
from harness.cluster.host import Host, inotify_left
from harness.cluster.owned import OWNED, healthy, listed, read_owner
from harness.cluster.owned import PREFIX as PREFIX
from harness.cluster.owned import name_of as name_of
from harness.cluster.shell import run
from harness.cluster.store import Say, Store, content_key
from harness.errors import SetupError
from harness.files import write_atomically

try:
    from pytest_kind import KindCluster
except ImportError as missing:
    raise SetupError("pytest-kind is not installed", "pip install 'pytest-bluegreen[kind]'") from missing

LEDGER_IN_NODE = "/var/local/bluegreen"
INOTIFY_PER_NODE = 22  # seen: 66 in use with three nodes and the ingress up
CREATE_BOUND = 420.0  # seconds; seen: 35 s warm on 2 cores


@dataclass(frozen=True)
class Node:
    """One node: its name, its own address, and 127.0.0.1's port for each mapped NodePort."""

    name: str
    address: str
    mapped: dict[int, int]


class BlueGreenKind(KindCluster):  # type: ignore[misc]
    """KindCluster with a config file, bounds, a replaced half-dead cluster, and no file outside the cache.

    Args:
        name: the cluster's name.
        home: this cluster's folder in the cache (kubeconfig, config, owner file, ledger).
        kind, kubectl: the binaries.
        engine, host, store: the machine.
        image: node image.
        kube_proxy: "iptables" or "nftables".
        workers: number of worker nodes.
        checkout: whose it is; the working folder if not given.

    """

    def __init__(
        self,
        name: str,
        home: Path,
        kind: Path,
        kubectl: Path,
        engine: Engine,
        host: Host,
        store: Store,
        image: str,
        kube_proxy: str = "iptables",
        workers: int = 2,
        checkout: Path | None = None,
    ) -> None:
        # not super().__init__: it makes .pytest-kind/ in the working folder
        self.name = name
        self.path = home
        self.kubeconfig_path = home / "kubeconfig"
        self.kind_path = kind
        self.kubectl_path = kubectl
        self.image = image
        self.engine = engine
        self.host = host
        self.store = store
        self.kube_proxy = kube_proxy
        self.workers = workers
        self.checkout = checkout or Path.cwd()

    def ensure_kind(self) -> None:
        """Nothing to fetch: the binary was found or built beforehand."""

    def ensure_kubectl(self) -> None:
        """Nothing to fetch: the binary was found or built beforehand."""

    @property
    def key(self) -> str:
        """Identifies what the cluster was made of; another key means another cluster."""
        made_of = {"image": self.image, "config": self.config({}), "engine": self.engine.name}
        return content_key({**made_of, "ports": ports.NODE_PORTS})  # a mapping can't be added later

    def config(self, mapped: dict[str, dict[int, int]]) -> dict[str, Any]:
        """Kind's configuration as data; ``mapped`` holds each node's NodePort -> host port."""
        nodes: list[dict[str, Any]] = []
        for node in self.node_names():
            role = "control-plane" if node.endswith("control-plane") else "worker"
            entry: dict[str, Any] = {
                "role": role,
                "labels": dict([OWNED]),
                "extraMounts": [{"hostPath": str(self.path / "ledger"), "containerPath": LEDGER_IN_NODE}],
            }
            if mapped:
                entry["extraPortMappings"] = [
                    {"containerPort": inner, "hostPort": outer, "listenAddress": "127.0.0.1"}
                    for inner, outer in mapped[node].items()
                ]
            nodes.append(entry)
        config: dict[str, Any] = {
            "kind": "Cluster",
            "apiVersion": "kind.x-k8s.io/v1alpha4",
            "networking": {"kubeProxyMode": self.kube_proxy},
            "nodes": nodes,
        }
        if not self.host.cgroup_v2:
            config["kubeadmConfigPatches"] = [
                "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\nfailCgroupV1: false\n"
            ]
        if not self.host.sys_resource:
            config["containerdConfigPatches"] = [
                '[plugins."io.containerd.grpc.v1.cri"]\n  restrict_oom_score_adj = true\n'
            ]
        return config

    def node_names(self) -> list[str]:
        """Names that kind gives the nodes, control plane first."""
        workers = [f"{self.name}-worker{'' if number == 1 else number}" for number in range(1, self.workers + 1)]
        return [f"{self.name}-control-plane", *workers]

    def ensure(self, say: Say) -> bool:
        """Reuse the healthy cluster of the same key, or replace whatever is there by a new one.

        Returns:
            True if a new cluster was created.

        Raises:
            SetupError: the name belongs to a cluster that isn't ours, or creation failed.

        """
        exists = self.name in listed(self.kind_path, self.engine)
        owner = read_owner(self.path)
        if exists and owner is None:
            raise SetupError(
                f"a kind cluster named {self.name} exists and was not made by this harness",
                "choose another --cluster-name; only clusters of our own are ever replaced",
            )
        if exists and owner is not None:
            if owner["key"] == self.key and owner.get("complete") and healthy(self.kubeconfig_path):
                say(f"cluster {self.name}: reused")
                return False
            whole = "it does not answer" if owner.get("complete") else "its creation was cut short"
            reason = whole if owner["key"] == self.key else "its settings changed"
            say(f"cluster {self.name}: replaced, because {reason}")
            self.delete()
        self.create()
        return True

    def create(self, config_file: str | Path | None = None) -> None:
        """Create the cluster and wait until every node is ready.

        Raises:
            SetupError: kind failed; nothing of the cluster is left.

        """
        if config_file is not None:
            raise SetupError("the configuration is generated", "pass options instead of a file")
        self._require_inotify()
        (self.path / "ledger").mkdir(parents=True, exist_ok=True)
        (self.path / "ledger").chmod(0o777)  # pods write there as whatever user their image names
        modules = Path("/lib/modules")
        if not modules.exists() and self.host.root:
            modules.mkdir()  # kind mounts it into each node, and podman refuses a missing folder
        mapped: dict[str, dict[int, int]] = {}
        if self.engine.published_ports == "dnat":
            chosen = iter(ports.choose(len(ports.NODE_PORTS) * (self.workers + 1), self.name))
            mapped = {node: {inner: next(chosen) for inner in ports.NODE_PORTS} for node in self.node_names()}
        config = self.path / "kind.yaml"
        config.write_text(yaml.safe_dump(self.config(mapped)))
        owner = {
            "key": self.key,
            "mapped": mapped,
            "checkout": str(self.checkout),
            "engine": self.engine.name,  # who must answer before its record may go
            "created": time.time(),
        }
        # ours from the first moment, but usable only once it is whole: a killed creation leaves a half-made one
        write_atomically(self.path / "owner.json", json.dumps(owner))
        self.kubeconfig_path.unlink(missing_ok=True)
        self.kubeconfig_path.touch(0o600)
        words = ["create", "cluster", "--name", self.name, "--image", self.image, "--config", str(config)]
        try:
            with self.store.step(f"cluster {self.name}", "about 40 s"):
                self._kind(*words, "--kubeconfig", str(self.kubeconfig_path), "--wait", "180s", bound=CREATE_BOUND)
        except SetupError:
            with contextlib.suppress(SetupError):  # the first error is the one to read
                self.delete()
            raise
        self.kubeconfig_path.chmod(0o600)
        write_atomically(self.path / "owner.json", json.dumps({**owner, "complete": True}))

    def _require_inotify(self) -> None:
        wanted, left = INOTIFY_PER_NODE * (self.workers + 1), inotify_left()
        if left < wanted:
            raise SetupError(
                f"{left} inotify instances are left for this user, and {self.workers + 1} nodes need about {wanted}",
                "remove other clusters, or as root: sysctl fs.inotify.max_user_instances=512",
            )

    def tidy(self) -> None:
        """Take away what a killed run left in a kept cluster: its namespaces and records."""
        selector = "=".join(OWNED)
        left = self.kubectl("get", "namespaces", "--selector", selector, "-o", "name").split()
        for namespace in left:
            name = namespace.removeprefix("namespace/")
            self.kubectl("delete", "pods", "--all", "-n", name, "--grace-period=0", "--force", "--wait=false")
        if left:
            self.kubectl("delete", "--timeout=120s", *left, timeout=130)
        for namespace_folder in (self.path / "ledger").glob("*"):
            arrivals.discard(namespace_folder)

    def delete(self) -> None:
        """Delete the cluster and its folder."""
        with self.store.step(f"delete cluster {self.name}"):
            self._kind("delete", "cluster", "--name", self.name, "--kubeconfig", str(self.kubeconfig_path), bound=180)
        shutil.rmtree(self.path, ignore_errors=True)

    def load(self, archive: Path) -> None:
        """Import the images of ``archive`` on every worker, all at once; no pod of ours runs on the control plane.

        Raises:
            SetupError: a node refused.

        """
        command = ["ctr", "-n", "k8s.io", "images", "import", "--digests", "--snapshotter=overlayfs", "-"]
        workers = [node for node in self.node_names() if not node.endswith("control-plane")]
        with concurrent.futures.ThreadPoolExecutor(len(workers)) as pool:
            done = [
                pool.submit(self.engine.pipe_in, node, command, archive, f"load images on {node}") for node in workers
            ]
        for one in done:
            one.result()

    def nodes(self) -> list[Node]:
        """Every node with its address and mapped ports."""
        owner = read_owner(self.path) or {}
        mapped = owner.get("mapped", {})
        return [
            Node(name, self.engine.address(name), {int(k): v for k, v in mapped.get(name, {}).items()})
            for name in self.node_names()
        ]

    def kubectl(self, *args: str, **kwargs: Any) -> str:
        """Run kubectl against this cluster, with a bound, and return its output.

        Raises:
            SetupError: kubectl failed.

        """
        bound = float(kwargs.pop("timeout", 60))
        words: list[str | Path] = [self.kubectl_path, "--kubeconfig", self.kubeconfig_path, *args]
        return run(words, f"run kubectl {' '.join(args[:3])}", timeout=bound, **kwargs).stdout

    def _kind(self, *words: str, bound: float) -> subprocess.CompletedProcess[str]:
        return run([self.kind_path, *words], f"kind {words[0]} {words[1]}", timeout=bound, env=self.engine.kind_env)


@contextlib.contextmanager
def in_use(store: Store, name: str) -> Iterator[None]:
    """Hold the cluster for this process; another run on the same checkout waits."""
    with store.lock(f"cluster-{name}", timeout=1800):
        os.environ["KUBECONFIG"] = os.devnull  # nothing here may ever fall back to the user's own cluster
        yield


def wait_nodes(cluster: BlueGreenKind, bound: float = 120.0) -> None:
    """Wait until every node says Ready.

    Raises:
        WaitTimeout: with the nodes' last states.

    """

    def states() -> list[str]:
        path = "jsonpath={range .items[*]}{.metadata.name}={.status.conditions[?(@.type=='Ready')].status} {end}"
        return cluster.kubectl("get", "nodes", "-o", path).split()

    waiting.until(
        lambda: len(ready := states()) == cluster.workers + 1 and all(state.endswith("=True") for state in ready),
        "the nodes to be ready",
        timeout=bound,
        every=1,
        status=lambda: ", ".join(states()),
    )

"""A cluster that somebody else made and uses: one namespace of it is touched, and named hosts only are loaded."""

from __future__ import annotations

import contextlib
import secrets
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.cluster.answers import Refused
from harness.cluster.kube_careful import SELECTOR, CarefulKube
from harness.cluster.kubeconfig import require_context
from harness.cluster.owned import OWNED
from harness.cluster.running import CLUSTERIP, Node, Place
from harness.cluster.store import Say, Store, cache_root
from harness.cluster.targets import TLS, Target, entries, tls_ports
from harness.errors import ConfigurationError, SetupError

if TYPE_CHECKING:
    from harness.config_ingress import Ingress

SMOKE_IMAGE = "localhost/bluegreen/smoke:1"
LOAD_IMAGE = "localhost/bluegreen/load:1"
LABEL = 63
"""Letters in one part of a host name (RFC 1035, 2.3.4)."""


@dataclass(frozen=True)
class Options:
    """What the command line decides about a cluster that is there already.

    Attributes:
        kubeconfig: the user's.
        context: the cluster, always named.
        namespace: the one to use, "" for a fresh one per scenario.
        targets: the hosts that may be loaded.
        node_port: the NodePort to use, 0 for one that the API picks.
        smoke_image: a name that the nodes can pull or have.
        load_image: likewise, of a load's workers.
        workers: how many pods send the load on the path clusterip; 0: nobody enters by that.
        allowed_faults: faults beyond the namespace that may happen.
        kubectl: its path, or None for the one on PATH.

    """

    kubeconfig: Path
    context: str
    namespace: str = ""
    targets: tuple[Target, ...] = ()
    node_port: int = 0
    smoke_image: str = SMOKE_IMAGE
    load_image: str = LOAD_IMAGE
    workers: int = 0
    allowed_faults: tuple[str, ...] = ()
    kubectl: str | None = None


@dataclass
class Existing:
    """The cluster, as `harness.cluster.running.Cluster` tells; it has no ledger, and nodes and engine are unknown."""

    options: Options
    kubectl: Path
    environment: dict[str, Any]
    store: Store = field(repr=False)
    nodes: Sequence[Node] = ()
    ledger: None = None
    engine: None = None
    state: None = None

    @property
    def smoke_image(self) -> str:
        """As the nodes know it."""
        return self.options.smoke_image

    @property
    def allowed_faults(self) -> tuple[str, ...]:
        """As the user named them."""
        return self.options.allowed_faults

    def load_image(self) -> str:
        """As the nodes know it."""
        return self.options.load_image

    def helm(self) -> Path:
        """Not here: what Helm makes has no label of ours, so nothing could take it away again."""
        raise ConfigurationError("by Helm only on a cluster that the harness made", "leave the switch `helm` out")

    @contextlib.contextmanager
    def gateway(self, ingress: Ingress | None, namespace: str) -> Iterator[str]:
        """The one that the configuration names; its listeners are its owner's, their certificates too."""
        del namespace
        if ingress is None or not ingress.gateway:
            raise ConfigurationError("no Gateway is named", 'name it: [ingress] gateway = "namespace/name"')
        if ingress.tls is not None and ingress.tls.certificate == "run":
            raise ConfigurationError(
                "no listener of a Gateway that was given has the run's certificate",
                'leave [ingress.tls] out, or say certificate = "manifests" in it',
            )
        yield ingress.gateway

    def rollouts(self) -> Path:
        """Not here: its controller is for the whole cluster, and somebody else's business."""
        raise ConfigurationError(
            "by Argo Rollouts only on a cluster that the harness made", "leave the switch `argo-rollouts` out"
        )

    def lacks(self, path: str) -> str:
        """Why scenarios can't enter by a path: no host was named for it. Inside, the Service itself is the way in."""
        if path == CLUSTERIP:
            return ""
        served = any(target.serves(path) for target in self.options.targets)
        return "" if served else f"no --bg-target was named for the {path} path"

    @contextlib.contextmanager
    def place(self, path: str, apart: Mapping[str, Sequence[str]] | None = None) -> Iterator[Place]:
        """The given namespace, with what is ours in it gone afterwards, or one made and deleted."""
        if apart:
            raise ConfigurationError("namespaces apart only on a cluster that the harness made", "leave the switch out")
        kube = CarefulKube(self.options.kubeconfig, self.options.context)
        port = self.options.node_port if path == "service" else None
        if name := self.options.namespace:
            kube.require_usable(name)
            try:
                yield Place(name, port, kube, SELECTOR, prefix_of(name), partial(kube.require_usable, name))
            finally:
                kube.remove(name, kube.made)
            return
        name = f"bg-{secrets.token_hex(4)}"
        kube.create_namespace(name, dict([OWNED]))
        try:
            yield Place(name, port, kube, prefix=prefix_of(name))
        finally:
            kube.end_namespace(name)

    def names(self, path: str) -> list[str]:
        """The named hosts."""
        return [name for _, _, name in self.entries(path, 0)]

    def entries(self, path: str, node_port: int) -> list[tuple[str, int, str]]:
        """(host, port, name) of each named host."""
        return entries(self.options.targets, path, node_port)

    def tls_ports(self) -> list[int]:
        """The controller's port for TLS at each host named for the ingress path."""
        return tls_ports(self.options.targets)


@contextlib.contextmanager
def cluster(options: Options, say: Say) -> Iterator[Existing]:
    """The cluster, looked at; no other run of this machine uses the same namespace meanwhile.

    Raises:
        ConfigurationError: the context or the namespace can't be used, or no host was named.
        ClusterError: the API server doesn't answer, or refuses.
        SetupError: no kubectl.

    """
    require_targets(options)
    kubectl = find_kubectl(options.kubectl)
    require_context(options.kubeconfig, options.context)
    kube = CarefulKube(options.kubeconfig, options.context)
    store = Store(cache_root(), say)
    version = kube.version()
    with contextlib.ExitStack() as held:
        if options.namespace:
            held.enter_context(store.lock(f"namespace-{options.context}-{options.namespace}".replace("/", "_")))
            kube.require_usable(options.namespace)
        say(f"cluster {options.context}: Kubernetes {version}, not made here; {where(options)}")
        yield Existing(options, kubectl, _environment(kube, options, version), store)


def prefix_of(namespace: str) -> str:
    """What the hosts of a namespace's Ingress begin with: one DNS label, that no real host begins with."""
    return f"bg-{namespace}"[:LABEL].rstrip("-")


def where(options: Options) -> str:
    """One line on what will be used."""
    space = f"namespace {options.namespace}" if options.namespace else "a fresh namespace for each scenario"
    return f"{space}, load to {', '.join(dict.fromkeys(target.host for target in options.targets)) or 'no host'}"


def require_targets(options: Options) -> None:
    """Refuse a run that has nowhere to send its load to.

    Raises:
        ConfigurationError: with what to pass.

    """
    if not options.targets:
        raise ConfigurationError(
            "no host was named that may be loaded",
            "pass --bg-target HOST: a node's address, or ingress=HOST[:PORT] for the Ingress controller's",
        )
    for target in options.targets:
        if target.path == "service" and target.port and not options.node_port:
            raise ConfigurationError(
                f"--bg-target service={target.host}:{target.port} leads to a NodePort that isn't named",
                "pass --bg-node-port too, or leave the port out: then the API picks a NodePort",
            )
        if target.path == TLS and target.host not in [host for host, _, _ in entries(options.targets, "ingress", 0)]:
            raise ConfigurationError(
                f"--bg-target tls={target.host}: no target of the ingress path has this host",
                f"pass --bg-target ingress={target.host} too",
            )


def find_kubectl(given: str | None) -> Path:
    """The kubectl that renders the manifests.

    Raises:
        SetupError: there is none.

    """
    found = given or shutil.which("kubectl")
    if found is None:
        raise SetupError("kubectl is not on PATH", "install it: https://kubernetes.io/docs/tasks/tools/")
    return Path(found).absolute()


def _environment(kube: CarefulKube, options: Options, version: str) -> dict[str, Any]:
    try:
        nodes: int | None = len(kube.nodes())
    except Refused as error:
        if error.status != 403:
            raise
        nodes = None  # a namespaced Role can't allow it, and nothing depends on it
    return {
        "kubernetes": version,
        "context": options.context,
        "namespace": options.namespace,
        "targets": [target.host for target in options.targets],
        "nodes": nodes,
    }

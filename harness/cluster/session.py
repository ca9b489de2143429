"""Bring up what a test session needs, in order, and say what it was: the one place that knows all the steps."""

from __future__ import annotations

import contextlib
import json
import re
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.cluster import arrivals, binaries, engine, host, images, ingress, kind, load_image, owned, packages
from harness.cluster.engine import Engine
from harness.cluster.gateway import Gateways
from harness.cluster.kube import Kube
from harness.cluster.owned import OWNED
from harness.cluster.ports import INGRESS_NODE_PORT, INGRESS_TLS_NODE_PORT, Leases
from harness.cluster.running import Place
from harness.cluster.shell import run
from harness.cluster.spread import SpreadApi
from harness.cluster.store import Say, Store, cache_root
from harness.errors import SetupError

if TYPE_CHECKING:
    from harness.config_ingress import Ingress

COLD_GIBIBYTES = 14.0  # Go's caches, root file systems, images; measured: 11 GiB after a cold build
WARM_GIBIBYTES = 3.0


@dataclass(frozen=True)
class Application:
    """The images of one application.

    Attributes:
        context: folder to build them from, or None where they are to be had elsewhere.
        bases: what a built one stands on, or None.
        tags: build arguments by image name.

    """

    context: Path | None
    bases: images.Bases | None
    tags: Mapping[str, Mapping[str, str]]


@dataclass(frozen=True)
class Options:
    """What the command line decides.

    Attributes:
        checkout: names the cluster, so that two checkouts differ.
        images_folder, manifests_folder: data of the distribution.
        image_mode: "auto", "pull" or "build".
        mirror: a registry that mirrors all others, or "".
        engine: "auto" or an engine's name.
        install_packages: may system packages be installed?
        kube_proxy: "iptables" or "nftables".
        keep: leave the cluster running at the end.
        cluster_name, node_image, kind, kubectl: explicit choices, or None.
        heal: heals what a killed run has broken in the cluster, given its folder, its engine and a way to say so.

    """

    checkout: Path
    images_folder: Path
    manifests_folder: Path
    image_mode: str = "auto"
    mirror: str = ""
    engine: str = "auto"
    install_packages: bool = False
    kube_proxy: str = "iptables"
    keep: bool = False
    cluster_name: str | None = None
    node_image: str | None = None
    kind: str | None = None
    kubectl: str | None = None
    heal: Callable[[Path, Engine, Say], object] | None = None


@dataclass
class OwnCluster:
    """A kind cluster of ours: `harness.cluster.running.Cluster`, and what only such a one has.

    Attributes:
        kind_binary: what made it.
        leases: its mapped NodePorts.
        load: has the nodes load images from the engine's store.
        gateways: makes Gateways of its ingress controller's.

    """

    name: str
    kubeconfig: Path
    kubectl: Path
    kind_binary: Path
    nodes: Sequence[kind.Node]
    leases: Leases
    ledger: Path | None
    environment: dict[str, Any]
    smoke_image: str
    engine: Engine = field(repr=False)
    store: Store = field(repr=False)
    source: images.Images = field(repr=False)
    gateways: Gateways = field(repr=False)
    load: Callable[[list[str]], None] = field(repr=False, default=lambda _: None)
    allowed_faults: tuple[str, ...] = ()

    @property
    def state(self) -> Path:
        """The cluster's folder, which goes with it."""
        return self.store.root / "clusters" / self.name

    def load_image(self) -> str:
        """Built and loaded where a scenario wants it; where nothing has changed, both are found done."""
        self.load([load_image.provide(self.source)])
        return load_image.TAG

    def helm(self) -> Path:
        """From PATH, else built where Go is there: 3 min on 2 cores, once."""
        return binaries.helm(self.source)

    def gateway(self, ingress: Ingress | None, namespace: str) -> contextlib.AbstractContextManager[str]:
        """One for the block alone, with the certificate of the scenario's Secret; whatever the configuration names."""
        tls = ingress.tls if ingress is not None else None
        return self.gateways.open(namespace, tls.secret if tls is not None else "")

    def lacks(self, path: str) -> str:
        """Nothing: every path has its entries."""
        del path
        return ""

    @contextlib.contextmanager
    def place(self, path: str, apart: Mapping[str, Sequence[str]] | None = None) -> Iterator[Place]:
        """A fresh namespace; afterwards the Ingress goes at once, the pods without grace, the rest in its own time."""
        del path
        kube = Kube(self.kubeconfig)
        name = f"bg-{secrets.token_hex(4)}"
        further = {side: f"{name}-{side}" for side in apart or {}}
        with self.leases.lease() as node_port, contextlib.ExitStack() as made:
            try:
                for one in (name, *further.values()):
                    kube.create_namespace(one, dict([OWNED]))
                    made.callback(kube.end_namespace, one)
                homes = {begins: further[side] for side, names in (apart or {}).items() for begins in names}
                spoken = Kube(self.kubeconfig, api=SpreadApi(kube.api, name, homes)) if homes else kube
                yield Place(name, node_port, spoken, apart=further)
            finally:
                made.close()
                if self.ledger is not None:
                    arrivals.discard(self.ledger / name)

    def names(self, path: str) -> list[str]:
        """The nodes' names, on every path."""
        del path
        return [node.name for node in self.nodes]

    def entries(self, path: str, node_port: int) -> list[tuple[str, int, str]]:
        """(host, port, node name) of every node: mapped on 127.0.0.1, or the node's own address."""
        port = INGRESS_NODE_PORT if path == "ingress" else node_port
        return [
            ("127.0.0.1", node.mapped[port], node.name) if node.mapped else (node.address, port, node.name)
            for node in self.nodes
        ]

    def tls_ports(self) -> list[int]:
        """The Ingress controller's port for TLS through each node."""
        return [node.mapped[INGRESS_TLS_NODE_PORT] if node.mapped else INGRESS_TLS_NODE_PORT for node in self.nodes]


@contextlib.contextmanager
def cluster(options: Options, applications: Sequence[Application], say: Say) -> Iterator[OwnCluster]:
    """A healthy cluster with every image loaded and the ingress answering, for the duration of the block.

    Raises:
        SetupError, WaitTimeout: what could not be had; nothing half-made is left.

    """
    this_host = host.detect()
    store = Store(cache_root(), say)
    store.require_space(WARM_GIBIBYTES)
    found = _engine(options, this_host, store)
    source = images.Images(found, store, this_host, options.images_folder, options.image_mode, options.mirror, say)
    if source.builds:
        if not (store.root / "store" / "go-kubernetes").exists():
            store.require_space(COLD_GIBIBYTES)
        packages.ensure(packages.BUILD, this_host, install=options.install_packages, say=say)
    tools = binaries.find(source, options.kind, options.kubectl)
    name = options.cluster_name or owned.name_of(options.checkout)
    with kind.in_use(store, name):
        owned.sweep(tools.kind, found, store, name, say)
        wanted = options.node_image or _default_node_image(tools.kind)
        node_image = options.node_image if options.node_image and source.builds else source.node(wanted)
        built = [tag for application in applications for tag in _provide(source, application)]
        smoke = _smoke(source, options.images_folder)
        ours = kind.BlueGreenKind(
            name, store.root / "clusters" / name, tools.kind, tools.kubectl, found, this_host, store, node_image,
            kube_proxy=options.kube_proxy, checkout=options.checkout,
        )  # fmt: skip
        if options.heal is not None:
            options.heal(ours.path, found, say)
        try:
            if not ours.ensure(say):
                ours.tidy()
            kind.wait_nodes(ours)
            _load(ours, source, [*built, smoke, *source.to_load()], store)
            ingress.install(ours, store, options.manifests_folder / "ingress", source.envoy)
            gateways = Gateways(ours, store, options.manifests_folder / "gateway")
            gateways.tidy()
            yield OwnCluster(
                name=name,
                kubeconfig=ours.kubeconfig_path,
                kubectl=tools.kubectl,
                kind_binary=tools.kind,
                nodes=ours.nodes(),
                leases=Leases(),
                ledger=ours.path / "ledger",
                environment=_environment(ours, options, this_host, store),
                smoke_image=smoke,
                engine=found,
                store=store,
                source=source,
                load=lambda wanted: _load(ours, source, wanted, store),
                gateways=gateways,
            )
        finally:
            if not options.keep and owned.read_owner(ours.path) is not None:
                ours.delete()


def _engine(options: Options, this_host: host.Host, store: Store) -> engine.Engine:
    found = engine.find(store.root, this_host, options.engine)
    if found is None and options.engine not in ("auto", "podman"):
        raise SetupError(f"{options.engine} is not installed", "install it, or leave --bg-engine out")
    if found is None:
        try:
            packages.ensure(packages.ENGINE, this_host, install=options.install_packages, say=store.say)
        except SetupError as error:
            mend = f"start docker, if there is one; or else {error.mend}"
            raise SetupError(f"no container engine answers. {error.what}", mend) from error
        found = engine.find(store.root, this_host, "podman")
    if found is None:
        raise SetupError("no container engine", "install docker or podman, or pass --bg-install-packages as root")
    return found


def _provide(source: images.Images, application: Application) -> list[str]:
    """Have the application's images in the engine's store, built or not; returns their names."""
    if application.context is not None and application.bases is not None:
        return source.application(application.context, application.tags, application.bases)
    return [source.provide(tag) for tag in application.tags]


def _default_node_image(kind_binary: Path) -> str:
    """Kind's own default node image, by digest: a literal in its binary, which no command prints.

    Raises:
        SetupError: the binary holds none.

    """
    found = re.search(rb"kindest/node:v[\d.]+@sha256:[0-9a-f]{64}", kind_binary.read_bytes())
    if found is None:
        raise SetupError(f"{kind_binary} does not tell its default node image", "name one with --kind-image")
    return f"docker.io/{found[0].decode()}"


def _smoke(source: images.Images, folder: Path) -> str:
    tag = "localhost/bluegreen/smoke:1"
    source.application(folder / "smoke", {tag: {}}, images.PYTHON)
    return tag


def _load(ours: kind.BlueGreenKind, source: images.Images, wanted: list[str], store: Store) -> None:
    """Load what this cluster doesn't have yet, by content."""
    record = ours.path / "loaded.json"
    loaded = json.loads(record.read_text()) if record.exists() else {}
    ids = {image: source.engine.image_id(image) for image in wanted}
    missing = sorted(image for image, digest in ids.items() if loaded.get(image) != digest)
    if not missing:
        return
    archive = source.archive(missing)
    with store.step(f"load {len(missing)} images on {ours.workers} nodes"):
        ours.load(archive)
    record.write_text(json.dumps({**loaded, **ids}))


def _environment(ours: kind.BlueGreenKind, options: Options, this_host: host.Host, store: Store) -> dict[str, Any]:
    version = ours.kubectl("get", "nodes", "-o", "jsonpath={.items[0].status.nodeInfo.kubeletVersion}")
    return {
        "kubernetes": version,
        "kind": _kind_version(ours.kind_path),
        "engine": ours.engine.name,
        "node_image": ours.image,
        "nodes": len(ours.node_names()),
        "kube_proxy": options.kube_proxy,
        "published_ports": ours.engine.published_ports if ours.engine.published_ports == "dnat" else "node",
        "ingress": "contour",
        "restricted": this_host.restricted,
        "setup_seconds": dict(store.timings),
    }


def _kind_version(path: Path) -> str:
    return run([path, "version"], "ask kind for its version", timeout=20).stdout.split()[1]

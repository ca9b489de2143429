"""A kind cluster of our own while it runs: what scenarios ask of it, and what only such a one has."""

from __future__ import annotations

import contextlib
import json
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.cluster import arrivals, binaries, images, kind, load_image, rollouts
from harness.cluster.engine import Engine
from harness.cluster.gateway import Gateways
from harness.cluster.kube import Kube
from harness.cluster.owned import OWNED
from harness.cluster.ports import INGRESS_NODE_PORT, INGRESS_TLS_NODE_PORT, Leases
from harness.cluster.running import Place
from harness.cluster.spread import SpreadApi
from harness.cluster.store import Store

if TYPE_CHECKING:
    from harness.config_ingress import Ingress


@dataclass
class OwnCluster:
    """A kind cluster of ours: `harness.cluster.running.Cluster`, and what only such a one has.

    Attributes:
        kind_binary: what made it.
        leases: its mapped NodePorts.
        gateways: makes Gateways of its ingress controller's.
        ours: what runs it, for what is installed later on.

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
    ours: kind.BlueGreenKind = field(repr=False)
    allowed_faults: tuple[str, ...] = ()

    @property
    def state(self) -> Path:
        """The cluster's folder, which goes with it."""
        return self.store.root / "clusters" / self.name

    def load_image(self) -> str:
        """Built and loaded where a scenario wants it; where nothing has changed, both are found done."""
        self._load([load_image.provide(self.source)])
        return load_image.TAG

    def helm(self) -> Path:
        """From PATH, else built where Go is there: 3 min on 2 cores, once."""
        return binaries.helm(self.source)

    def gateway(self, ingress: Ingress | None, namespace: str) -> contextlib.AbstractContextManager[str]:
        """One for the block alone, with the certificate of the scenario's Secret; whatever the configuration names."""
        tls = ingress.tls if ingress is not None else None
        return self.gateways.open(namespace, tls.secret if tls is not None else "")

    def rollouts(self) -> Path:
        """Built where Go is there: 10 to 20 min on 2 cores, once; installed when it is first asked for."""
        return rollouts.provide(self.ours, self.source, self.store, self._load)

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

    def _load(self, tags: list[str]) -> None:
        load_images(self.ours, self.source, tags, self.store)


def load_images(ours: kind.BlueGreenKind, source: images.Images, wanted: list[str], store: Store) -> None:
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

"""A running cluster as scenarios need it, whoever made it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from harness.cluster.engine import Engine
    from harness.cluster.kube import Kube
    from harness.cluster.store import Store
    from harness.config_ingress import Ingress

CLUSTERIP = "clusterip"
"""The path of users inside the cluster: the Service's own address, asked by a load's workers."""


class Node(Protocol):
    """One node of a cluster of our own."""

    @property
    def name(self) -> str:
        """As Kubernetes and the engine call it."""


@dataclass(frozen=True)
class Place:
    """A namespace for one scenario.

    Attributes:
        name: the namespace.
        node_port: the Service's; 0 lets the API pick one, None leaves the Service as the manifests have it.
        kube: the API, for this scenario alone.
        selector: what of the namespace is the scenario's, ``key=value``; "" where all is.
        prefix: of the Ingress' hosts, so that no host is used that somebody else may have; "" leaves the manifests'.
        apart: namespaces of the sides' own, by side.
        check: refuses the namespace where something of these kinds, (apiVersion, kind), is left of an earlier run.

    """

    name: str
    node_port: int | None
    kube: Kube
    selector: str = ""
    prefix: str = ""
    check: Callable[[Iterable[tuple[str, str]]], None] = lambda _: None
    apart: Mapping[str, str] = field(default_factory=dict)


class Cluster(Protocol):
    """A cluster with the images that scenarios need.

    Attributes:
        kubectl: renders manifests.
        smoke_image: image of the smoke Job.
        environment: facts for the verdict's ``environment``.
        store: the machine's, for its locks.
        allowed_faults: faults beyond a scenario's namespace that the user allowed by name.

    What is empty where somebody else made the cluster:

    Attributes:
        nodes: every node.
        ledger: host folder that every node has mounted for arrival records.
        state: host folder that lasts as long as the cluster.
        engine: the container engine that the nodes run in.

    """

    @property
    def kubectl(self) -> Path: ...  # noqa: D102 - told above
    @property
    def smoke_image(self) -> str: ...  # noqa: D102
    @property
    def environment(self) -> dict[str, Any]: ...  # noqa: D102
    @property
    def store(self) -> Store: ...  # noqa: D102
    @property
    def nodes(self) -> Sequence[Node]: ...  # noqa: D102
    @property
    def ledger(self) -> Path | None: ...  # noqa: D102
    @property
    def engine(self) -> Engine | None: ...  # noqa: D102
    @property
    def state(self) -> Path | None: ...  # noqa: D102
    @property
    def allowed_faults(self) -> Sequence[str]: ...  # noqa: D102

    def load_image(self) -> str:
        """The image of a load's workers, to be had by the nodes.

        Raises:
            HarnessError: it isn't to be had here, with the reason.

        """

    def helm(self) -> Path:
        """The program Helm.

        Raises:
            HarnessError: it isn't to be had here, with the reason.

        """

    def gateway(self, ingress: Ingress | None, namespace: str) -> AbstractContextManager[str]:
        """A Gateway that routes of a scenario's namespace may attach to, as ``namespace/name``, during the block.

        Raises:
            HarnessError: there is none, with the reason.

        """

    def rollouts(self) -> Path:
        """The kubectl plugin of Argo Rollouts, whose controller runs from now on.

        Raises:
            HarnessError: it isn't to be had here, with the reason.

        """

    def lacks(self, path: str) -> str:
        """Why scenarios can't enter by a path; "" where they can."""

    def place(self, path: str, apart: Mapping[str, Sequence[str]] | None = None) -> AbstractContextManager[Place]:
        """A namespace to enter by a path, and what is ours in it gone afterwards.

        Args:
            path: by which it is entered.
            apart: what lives in further namespaces: sides, each with what names of its objects begin with. The place
                speaks of all of it as if it were in the one.

        Raises:
            ConfigurationError: there can't be further ones.

        """

    def names(self, path: str) -> list[str]:
        """The names of a path's entries, in their order: the record knows an entry by its number."""

    def entries(self, path: str, node_port: int) -> list[tuple[str, int, str]]:
        """(host, port, name) of each way in, for a Service that has ``node_port``."""

    def tls_ports(self) -> list[int]:
        """The port for TLS of each entry of the ingress path, in their order."""

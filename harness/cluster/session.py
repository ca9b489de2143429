"""Bring up what a test session needs, in order, and say what it was: the one place that knows all the steps."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.cluster import (
    binaries,
    engine,
    host,
    images,
    ingress,
    kind,
    owned,
    packages,
)
from harness.cluster.engine import Engine
from harness.cluster.gateway import Gateways
from harness.cluster.own import OwnCluster as OwnCluster
from harness.cluster.own import load_images
from harness.cluster.ports import Leases
from harness.cluster.shell import run
from harness.cluster.store import Say, Store, cache_root
from harness.errors import SetupError

if TYPE_CHECKING:
    pass

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
            load_images(ours, source, [*built, smoke, *source.to_load()], store)
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
                gateways=gateways,
                ours=ours,
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

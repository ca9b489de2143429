"""From pytest's options and the configurations to a running cluster: one of our own, or the one that the user named."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness import checkout
from harness.cluster.images import Bases
from harness.config import Config
from harness.resources import resource, root

if TYPE_CHECKING:  # pytest-kind, which only a cluster of our own needs, may not be installed
    from harness.cluster import existing
    from harness.cluster.running import Cluster
    from harness.cluster.session import Application, Options
    from harness.cluster.store import Say

PYTEST_KIND_DEFAULT_NAME = "pytest-kind"


def bring_up(config: pytest.Config, configs: Iterable[Config], say: Say) -> AbstractContextManager[Cluster]:
    """The cluster that the scenarios run on.

    Args:
        config: pytest's configuration.
        configs: all applications of the run.
        say: prints one progress line.

    """
    if config.getoption("--bg-context"):
        from harness.cluster import existing

        return existing.cluster(existing_of(config), say)
    from harness.cluster import session

    options = options_of(config, resource("images"), resource("manifests"))
    return session.cluster(options, applications_of(configs), say)


def dry_run(config: pytest.Config, configs: Iterable[Config]) -> Iterator[str]:
    """What a run on the named cluster would make, change and read there, in lines.

    Raises:
        ConfigurationError: a configuration or its manifests can't be used.
        SetupError: no kubectl.

    """
    from harness import dry_run
    from harness.cluster.existing import find_kubectl
    from harness.release.rendering import render

    options = existing_of(config)
    for one in configs:
        if not comes_with_the_harness(one):
            yield from dry_run.lines(
                one,
                render(one, find_kubectl(options.kubectl), options.namespace or "default"),
                options,
                config.getoption("--bg-switch"),
            )


def comes_with_the_harness(config: Config) -> bool:
    """Whether it is one of the harness' own demos: those are not what the user's cluster was given for."""
    return config.file.is_relative_to(root() / "manifests")


def existing_of(config: pytest.Config) -> existing.Options:
    """What the options say of a cluster that is there already."""
    from harness.cluster import existing, kubeconfig

    get = config.getoption
    return existing.Options(
        kubeconfig=kubeconfig.users_own(get("--bg-kubeconfig")),
        context=get("--bg-context"),
        namespace=get("bg_namespace"),
        targets=tuple(get("--bg-target")),
        node_port=get("--bg-node-port"),
        smoke_image=get("--bg-smoke-image") or existing.SMOKE_IMAGE,
        load_image=get("--bg-load-image") or existing.LOAD_IMAGE,
        workers=get("--bg-load-workers"),
        allowed_faults=tuple(get("--bg-allow-faults")),
        kubectl=get("kind_kubectl_bin", None),
    )


def options_of(config: pytest.Config, images: Path, manifests: Path) -> Options:
    """The session's options from pytest's, pytest-kind's own included.

    Args:
        config: pytest's configuration.
        images: the data folder of that name.
        manifests: the data folder of that name.

    """
    from harness.cluster.session import Options
    from harness.faults import left_over

    get = config.getoption
    name = get("cluster_name", None)
    return Options(
        checkout=checkout.of(Path(config.rootpath)),
        images_folder=images,
        manifests_folder=manifests,
        image_mode=get("--bg-images"),
        mirror=get("--bg-registry-mirror"),
        engine=get("--bg-engine"),
        install_packages=get("--bg-install-packages"),
        kube_proxy=get("--bg-kube-proxy"),
        keep=bool(get("keep_cluster", False)),
        # pytest-kind's default would be shared by every project on the machine
        cluster_name=None if name == PYTEST_KIND_DEFAULT_NAME else name,
        node_image=get("kind_image", None),
        kind=get("kind_bin", None),
        kubectl=get("kind_kubectl_bin", None),
        heal=left_over.heal,
    )


def applications_of(configs: Iterable[Config]) -> list[Application]:
    """What the nodes need: images to build where there is a [build] table, images to be had elsewhere."""
    from harness.cluster.session import Application

    found = []
    for config in sorted(configs, key=lambda one: str(one.file)):
        build, app = config.build, config.app
        if build is not None:
            tags = {app.image_of(version): dict(args) for version, args in build.versions.items()}
            found.append(Application(build.context, Bases(build.rootfs, build.base), tags))
        else:
            versions = (app.old, app.new, config.bad.refused_by_smoke, config.bad.breaks_after_cutover)
            found.append(Application(None, None, {app.image_of(version): {} for version in versions if version}))
    return found

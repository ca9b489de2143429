"""From pytest's options and the configurations to what the cluster session needs."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from harness import checkout
from harness.cluster.images import Bases
from harness.cluster.session import Application, Options
from harness.config import Config

PYTEST_KIND_DEFAULT_NAME = "pytest-kind"


def options_of(config: pytest.Config, images: Path, manifests: Path) -> Options:
    """The session's options from pytest's, pytest-kind's own included.

    Args:
        config: pytest's configuration.
        images: the data folder of that name.
        manifests: the data folder of that name.

    """
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
    )


def applications_of(configs: Iterable[Config]) -> list[Application]:
    """What the nodes need: images to build where there is a [build] table, images to be had elsewhere."""
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

"""The beginning of every scenario: the old version is live, ready and observed."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from harness.release import smoke
from harness.release.manifests import Placement, prepare
from harness.release.rendering import render
from harness.release.switches.selector import SelectorSwitch
from harness.release.verbs import Release

if TYPE_CHECKING:
    from harness.cluster.kube import Kube
    from harness.cluster.session import Cluster
    from harness.config import Config
    from harness.scenario import Scenario


def start(config: Config, cluster: Cluster, kube: Kube, namespace: str, node_port: int, scenario: Scenario) -> Release:
    """Apply the application's manifests with the old version live, wait until it is ready, observe it.

    Args:
        config: the application.
        cluster: kubectl, smoke image.
        kube: the cluster's API.
        namespace: a fresh one.
        node_port: the leased one, on which the Service is entered.
        scenario: its journal is written, and its end ends the observation.

    Raises:
        ConfigurationError: the manifests don't fit or are refused.
        RolloutFailed: the old version isn't ready in time.

    """
    live = config.app.old
    placement = Placement(namespace, live, node_port, ingress=scenario.path == "ingress")
    objects = prepare(config, render(config, cluster.kubectl, namespace), placement)
    release = Release(
        kube,
        config,
        SelectorSwitch(kube, namespace, config),
        scenario.journal,
        namespace,
        smoke_image=cluster.smoke_image,
        breached=scenario.breached,
    )
    release.install(live, [*smoke.secret(config, os.environ), *objects])

    def end() -> None:
        try:
            ok = kube.ready()
            detail = "the API server says it is ready" if ok else "the API server doesn't say that it is ready"
            scenario.journal.event("cluster.answers", ok=ok, detail=detail)
        finally:
            release.close()

    scenario.at_end.append(end)
    return release

"""The beginning of every scenario: the old version is live, ready and observed."""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import TYPE_CHECKING

from harness.cluster.permissions import kinds
from harness.release import ingress_tls, smoke
from harness.release.changed import apply_changes
from harness.release.isolate import isolate, private
from harness.release.manifests import Placement, prepare
from harness.release.rendering import render
from harness.release.verbs import Release

if TYPE_CHECKING:
    from harness.cluster.running import Cluster, Place
    from harness.config import Config
    from harness.release.switches import Switch
    from harness.scenario import Scenario


def start(config: Config, cluster: Cluster, place: Place, scenario: Scenario, switch: Switch) -> Release:
    """Apply the application's manifests with the old version live, wait until it is ready, observe it.

    Args:
        config: the application.
        cluster: kubectl, smoke image.
        place: the namespace, and how the Service is entered there.
        scenario: its journal is written, and its end ends the observation.
        switch: moves users.

    Raises:
        ConfigurationError: the manifests don't fit or are refused, or the namespace holds what an earlier run left.
        RolloutFailed: the old version isn't ready in time.

    """
    live = config.app.old
    kube = place.kube
    placement = Placement(place.name, live, place.node_port, ingress=scenario.path == "ingress")
    objects = prepare(config, render(config, cluster.kubectl, place.name), placement)
    if scenario.changes:
        objects = apply_changes(config, objects, scenario.changes)
        scenario.journal.event("manifests.changed", changes=[asdict(change) for change in scenario.changes])
    if place.prefix:
        objects = isolate(config, objects, place.prefix)
    objects = ingress_tls.equip(private(config, place.prefix), objects, scenario.folder, scenario.journal)
    objects = switch.prepare([*smoke.secret(config, os.environ), *objects])
    place.check(kinds(objects))
    release = Release(
        kube,
        config,
        switch,
        scenario.journal,
        place.name,
        smoke_image=cluster.smoke_image,
        breached=scenario.breached,
    )
    release.observer.static = scenario.static
    release.observer.services = switch.services()
    if switch.sides is not None:
        kube.stand_in = switch.sides.stand_in
    if not scenario.static:
        release.probes.trust()
    scenario.journal.event("switch.used", switch=switch.name)
    release.install(live, objects)

    def end() -> None:
        try:
            ok = kube.ready()
            detail = "the API server says it is ready" if ok else "the API server doesn't say that it is ready"
            scenario.journal.event("cluster.answers", ok=ok, detail=detail)
        finally:
            release.close()

    scenario.at_end.append(end)
    return release

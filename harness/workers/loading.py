"""From a configuration to the load of a scenario whose users are inside the cluster: the path `clusterip`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from harness.errors import ConfigurationError
from harness.loading import left_out, plan_of, sockets_of
from harness.workers.crew import Crew, crewed
from harness.workers.pods import Pods

if TYPE_CHECKING:
    from harness.cluster.kube import Kube
    from harness.cluster.running import Cluster, Place
    from harness.config import Config
    from harness.scenario import Scenario


def names(workers: int) -> list[str]:
    """What the record calls the entries of this path: each worker's own node leads to the Service."""
    return [f"worker {number}" for number in range(workers)]


@contextlib.contextmanager
def measured_inside(
    config: Config, place: Place, scenario: Scenario, cluster: Cluster, workers: int, sockets: int | None = None
) -> Iterator[Crew]:
    """Steady load by workers as long as the block runs; one measured window at a time on this machine, as everywhere.

    Args:
        config: requests, identity, rates: of all workers together.
        place: the namespace.
        scenario: its folder gets the samples, its journal the events.
        cluster: for the workers' image, and the machine-wide lock.
        workers: how many.
        sockets: how many WebSockets, instead of the configuration's; the first worker holds them.

    Raises:
        ConfigurationError: the Service has no address of its own, or the plan can't be divided.
        LoadError, ClusterError: the workers can't be had or didn't start.

    """
    plan = plan_of(config, entries(place.kube, place.name, config), scenario.path, scenario)
    plan = replace(plan, sockets=sockets_of(config, sockets))
    for name, reason in left_out(config, scenario.path, sockets).items():
        scenario.journal.event("class.skipped", cls=name, reason=reason)
    pods = Pods(place.kube, place.name, cluster.load_image(), workers, plan.max_seconds)
    with cluster.store.lock("measured-window"), crewed(plan, workers, pods, scenario.journal) as crew:
        yield crew


def entries(kube: Kube, namespace: str, config: Config) -> Sequence[tuple[str, int, str]]:
    """The Service's own address and port.

    Raises:
        ConfigurationError: it has none (a headless one).

    """
    name = config.service.name
    address = str(kube.service(namespace, name)["spec"].get("clusterIP") or "None")
    if address == "None":
        raise ConfigurationError(
            f"Service {name} is headless: it has no address that a cutover could move",
            "leave --bg-load-workers out, or give the Service an address",
        )
    return [(address, config.service.port, "Service")]

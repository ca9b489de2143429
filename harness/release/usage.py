"""Whether users are still on a side, asked from the application's own admin port."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.errors import ClusterError, StillInUse
from harness.release.clock import Clock

if TYPE_CHECKING:
    from harness.cluster.kube import Kube
    from harness.config import Admin

OBSERVED_SECONDS = 2.0


@dataclass(frozen=True)
class Usage:
    """What a side's pods say together.

    Attributes:
        open: users' connections that are open at the end of the observation.
        arrivals: users' requests that arrived during it.
        seconds: how long it was observed.

    """

    open: int
    arrivals: int
    seconds: float


def observe(kube: Kube, namespace: str, deployment: str, admin: Admin, clock: Clock) -> Usage:
    """Read every pod's state twice, ``OBSERVED_SECONDS`` apart.

    The state is a JSON object with the numbers ``open`` (users' open connections) and ``arrivals`` (users' requests
    since the pod's start); probes count in neither.

    Raises:
        ClusterError: a pod doesn't answer, or answers something else.

    """
    before = _read(kube, namespace, deployment, admin)
    clock.sleep(OBSERVED_SECONDS)
    after = _read(kube, namespace, deployment, admin)
    arrived = sum(arrivals - before.get(pod, (0, 0))[1] for pod, (_, arrivals) in after.items())
    return Usage(sum(open_ for open_, _ in after.values()), arrived, OBSERVED_SECONDS)


def open_connections(kube: Kube, namespace: str, deployment: str, admin: Admin) -> int:
    """How many connections of users are open on all pods together.

    Raises:
        ClusterError: as ``observe``.

    """
    return sum(open_ for open_, _ in _read(kube, namespace, deployment, admin).values())


def check_idle(side: str, users: Usage) -> None:
    """Refuse to go on while users are on a side.

    Raises:
        StillInUse: connections are open there, or requests arrived.

    """
    if users.open or users.arrivals:
        raise StillInUse(
            f"retire: {side} has {users.open} open connections and {users.arrivals} requests"
            f" in the last {users.seconds:g} s",
            "wait until long-lived connections have moved, or drain that side",
        )


def _read(kube: Kube, namespace: str, deployment: str, admin: Admin) -> dict[str, tuple[int, int]]:
    """(open, arrivals) by pod."""
    found = {}
    for pod in kube.pods_of(namespace, deployment):
        if pod.ip and pod.phase == "Running" and not pod.terminating:
            data = kube.get_raw(namespace, pod.name, admin.port, admin.state)
            try:
                state = json.loads(data)
                found[pod.name] = int(state["open"]), int(state["arrivals"])
            except (ValueError, KeyError, TypeError) as error:
                raise ClusterError(
                    f"pod {pod.name} port {admin.port}{admin.state}: no numbers 'open' and 'arrivals': {data[:200]!r}",
                    "let the admin port tell both, or take [admin] out of the configuration",
                ) from error
    return found

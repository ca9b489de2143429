"""Faults that reach beyond the namespace of their scenario: on a cluster that others use, off unless named."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from harness.errors import ConfigurationError

if TYPE_CHECKING:
    from harness.cluster.running import Cluster

BEYOND = {
    **dict.fromkeys(
        (
            *("pod-killed", "pod-stopped", "pod-slowed", "pod-starved", "pod-out-of-memory"),
            *("node-paused", "node-restarted", "node-drained", "kubelet-stopped", "kube-proxy-paused"),
            *("nodes-cut", "side-isolated", "apiserver-paused", "apiserver-restarted", "etcd-paused"),
            *("controller-manager-stalled", "dns-killed", "ingress-controller-killed", "ingress-proxy-killed"),
            *("other-ingress-edited", "ingress-controller-restarted", "ingress-proxies-restarted"),
            *("ingress-proxies-killed", "kube-proxy-restarted", "switch-throttled"),
        ),
        True,
    ),
    "proxy-sends-again": False,
}
"""By name: whether it needs the container engine that the nodes run in."""


def known(name: str) -> str:
    """``name``, if there is such a fault.

    Raises:
        ConfigurationError: with the nearest right one.

    """
    if name not in BEYOND:
        near = difflib.get_close_matches(name, BEYOND, n=1, cutoff=0.0)
        raise ConfigurationError(f"no fault beyond a namespace is called {name!r}", f"did you mean {near[0]}?")
    return name


def why_not(fault: str, cluster: Cluster) -> str:
    """Why a cluster doesn't suffer a fault; "" where it does.

    Raises:
        ConfigurationError: no such fault.

    """
    if cluster.engine is not None:
        return ""
    if BEYOND[known(fault)]:
        return f"the fault {fault} needs a cluster that the harness made: it works inside the nodes"
    if fault not in cluster.allowed_faults:
        return f"the fault {fault} reaches beyond the namespace; allow it with --bg-allow-faults {fault}"
    return ""

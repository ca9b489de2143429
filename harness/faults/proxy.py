"""The Ingress controller's proxies, replaced one after the other as an update of theirs would."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from harness.errors import ConfigurationError
from harness.faults.reach import why_not
from harness.waiting import until

if TYPE_CHECKING:
    from harness.cluster.running import Cluster
    from harness.journal import Journal

KIND = "proxies-replaced"
NAMESPACE, WORKLOAD = "projectcontour", "daemonset/envoy"
CONFIRM_S = 30.0
HEAL_S = 180


@contextlib.contextmanager
def replaced_proxies(cluster: Cluster, journal: Journal) -> Iterator[None]:
    """Restart the proxies, politely, and wait at the end of the block until all are new.

    Each one tells its clients that it leaves and goes once they have, or after its grace period; the others serve on.

    Raises:
        ConfigurationError: the cluster isn't of the harness' own.
        WaitTimeout: no proxy ever left.
        SetupError: they weren't all new in time.

    """
    if reason := why_not(KIND, cluster):
        raise ConfigurationError(reason, "run this scenario on a cluster of its own")
    engine = cluster.engine
    assert engine is not None, "asked above"  # noqa: S101
    control_plane = next(node.name for node in cluster.nodes if node.name.endswith("control-plane"))

    def kubectl(*words: str, what: str, timeout: float = 60) -> str:
        command = ["kubectl", "--kubeconfig", "/etc/kubernetes/admin.conf", "--namespace", NAMESPACE, *words]
        return str(engine("exec", control_plane, *command, what=what, timeout=timeout).stdout)

    def leaving() -> bool:
        path = "jsonpath={.items[*].metadata.deletionTimestamp}"
        return bool(kubectl("get", "pods", "-l", "app=envoy", "-o", path, what="look at the proxies"))

    journal.event("fault.injected", kind=KIND, target=WORKLOAD)
    kubectl("rollout", "restart", WORKLOAD, what="restart the proxies")
    until(leaving, "a proxy to leave", timeout=CONFIRM_S, every=0.2)
    journal.event("fault.confirmed", kind=KIND, target=WORKLOAD)
    try:
        yield
    finally:
        status = ["rollout", "status", WORKLOAD, f"--timeout={HEAL_S}s"]
        kubectl(*status, what="wait for the proxies", timeout=HEAL_S + 10)
        journal.event("fault.healed", kind=KIND, target=WORKLOAD)

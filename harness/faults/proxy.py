"""The Ingress controller's proxies: replaced one after the other as an update of theirs would, or killed at once."""

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

REPLACED, KILLED = "proxies-replaced", "proxies-killed"
NAMESPACE, WORKLOAD, PODS = "projectcontour", "daemonset/envoy", ("pods", "-l", "app=envoy")
_ACTS = {
    REPLACED: ("rollout", "restart", WORKLOAD),
    KILLED: ("delete", *PODS, "--grace-period=0", "--force", "--wait=false"),
}
CONFIRM_S = 30.0
HEAL_S = 180


@contextlib.contextmanager
def proxies(kind: str, cluster: Cluster, journal: Journal) -> Iterator[None]:
    """Replace or kill the proxies, and wait at the end of the block until all are new and ready.

    One that is replaced tells its clients that it leaves and goes once they have, or after its grace period, while the
    others serve on; those that are killed say nothing.

    Args:
        kind: `REPLACED` or `KILLED`.
        cluster: one of the harness' own.
        journal: the scenario's record.

    Raises:
        ConfigurationError: the cluster isn't of the harness' own.
        WaitTimeout: no proxy ever left.
        SetupError: they weren't all new in time.

    """
    if reason := why_not(kind, cluster):
        raise ConfigurationError(reason, "run this scenario on a cluster of its own")
    engine = cluster.engine
    assert engine is not None, "asked above"  # noqa: S101
    control_plane = next(node.name for node in cluster.nodes if node.name.endswith("control-plane"))

    def kubectl(*words: str, what: str, timeout: float = 60) -> str:
        command = ["kubectl", "--kubeconfig", "/etc/kubernetes/admin.conf", "--namespace", NAMESPACE, *words]
        return str(engine("exec", control_plane, *command, what=what, timeout=timeout).stdout)

    def serving() -> set[str]:
        """The proxies that nobody has told to go."""
        path = "go-template={{range .items}}{{if not .metadata.deletionTimestamp}}{{.metadata.name}} {{end}}{{end}}"
        return set(kubectl("get", *PODS, "-o", path, what="look at the proxies").split())

    before = serving()
    journal.event("fault.injected", kind=kind, target=WORKLOAD)
    kubectl(*_ACTS[kind], what=f"have the {kind}")
    try:
        until(lambda: not before <= serving(), "a proxy to leave", timeout=CONFIRM_S, every=0.2)
        journal.event("fault.confirmed", kind=kind, target=WORKLOAD)
        yield
    finally:
        status = ["rollout", "status", WORKLOAD, f"--timeout={HEAL_S}s"]
        kubectl(*status, what="wait for the proxies", timeout=HEAL_S + 10)
        journal.event("fault.healed", kind=kind, target=WORKLOAD)

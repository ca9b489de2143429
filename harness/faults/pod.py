"""Pods that go: evicted, deleted, or put away from everybody else."""

from __future__ import annotations

from collections.abc import Callable

from harness.cluster import kube_break
from harness.faults.block import Fault, Plan
from harness.faults.ground import Ground
from harness.faults.placed import call


def evict_pod(side: str) -> Plan:
    """One of the side's pods is evicted, as a drain does it: it drains, and another one takes its place."""
    return Plan("pod-evicted", _leaves(side, lambda g, pod: kube_break.evict_pod(g.kube, g.namespace, pod)))


def delete_pod(side: str, grace_s: int | None = None) -> Plan:
    """One of the side's pods is deleted; with ``grace_s=0`` without any time to drain."""
    kind = "pod-deleted" if grace_s is None else "pod-deleted-without-grace"
    return Plan(kind, _leaves(side, lambda g, pod: kube_break.delete_pod(g.kube, g.namespace, pod, grace_s)))


def _leaves(side: str, act: Callable[[Ground, str], object]) -> Callable[[Ground, str], Fault]:
    def make(ground: Ground, ident: str) -> Fault:
        del ident
        pod = ground.pod(side).name

        def seen() -> str:
            left = {one.name: one for one in ground.kube.pods(ground.namespace)}
            if pod not in left:
                return f"{pod} is gone"
            return f"{pod} is terminating" if left[pod].terminating else ""

        return Fault(pod, call(lambda: act(ground, pod)), seen, recovered=lambda: ground.whole(side))

    return make

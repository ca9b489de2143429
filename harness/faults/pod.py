"""Pods that go, evicted or deleted, or that come and go by their readiness."""

from __future__ import annotations

from collections.abc import Callable

from harness.cluster import kube_break
from harness.faults.block import Fault, Plan
from harness.faults.ground import Ground
from harness.faults.placed import call
from harness.faults.switched import post

FLAP_CONFIRM_S = 30.0


def evict_pod(side: str) -> Plan:
    """One of the side's pods is evicted, as a drain does it: it drains, and another one takes its place."""
    return Plan("pod-evicted", _leaves(side, lambda g, pod: kube_break.evict_pod(g.kube, g.namespace, pod)))


def delete_pod(side: str, grace_s: int | None = None) -> Plan:
    """One of the side's pods is deleted; with ``grace_s=0`` without any time to drain."""
    kind = "pod-deleted" if grace_s is None else "pod-deleted-without-grace"
    return Plan(kind, _leaves(side, lambda g, pod: kube_break.delete_pod(g.kube, g.namespace, pod, grace_s)))


def flap_pod(side: str, off_s: float = 5.0, on_s: float = 5.0, at_most_s: float = 120.0) -> Plan:
    """One of the side's pods tells by turns that it isn't ready and that it is, and serves all the while.

    Args:
        side: whose.
        off_s: for how many seconds it isn't, each time; at first too.
        on_s: and for how many it is.
        at_most_s: it stays ready from then on by itself; the end of the block ends it before.

    """

    def make(ground: Ground, ident: str) -> Fault:
        del ident
        pod = ground.pod(side).name
        was = [True]

        def flap(seconds: float) -> None:
            how = f"off_ms={1e3 * off_s:g}&on_ms={1e3 * on_s:g}&seconds={seconds:g}"
            post(ground.kube, ground.namespace, ground.config, pod, f"flap?{how}")

        def seen() -> str:
            """By its condition, which the kubelet writes: it went, and came back."""
            ready = [one.ready for one in ground.kube.pods(ground.namespace) if one.name == pod]
            if ready and ready[0] != was[-1]:
                was.append(ready[0])
            return f"{pod} wasn't ready, and was again" if len(was) > 2 else ""

        return Fault(pod, call(lambda: flap(at_most_s)), seen, undo=lambda: flap(0), confirm_s=FLAP_CONFIRM_S,
                     recovered=lambda: ground.whole(side))  # fmt: skip

    return Plan("pod-flaps", make)


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

"""A second writer: somebody who changes the cluster behind the release's back."""

from __future__ import annotations

from collections.abc import Callable

from harness.cluster import kube_break
from harness.errors import ConfigurationError
from harness.faults.block import Fault, Plan
from harness.faults.ground import Ground
from harness.faults.placed import call

RETRIES = {"projectcontour.io/retry-on": "5xx", "projectcontour.io/num-retries": "2"}
"""Contour's annotations of an Ingress: https://projectcontour.io/docs/main/config/annotations/"""


def misspelt_selector() -> Plan:
    """Point the Service at a side that doesn't exist."""
    return _selecting("misspelt-selector", lambda ground: f"{ground.release.active}x")


def selector_put_back() -> Plan:
    """Point the Service at the side that was active before."""
    return _selecting("selector-put-back", lambda ground: ground.release.idle)


def selector_at_idle_side() -> Plan:
    """Point the Service at the side that the release has not put before users."""
    return _selecting("selector-at-idle-side", lambda ground: ground.release.idle)


def widened_selector() -> Plan:
    """Take the side out of the selector, so that both serve."""
    return _selecting("selector-widened", lambda _: None)


def idle_side_scaled_to_zero() -> Plan:
    """Remove the pods that a rollback would need."""

    def make(ground: Ground, ident: str) -> Fault:
        del ident
        side = ground.release.idle
        name = ground.deployment(side)
        wanted = ground.kube.rollout_status(ground.namespace, name).wanted

        def ready() -> int:
            return ground.kube.rollout_status(ground.namespace, name).ready

        return Fault(
            name,
            call(lambda: ground.kube.scale(ground.namespace, name, 0)),
            lambda: "" if ready() else "no pod of it is ready",
            undo=lambda: ground.kube.scale(ground.namespace, name, wanted),
            recovered=lambda: ready() == wanted,
        )

    return Plan("idle-side-scaled-down", make)


def retrying_proxy() -> Plan:
    """Have the proxy send what was answered by a 5xx again; what follows of it is seen by the arrivals, later."""

    def make(ground: Ground, ident: str) -> Fault:
        del ident
        ingress = ground.config.ingress
        if ingress is None:
            raise ConfigurationError(f"{ground.config.file} has no [ingress]", "run this on an application that has")
        name = ingress.name

        def annotate(values: dict[str, str | None]) -> None:
            kube_break.annotate_ingress(ground.kube, ground.namespace, name, values)

        def seen() -> str:
            (one,) = [
                item
                for item in ground.kube.objects(ground.namespace, "ingresses", "networking.k8s.io/v1")
                if item["metadata"]["name"] == name
            ]
            held = set(RETRIES) <= set(one["metadata"].get("annotations") or {})
            return "the Ingress has the annotations" if held else ""

        return Fault(
            name, call(lambda: annotate({**RETRIES})), seen, undo=lambda: annotate(dict.fromkeys(RETRIES, None))
        )

    return Plan("proxy-sends-again", make)


def _selecting(kind: str, value: Callable[[Ground], str | None]) -> Plan:
    """Another value in the selector; confirmed by the endpoints, which another writer makes of it."""

    def make(ground: Ground, ident: str) -> Fault:
        del ident
        service = ground.config.service

        def endpoints() -> frozenset[str]:
            return frozenset(one.pod for one in ground.kube.service_endpoints(ground.namespace, service.name))

        def select(side: str | None) -> None:
            ground.kube.patch_service_selector(ground.namespace, service.name, {service.selector_key: side})

        def right() -> frozenset[str]:
            return frozenset(one.name for one in ground.ready_pods(ground.release.active))

        def seen() -> str:
            now, wanted = endpoints(), right()
            return f"{len(now)} endpoints, {len(now & wanted)} of them of the active side" if now != wanted else ""

        def recovered() -> bool:
            return bool(wanted := right()) and endpoints() == wanted

        return Fault(
            service.name, call(lambda: select(value(ground))), seen, undo=lambda: select(ground.release.active),
            recovered=recovered,
        )  # fmt: skip

    return Plan(kind, make)

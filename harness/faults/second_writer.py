"""A second writer: somebody who changes the cluster behind the release's back."""

from __future__ import annotations

from collections.abc import Callable

from harness.cluster import kube_break
from harness.cluster.answers import Json, Refused
from harness.errors import ConfigurationError
from harness.faults.block import Fault, Plan
from harness.faults.ground import Ground
from harness.faults.placed import call
from harness.release.switches import managers

BY_HAND = "somebody-by-hand"
"""As whom the API server's managedFields name the second writer that applies."""
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


def cut_over_too() -> Plan:
    """Somebody else sends the very same cutover."""

    def make(ground: Ground, ident: str) -> Fault:
        del ident
        service, side, sides = ground.config.service, ground.release.idle, ground.release.observer.sides

        def select() -> None:
            ground.kube.patch_service_selector(ground.namespace, service.name, {sides.key: sides.value(side)})

        def seen() -> str:
            live = sides.selected(ground.kube.service_selector(ground.namespace, service.name))
            return f"the selector says {side}" if live == side else ""

        return Fault(service.name, call(select), seen)

    return Plan("cutover-sent-twice", make)


def selector_applied_too() -> Plan:
    """Somebody else applies the selector as it is, server-side: no user notices, and the field has two holders."""

    def make(ground: Ground, ident: str) -> Fault:
        del ident
        namespace, name = ground.namespace, ground.config.service.name

        def apply() -> None:
            held = ground.kube.service_selector(namespace, name)
            ground.kube.apply_service_selector(namespace, name, held, BY_HAND)

        def seen() -> str:
            held_by = managers(kube_break.read_service(ground.kube, namespace, name), "spec", "selector")
            return f"the selector is held by {', '.join(held_by)}" if BY_HAND in held_by else ""

        return Fault(
            name, call(apply), seen, undo=lambda: kube_break.let_go_of_service(ground.kube, namespace, name, BY_HAND)
        )

    return Plan("selector-applied-too", make)


def stale_write() -> Plan:
    """Somebody puts the Service as it was when the flip was announced: the API server refuses what is stale (409)."""

    def make(ground: Ground, ident: str) -> Fault:
        del ident
        name = ground.config.service.name
        read = kube_break.read_service(ground.kube, ground.namespace, name)
        answers: list[int] = []

        def write() -> None:
            try:
                kube_break.replace_service(ground.kube, ground.namespace, read)
                answers.append(200)
            except Refused as error:
                answers.append(error.status)

        return Fault(name, call(write), lambda: "refused with 409" if 409 in answers else "")

    return Plan("stale-write", make)


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


def missing_image() -> Plan:
    """The idle side is given an image that nobody has."""
    return _template("image-missing", {"image": "image.invalid/nothing:1"}, "waits for its image", None)


def crash_loop() -> Plan:
    """The idle side is given a command that ends at once with an error."""
    return _template("crash-loop", {"command": ["false"]}, "ends again and again", {"command": None})


def slow_start(seconds: int = 15) -> Plan:
    """The idle side is asked so many seconds later than before whether it is ready."""
    probe = {"readinessProbe": {"initialDelaySeconds": seconds}}
    return _template("slow-start", probe, "isn't ready yet", {"readinessProbe": {"initialDelaySeconds": None}})


def _template(kind: str, change: Json, effect: str, back: Json | None) -> Plan:
    """Another pod template of the idle side; seen by a pod of it that isn't ready."""

    def make(ground: Ground, ident: str) -> Fault:
        del ident
        side, container = ground.release.idle, ground.config.app.container
        name = ground.deployment(side)
        containers = ground.kube.get_deployment(ground.namespace, name)["spec"]["template"]["spec"]["containers"]
        image = next(one["image"] for one in containers if one["name"] == container)

        def patch(fields: Json) -> None:
            body = {"spec": {"template": {"spec": {"containers": [{"name": container, **fields}]}}}}
            kube_break.patch_deployment(ground.kube, ground.namespace, name, body)

        def seen() -> str:
            late = [pod for pod in ground.kube.pods_of(ground.namespace, name) if not pod.ready and not pod.terminating]
            why = next((pod.waiting for pod in late if pod.waiting), "")
            return f"{late[0].name} {effect} {why}".rstrip() if late and (why or kind == "slow-start") else ""

        undo = {"image": image} if back is None else back
        return Fault(name, call(lambda: patch(change)), seen, undo=lambda: patch(undo), confirm_s=30,
                     recovered=lambda: ground.whole(side))  # fmt: skip

    return Plan(kind, make)


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
        service, sides = ground.config.service, ground.release.observer.sides

        def endpoints() -> frozenset[str]:
            return frozenset(one.pod for one in ground.kube.service_endpoints(ground.namespace, service.name))

        def select(side: str | None) -> None:
            value = None if side is None else sides.value(side)
            ground.kube.patch_service_selector(ground.namespace, service.name, {sides.key: value})

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

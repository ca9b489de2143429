"""Timelines of releases that went wrong: a simulated service, facts of its objects, lives of its pods."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from harness.diagnosis import facts
from harness.diagnosis.facts import Names
from harness.evidence import samples as layout
from harness.evidence.timeline import SECOND, Event, Timeline
from tests import simulated
from tests.simulated import Down, Flip, World, at, changed, event, having, play

FLIP_S = 4.0
NAMES = Names(
    sides={"blue": "shop-blue", "green": "shop-green"},
    service="shop",
    internal={"blue": "shop-blue", "green": "shop-green"},
    port=80,
    selector_key="color",
    container="api",
)
HTTP = {"path": "/ready", "port": "http"}
Change = Callable[[dict[str, Any]], None]


def deployment(side: str, image: str = "shop:v1", replicas: int = 4, name: str = "") -> dict[str, Any]:
    container = {
        "name": "api",
        "image": image,
        "ports": [{"name": "http", "containerPort": 8080}],
        "env": [{"name": "LEVEL", "value": "1"}],
        "readinessProbe": {"httpGet": dict(HTTP), "periodSeconds": 1},
        "livenessProbe": {"httpGet": {"path": "/alive", "port": "http"}},
        "lifecycle": {"preStop": {"httpGet": {"path": "/drain", "port": 8081}}},
        "resources": {"limits": {"cpu": "500m", "memory": "256Mi"}},
    }
    labels = {"app": "shop", "color": side}
    return {
        "kind": "Deployment",
        "metadata": {"name": name or f"shop-{side}"},
        "spec": {
            "replicas": replicas,
            "strategy": {"rollingUpdate": {"maxSurge": "100%", "maxUnavailable": 0}},
            "selector": {"matchLabels": dict(labels)},
            "template": {
                "metadata": {"labels": dict(labels)},
                "spec": {"terminationGracePeriodSeconds": 45, "containers": [container]},
            },
        },
    }


def service(name: str, color: str, **spec: Any) -> dict[str, Any]:
    ports = [{"name": "http", "port": 80, "targetPort": "http"}]
    return {
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"type": "ClusterIP", "selector": {"app": "shop", "color": color}, "ports": ports, **spec},
    }


def budget(side: str, **spec: Any) -> dict[str, Any]:
    return {
        "kind": "PodDisruptionBudget",
        "metadata": {"name": f"shop-{side}"},
        "spec": {"selector": {"matchLabels": {"color": side}}, **(spec or {"maxUnavailable": 1})},
    }


def policy(ingress: Sequence[Any] = (), **labels: str) -> dict[str, Any]:
    return {
        "kind": "NetworkPolicy",
        "metadata": {"name": "guard"},
        "spec": {"podSelector": {"matchLabels": labels}, "policyTypes": ["Ingress"], "ingress": list(ingress)},
    }


def objects() -> dict[str, dict[str, Any]]:
    """Of a sound release, by short names."""
    return {
        "blue": deployment("blue"),
        "green": deployment("green", "shop:v2"),
        "users": service("shop", "blue"),
        "blue service": service("shop-blue", "blue"),
        "green service": service("shop-green", "green"),
        "blue budget": budget("blue"),
        "green budget": budget("green"),
    }


def container(item: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = item["spec"]["template"]["spec"]["containers"][0]
    return found


def pod_spec(item: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = item["spec"]["template"]["spec"]
    return found


def described(items: Iterable[Mapping[str, Any]], seconds: float = -0.5) -> list[Event]:
    """The facts of objects, as events."""
    return [event(seconds, name, **fields) for name, fields in facts.described(items, NAMES, b"k")]


def mutated(**changes: Change | None) -> list[dict[str, Any]]:
    """The objects of a release, some of them changed; None takes one away."""
    items = copy.deepcopy(objects())
    for key, change in changes.items():
        name = key.replace("_", " ")
        if change is None:
            del items[name]
        else:
            change(items[name])
    return list(items.values())


class Record:
    """Builds the record of one release, step by step.

    Args:
        items: the cluster's objects.
        flipped: a cutover was sent at `FLIP_S`.
        world: further traits of the simulated world.

    """

    def __init__(self, items: Iterable[Mapping[str, Any]] = (), flipped: bool = True, **world: Any) -> None:
        flips = (Flip(FLIP_S),) if flipped else ()
        self.timeline = play(World(**{"flips": flips, **world}))
        if not flipped:
            self._unknown_side()
        self.add(event(-1.9, "install.ready", side="blue", version="v1", ready=4, wanted=4))
        self.add(event(-1.2, "deploy.started", side="green", version="v2"))
        self.add(*described(items or mutated()))

    def _unknown_side(self) -> None:
        self.add(event(0.01, "selector.observed", value="blue", selector={"app": "shop", "color": "blue"}))

    def add(self, *events: Event) -> Record:
        self.timeline = having(self.timeline, *events)
        return self

    def without(self, *names: str) -> Record:
        self.timeline = simulated.without(self.timeline, *names)
        return self

    def ready(self) -> Record:
        """The new side came up and passed smoke."""
        self.add(event(-0.9, "deploy.ready", side="green", version="v2", ready=4, wanted=4))
        for number in range(4):
            self.pod(f"green-{number}", "green", -1.1, ready=True)
        return self.add(event(-0.8, "smoke.passed", side="green", version="v2", detail="20 of 20"))

    def pod(self, pod: str, side: str, seconds: float, **fields: Any) -> Record:
        told = {"ready": False, "running": True, "restarts": 0, "stopping": False, "node": "worker", **fields}
        return self.add(event(seconds, "pod.changed", pod=pod, side=side, **told))

    def stopped(self, pod: str, side: str, seconds: float, took: float, **fields: Any) -> Record:
        """A pod that had served was told to stop, and was gone after `took` seconds."""
        self.add(event(0.0, "pods.entered", pods=[pod]))
        self.pod(pod, side, seconds, ready=True, stopping=True, **fields)
        return self.add(event(seconds + took, "pod.gone", pod=pod, side=side))

    def selected(self, seconds: float, value: str | None, selector: Mapping[str, str] | None = None) -> Record:
        whole = {"app": "shop", **({"color": value} if value else {})} if selector is None else selector
        return self.add(event(seconds, "selector.observed", value=value, selector=dict(whole)))

    def slice(self, seconds: float, ready: int, addresses: int | None = None, **sides: int) -> Record:
        count = sum(sides.values()) if addresses is None else addresses
        return self.add(
            event(
                seconds,
                "slice.changed",
                addresses=count,
                ready=ready,
                sides=sides,
                nodes={"worker": ready},
                ports=[8080],
            )
        )

    def warned(self, reason: str, message: str) -> Record:
        return self.add(
            event(11.9, "cluster.warned", reason=reason, kind="Pod", object="shop-green-1", message=message)
        )

    def refused(self, stage: str, reason: str) -> Record:
        name = {"smoke": "smoke.failed"}.get(stage, f"{stage}.refused")
        fields = {"reason": reason, "side": "green", **({"move": "cutover"} if stage == "cutover" else {})}
        return self.add(event(3.0, name, **fields), event(3.1, "scenario.raised", error=reason))

    def lose(self, start: float, end: float, error: str = "connect_refused", every: int = 1, cls: str = "") -> Record:
        """Requests due in a span are lost, every n-th of them."""
        samples = self.timeline.samples
        hit = (samples["intended"] >= at(start)) & (samples["intended"] < at(end))
        spec = self.timeline.spec(cls) if cls else None
        hit &= samples["cls"] == spec.code if spec else True
        which = np.flatnonzero(hit)[::every]
        wrong = error == "app_5xx"
        told = {"outcome": layout.FAILED, "error": layout.ERRORS.index(error), "status": 500 if wrong else 0}
        self.timeline = changed(self.timeline, which, **told)
        if not wrong:
            self.timeline = changed(self.timeline, which, revision=0, pod=0)
        return self

    def delay(self, start: float, end: float, seconds: float, every: int = 1) -> Record:
        """Requests due in a span are answered so much later."""
        samples = self.timeline.samples
        which = np.flatnonzero((samples["intended"] >= at(start)) & (samples["intended"] < at(end)))[::every]
        later = samples["end"][which] + round(seconds * SECOND)
        self.timeline = changed(self.timeline, which, end=later)
        return self

    def answers(self, start: float, end: float, revision: str, every: int = 1, pod: str = "") -> Record:
        """Fresh answers in a span show another revision."""
        samples = self.timeline.samples
        fresh = self.timeline.spec("fresh")
        assert fresh is not None
        hit = (samples["intended"] >= at(start)) & (samples["intended"] < at(end)) & (samples["cls"] == fresh.code)
        which = np.flatnonzero(hit)[::every]
        pod = pod or ("blue-0" if revision == "v1" else "green-0")
        told = {name: self.timeline.strings.index(text) for name, text in (("revision", revision), ("pod", pod))}
        self.timeline = changed(self.timeline, which, **told)
        return self

    @property
    def done(self) -> Timeline:
        return replace(self.timeline)


__all__ = ["Down", "Flip", "Record", "budget", "container", "deployment", "described", "mutated", "objects", "pod_spec",
           "policy", "service"]  # fmt: skip

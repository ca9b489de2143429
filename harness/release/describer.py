"""Writes down, as events, what the cluster's objects say about a release: what a diagnosis needs to know later."""

from __future__ import annotations

import secrets
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from harness.diagnosis.facts import Fact, Names, described
from harness.diagnosis.lint import Facts, Fault, lint
from harness.release.clock import Clock
from harness.release.sides import Sides

if TYPE_CHECKING:
    from harness.cluster.kube import Kube
    from harness.config import Config
    from harness.journal import Journal

RESOURCES = (
    ("Deployment", "deployments", "apps/v1"),
    ("Service", "services", "v1"),
    ("Ingress", "ingresses", "networking.k8s.io/v1"),
    ("NetworkPolicy", "networkpolicies", "networking.k8s.io/v1"),
    ("PodDisruptionBudget", "poddisruptionbudgets", "policy/v1"),
)
WARNINGS = 40
"""Warnings of the cluster that are kept, the newest."""


class Describer:
    """Journals `side.described`, `service.described` and the like: each object once, and again whenever it changed.

    Args:
        kube: the cluster.
        namespace: where the release is.
        config: names.
        journal: where it is written; not closed here.
        clock: stamps the events.
        sides: how they are told apart, where they aren't Deployments.

    """

    def __init__(
        self,
        kube: Kube,
        namespace: str,
        config: Config,
        journal: Journal,
        clock: Clock | None = None,
        sides: Sides | None = None,
    ) -> None:
        self._kube = kube
        self._namespace = namespace
        self._names = names_of(config)
        self._sides = sides or Sides(config)
        self._journal = journal
        self._clock = clock or Clock()
        self._key = secrets.token_bytes(16)
        self._told: list[Fact] = []
        self._warned: set[tuple[str, str, str, str]] = set()

    def describe(self) -> Facts:
        """Journal what is new, and return all that is known now.

        Raises:
            ClusterError: the API server doesn't answer.

        """
        objects: list[dict[str, Any]] = []
        for kind, resource, group in RESOURCES:
            objects += [{**item, "kind": kind} for item in self._kube.objects(self._namespace, resource, group)]
        standing = [self._sides.stand_in(name) for name in self._names.sides.values()]
        objects += [{**item, "kind": "Deployment"} for item in standing if item is not None]
        values = {side: self._sides.value(side) for side in self._names.sides}
        now = described(objects, replace(self._names, selector_key=self._sides.key, values=values), self._key)
        for name, fields in now:
            if (name, fields) not in self._told:
                self._event(name, **fields)
        self._told = now
        return Facts.of(now)

    def check(self, old: str, new: str) -> list[Fault]:
        """The faults that show before users are moved between two sides; journaled as `static.checked`.

        Raises:
            ClusterError: as ``describe``.

        """
        faults = lint(self.describe(), old, new)
        self._event("static.checked", side=new, faults=[fault.to_dict() for fault in faults])
        return faults

    def warn(self) -> None:
        """Journal what the cluster's own events warn of, as `cluster.warned`, repeated ones once.

        Raises:
            ClusterError: as ``describe``.

        """
        found = [event for event in self._kube.events(self._namespace) if event.type == "Warning"]
        once = {(one.reason, one.kind, one.name, one.message[:300]): None for one in found[-WARNINGS:]}
        for reason, kind, name, message in once:
            if (reason, kind, name, message) not in self._warned:
                self._event("cluster.warned", reason=reason, kind=kind, object=name, message=message)
        self._warned |= set(once)

    def _event(self, name: str, **fields: object) -> None:
        self._journal.event(name, t=self._clock.now_ns(), **fields)


def names_of(config: Config) -> Names:
    """What the facts need to know of a configuration."""
    return Names(
        sides=config.sides.deployments,
        service=config.service.name,
        internal={side: config.service.internal_of(side) for side in config.sides.deployments},
        port=config.service.port,
        selector_key=config.service.selector_key,
        container=config.app.container,
    )

"""The switch of those who keep each side in a namespace of its own: one route in front leads to one of them."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from harness.cluster.spread import home_of
from harness.errors import ConfigurationError
from harness.release.manifests import apply
from harness.release.switches import Json
from harness.release.switches.route import GROUP, RouteWeightSwitch

if TYPE_CHECKING:
    from harness.cluster.kube import Kube
    from harness.config import Config

ROUTING = ("HTTPRoute", "Ingress", "ReferenceGrant")
"""Kinds that are where they say, once."""


class NamespacesSwitch(RouteWeightSwitch):
    """Leads users from one namespace to the other, by the weights of a route in a third.

    A side's namespace has its Deployment, its Service and a copy of whatever else the manifests hold but routes; in it
    a ReferenceGrant lets the route lead to the Service. The one Service stays beside the route, and selects nothing.

    Args:
        kube, namespace, config, gateway: as for `RouteWeightSwitch`.
        apart: each side's namespace.

    """

    name = "namespaces"

    def __init__(
        self, kube: Kube, namespace: str, config: Config, gateway: Callable[[], str], apart: Mapping[str, str]
    ) -> None:
        if set(apart) != set(config.sides.deployments):
            raise ConfigurationError("the sides have no namespaces of their own", "leave the switch `namespaces` out")
        super().__init__(kube, namespace, config, gateway)
        self._config = config
        self._apart = dict(apart)
        self._homes = {name: apart[side] for side, names in names_by_side(config).items() for name in names}

    def prepare(self, objects: Sequence[Json]) -> list[Json]:
        """As `RouteWeightSwitch`, each object where it belongs: some more than once."""
        front = super().prepare(objects)
        (route,) = (item for item in front if item["kind"] == "HTTPRoute" and item["metadata"]["name"] == self._ingress)
        of_sides = {name: self._apart[side] for side, name in self._names.items()}
        for rule in self._moved(route["spec"]):
            for backend in rule["backendRefs"]:
                backend["namespace"] = of_sides[backend["name"]]
        return [_in(item, namespace) for item in [*front, *self._grants(route)] for namespace in self._places(item)]

    def install(self, objects: Sequence[Json]) -> bool:
        """Apply each object in its own namespace."""
        for item in objects:
            apply(self._kube, self._config, [item], item["metadata"]["namespace"])
        return True

    def _places(self, item: Json) -> Sequence[str]:
        name = item["metadata"]["name"]
        if item["kind"] in ROUTING:
            return [item["metadata"]["namespace"]]
        if home := home_of(name, self._homes):
            return [home]
        if (item["kind"], name) == ("Service", self._service.name):
            return [self._namespace]
        return [self._namespace, *self._apart.values()]

    def _grants(self, route: Json) -> list[Json]:
        origin = {"group": GROUP, "kind": "HTTPRoute", "namespace": self._namespace}
        return [
            {
                "apiVersion": f"{GROUP}/v1beta1",
                "kind": "ReferenceGrant",
                "metadata": {**self._metadata(route, f"{self._ingress}-route"), "namespace": self._apart[side]},
                "spec": {"from": [origin], "to": [{"group": "", "kind": "Service", "name": name}]},
            }
            for side, name in self._names.items()
        ]


def names_by_side(config: Config) -> dict[str, tuple[str, ...]]:
    """What names of the objects in a side's namespace begin with: Deployment, Service, smoke Job."""
    return {
        side: (deployment, config.service.internal_of(side), f"smoke-{side}")
        for side, deployment in config.sides.deployments.items()
    }


def _in(item: Json, namespace: str) -> Json:
    moved = copy.deepcopy(item)
    moved["metadata"]["namespace"] = namespace
    for subject in moved.get("subjects") or []:
        if subject.get("kind") == "ServiceAccount":
            subject["namespace"] = namespace
    return moved

"""The switch of those who keep a Service per side: the Ingress' backend."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from harness.errors import ConfigurationError
from harness.release.switches import Acknowledged, Json, Switch, Written, managers
from harness.release.switches.selector import MANAGER

if TYPE_CHECKING:
    from harness.cluster.kube import Kube
    from harness.config import Config


class IngressSwitch(Switch):
    """Leads every backend of the Ingress that was the one Service to a side's own, ``service.internal``.

    A second Ingress, for a host that no user has, leads to both: so the proxy knows the idle side's Service before
    users are led there. Without it Contour's Envoy gets the new route before the backend it names, and answers 503 (NC,
    no cluster) meanwhile: 83 of 680 requests on fresh connections, in one cutover that was measured so.

    Args:
        kube: the cluster.
        namespace: where the Ingress is.
        config: names it, the Service and the sides.

    Raises:
        ConfigurationError: the application has no Ingress, or its sides share one internal Service.

    """

    name = "ingress"

    def __init__(self, kube: Kube, namespace: str, config: Config) -> None:
        if config.ingress is None:
            raise ConfigurationError(f"{config.file.name} has no [ingress]", "leave the switch `ingress` out")
        self._kube = kube
        self._namespace = namespace
        self._ingress = config.ingress.name
        self._service = config.service
        self._names = {side: config.service.internal_of(side) for side in config.sides.deployments}
        self._active = ""
        if len({*self._names.values(), self._service.name}) != 1 + len(self._names):
            raise ConfigurationError(
                f"{config.file.name}: the sides have no Services of their own",
                "set service.internal to a name with {side} in it, or leave the switch `ingress` out",
            )

    def active(self) -> str:
        """The side that the Ingress leads to."""
        found = {backend["name"] for backend in _backends(self._live()["spec"])}
        sides = [side for side, name in self._names.items() if name in found]
        if len(sides) != 1:
            raise ConfigurationError(
                f"Ingress {self._ingress} leads to {', '.join(sorted(found))}, which is no one side",
                f"its backend must be one of {', '.join(self._names.values())}",
            )
        return sides[0]

    def color(self, side: str) -> str:
        """The side's Service."""
        return self._names[side]

    def flip(self, to: str) -> Acknowledged:
        """Patch the rules once: a list that the API server keeps as one value."""
        spec = self._live()["spec"]
        for backend in _backends(spec):
            if backend["name"] in self._names.values():
                backend["name"] = self.color(to)
        changed = {key: spec[key] for key in ("rules", "defaultBackend") if key in spec}
        return Acknowledged(self._kube.patch_ingress(self._namespace, self._ingress, {"spec": changed}, MANAGER))

    def prepare(self, objects: Sequence[Json]) -> list[Json]:
        """The Ingress leads to the Service of the side that the one Service selects; the second one to both."""
        changed = [copy.deepcopy(item) for item in objects]
        named = {(item["kind"], item["metadata"]["name"]): item for item in changed}
        service = named["Service", self._service.name]
        side = service["spec"]["selector"][self._service.selector_key]
        port = self._port(service, named["Service", self.color(side)])
        for backend in _backends(named["Ingress", self._ingress]["spec"]):
            if backend["name"] == self._service.name:
                backend["name"], backend["port"] = self.color(side), port
        return [*changed, self._both(named["Ingress", self._ingress], port)]

    def _both(self, ingress: Json, port: Json) -> Json:
        paths = [
            {"path": f"/{side}", "pathType": "Prefix", "backend": {"service": {"name": name, "port": port}}}
            for side, name in self._names.items()
        ]
        metadata = {
            "name": f"{self._ingress}-both",
            "namespace": self._namespace,
            "labels": dict(ingress["metadata"].get("labels") or {}),
        }
        kept = {key: ingress["spec"][key] for key in ("ingressClassName",) if key in ingress["spec"]}
        rule = {"host": f"{self._namespace}.both.invalid", "http": {"paths": paths}}
        head = {"apiVersion": ingress["apiVersion"], "kind": "Ingress", "metadata": metadata}
        return {**head, "spec": {**kept, "rules": [rule]}}

    def services(self) -> tuple[str, ...]:
        """Each side's own."""
        return tuple(self._names.values())

    def written(self) -> Written | None:
        """Who holds the Ingress' rules."""
        return Written(f"Ingress/{self._ingress}", "spec.rules", managers(self._live(), "spec", "rules"), MANAGER)

    def _port(self, service: Json, own: Json) -> Json:
        """The port of a side's Service that leads where the one Service's does."""
        target = next(one.get("targetPort") for one in service["spec"]["ports"] if one["port"] == self._service.port)
        for port in own["spec"]["ports"]:
            if port.get("targetPort") == target:
                return {"number": port["port"]}
        raise ConfigurationError(
            f"Service {own['metadata']['name']} has no port that leads to {target!r}",
            f"give it the target port of Service {self._service.name}, or leave the switch `ingress` out",
        )

    def _live(self) -> Json:
        return self._kube.ingress(self._namespace, self._ingress)


def _backends(spec: Json) -> Iterator[Json]:
    """The Services that an Ingress leads to."""
    places = [spec.get("defaultBackend") or {}]
    for rule in spec.get("rules") or []:
        places += [path["backend"] for path in (rule.get("http") or {}).get("paths") or []]
    yield from (place["service"] for place in places if "service" in place)

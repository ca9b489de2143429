"""The switch of those who keep a Service per side: the Ingress' backend."""

from __future__ import annotations

import copy
from collections.abc import Sequence

from harness.errors import ConfigurationError
from harness.release.switches import Acknowledged, Json, Written, managers
from harness.release.switches.own_services import OwnServicesSwitch, backends
from harness.release.switches.selector import MANAGER

RESOURCE = ("ingresses", "networking.k8s.io/v1")


class IngressSwitch(OwnServicesSwitch):
    """Leads every backend of the Ingress that was the one Service to a side's own.

    A second Ingress, for a host that no user has, leads to both: so the proxy knows the idle side's Service before
    users are led there. Without it Contour's Envoy gets the new route before the backend it names, and answers 503 (NC,
    no cluster) meanwhile: 83 of 680 requests on fresh connections, in one cutover that was measured so.
    """

    name = "ingress"

    def active(self) -> str:
        """The side that the Ingress leads to."""
        found = {backend["name"] for backend in backends(self._live()["spec"])}
        sides = [side for side, name in self._names.items() if name in found]
        if len(sides) != 1:
            raise ConfigurationError(
                f"Ingress {self._ingress} leads to {', '.join(sorted(found))}, which is no one side",
                f"its backend must be one of {', '.join(self._names.values())}",
            )
        return sides[0]

    def flip(self, to: str) -> Acknowledged:
        """Patch the rules once: a list that the API server keeps as one value."""
        spec = self._live()["spec"]
        for backend in backends(spec):
            if backend["name"] in self._names.values():
                backend["name"] = self.color(to)
        changed = {key: spec[key] for key in ("rules", "defaultBackend") if key in spec}
        return Acknowledged(
            self._kube.patch_object(self._namespace, *RESOURCE, self._ingress, {"spec": changed}, MANAGER)
        )

    def prepare(self, objects: Sequence[Json]) -> list[Json]:
        """The Ingress leads to the Service of the side that the one Service selects; the second one to both."""
        changed = [copy.deepcopy(item) for item in objects]
        named = {(item["kind"], item["metadata"]["name"]): item for item in changed}
        service = named["Service", self._service.name]
        side = service["spec"]["selector"][self._service.selector_key]
        port = self._port(service, named["Service", self.color(side)])
        for backend in backends(named["Ingress", self._ingress]["spec"]):
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

    def written(self) -> Written | None:
        """Who holds the Ingress' rules."""
        return Written(f"Ingress/{self._ingress}", "spec.rules", managers(self._live(), "spec", "rules"), MANAGER)

    def _live(self) -> Json:
        return self._kube.get_object(self._namespace, *RESOURCE, self._ingress)

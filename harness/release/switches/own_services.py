"""What the switches share that need a Service for each side: in front of them stands what is moved."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from harness.errors import ConfigurationError
from harness.release.switches import Json, Switch

if TYPE_CHECKING:
    from harness.cluster.kube import Kube
    from harness.config import Config


class OwnServicesSwitch(Switch):
    """Leads users who come by the Ingress to a side's own Service, ``service.internal``.

    Args:
        kube: the cluster.
        namespace: where the Ingress is.
        config: names it, the Service and the sides.

    Raises:
        ConfigurationError: the application has no Ingress, or its sides share one internal Service.

    """

    def __init__(self, kube: Kube, namespace: str, config: Config) -> None:
        if config.ingress is None:
            raise ConfigurationError(f"{config.file.name} has no [ingress]", f"leave the switch `{self.name}` out")
        self._kube = kube
        self._namespace = namespace
        self._ingress = config.ingress.name
        self._service = config.service
        self._names = {side: config.service.internal_of(side) for side in config.sides.deployments}
        if len({*self._names.values(), self._service.name}) != 1 + len(self._names):
            raise ConfigurationError(
                f"{config.file.name}: the sides have no Services of their own",
                f"set service.internal to a name with {{side}} in it, or leave the switch `{self.name}` out",
            )

    def color(self, side: str) -> str:
        """The side's Service."""
        return self._names[side]

    def services(self) -> tuple[str, ...]:
        """Each side's own."""
        return tuple(self._names.values())

    def _port(self, service: Json, own: Json) -> Json:
        """The port of a side's Service that leads where the one Service's does."""
        target = next(one.get("targetPort") for one in service["spec"]["ports"] if one["port"] == self._service.port)
        for port in own["spec"]["ports"]:
            if port.get("targetPort") == target:
                return {"number": port["port"]}
        raise ConfigurationError(
            f"Service {own['metadata']['name']} has no port that leads to {target!r}",
            f"give it the target port of Service {self._service.name}, or leave the switch `{self.name}` out",
        )


def backends(spec: Json) -> Iterator[Json]:
    """The Services that an Ingress leads to."""
    places = [spec.get("defaultBackend") or {}]
    for rule in spec.get("rules") or []:
        places += [path["backend"] for path in (rule.get("http") or {}).get("paths") or []]
    yield from (place["service"] for place in places if "service" in place)

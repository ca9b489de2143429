"""The switches of those who have the Gateway API: weights of an HTTPRoute, moved at once or in steps."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from harness.errors import ConfigurationError
from harness.release.switches import Acknowledged, Json, Written, managers
from harness.release.switches.own_services import OwnServicesSwitch
from harness.release.switches.selector import MANAGER

if TYPE_CHECKING:
    from harness.cluster.kube import Kube
    from harness.config import Config

GROUP = "gateway.networking.k8s.io"
RESOURCE = ("httproutes", f"{GROUP}/v1")
ALL = 100
SHARES = (10, 50, ALL)
"""Of a hundred requests, how many the new side gets after each step of a ramp."""
STEP_SECONDS = 1.0
TIMEOUT = "projectcontour.io/response-timeout"
"""An Ingress' annotation; what it says is a key of an HTTPRoute's own."""
_DURATION = re.compile(r"([0-9]{1,5}(h|m|s|ms)){1,4}")  # GEP-2257
_PATH_TYPES = {"Exact": "Exact", "Prefix": "PathPrefix", "ImplementationSpecific": "PathPrefix"}


class RouteWeightSwitch(OwnServicesSwitch):
    """Puts an HTTPRoute in the Ingress' place, which leads to both sides' Services: to one by weight 100, the other 0.

    Args:
        kube, namespace, config: as for `OwnServicesSwitch`.
        gateway: which Gateway the route attaches to, ``namespace/name``.

    """

    name = "route-weight"

    def __init__(self, kube: Kube, namespace: str, config: Config, gateway: Callable[[], str]) -> None:
        super().__init__(kube, namespace, config)
        self._gateway, _, self._gateway_name = gateway().partition("/")

    def active(self) -> str:
        """The side that has the whole weight, in every rule that leads to the sides."""
        found = [self._weights(rule) for rule in self._moved(self._live()["spec"])]
        sides = [side for side in self._names if found and all(self._alone(side, weights) for weights in found)]
        if len(sides) != 1:
            said = "; ".join(", ".join(f"{side} {weight}" for side, weight in one.items()) for one in found)
            raise ConfigurationError(
                f"HTTPRoute {self._ingress} leads to no one side: weights {said or 'of neither'}",
                f"one of {', '.join(self._names.values())} must have the whole weight",
            )
        return sides[0]

    def flip(self, to: str) -> Acknowledged:
        """Patch the rules once: a list that the API server keeps as one value."""
        return self._weigh(to, ALL)

    def prepare(self, objects: Sequence[Json]) -> list[Json]:
        """An HTTPRoute for the same host and paths in place of the Ingress, and what lets the Gateway read its Secret.

        Raises:
            ConfigurationError: the Ingress has what a route can't be made of, or a side's Service no such port.

        """
        named = {(item["kind"], item["metadata"]["name"]): item for item in objects}
        ingress, service = named["Ingress", self._ingress], named["Service", self._service.name]
        active = service["spec"]["selector"][self._service.selector_key]
        sides = [
            {
                "name": name,
                "port": self._port(service, named["Service", name])["number"],
                "weight": ALL if side == active else 0,
            }
            for side, name in self._names.items()
        ]
        kept = [item for item in objects if item is not ingress]
        return [*kept, *self._grant(ingress), self._route(ingress, sides)]

    def written(self) -> Written | None:
        """Who holds the route's rules."""
        return Written(f"HTTPRoute/{self._ingress}", "spec.rules", managers(self._live(), "spec", "rules"), MANAGER)

    def _weigh(self, to: str, share: int) -> Acknowledged:
        """Give a side so many of a hundred requests, and the other side the rest."""
        rules = self._live()["spec"]["rules"]
        weights = {name: share if side == to else ALL - share for side, name in self._names.items()}
        for rule in self._moved({"rules": rules}):
            for backend in rule["backendRefs"]:
                backend["weight"] = weights[backend["name"]]
        body = {"spec": {"rules": rules}}
        return Acknowledged(self._kube.patch_object(self._namespace, *RESOURCE, self._ingress, body, MANAGER))

    def _moved(self, spec: Json) -> Iterator[Json]:
        """The rules that lead to the sides."""
        for rule in spec.get("rules") or []:
            if {one["name"] for one in rule.get("backendRefs") or []} == {*self._names.values()}:
                yield rule

    def _weights(self, rule: Json) -> dict[str, int]:
        held = {one["name"]: int(one.get("weight", 1)) for one in rule["backendRefs"]}
        return {side: held[name] for side, name in self._names.items()}

    def _alone(self, side: str, weights: dict[str, int]) -> bool:
        return all((weight > 0) == (other == side) for other, weight in weights.items())

    def _live(self) -> Json:
        return self._kube.get_object(self._namespace, *RESOURCE, self._ingress)

    def _route(self, ingress: Json, sides: Sequence[Json]) -> Json:
        spec = ingress["spec"]
        hosts = {rule.get("host", "") for rule in spec.get("rules") or []}
        if "defaultBackend" in spec or len(hosts) != 1 or "" in hosts:
            raise ConfigurationError(
                f"Ingress {self._ingress} isn't for one host alone, so no one HTTPRoute can take its place",
                f"give its rules one host and no defaultBackend, or leave the switch `{self.name}` out",
            )
        annotations = ingress["metadata"].get("annotations") or {}
        limit = {"timeouts": {"request": _duration(annotations[TIMEOUT])}} if TIMEOUT in annotations else {}
        rules = [
            {
                "matches": [{"path": {"type": _PATH_TYPES[path["pathType"]], "value": path.get("path") or "/"}}],
                "backendRefs": self._backends(path["backend"], sides),
                **limit,
            }
            for rule in spec["rules"]
            for path in rule["http"]["paths"]
        ]
        parent = {"namespace": self._gateway, "name": self._gateway_name}
        return {
            "apiVersion": RESOURCE[1],
            "kind": "HTTPRoute",
            "metadata": self._metadata(ingress, self._ingress),
            "spec": {"parentRefs": [parent], "hostnames": sorted(hosts), "rules": rules},
        }

    def _backends(self, backend: Json, sides: Sequence[Json]) -> list[Json]:
        service = backend.get("service") or {}
        if service.get("name") == self._service.name:
            return [dict(side) for side in sides]
        if "number" not in service.get("port", {}):
            raise ConfigurationError(
                f"Ingress {self._ingress} leads to {service.get('name') or 'a resource'} without a port's number",
                f"an HTTPRoute needs one: name it, or leave the switch `{self.name}` out",
            )
        return [{"name": service["name"], "port": service["port"]["number"]}]

    def _grant(self, ingress: Json) -> list[Json]:
        """The Gateway is in another namespace: it may read a Secret of the Ingress' only where one here says so."""
        secrets = [one["secretName"] for one in ingress["spec"].get("tls") or []]
        if not secrets:
            return []
        origin = {"group": GROUP, "kind": "Gateway", "namespace": self._gateway}
        to = [{"group": "", "kind": "Secret", "name": name} for name in secrets]
        metadata = self._metadata(ingress, f"{self._ingress}-tls")
        head = {"apiVersion": f"{GROUP}/v1beta1", "kind": "ReferenceGrant", "metadata": metadata}
        return [{**head, "spec": {"from": [origin], "to": to}}]

    def _metadata(self, ingress: Json, name: str) -> Json:
        return {"name": name, "namespace": self._namespace, "labels": dict(ingress["metadata"].get("labels") or {})}


class RouteRampSwitch(RouteWeightSwitch):
    """Moves the weights in steps: users come to the new side a few at a time, and both versions answer in between.

    Args:
        kube, namespace, config, gateway: as for `RouteWeightSwitch`.
        event: writes an event of the record, ``event(name, **fields)``.
        step_s: seconds from one step to the next.
        sleep: pauses for seconds.

    """

    name = "route-ramp"

    def __init__(
        self,
        kube: Kube,
        namespace: str,
        config: Config,
        gateway: Callable[[], str],
        event: Callable[..., object],
        step_s: float = STEP_SECONDS,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        super().__init__(kube, namespace, config, gateway)
        self._event = event
        self._step_s = step_s
        self._sleep = sleep

    def flip(self, to: str) -> Acknowledged:
        """A patch for each of `SHARES`, ``step_s`` apart."""
        for share in SHARES[:-1]:
            self._weigh(to, share)
            self._event("switch.widened", seconds=self._step_s, share=share)
            self._sleep(self._step_s)
        self._event("switch.narrowed", to_side=to)
        return self._weigh(to, SHARES[-1])


def own_routes(config: Config) -> list[Json]:
    """What is made on a cluster whose Gateway the configuration names, by kind and name alone."""
    if config.ingress is None or not config.ingress.gateway:
        return []
    return [{"apiVersion": RESOURCE[1], "kind": "HTTPRoute", "metadata": {"name": config.ingress.name}}]


def _duration(text: str) -> str:
    """A time-out of Contour's annotation as the Gateway API writes it; ``0s`` is none.

    Raises:
        ConfigurationError: it is none that a route can have.

    """
    if text in ("infinity", "infinite"):
        return "0s"
    if not _DURATION.fullmatch(text):
        raise ConfigurationError(f"{TIMEOUT}: {text!r} is no duration that an HTTPRoute takes", "write it as `60s`")
    return text

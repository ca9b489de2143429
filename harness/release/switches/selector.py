"""The switch of the pattern's textbook form: one value in the Service's selector."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.errors import ConfigurationError
from harness.release.switches import Acknowledged

if TYPE_CHECKING:
    from harness.cluster.kube import Kube
    from harness.config import Config


class SelectorSwitch:
    """Flips ``spec.selector[<selector_key>]`` of the one Service; a side's color is the side's own name.

    Args:
        kube: the cluster.
        namespace: where the Service is.
        config: names the Service, its key and the sides.

    """

    name = "selector"

    def __init__(self, kube: Kube, namespace: str, config: Config) -> None:
        self._kube = kube
        self._namespace = namespace
        self._service = config.service
        self._sides = tuple(config.sides.deployments)

    def active(self) -> str:
        """The side in the live Service's selector."""
        value = self._kube.service_selector(self._namespace, self._service.name).get(self._service.selector_key)
        if value not in self._sides:
            raise ConfigurationError(
                f"Service {self._service.name} selects {self._service.selector_key}={value!r}, which is no side",
                f"its selector's {self._service.selector_key} must be one of {', '.join(self._sides)}",
            )
        return value

    def color(self, side: str) -> str:
        """The selector's value for a side."""
        return side

    def flip(self, to: str) -> Acknowledged:
        """Patch the selector once."""
        selector: dict[str, str | None] = {self._service.selector_key: self.color(to)}
        return Acknowledged(self._kube.patch_service_selector(self._namespace, self._service.name, selector))

"""The switch of the pattern's textbook form, one value in the Service's selector, and two ways of changing it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from harness.errors import ConfigurationError
from harness.release.switches import Acknowledged, Switch, Written, managers

if TYPE_CHECKING:
    from harness.cluster.kube import Kube
    from harness.config import Config

MANAGER = "bluegreen-switch"
"""Whom the API server's managedFields name for what these switches change."""
MIXED_SECONDS = 2.0
"""How long the two-step selector leaves both sides in: as long as a flip may take to reach every node."""


class SelectorSwitch(Switch):
    """Flips ``spec.selector[<selector_key>]`` of the one Service; a side's color is the side's own name.

    Args:
        kube: the cluster.
        namespace: where the Service is.
        config: names the Service, its key and the sides.

    """

    name = "selector"
    tool = MANAGER

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
        return self._patch(self.color(to))

    def written(self) -> Written | None:
        """Who holds the Service's selector."""
        item = self._kube.service(self._namespace, self._service.name)
        return Written(f"Service/{self._service.name}", "spec.selector", managers(item, "spec", "selector"), self.tool)

    def _patch(self, color: str | None) -> Acknowledged:
        selector = {self._service.selector_key: color}
        after = self._kube.patch_service_selector(self._namespace, self._service.name, selector, MANAGER)
        return Acknowledged(after)


class AppliedSelectorSwitch(SelectorSwitch):
    """Flips the selector by server-side apply: whoever else holds it is overruled, as ``--force-conflicts`` does."""

    name = "selector-apply"

    def flip(self, to: str) -> Acknowledged:
        """Apply the whole selector once: the API server keeps it as one value."""
        selector = self._kube.service_selector(self._namespace, self._service.name)
        selector[self._service.selector_key] = self.color(to)
        return Acknowledged(self._kube.apply_service_selector(self._namespace, self._service.name, selector, MANAGER))


class TwoStepSwitch(SelectorSwitch):
    """Lets the new side in beside the old one first, and takes the old one out later.

    That is advised where a load balancer in front must never see the Service without a backend that it knows. Both
    versions answer in between.

    Args:
        kube, namespace, config: as for `SelectorSwitch`.
        event: writes an event of the record, ``event(name, **fields)``.
        mixed_s: seconds from the first step to the second.
        sleep: pauses for seconds.

    """

    name = "two-step"

    def __init__(
        self,
        kube: Kube,
        namespace: str,
        config: Config,
        event: Callable[..., object],
        mixed_s: float = MIXED_SECONDS,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        super().__init__(kube, namespace, config)
        self._event = event
        self._mixed_s = mixed_s
        self._sleep = sleep

    def flip(self, to: str) -> Acknowledged:
        """Two patches, ``mixed_s`` apart: the color goes out of the selector, and comes in again as the other."""
        self._patch(None)
        self._event("switch.widened", seconds=self._mixed_s)
        self._sleep(self._mixed_s)
        self._event("switch.narrowed", to_side=to)
        return self._patch(self.color(to))

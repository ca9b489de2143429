"""How an application's two sides are told apart by what the cluster holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.cluster.answers import deployment_of
from harness.config import Config

Json = dict[str, Any]

OTHER = "other"
"""What a pod of neither side is journaled under."""


class Sides:
    """Sides that are Deployments, told by one value in the Service's selector, which is the side's own name.

    A switch whose tool keeps the sides' pods in something else brings a subclass.

    Args:
        config: names the Deployments and the selector's key.

    Attributes:
        key: of the selector.

    """

    def __init__(self, config: Config) -> None:
        self.key = config.service.selector_key
        self._names = {deployment: side for side, deployment in config.sides.deployments.items()}

    def value(self, side: str) -> str:
        """What the selector has under ``key`` where users are led to a side."""
        return side

    def selected(self, selector: Mapping[str, str]) -> str | None:
        """Which side a selector leads to; what it says instead where that is none, None where it says nothing."""
        return selector.get(self.key)

    def of_pod(self, pod: str) -> str:
        """The side that a pod is of, by its name; ``OTHER`` where it is of none."""
        return self._names.get(deployment_of(pod), OTHER)

    def stand_in(self, deployment: str) -> Json | None:
        """What is to be read in place of a side's Deployment, in its form; None where there is a Deployment.

        Raises:
            ClusterError: the API server doesn't answer.

        """
        del deployment
        return None

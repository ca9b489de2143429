"""The mechanism that points users at a side: one small interface, several ways to do it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Acknowledged:
    """The cluster has accepted a flip.

    Attributes:
        resource_version: of the changed object, as the server gave it.

    """

    resource_version: str


class Switch(Protocol):
    """Points users at one of two sides. What it calls a side (a color, say) is known to it alone."""

    @property
    def name(self) -> str:
        """The mechanism, e.g. ``selector``."""

    def active(self) -> str:
        """The side that users are pointed at, asked from the cluster.

        Raises:
            ConfigurationError: what the cluster holds is neither side.
            ClusterError: the API server didn't answer.

        """

    def color(self, side: str) -> str:
        """What the switch calls a side."""

    def flip(self, to: str) -> Acknowledged:
        """Point users at ``to`` by exactly one request.

        Raises:
            ClusterError: refused, or not answered; in the latter case it may have taken effect.

        """

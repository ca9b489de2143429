"""The mechanism that points users at a side: one small interface, several ways to do it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.release.sides import Sides

Json = dict[str, Any]


@dataclass(frozen=True)
class Acknowledged:
    """The cluster (or the tool) has accepted a flip.

    Attributes:
        resource_version: of the changed object, as the server gave it; "" where the tool doesn't tell.

    """

    resource_version: str = ""


@dataclass(frozen=True)
class Written:
    """Who wrote what decides where users are, by the object's own managedFields.

    Attributes:
        object: e.g. ``Service/api``.
        field: e.g. ``spec.selector``.
        managers: whoever holds the field.
        tool: who alone should, as the switch's tool calls itself.

    """

    object: str
    field: str
    managers: tuple[str, ...]
    tool: str


class Switch(ABC):
    """Points users at one of two sides. What it calls a side (a color, say) is known to it alone."""

    name: str
    """The mechanism, e.g. ``selector``."""
    by_command = False
    """Whether a flip is a command, which takes its time before it changes anything."""
    sides: Sides | None = None
    """How the sides are told apart, where the tool keeps them in something else than two Deployments."""

    @abstractmethod
    def active(self) -> str:
        """The side that users are pointed at, asked from the cluster.

        Raises:
            ConfigurationError: what the cluster holds is neither side.
            ClusterError: the API server didn't answer.

        """

    @abstractmethod
    def color(self, side: str) -> str:
        """What the switch calls a side."""

    @abstractmethod
    def flip(self, to: str) -> Acknowledged:
        """Point users at ``to``, by one request or one command of the tool, which is never sent again.

        Raises:
            ClusterError: refused, or not answered; in the latter case it may have taken effect.

        """

    def prepare(self, objects: Sequence[Json]) -> list[Json]:
        """The objects of the application as this switch needs them; the given ones stay as they are."""
        return list(objects)

    def install(self, objects: Sequence[Json]) -> bool:
        """Put the prepared objects there, where that is the tool's to do; False leaves it to the harness."""
        del objects
        return False

    def put(self, side: str, image: str | None, replicas: int) -> bool:
        """Bring a side to an image (None: as it is) and a size, where that is the tool's to do; else False."""
        del side, image, replicas
        return False

    def preview(self, side: str) -> str | None:
        """The Service by which a side is checked before users see it; None for the side's own internal one.

        Raises:
            ReleaseError: the tool doesn't put the side there.
            ClusterError: as ``active``.

        """
        del side
        return None

    def check(self, move: str, to: str) -> None:
        """Refuse a "cutover" or "rollback" that the tool would not make now, or would make in another way.

        Raises:
            IllegalMove: with the reason.
            ClusterError: as ``active``.

        """
        del move, to

    def services(self) -> tuple[str, ...]:
        """Services that lead users to a side, beside the one that the configuration names."""
        return ()

    def written(self) -> Written | None:
        """Who made the last move; None where nothing of the cluster tells."""
        return None


def managers(item: Json, *path: str) -> tuple[str, ...]:
    """Who holds a field of an object, by its managedFields (FieldsV1: each name after ``f:``).

    Args:
        item: as the server holds it.
        path: such as ``("spec", "selector")``.

    """
    found = []
    for entry in item["metadata"].get("managedFields") or []:
        part: Any = entry.get("fieldsV1") or {}
        for name in path:
            part = part.get(f"f:{name}") if isinstance(part, dict) else None
        if part is not None:
            found.append(str(entry.get("manager") or ""))
    return tuple(dict.fromkeys(found))

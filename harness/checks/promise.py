"""A promise: what a scenario's author declares, as data: the name of a check and its parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.evidence.timeline import Timeline


@dataclass(frozen=True, slots=True)
class Promise:
    """A check with its limits.

    Args:
        check: the check's registered name.
        params: its parameters; strings, numbers, None, and sequences of these.

    """

    check: str
    params: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """As in the event `promise.declared`: JSON-able."""
        params = {key: list(value) if isinstance(value, tuple) else value for key, value in self.params.items()}
        return {"check": self.check, "params": params}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Promise:
        """The inverse of `to_dict`.

        Raises:
            KeyError: no "check".

        """
        params = {k: tuple(v) if isinstance(v, list) else v for k, v in dict(data.get("params") or {}).items()}
        return cls(str(data["check"]), params)


def promises_of(timeline: Timeline) -> tuple[Promise, ...]:
    """The promises that a run's record holds, in the order of their declaration."""
    return tuple(Promise.from_dict(event.fields) for event in timeline.named("promise.declared"))

"""The gate before users: what the applied objects of both sides say of their probes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from harness.errors import UnsafeProbes
from harness.evidence.probe_specs import differences, missing, probes_of

if TYPE_CHECKING:
    from harness.cluster.kube import Kube
    from harness.config import Config

MEND = "give both sides the same probes, with a readinessProbe; probes.gate says whether this is refused"


class ProbeGate:
    """Looks at both sides' probes as they are applied, journals them, and refuses what would let users down.

    Args:
        kube: the cluster.
        namespace: where the sides' Deployments are.
        config: their names, and whether the gate refuses.
        event: writes one event, ``event(name, **fields)``.

    """

    def __init__(self, kube: Kube, namespace: str, config: Config, event: Callable[..., None]) -> None:
        self._kube = kube
        self._namespace = namespace
        self._config = config
        self._event = event
        self._refuses = config.probes.gate == "refuse"

    def trust(self) -> None:
        """Refuse nothing from now on: what the gate protects from can then be shown."""
        self._refuses = False

    def look(self, verb: str, side: str) -> list[str]:
        """Journal ``probes.applied``; returns what is wrong with a side, one line each.

        Raises:
            ClusterError: the API server didn't answer.

        """
        sides = self._config.sides.deployments
        specs = {name: probes_of(self._kube.get_deployment(self._namespace, sides[name])) for name in sides}
        lacks = missing(specs[side], self._config.app.container)
        (other,) = (name for name in sides if name != side)
        wrong = [f"{side}: {lacks}"] if lacks else []
        wrong += [f"{side} and {other} differ in {text}" for text in differences(specs[side], specs[other])]
        told = [lacks] if lacks else []
        self._event("probes.applied", verb=verb, side=side, sides=specs, missing=told, refuses=self._refuses)
        return wrong

    def check(self, verb: str, side: str) -> None:
        """Refuse to go on with a side that would be unsafe for users.

        Raises:
            UnsafeProbes: it asks for no readiness, or its probes differ from the other side's.
            ClusterError: the API server didn't answer.

        """
        wrong = self.look(verb, side)
        if wrong and self._refuses:
            raise UnsafeProbes(f"{verb}: the probes of {side} are unsafe: {'; '.join(wrong)}", MEND)

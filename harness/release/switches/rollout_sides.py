"""The sides of an application that Argo Rollouts releases: ReplicaSets of one Rollout."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING

from harness.cluster import kube_rollouts
from harness.cluster.kube_rollouts import HASH, RolloutState
from harness.release.sides import OTHER, Sides
from harness.release.switches import Json
from harness.release.switches.rollout_objects import NONE, standing

if TYPE_CHECKING:
    from harness.cluster.kube import Kube
    from harness.config import Config


class RolloutSides(Sides):
    """Sides that are ReplicaSets of one Rollout, told by the hash that its controller gives each.

    Which hash is which side's is remembered: a hash that is new is the idle side's, since a Rollout changes no other.

    Args:
        kube, namespace, config: where the Rollout is, and what it is called.

    Attributes:
        active: the side that users are on.
        idle: the other one.

    """

    def __init__(self, kube: Kube, namespace: str, config: Config) -> None:
        super().__init__(config)
        self.key = HASH
        self.active, self.idle = config.sides.deployments
        self._kube = kube
        self._namespace = namespace
        self._rollout = config.app.name
        self._lock = threading.Lock()
        self._hashes: dict[str, str] = {}
        self._side_by_hash: dict[str, str] = {}

    def moved(self, to: str) -> None:
        """Users are on this side from now on."""
        if to != self.active:
            self.active, self.idle = self.idle, self.active

    def hash_of(self, side: str) -> str:
        """A side's hash; "" where it has none yet."""
        return self._hashes.get(side, "")

    def value(self, side: str) -> str:
        """The hash; ``NONE`` where there is none yet."""
        return self.hash_of(side) or NONE

    def selected(self, selector: Mapping[str, str]) -> str | None:
        """The hash's side. Until the controller has put one in, all pods are of the first side."""
        found = selector.get(HASH)
        if found is None:
            return self.active if len(self._side_by_hash) < 2 else None
        return self._side_by_hash.get(found, found)

    def of_pod(self, pod: str) -> str:
        """The side of a pod's hash; only the idle side's can be one that nobody knows yet."""
        rollout, found, *more = (*pod.rsplit("-", 2), "", "")
        if rollout != self._rollout or not more[0]:
            return OTHER
        with self._lock:
            return self._side_by_hash.setdefault(found, self.idle if self._side_by_hash else self.active)

    def stand_in(self, deployment: str) -> Json | None:
        """The side's ReplicaSet."""
        side = self._names.get(deployment)
        if side is None:
            return None
        rollout = kube_rollouts.rollout(self._kube, self._namespace, self._rollout)
        state = self._learn(rollout)
        there = self.replica_set(side)
        other = self.replica_set(self.active) if there is None and side != self.active else None
        return standing(deployment, rollout, state, there, other)

    def replica_set(self, side: str) -> Json | None:
        """The side's; None where it has none."""
        found = self.hash_of(side)
        return kube_rollouts.replica_set(self._kube, self._namespace, f"{self._rollout}-{found}") if found else None

    def state(self) -> RolloutState:
        """What the controller says now.

        Raises:
            ClusterError: the API server doesn't answer.

        """
        return self._learn(kube_rollouts.rollout(self._kube, self._namespace, self._rollout))

    def _learn(self, rollout: Json) -> RolloutState:
        state = kube_rollouts.state(rollout)
        with self._lock:
            if state.observed and state.current and state.current not in self._hashes.values():
                side = self.idle if self._hashes else self.active
                self._hashes[side], self._side_by_hash[state.current] = state.current, side
        return state

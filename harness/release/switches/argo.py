"""The switch of those who release by Argo Rollouts: one Rollout, whose controller keeps both sides and moves users."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from harness.cluster import kube_rollouts
from harness.cluster.kube_rollouts import HASH, NAMESPACE, REVISION, RolloutState
from harness.cluster.shell import run
from harness.errors import ClusterError, ConfigurationError, IllegalMove, SetupError, WaitTimeout
from harness.release.switches import Acknowledged, Json, Switch, Written, managers
from harness.release.switches.rollout_objects import ONE_WAY_BACK, preview_name, rolled
from harness.release.switches.rollout_sides import RolloutSides
from harness.release.switches.selector import MANAGER
from harness.waiting import until

if TYPE_CHECKING:
    from harness.cluster.kube import Kube
    from harness.config import Config

T = TypeVar("T")
PLUGIN_SECONDS = 60.0
MOVED_SECONDS = 30.0
"""How long the controller may take to do what it was asked to; seen: well below a second."""
EVERY_SECONDS = 0.05


class ArgoSwitch(Switch):
    """Releases by the kubectl plugin of Argo Rollouts: ``set image``, ``promote``, ``undo``, ``abort``.

    A side is checked by the preview Service, which leads to what waits to be promoted. The way back is an ``undo`` to
    the very revision that users came from, not to the last one, which may be one that they never had; the controller
    doesn't pause then, as long as that side is warm.

    Args:
        kube: the cluster, with the controller running.
        namespace: where the Rollout is.
        config: names it, the Service and the container.
        plugin: the program kubectl-argo-rollouts.
        event: writes an event of the record, ``event(name, **fields)``.

    """

    name = "argo-rollouts"
    tool = "rollouts-controller"
    by_command = True

    def __init__(self, kube: Kube, namespace: str, config: Config, plugin: Path, event: Callable[..., object]) -> None:
        self._kube = kube
        self._namespace = namespace
        self._config = config
        self._rollout = config.app.name
        self._plugin = plugin
        self._event = event
        self.sides: RolloutSides = RolloutSides(kube, namespace, config)

    def prepare(self, objects: Sequence[Json]) -> list[Json]:
        """One Rollout in the place of two Deployments; see ``rollout_objects.rolled``."""
        changed, live = rolled(self._config, objects)
        self.sides.moved(live)
        return changed

    def active(self) -> str:
        """The side of the hash in the live Service's selector."""
        selector = self._kube.service_selector(self._namespace, self._config.service.name)
        self.sides.state()
        side = self.sides.selected(selector)
        if side not in self._config.sides.deployments:
            raise ConfigurationError(
                f"Service {self._config.service.name} selects {HASH}={selector.get(HASH)!r}, which is no side's",
                "let the controller alone write the Service's selector",
            )
        self.sides.moved(side)
        return side

    def color(self, side: str) -> str:
        """The side's hash."""
        return self.sides.value(side)

    def put(self, side: str, image: str | None, replicas: int) -> bool:
        """``set image``, with as many preview replicas as are asked for; without an image the side's end.

        Raises:
            IllegalMove: the controller would move users at once, without a pause.
            ClusterError: it isn't done with what was asked before.

        """
        hash_there = self.sides.hash_of(side)
        if image is None:
            self._end(hash_there)
            return True
        state = self._promoted()
        if HASH not in self._kube.service_selector(self._namespace, self._config.service.name):
            raise IllegalMove(
                f"deploy: Service {self._config.service.name} has lost {HASH}: Argo Rollouts would move users at once",
                f"put it back: {HASH}={state.stable}",
            )
        there = self.sides.replica_set(side)
        before = self._image(there) if there is not None and there["spec"].get("replicas") else ""
        waits = state.current == hash_there
        if before == image and not waits and self._older(side):
            raise IllegalMove(
                f"deploy: {side} still runs {image}: Argo Rollouts takes that for a way back, and moves users at once",
                "roll back, or retire that side first",
            )
        if before not in ("", image) and not waits:
            self._end(hash_there)
        rollout = kube_rollouts.rollout(self._kube, self._namespace, self._rollout)
        fewer = replicas if replicas < rollout["spec"].get("replicas", 1) else None
        self._patch({"previewReplicaCount": fewer})
        if self._image(rollout) != image:
            self._call("set", "image", self._rollout, f"{self._config.app.container}={image}")
        elif state.aborted:
            self._call("retry", "rollout", self._rollout)
        if before not in ("", image) and waits:
            self._until(lambda: self.sides.state().current != hash_there, f"{image} to be seen", self._said)
            self._end(hash_there)
        return True

    def preview(self, side: str) -> str:
        """The preview Service, once it leads to the side; one that was rolled back is put before promotion again."""
        if self.sides.state().current != self.sides.hash_of(side):
            if self._older(side):
                raise IllegalMove(
                    f"smoke: {side} is the way back: no Service leads there before Argo Rollouts moves users",
                    "roll back, or deploy another version",
                )
            self._undo_to(side)
        self._until(lambda: self._waits(side) is None, f"{side} to wait for its promotion", lambda: self._waits(side))
        return preview_name(self._config)

    def check(self, move: str, to: str) -> None:
        """A promotion needs a Rollout that waits for it: else the plugin says "promoted", and nothing happens."""
        if move == "cutover" and (why := self._waits(to)) is not None:
            raise IllegalMove(f"{move}: {why}", "deploy again, and let nobody else change the Rollout meanwhile")

    def flip(self, to: str) -> Acknowledged:
        """One ``promote`` or ``undo``; its answer is that the controller has moved the Service."""
        service, wanted = self._config.service.name, self.sides.hash_of(to)
        promoted = self.sides.state().current == wanted
        if promoted:
            self._call("promote", self._rollout)
        else:
            self._undo_to(to)
        self._event("rollout.asked", to_side=to)
        found: list[Json] = []

        def moved() -> bool:
            nonlocal promoted
            found[:] = [self._kube.service(self._namespace, service)]
            if (found[0]["spec"].get("selector") or {}).get(HASH) == wanted:
                return True
            # not all pods of a way back were ready: then the controller pauses for it too, and is asked once
            if not promoted and self._waits(to) is None:
                promoted = True
                self._call("promote", self._rollout)
            return False

        self._until(moved, f"Service {service} to lead to {to}", lambda: self.sides.state().said)
        self.sides.moved(to)
        return Acknowledged(str(found[0]["metadata"].get("resourceVersion", "")))

    def abort(self) -> None:
        """Give the release up: ``abort``. Users stay where they are, and what waits is scaled down later."""
        self._call("abort", self._rollout)
        self._until(lambda: self.sides.state().aborted, f"Rollout {self._rollout} to be aborted", self._said)
        self._event("rollout.aborted")

    def written(self) -> Written:
        """Who holds the Service's selector: the controller, if nobody else."""
        item = self._kube.service(self._namespace, self._config.service.name)
        where = f"Service/{self._config.service.name}"
        return Written(where, "spec.selector", managers(item, "spec", "selector"), self.tool)

    def _waits(self, side: str) -> str | None:
        """Why a side doesn't wait for its promotion; None where it does."""
        state, wanted = self.sides.state(), self.sides.hash_of(side)
        if not state.observed or state.current != wanted:
            return f"Rollout {self._rollout} has another template than {side}'s"
        if state.aborted or not state.paused or state.preview != wanted:
            return f"Rollout {self._rollout} doesn't wait to be promoted to {side}: {state.said}"
        return None

    def _promoted(self) -> RolloutState:
        """The state once the last move is over, also the first one, which nobody asks for."""

        def over() -> RolloutState | None:
            state = self.sides.state()
            return state if state.observed and state.active and state.active == state.stable else None

        return self._until(over, f"Rollout {self._rollout} to be done with its last move", self._said)

    def _older(self, side: str) -> bool:
        """Whether a side is older than the active one: to name its template again is a way back, without a pause."""
        old, new = self.sides.replica_set(side), self.sides.replica_set(self.sides.active)
        if old is None or new is None:
            return False
        return bool(old["metadata"]["creationTimestamp"] < new["metadata"]["creationTimestamp"])

    def _undo_to(self, side: str) -> None:
        there = self.sides.replica_set(side)
        revision = ((there or {}).get("metadata", {}).get("annotations") or {}).get(REVISION)
        if revision is None:
            raise ClusterError(f"there is no ReplicaSet of {side} to go back to", "deploy to that side again")
        self._call("undo", self._rollout, f"--to-revision={revision}")

    def _end(self, hash_: str) -> None:
        """Have the controller keep no ReplicaSet warm, until that one has no pods; it has no command for that."""
        self._patch({"scaleDownDelayRevisionLimit": 0})
        name = f"{self._rollout}-{hash_}"

        def ended() -> bool:
            there = kube_rollouts.replica_set(self._kube, self._namespace, name)
            return there is None or not there["spec"].get("replicas")

        self._until(ended, f"ReplicaSet {name} to be scaled down", self._said)
        self._patch({"scaleDownDelayRevisionLimit": ONE_WAY_BACK})

    def _image(self, item: Json) -> str:
        containers = item["spec"]["template"]["spec"]["containers"]
        return next(str(one["image"]) for one in containers if one["name"] == self._config.app.container)

    def _patch(self, fields: Json) -> None:
        body = {"spec": {"strategy": {"blueGreen": fields}}}
        kube_rollouts.patch_rollout(self._kube, self._namespace, self._rollout, body, MANAGER)

    def _said(self) -> str:
        return self.sides.state().said

    def _until(self, holds: Callable[[], T | None], what: str, status: Callable[[], str | None]) -> T:
        try:
            return until(holds, what, timeout=MOVED_SECONDS, every=EVERY_SECONDS, status=lambda: str(status()))
        except WaitTimeout as error:
            raise ClusterError(error.what, f"see the controller's log in the namespace {NAMESPACE}") from error

    def _call(self, *words: str) -> None:
        where = ["--namespace", self._namespace, "--kubeconfig", str(self._kube.kubeconfig)]
        context = ["--context", self._kube.context] if self._kube.context else []
        try:
            run([self._plugin, *words, *where, *context], f"kubectl argo rollouts {words[0]}", timeout=PLUGIN_SECONDS)
        except SetupError as error:
            raise ClusterError(error.what, error.mend) from error

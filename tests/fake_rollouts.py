"""A cluster in memory whose controller is Argo Rollouts', as far as a blue-green Rollout goes: it acts at once."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.cluster.answers import Refused, RolloutStatus, rollout_status
from harness.cluster.kube_rollouts import HASH, REVISION
from harness.cluster.permissions import plural
from tests.fake_kube import FakeKube

Json = dict[str, Any]


class FakeRollouts(FakeKube):
    """One Rollout, its ReplicaSets and its two Services.

    Attributes:
        said: what the plugin was asked, without where.
        starting: new ReplicaSets don't get ready.
        asleep: the controller does nothing.

    """

    def __init__(self) -> None:
        super().__init__()
        self.selector = {"app": "shop"}
        self.kubeconfig, self.context = Path("config"), None
        self.said: list[str] = []
        self.starting = self.asleep = False
        self.manager = "rollouts-controller"
        self.stand_in: Callable[[str], Json | None] = lambda _: None
        self.applied: dict[tuple[str, str], Json] = {}
        self.sets: dict[str, Json] = {}
        self.rollout: Json = {}
        self.status: Json = {}
        self.left: set[str] = set()
        self.time = 0

    def apply(self, objects: list[Json], namespace: str) -> None:
        for item in objects:
            self.applied[item["kind"], item["metadata"]["name"]] = item
            if item["kind"] == "Rollout":
                self.install(item)

    def get_deployment(self, namespace: str, name: str) -> Json:
        return self.stand_in(name) or {}

    def rollout_status(self, namespace: str, name: str) -> RolloutStatus:
        return rollout_status(self.get_deployment(namespace, name))

    def objects(self, namespace: str, resource: str, group: str = "v1") -> list[Json]:
        found = [item for (kind, _), item in self.applied.items() if plural(kind) == resource]
        users = self.applied.get(("Service", "shop"))
        return [{**item, "spec": {**item["spec"], "selector": self.selector}} if item is users else item
                for item in found]  # fmt: skip

    def install(self, rollout: Json) -> None:
        self.rollout = {**copy.deepcopy(rollout)}
        self.rollout["metadata"]["generation"] = 1
        self._reconcile()

    # -- what the harness asks the API server

    def get_object(self, namespace: str, resource: str, group: str, name: str) -> Json:
        if (resource, group) == ("rollouts", "argoproj.io/v1alpha1"):
            return copy.deepcopy({**self.rollout, "status": self.status})
        assert (resource, group) == ("replicasets", "apps/v1")
        if name not in self.sets:
            raise Refused("no such ReplicaSet", status=404)
        return copy.deepcopy(self.sets[name])

    def patch_object(self, namespace: str, resource: str, group: str, name: str, body: Json, manager: str) -> str:
        if "template" in body["spec"]:
            assert manager == "somebody"
            (container,) = body["spec"]["template"]["spec"]["containers"]
            self._template(container["image"])
            self._reconcile()
            return "1"
        assert manager == "bluegreen-switch"
        fields = body["spec"]["strategy"]["blueGreen"]
        strategy = self.rollout["spec"]["strategy"]["blueGreen"]
        for key, value in fields.items():
            self.calls.append(("spec", key, str(value)))
            strategy[key] = value
        self._reconcile()
        return "1"

    # -- what the plugin does

    def plugin(self, words: Sequence[str | Path], what: str, **options: Any) -> None:
        told = [str(word) for word in words]
        assert told[0] == "plugin" and told[-4:] == ["--namespace", "ns", "--kubeconfig", "config"]
        assert what.startswith("kubectl argo rollouts ") and options["timeout"] > 0
        self.said.append(" ".join(told[1:-4]))
        match told[1:-4]:
            case ["set", "image", "shop", setting]:
                self._template(setting.partition("=")[2])
            case ["promote", "shop"]:
                self.status["pauseConditions"] = []
                if not self.asleep:
                    self.selector = {**self.selector, HASH: self.status["currentPodHash"]}
            case ["undo", "shop", revision]:
                wanted = revision.removeprefix("--to-revision=")
                (there,) = (one for one in self.sets.values() if one["metadata"]["annotations"][REVISION] == wanted)
                self._template(there["spec"]["template"]["spec"]["containers"][0]["image"])
            case ["abort", "shop"]:
                self.status["abort"] = True
                self.status["pauseConditions"] = []
                return
            case ["retry", "rollout", "shop"]:
                self.status["abort"] = False
                self.status["pauseConditions"] = [{"reason": "BlueGreenPause"}]
                return
            case _:
                raise AssertionError(told)
        self._reconcile()

    def _template(self, image: str) -> None:
        self.rollout["spec"]["template"]["spec"]["containers"][0]["image"] = image
        self.rollout["metadata"]["generation"] += 1

    def _reconcile(self) -> None:
        if self.asleep:
            return
        spec = self.rollout["spec"]
        image = spec["template"]["spec"]["containers"][0]["image"]
        current = image.rpartition(":")[2] + "hash"
        active = self.selector.get(HASH, "")
        new = current != self.status.get("currentPodHash")
        there = self.sets.setdefault(f"shop-{current}", self._replica_set(current))
        if new:
            self.time += 1
            there["metadata"]["annotations"][REVISION] = str(self.time)
            self.status = {**self.status, "abort": False, "pauseConditions": []}
        first = not active
        fast = first or self._older(current, active)
        waits = not (first or fast or current == active or self.starting)
        waits = waits and (new or bool(self.status["pauseConditions"]))
        if fast and not self.starting:
            self.selector = {**self.selector, HASH: current}
        active = self.selector[HASH]
        self.left -= {current, active}
        self._size(there, spec["replicas"] if current == active else self._preview())
        for one in self.sets.values():
            kept = one["metadata"]["labels"][HASH] in (current, active)
            if not kept and one["spec"]["replicas"]:
                self.left.add(one["metadata"]["labels"][HASH])
            if not kept and spec["strategy"]["blueGreen"]["scaleDownDelayRevisionLimit"] == 0:
                self._size(one, 0)
        self.status = {
            **self.status,
            "observedGeneration": str(self.rollout["metadata"]["generation"]),
            "currentPodHash": current,
            "stableRS": active,
            "pauseConditions": [{"reason": "BlueGreenPause"}] if waits else [],
            "blueGreen": {"activeSelector": active, "previewSelector": current},
            "phase": "Paused" if waits else "Healthy",
            "conditions": [],
        }

    def _older(self, current: str, active: str) -> bool:
        """Whether this is a way back within the delay in which the side that was left is kept."""
        old, new = self.sets[f"shop-{current}"], self.sets[f"shop-{active}"]
        made = [one["metadata"]["creationTimestamp"] for one in (old, new)]
        return bool(made[0] < made[1] and current in self.left)

    def _preview(self) -> int:
        fewer = self.rollout["spec"]["strategy"]["blueGreen"].get("previewReplicaCount")
        return int(self.rollout["spec"]["replicas"] if fewer is None else fewer)

    def _size(self, there: Json, replicas: int) -> None:
        there["spec"]["replicas"] = replicas
        if not replicas:
            self.left.discard(there["metadata"]["labels"][HASH])
        ready = 0 if self.starting else replicas
        there["status"] = {"replicas": replicas, "readyReplicas": ready, "availableReplicas": ready}

    def _replica_set(self, name: str) -> Json:
        template = copy.deepcopy(self.rollout["spec"]["template"])
        labels: Mapping[str, str] = {**template["metadata"]["labels"], HASH: name}
        template["metadata"]["labels"] = labels
        template["spec"]["restartPolicy"] = "Always"  # as the API server fills in what wasn't said
        return {
            "metadata": {
                "creationTimestamp": f"2026-01-01T00:00:{len(self.sets):02}Z",
                "labels": labels,
                "annotations": {},
            },
            "spec": {"replicas": 0, "selector": {"matchLabels": labels}, "template": template},
        }

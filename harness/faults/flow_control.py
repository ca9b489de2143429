"""The API server refuses what moves users: 429, by its own priority and fairness."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from harness.cluster import kube_break
from harness.cluster.answers import Refused
from harness.cluster.owned import OWNED
from harness.errors import ClusterError, ConfigurationError
from harness.faults.block import Fault, Plan
from harness.faults.ground import Ground
from harness.faults.placed import sleep_until

if TYPE_CHECKING:
    from harness.cluster.answers import Json

API = "flowcontrol.apiserver.k8s.io/v1"
EXEMPT = "system:masters"
"""Whoever is in this group is never refused: the mandatory FlowSchema "exempt" comes before all others."""
PRECEDENCE = 50
CONFIRM_S = 15.0
AGAIN_S = 0.01


def throttle_switch() -> Plan:
    """The harness' own patches of Services in the application's namespace are refused with 429, until the block ends.

    By a priority level without a seat that rejects what it has no seat for. One request is let in even so while none
    is executing there, so another one keeps it busy from the instant on. Nobody else's request is led to that level.

    Raises:
        ConfigurationError: once it is made: this account is exempt.

    """

    def make(ground: Ground, ident: str) -> Fault:
        kube, namespace, service = ground.kube, ground.namespace, ground.config.service.name
        user, groups = kube_break.who_am_i(kube)
        if EXEMPT in groups:
            raise ConfigurationError(
                f"{user} is in the group {EXEMPT}, which the API server never refuses for its load",
                "use a kubeconfig of an account outside of it",
            )
        name = f"bluegreen-{ident}"
        over = threading.Event()

        def keep_busy() -> None:
            while not over.is_set():
                try:
                    if kube_break.wait_in_vain(kube, namespace) != 504:
                        over.wait(AGAIN_S)
                except ClusterError:  # the API server is away: then it lets nobody in
                    over.wait(AGAIN_S)

        def strike(at_ns: int | None) -> int:
            kube_break.create_flow_control(kube, _level(name), _schema(name, user, namespace))
            sleep_until(at_ns)
            threading.Thread(target=keep_busy, name=f"busy-{ident}", daemon=True).start()
            return time.monotonic_ns()

        def refused() -> bool:
            try:
                kube_break.try_patch_service(kube, namespace, service)
            except Refused as error:
                if error.status != 429:
                    raise
                return True
            return False

        def seen() -> str:
            count = kube_break.rejected_by(kube, name) if refused() else 0
            return f"the API server's metrics count {count} requests rejected by FlowSchema {name}" if count else ""

        away = ground.by_kubectl(f"delete flowschema/{name} prioritylevelconfiguration/{name} --ignore-not-found")
        return Fault(
            f"patches of Services by {user}", strike, seen, (away,), over.set, lambda: not refused(), CONFIRM_S
        )

    return Plan("switch-throttled", make)


def _level(name: str) -> Json:
    """Without a seat of its own, and none to be borrowed."""
    limited = {
        "nominalConcurrencyShares": 0,
        "lendablePercent": 0,
        "borrowingLimitPercent": 0,
        "limitResponse": {"type": "Reject"},
    }
    return _object("PriorityLevelConfiguration", name, {"type": "Limited", "limited": limited})


def _schema(name: str, user: str, namespace: str) -> Json:
    """Only one account's patches of Services in one namespace, and what keeps the level busy."""
    led = [
        {"verbs": [verb], "apiGroups": [""], "resources": [resource], "namespaces": [namespace]}
        for verb, resource in (("patch", "services"), ("list", "podtemplates"))
    ]
    rules = [{"subjects": [{"kind": "User", "user": {"name": user}}], "resourceRules": led}]
    level = {"name": name}
    return _object(
        "FlowSchema", name, {"priorityLevelConfiguration": level, "matchingPrecedence": PRECEDENCE, "rules": rules}
    )


def _object(kind: str, name: str, spec: Json) -> Json:
    return {"apiVersion": API, "kind": kind, "metadata": {"name": name, "labels": dict([OWNED])}, "spec": spec}

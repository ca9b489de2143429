"""Faults of a release that its objects show before users are moved: each with the id of the diagnosis that it is."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

MIN_GRACE = 10
"""Seconds: a hook of unknown length that gets less is cut, as a rule."""
LEAST_CPU = 0.5
"""Share of the other side's processor time that a side must be allowed at least."""

Fields = Mapping[str, Any]


@dataclass(frozen=True)
class Fault:
    """One fault.

    Attributes:
        id: as the diagnosis that explains it.
        text: what was seen.
        refuses: a cutover is refused for it; else it is told only.

    """

    id: str
    text: str
    refuses: bool = True

    def to_dict(self) -> dict[str, Any]:
        """As in the event `static.checked`."""
        return {"id": self.id, "text": self.text, "refuses": self.refuses}


@dataclass(frozen=True)
class Facts:
    """The newest facts of a timeline, or of objects.

    Attributes:
        sides: by side, as `side.described`.
        services: by name, as `service.described`.
        policies: as `policy.described`.
        budgets: as `budget.described`.
        ingresses: as `ingress.described`.

    """

    sides: Mapping[str, Fields] = field(default_factory=dict)
    services: Mapping[str, Fields] = field(default_factory=dict)
    policies: Sequence[Fields] = ()
    budgets: Sequence[Fields] = ()
    ingresses: Sequence[Fields] = ()

    @classmethod
    def of(cls, told: Sequence[tuple[str, Fields]]) -> Facts:
        """From events, the newest of each object last."""

        def newest(name: str, key: str) -> dict[str, Fields]:
            return {str(fields[key]): fields for event, fields in told if event == name}

        return cls(
            newest("side.described", "side"),
            newest("service.described", "service"),
            tuple(newest("policy.described", "policy").values()),
            tuple(newest("budget.described", "budget").values()),
            tuple(newest("ingress.described", "ingress").values()),
        )

    @property
    def users(self) -> Fields:
        """The Service that users enter by."""
        return next((one for one in self.services.values() if one.get("role") == "users"), {})

    def side(self, name: str) -> Fields:
        """A side; empty where it isn't known or isn't there."""
        found = self.sides.get(name, {})
        return found if found.get("exists") else {}


def lint(facts: Facts, old: str, new: str) -> list[Fault]:
    """What is wrong before users are moved from the side `old` to the side `new`.

    What isn't known is no fault.
    """
    before, after = facts.side(old), facts.side(new)
    if not after:
        return []
    return [
        *_probes(before, after, new),
        *_switch(facts, after, new),
        *_sizes(before, after, new),
        *_stopping(before, after, new),
        *_surroundings(facts, before, after, old, new),
    ]


def _probes(before: Fields, after: Fields, side: str) -> Iterator[Fault]:
    there, here = (before.get("probes") or {}), after["probes"]
    readiness = here["readiness"]
    if readiness is None:
        yield Fault("no-readiness-probe", f"{side} has no readiness probe")
    elif not readiness["known"]:
        named = readiness["port"] is None
        yield Fault(
            "wrong-probe-port", f"{side}'s readiness probe asks port {readiness['asked']}, which isn't declared", named
        )
    if always_ready(here):
        yield Fault("readiness-always-ok", f"{side}'s readiness probe asks what its liveness probe asks", False)
    for name, probe in here.items():
        if before and probe is not None and there.get(name) is not None and probe != there[name]:
            yield Fault("config-drift", f"the sides' {name} probes differ", False)


def always_ready(probes: Fields) -> bool:
    """Whether readiness says no more than liveness, and so never takes a pod out that lives."""
    ready, alive = probes.get("readiness"), probes.get("liveness")
    return bool(ready and alive and (ready["kind"], ready["path"], ready["port"]) == (alive["kind"], alive["path"],
                                                                                      alive["port"]))  # fmt: skip


def _switch(facts: Facts, after: Fields, side: str) -> Iterator[Fault]:
    users = facts.users
    if not users:
        return
    if not users["selector"]:
        yield Fault("selector-empty", f"Service {users['service']} has no selector: nothing follows a cutover")
        return
    matched = users["matches"].get(side, [])
    if not matched:
        yield Fault("selector-misspelt", f"Service {users['service']} will select no pod of {side}'s")
    elif len(matched) > 1:
        yield Fault("selector-too-wide", f"Service {users['service']} will select pods of {', '.join(matched)}")
    for one in facts.services.values():
        if one["role"] in ("users", side) and not target_known(one, after):
            yield Fault(
                "wrong-target-port",
                f"Service {one['service']} leads to port {one['target']}, which {side} doesn't have",
            )
    if users["affinity"] != "None":
        yield Fault("session-affinity", f"Service {users['service']} has sessionAffinity {users['affinity']}")
    if users["traffic_policy"] == "Local":
        text = (
            f"Service {users['service']} has externalTrafficPolicy Local: nodes without a pod of {side}'s lead nowhere"
        )
        yield Fault("local-traffic-policy", text, False)


def target_known(service: Fields, side: Fields) -> bool:
    """Whether a side's pods have the port that a Service leads to; a side that declares none may have any."""
    ports, target = side.get("ports") or {}, str(service.get("target", ""))
    if target.isdigit():
        return not ports or int(target) in ports.values()
    return target in ports


def _sizes(before: Fields, after: Fields, side: str) -> Iterator[Fault]:
    if not before:
        return
    if after["replicas"] < before["replicas"]:
        yield Fault("fewer-replicas", f"{side} has {after['replicas']} replicas, users are on {before['replicas']}")
    if smaller(after, before):
        here, there = after["resources"]["limits_cpu"], before["resources"].get("limits_cpu", math.inf)
        yield Fault("cpu-too-small", f"a pod of {side} may use {here:g} of a processor, the others {there:g}")


def smaller(after: Fields, before: Fields) -> bool:
    """Whether a side's pods may use much less of the processor than the other's."""
    here, there = ((one.get("resources") or {}).get("limits_cpu") for one in (after, before))
    return here is not None and here < LEAST_CPU * (there if there is not None else math.inf)


def _stopping(before: Fields, after: Fields, side: str) -> Iterator[Fault]:
    hook, grace = after["pre_stop"], after["grace"]
    if hook is None:
        drifted = bool(before) and before["pre_stop"] is not None
        yield Fault("no-prestop", f"{side} has no preStop hook", drifted)
    elif short_grace(after):
        yield Fault("grace-too-short", f"{side} has {grace} s to end, its preStop hook included")
    if after["max_unavailable"] not in ("0", "0%"):
        text = f"{side} may lose {after['max_unavailable']} of its pods in a rollout"
        yield Fault("max-unavailable", text, False)


def short_grace(side: Fields) -> bool:
    """Whether a pod's end is cut: its preStop hook is said to last longer, or hardly anything is left for one."""
    hook, grace = side.get("pre_stop"), side.get("grace", 30)
    if hook is None:
        return False
    return bool(grace <= hook["seconds"] if hook["seconds"] is not None else grace < MIN_GRACE)


def _surroundings(facts: Facts, before: Fields, after: Fields, old: str, new: str) -> Iterator[Fault]:
    for one in one_sided(facts, old, new):
        yield Fault("networkpolicy-one-side", f"NetworkPolicy {one['policy']} is about {one['sides'][0]} alone")
    internal = {one["service"] for one in facts.services.values() if one["role"] == new}
    for one in facts.services.values():
        if one["service"] in internal and one["published"]:
            yield Fault(
                "preview-public", f"Service {one['service']} is a {one['type']}: {new} is reachable from outside"
            )
    for one in facts.ingresses:
        if internal & set(one["services"]):
            yield Fault("preview-public", f"Ingress {one['ingress']} leads to {new} before the cutover")
    budgets = [one for one in facts.budgets if new in one["sides"]]
    if not budgets:
        yield Fault("pdb-missing", f"no PodDisruptionBudget is about {new}", False)
    for one in budgets:
        if blocks(one, after["replicas"]):
            yield Fault(
                "pdb-blocks", f"PodDisruptionBudget {one['budget']} lets no pod of {new} go: no node can be drained"
            )
    if moving(after["image"]):
        yield Fault("moving-tag", f"{new}'s image {after['image']} has a tag that moves")
    if before and (names := drifted(before, after)):
        yield Fault("config-drift", f"the sides' environments differ in {', '.join(names)}", False)


def one_sided(facts: Facts, old: str, new: str) -> list[Fields]:
    """The NetworkPolicies for what comes in that are about just one of the sides."""
    kept = [one for one in facts.policies if "Ingress" in one["types"]]
    about = [(one, {side for side in one["sides"] if side in (old, new)}) for one in kept]
    # one policy a side is as good as one for both
    counted = {side: sum(side in sides for _, sides in about) for side in (old, new)}
    return [one for one, sides in about if len(sides) == 1] if counted[old] != counted[new] else []


def drifted(before: Fields, after: Fields) -> list[str]:
    """Names of the environment's variables and of Secrets and ConfigMaps that the sides don't share."""
    here, there = after.get("environment") or {}, before.get("environment") or {}
    names = [name for name in sorted({*here, *there}) if here.get(name) != there.get(name)]
    return [*names, *sorted(set(after.get("references") or []) ^ set(before.get("references") or []))]


def blocks(budget: Fields, replicas: int) -> bool:
    """Whether a PodDisruptionBudget allows no disruption at all, however healthy the side is."""
    most, least = budget["max_unavailable"], budget["min_available"]
    if most is not None:
        return most in ("0", "0%")
    return least is not None and (least == "100%" or (least.isdigit() and int(least) >= replicas > 0))


def moving(image: str) -> bool:
    """Whether an image's name can mean another image tomorrow, as everybody knows: latest, or no tag at all."""
    if "@" in image:
        return False
    tag = image.rsplit("/", 1)[-1].partition(":")[2]
    return tag in ("", "latest")

"""Every switch by name: how it is made, and by which paths users come to notice it."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import ConfigurationError

if TYPE_CHECKING:
    from harness.cluster.kube import Kube
    from harness.config import Config
    from harness.release.switches import Switch

DEFAULT = "selector"
ALL = "all"


@dataclass(frozen=True)
class Means:
    """What switches are made of.

    Attributes:
        kube, namespace, config: where, and of what application.
        kubectl: the program.
        helm: finds the program, or makes it.
        gateway: opens a Gateway that routes may attach to, ``namespace/name``, until the scenario's end.
        rollouts: has Argo Rollouts' controller running, and gives its kubectl plugin.
        folder: the scenario's, for what a tool reads.
        event: writes an event of the record.
        apart: namespaces of the sides' own, by side.

    """

    kube: Kube
    namespace: str
    config: Config
    kubectl: Path
    helm: Callable[[], Path]
    gateway: Callable[[], str]
    rollouts: Callable[[], Path]
    folder: Path
    event: Callable[..., object]
    apart: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Kind:
    """One mechanism.

    Attributes:
        make: makes the switch of a scenario.
        paths: by which users notice it.
        apart: what names of a side's objects begin with, by side, where each side has a namespace of its own.

    """

    make: Callable[[Means], Switch]
    paths: tuple[str, ...] = ("service", "ingress")
    apart: Callable[[Config], Mapping[str, Sequence[str]]] = lambda _: {}


def _selector(means: Means) -> Switch:
    from harness.release.switches.selector import SelectorSwitch

    return SelectorSwitch(means.kube, means.namespace, means.config)


def _applied(means: Means) -> Switch:
    from harness.release.switches.selector import AppliedSelectorSwitch

    return AppliedSelectorSwitch(means.kube, means.namespace, means.config)


def _two_step(means: Means) -> Switch:
    from harness.release.switches.selector import TwoStepSwitch

    return TwoStepSwitch(means.kube, means.namespace, means.config, means.event)


def _kustomize(means: Means) -> Switch:
    from harness.release.switches.kustomize import KustomizeSwitch

    return KustomizeSwitch(means.kube, means.namespace, means.config, means.kubectl, means.folder / "kustomize")


def _helm(means: Means) -> Switch:
    from harness.release.switches.helm import HelmSwitch

    return HelmSwitch(means.kube, means.namespace, means.config, means.helm(), means.folder / "chart")


def _ingress(means: Means) -> Switch:
    from harness.release.switches.ingress import IngressSwitch

    return IngressSwitch(means.kube, means.namespace, means.config)


def _route_weight(means: Means) -> Switch:
    from harness.release.switches.route import RouteWeightSwitch

    return RouteWeightSwitch(means.kube, means.namespace, means.config, means.gateway)


def _route_ramp(means: Means) -> Switch:
    from harness.release.switches.route import RouteRampSwitch

    return RouteRampSwitch(means.kube, means.namespace, means.config, means.gateway, means.event)


def _namespaces(means: Means) -> Switch:
    from harness.release.switches.namespaces import NamespacesSwitch

    return NamespacesSwitch(means.kube, means.namespace, means.config, means.gateway, means.apart)


def _names_by_side(config: Config) -> Mapping[str, Sequence[str]]:
    from harness.release.switches.namespaces import names_by_side

    return names_by_side(config)


def _argo(means: Means) -> Switch:
    from harness.release.switches.argo import ArgoSwitch

    return ArgoSwitch(means.kube, means.namespace, means.config, means.rollouts(), means.event)


KNOWN: Mapping[str, Kind] = {
    DEFAULT: Kind(_selector),
    "selector-apply": Kind(_applied),
    "two-step": Kind(_two_step),
    "kustomize": Kind(_kustomize),
    "helm": Kind(_helm),
    "argo-rollouts": Kind(_argo),
    "ingress": Kind(_ingress, paths=("ingress",)),
    "route-weight": Kind(_route_weight, paths=("ingress",)),
    "route-ramp": Kind(_route_ramp, paths=("ingress",)),
    "namespaces": Kind(_namespaces, paths=("ingress",), apart=_names_by_side),
}


def named(text: str) -> tuple[str, ...]:
    """The switches that a word such as ``selector,kustomize`` or ``all`` names, in its order, each once.

    Raises:
        ConfigurationError: with the nearest right one.

    """
    names = [name.strip() for name in text.split(",")]
    if names == [ALL]:
        return tuple(KNOWN)
    for name in names:
        if name not in KNOWN:
            near = difflib.get_close_matches(name, [*KNOWN, ALL], n=1, cutoff=0.0)
            raise ConfigurationError(f"there is no switch {name!r}", f"did you mean {near[0]}?")
    return tuple(dict.fromkeys(names))

"""Keeps an application to itself on a cluster that serves others too: no host, no folder of a node is shared."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from harness.config import Config
from harness.errors import ConfigurationError

Json = dict[str, Any]

ROUTES = (
    *("Gateway", "HTTPRoute", "GRPCRoute", "TLSRoute"),  # Gateway API; Istio has a Gateway too
    *("HTTPProxy", "IngressRoute", "IngressRouteTCP", "Route", "VirtualService"),  # Contour, Traefik, OpenShift, Istio
)
"""Kinds that lead hosts somewhere as an Ingress does, and that are given no host of their own."""


def isolate(config: Config, objects: Sequence[Json], prefix: str) -> list[Json]:
    """The prepared objects as they may run beside somebody else's; the given ones stay as they are.

    Each host of an Ingress gets a prefix of its own, so that no controller can lead the real host's users here; the
    manifests' TLS goes, since its certificate is the real host's. The folder of the arrival record becomes one that
    ends with its pod, so that nothing stays on a node.

    Args:
        config: the application.
        objects: as ``harness.release.manifests.prepare`` gives them.
        prefix: a DNS label.

    Raises:
        ConfigurationError: an Ingress would answer for every host, or an object of ``ROUTES`` for a real one.

    """
    changed = [copy.deepcopy(item) for item in objects]
    for item in changed:
        if item["kind"] in ROUTES:
            raise ConfigurationError(
                f"{config.app.manifests}: {item['kind']}/{item['metadata']['name']} could lead your users to the test",
                "leave it out of the manifests for the test: only an Ingress is given a host of its own",
            )
        if item["kind"] == "Ingress":
            _hosts(config, item, prefix)
        for volume in _volumes(item):
            if config.ledger is not None and _path(volume).rstrip("/") == config.ledger.host_path:
                del volume["hostPath"]
                volume["emptyDir"] = {}
    return changed


def private(config: Config, prefix: str) -> Config:
    """The configuration with the host that ``isolate`` gives the Ingress, and no certificate that isn't for it."""
    if config.ingress is None or not prefix:
        return config
    tls = config.ingress.tls
    if tls is not None and tls.certificate == "manifests":
        tls = None
    return replace(config, ingress=replace(config.ingress, host=f"{prefix}.{config.ingress.host}", tls=tls))


def _hosts(config: Config, item: Json, prefix: str) -> None:
    spec = item["spec"]
    if "defaultBackend" in spec or not all(rule.get("host") for rule in spec.get("rules") or [{}]):
        raise ConfigurationError(
            f"{config.app.manifests}: Ingress {item['metadata']['name']} answers for every host of its controller",
            "give each of its rules a host, and leave defaultBackend out",
        )
    for rule in spec["rules"]:
        rule["host"] = f"{prefix}.{rule['host'].removeprefix('*.')}"
    spec.pop("tls", None)


def _volumes(item: Json) -> Iterator[Json]:
    template = item.get("spec", {}).get("template", {}) if isinstance(item.get("spec"), dict) else {}
    yield from template.get("spec", {}).get("volumes") or []


def _path(volume: Json) -> str:
    return str((volume.get("hostPath") or {}).get("path", ""))

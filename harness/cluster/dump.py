"""Keeps what a namespace looked like when a scenario failed: objects (no Secrets), events, logs."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from harness.errors import ClusterError

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.cluster.kube import Kube

RESOURCES = (
    ("deployments", "apps/v1"),
    ("replicasets", "apps/v1"),
    ("pods", "v1"),
    ("services", "v1"),
    ("endpointslices", "discovery.k8s.io/v1"),
    ("ingresses", "networking.k8s.io/v1"),
    ("networkpolicies", "networking.k8s.io/v1"),
    ("poddisruptionbudgets", "policy/v1"),
    ("jobs", "batch/v1"),
    ("configmaps", "v1"),
)
LOG_LINES = 5000
"""At a line a request, enough for some minutes of one pod: a lost request must be found in its log."""


def dump(kube: Kube, namespace: str, folder: Path, selector: str = "") -> tuple[str, ...]:
    """Write a namespace's state below ``folder``.

    A part that can't be had is written as ``<part>.error`` with the reason, and the rest goes on: half the evidence
    is better than none when the API server is the one that fails.

    Args:
        kube: the cluster.
        namespace: what to write down.
        folder: made if absent; ``<resource>.yaml``, ``events.txt``, ``logs/<pod>.<container>.log``. What is there
            already and longer stays: a log that was followed to its end.
        selector: only objects with these labels, ``key=value``: what else is there is not ours to keep.

    Returns:
        The parts that could not be had.

    Raises:
        OSError: the disk refused.

    """
    folder.mkdir(parents=True, exist_ok=True)
    missing: list[str] = []

    def keep(name: str, get: Callable[[], str]) -> None:
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            text = get()
            if not (target.exists() and target.stat().st_size >= len(text.encode())):
                target.write_text(text, encoding="utf-8")
        except ClusterError as error:
            target.with_name(f"{target.name}.error").write_text(f"{error}\n", encoding="utf-8")
            missing.append(name)

    for resource, group in RESOURCES:
        keep(f"{resource}.yaml", partial(_objects, kube, namespace, resource, group, selector))
    keep("events.txt", lambda: "".join(f"{event}\n" for event in kube.events(namespace)))
    try:
        pods = kube.pods(namespace, dict([selector.split("=", 1)]) if selector else None)
    except ClusterError:  # told above: pods.yaml.error says why
        pods = ()
    for pod in pods:
        for container in pod.containers:
            log = partial(kube.log_tail, namespace, pod.name, container, LOG_LINES)
            keep(f"logs/{pod.name}.{container}.log", log)
            if pod.restarts:
                keep(f"logs/{pod.name}.{container}.previous.log", partial(log, previous=True))
    return tuple(missing)


def _objects(kube: Kube, namespace: str, resource: str, group: str, selector: str) -> str:
    objects = kube.objects(namespace, resource, group, selector)
    for item in objects:
        item["metadata"].pop("managedFields", None)
    return yaml.safe_dump_all(objects, sort_keys=False)

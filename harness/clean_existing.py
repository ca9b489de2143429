"""Put away what a run that crashed left on a cluster that somebody else owns: what has our label, and nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from harness.cluster.answers import Refused
from harness.cluster.existing import Options
from harness.cluster.kube_careful import MADE_NAME, SELECTOR, CarefulKube
from harness.cluster.kubeconfig import require_context
from harness.cluster.permissions import kinds
from harness.cluster.store import Say


def clean(options: Options, rendered: Iterable[Mapping[str, Any]], say: Say) -> None:
    """Remove our objects in the given namespace, and the namespaces that runs have made.

    Args:
        options: context and, perhaps, namespace.
        rendered: the application's manifests, for the kinds that were created in the given namespace.
        say: prints one line.

    Raises:
        ConfigurationError: no such context.
        ClusterError: the API server refuses or doesn't answer.
        WaitTimeout: something isn't gone in time.

    """
    require_context(options.kubeconfig, options.context)
    kube = CarefulKube(options.kubeconfig, options.context)
    try:
        if options.namespace:
            gone = kube.remove(options.namespace, kinds(rendered))
            for name in gone:
                say(f"{options.namespace}: {name} removed")
            if not gone:
                say(f"{options.namespace}: nothing of ours")
    finally:
        _made(kube, options, say)


def _made(kube: CarefulKube, options: Options, say: Say) -> None:
    """Remove the namespaces that runs have made."""
    try:
        made = [name for name in kube.namespaces(SELECTOR) if MADE_NAME.fullmatch(name)]
    except Refused as error:
        if error.status != 403 or not options.namespace:
            raise
        return  # who may not list namespaces may not make any either
    for name in made:
        kube.delete_namespace(name, wait=True)
        say(f"namespace {name}: removed")
    if not made:
        say("no namespace of ours")

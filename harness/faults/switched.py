"""The application's own switches, on its admin port, by the API server's proxy."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from harness.errors import ClusterError, ConfigurationError

if TYPE_CHECKING:
    from harness.cluster.kube import Kube
    from harness.config import Config


def post(kube: Kube, namespace: str, config: Config, pod: str, what: str) -> None:
    """Turn one of a pod's switches: ``ready?on=0``.

    Raises:
        ConfigurationError: the application has none.
        ClusterError: the pod said no, or didn't answer.

    """
    admin = config.admin
    if admin is None or admin.switches is None:
        raise ConfigurationError(f"{config.file} has no switches under [admin]", "this scenario needs them")
    data = kube.post_raw(namespace, pod, admin.port, f"{admin.switches.rstrip('/')}/{what}")
    try:
        json.loads(data)
    except ValueError as error:
        raise ClusterError(f"pod {pod}: no JSON from /{what}: {data[:200]!r}", "see [admin] switches") from error

"""The Role that an account needs for a run, and nothing beyond."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from harness.cluster.permissions import READS, Right, needed, role
from harness.config import Config
from harness.release.ingress_tls import own_secrets

NAME = "bluegreen"


def manifests(
    config: Config,
    rendered: Sequence[Mapping[str, Any]],
    namespace: str,
    moved_by: Sequence[str] = (),
    workers: int = 0,
) -> str:
    """YAML: the Role and, where no namespace is named, the ClusterRole for runs that make theirs.

    Args:
        config: the application.
        rendered: its manifests.
        namespace: the one that is given to the harness, or "".
        moved_by: names of the switches that move users.
        workers: how many pods send the load on the path clusterip.

    """
    admin = config.admin is not None
    applied = [*rendered, *own_secrets(config)]

    def rights(*, made: bool) -> list[Right]:
        return needed(
            applied,
            admin=admin,
            made=made,
            drain=config.drains,
            switches=config.switches is not None,
            moved_by=moved_by,
            workers=workers,
        )

    title = f"# For --namespace: all that a run of {config.app.name} does in the namespace it is given.\n"
    parts = [title + _dump(role("Role", NAME, namespace, rights(made=False)))]
    if not namespace:
        parts.append(
            "# Only for runs without --namespace: each scenario makes its own. Not needed beside the Role above.\n"
            "# nodes and ingressclasses are read for the record and by `bluegreen preflight`, and may be left out.\n"
            + _dump(role("ClusterRole", NAME, "", [*rights(made=True), *READS]))
        )
    return "---\n".join(parts)


def _dump(document: Mapping[str, Any]) -> str:
    return yaml.safe_dump(dict(document), sort_keys=False, default_flow_style=None, width=110)

"""Ways of ending a pod and its connections: the table [policies] of bluegreen.toml, and the words for them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from harness.config_key import Key

OWN_POLICY = "drain"
"""The way of ending a pod that the application's own manifests have."""
NAIVE = "naive"
"""A scenario's word for pods that end at once."""
SLEEP = "sleep"
"""A scenario's word for pods that wait, and then end at once."""
CLOSES_IDLE = "closes_idle"
"""A scenario's word for pods that close connections which were idle for `idle_gap_seconds`."""


@dataclass(frozen=True)
class Policies:
    """The application with other ways of ending a pod, or a connection: for the scenarios that tell what each costs.

    Those are skipped by name without it.
    """

    naive: Annotated[
        Path | None,
        Key("folder of manifests whose pods end at once", like="manifests/policies/naive", folder=True),
    ]
    sleep: Annotated[
        Path | None,
        Key("folder of manifests whose pods wait, and then end at once", like="manifests/policies/sleep", folder=True),
    ]
    closes_idle: Annotated[
        Path | None,
        Key(
            "folder of manifests whose pods close a connection that was idle for `[load] idle_gap_seconds`",
            like="manifests/policies/closes-idle",
            folder=True,
        ),
    ]

"""What the application offers the harness beside its users' port, and what is done about probes: [admin], [probes]."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from harness.config_key import Key
from harness.config_requests import PATH


@dataclass(frozen=True)
class Admin:
    """The application's port for the harness only."""

    port: Annotated[int, Key("the port", low=1, high=65535)]
    state: Annotated[str, Key("path of its state", default="/state", form=PATH, like="/state")]
    drain: Annotated[
        str | None,
        Key("path by which a POST makes a pod's users leave while it goes on", form=PATH, like="/drain"),
    ]
    switches: Annotated[
        str | None,
        Key("path of POST ready?on=, flap?seconds=, hang?on=, delay?ms= and drain?seconds=", form=PATH, like="/"),
    ]


@dataclass(frozen=True)
class Probes:
    """What is done about the sides' probes before users are sent to the new one."""

    gate: Annotated[
        str,
        Key(
            "`refuse` a side whose probes differ from the other's, or that asks for no readiness; or just `tell` it",
            default="refuse",
            form="refuse|tell",
            like="refuse",
        ),
    ]

"""What a configuration says of the way in from outside: one frozen dataclass a table."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from harness.config_key import SUBDOMAIN, Key
from harness.config_requests import PATH


@dataclass(frozen=True)
class Tls:
    """TLS at the Ingress; without it the classes tls, h2 and h2_slow don't run."""

    secret: Annotated[str, Key("the Secret that the Ingress names for the host", form=SUBDOMAIN, like="shop-tls")]
    certificate: Annotated[
        str,
        Key(
            "whose it is: `run` (made for each scenario, with Secret and the Ingress' `tls`) or `manifests`",
            default="run",
            form="run|manifests",
            like="run",
        ),
    ]
    ca: Annotated[
        Path | None,
        Key(
            "with `manifests`: PEM file, beside this one, of the authorities to trust; without it the system's",
            like="ca.pem",
        ),
    ]


@dataclass(frozen=True)
class Ingress:
    """The way in from outside the cluster; without it the ingress path is skipped by name."""

    name: Annotated[str, Key("the Ingress", form=SUBDOMAIN, like="api")]
    host: Annotated[str, Key("the host that it answers to", form=SUBDOMAIN, like="shop.example.org")]
    path: Annotated[str, Key("the path that it answers to", default="/", form=PATH, like="/")]
    gateway: Annotated[
        str,
        Key(
            "the Gateway that the switches `route-*` attach to, on a cluster that the harness didn't make",
            default="",
            form=f"({SUBDOMAIN}/{SUBDOMAIN})?",
            like="gateways/shop",
        ),
    ]
    tls: Annotated[Tls | None, Key("")]

"""The two sides of an application, and the Services that lead to them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

from harness.config_key import LABEL, SUBDOMAIN, Key


@dataclass(frozen=True)
class Sides:
    """The two Deployments, or the one that both are made of."""

    template: Annotated[
        str | None,
        Key(
            "name of the only Deployment that the manifests hold: both sides are made of it",
            form=SUBDOMAIN,
            like="shop",
        ),
    ]
    blue: Annotated[
        str,
        Key(
            "name of the one Deployment",
            default="",
            form=SUBDOMAIN,
            like="shop-blue",
            unless="template",
            otherwise="with `template`: `<template>-blue`",
        ),
    ]
    green: Annotated[
        str,
        Key(
            "name of the other Deployment",
            default="",
            form=SUBDOMAIN,
            like="shop-green",
            unless="template",
            otherwise="with `template`: `<template>-green`",
        ),
    ]

    @property
    def deployments(self) -> dict[str, str]:
        """Deployment name by side."""
        return {"blue": self.blue, "green": self.green}

    def named(self) -> Sides:
        """The sides with names after the template where none were given."""
        return replace(self, blue=self.blue or f"{self.template}-blue", green=self.green or f"{self.template}-green")


@dataclass(frozen=True)
class Service:
    """The Service that users enter by, and the sides' own ones."""

    name: Annotated[str, Key("the Service that users enter by", form=LABEL, like="api")]
    port: Annotated[int, Key("its port", low=1, high=65535)]
    selector_key: Annotated[
        str,
        Key(
            "the key of its selector that is the switch; the value is `blue` or `green`",
            form=rf"({SUBDOMAIN}/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?",
            like="color",
        ),
    ]
    internal: Annotated[
        str, Key("pattern of the sides' internal Services", form=r"[-a-z0-9]*\{side\}[-a-z0-9]*", like="shop-{side}")
    ]

    def internal_of(self, side: str) -> str:
        """The internal Service of one side."""
        return self.internal.replace("{side}", side)

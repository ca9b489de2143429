"""What a configuration holds: one frozen dataclass a table of bluegreen.toml, each key with its meaning and bounds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

from harness.config_admin import Admin, Probes
from harness.config_ingress import Ingress as Ingress
from harness.config_ingress import Tls as Tls
from harness.config_key import LABEL, Key
from harness.config_policies import OWN_POLICY, Policies
from harness.config_requests import PATH, MainRequest, Request, Weighted
from harness.config_sides import Service as Service
from harness.config_sides import Sides as Sides
from harness.errors import ConfigurationError

OLD = "{old}"
"""A scenario's word for the version that is live at first."""
NEW = "{new}"
"""A scenario's word for the version that is released."""
REFUSED_BY_SMOKE = "{refused_by_smoke}"
"""A scenario's word for a version that smoke must refuse."""
BREAKS_AFTER_CUTOVER = "{breaks_after_cutover}"
"""A scenario's word for a version that passes smoke and breaks under traffic."""

SCHEMA = 1
MAX_RATE = 1000.0
ANONYMOUS = "none"
ENVOY = "envoy"
CONNTRACK = "conntrack"
PATHS = {ENVOY: "ingress", CONNTRACK: "service"}
"""What tells who answered, where answers don't, and on which path."""
"""identity.revision of an application whose answers don't tell their version."""
NEEDS_REVISION = ("cutover_happened", "never_served", "no_flip_back", "only", "rolled_back_by_watch", "smoke")
"""What can't be proven, at least not wholly, of an application whose answers don't tell their version."""

_LABEL = LABEL
_TAG = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}"  # an image tag, OCI distribution specification
_HEADER_OR_JSON = r"header:[A-Za-z0-9!#$%&'*+.^_`|~-]+|json:[A-Za-z0-9_.-]+"


@dataclass(frozen=True)
class App:
    """What is released."""

    name: Annotated[str, Key("the application's name", form=_LABEL, like="shop")]
    manifests: Annotated[
        Path,
        Key("folder, beside the file, of a kustomization, a Helm chart or YAML files", like="manifests", folder=True),
    ]
    container: Annotated[str, Key("the container whose image a release changes", form=_LABEL, like="api")]
    image: Annotated[
        str,
        Key("image name with `{version}` in it", form=r"[!-~]*\{version\}[!-~]*", like="localhost/shop:{version}"),
    ]
    old: Annotated[str, Key("the version that is live at first", form=_TAG, like="v1")]
    new: Annotated[str, Key("the version that is released", form=_TAG, like="v2")]

    def image_of(self, version: str) -> str:
        """The image of one version."""
        return self.image.replace("{version}", version)


@dataclass(frozen=True)
class Helm:
    """How the chart in `app.manifests` is rendered."""

    values: Annotated[
        tuple[Path, ...], Key("files of values, beside the configuration", default=(), like="values/test.yaml")
    ]
    set: Annotated[
        Mapping[str, Any],
        Key('single values (strings, numbers, booleans) by dotted name, such as `{ "blue.replicas" = 4 }`'),
    ] = field(hash=False)


@dataclass(frozen=True)
class Identity:
    """How an answer tells who gave it: `header:NAME` or `json:PATH` (dotted)."""

    revision: Annotated[
        str,
        Key(
            "the version; `envoy` or `conntrack`: by the proxy's log on the ingress path, or by the nodes' tables of "
            "connections on the service path; `none` where nothing tells it",
            form=rf"{_HEADER_OR_JSON}|{'|'.join(PATHS)}|{ANONYMOUS}",
            like="header:X-Version",
        ),
    ]
    pod: Annotated[str | None, Key("the pod", form=_HEADER_OR_JSON, like="json:pod.name")]
    accept_unproven: Annotated[
        tuple[str, ...],
        Key(
            'with `revision = "none"`, `"envoy"` or `"conntrack"`: everything that stays unproven then, by name',
            default=(),
            form="|".join(NEEDS_REVISION),
            like=NEEDS_REVISION[0],
        ),
    ]

    @property
    def anonymous(self) -> bool:
        """Nothing tells the version of an answer."""
        return self.revision == ANONYMOUS

    @property
    def told_on(self) -> str:
        """The path on which not the answer tells which pod gave it, its image telling the version; else ""."""
        return PATHS.get(self.revision, "")

    @property
    def unproven(self) -> tuple[str, ...]:
        """What can't be proven, at least not wholly, by name."""
        return NEEDS_REVISION if self.anonymous else ("smoke",) if self.told_on else ()


@dataclass(frozen=True)
class Smoke:
    """What the check of the idle side asks for."""

    path: Annotated[
        str, Key("target, percent-encoded", default="", form=PATH, like="/", otherwise="the first request's")
    ]
    requests: Annotated[int, Key("how many requests", default=20, low=1, high=10_000)]


@dataclass(frozen=True)
class Ledger:
    """Where on the node the application records arrivals (docs/how-it-measures.md)."""

    host_path: Annotated[str, Key("folder on the nodes", form=r"/[!-~]*[!-.0-~]", like="/var/lib/bluegreen")]


@dataclass(frozen=True)
class Limits:
    """Bounds in seconds."""

    ready_seconds: Annotated[float, Key("a rollout", default=120.0, high=3600.0)]
    cutover_seconds: Annotated[float, Key("the flip on fresh connections", default=2.0, high=600.0)]
    warm_seconds: Annotated[float, Key("how long the old side stays warm", default=1800.0, high=7 * 86400.0)]
    smoke_seconds: Annotated[float, Key("the smoke check", default=60.0, high=3600.0)]


@dataclass(frozen=True)
class Bad:
    """Versions with a known defect, for the scenarios that need one; those are skipped by name without it."""

    refused_by_smoke: Annotated[str | None, Key("ready, and answers with errors", form=_TAG, like="v2-broken")]
    breaks_after_cutover: Annotated[str | None, Key("passes smoke, breaks under traffic", form=_TAG, like="v2-breaks")]


@dataclass(frozen=True)
class Load:
    """Requests a second of each connection class."""

    fresh: Annotated[float, Key("a new connection per request", default=200.0, high=MAX_RATE)]
    busy: Annotated[float, Key("kept connections in steady use", default=50.0, high=MAX_RATE)]
    idle: Annotated[float, Key("kept connections, long unused between two requests", default=2.0, high=MAX_RATE)]
    slow: Annotated[float, Key("of `[request.slow]`", default=4.0, high=MAX_RATE)]
    post: Annotated[float, Key("of `[request.post]`", default=10.0, high=MAX_RATE)]
    sockets: Annotated[int, Key("WebSockets of `[websocket]`, kept open", default=100, low=1, high=5000)]
    pong_seconds: Annotated[
        float,
        Key(
            "how long a WebSocket's ping waits for its pong before the client gives its peer up", default=5.0, high=60.0
        ),
    ]
    tls: Annotated[float, Key("a new TLS connection per request", default=10.0, high=MAX_RATE)]
    h2: Annotated[float, Key("streams on kept HTTP/2 connections", default=20.0, high=MAX_RATE)]
    h2_slow: Annotated[float, Key("of `[request.slow]`, as streams on these", default=2.0, high=MAX_RATE)]
    idle_gap_seconds: Annotated[
        float,
        Key("between two requests on one idle connection", default=5.0, high=3600.0),
    ]
    locustfile: Annotated[
        Path | None,
        Key("file, beside this one, with your own tasks on `harness.client.tasks`", like="loadtests/mine.py"),
    ]
    users: Annotated[int, Key("how many users run these tasks", default=10, low=1, high=500)]


@dataclass(frozen=True)
class WebSocket:
    """Where the application takes WebSockets (docs/how-it-measures.md); without it that class doesn't run."""

    path: Annotated[str, Key("target of the handshake, percent-encoded", form=PATH, like="/ws")]


@dataclass(frozen=True)
class Build:
    """How images are made that no registry has."""

    context: Annotated[
        Path, Key("folder, beside the file, with a Containerfile and perhaps a requirements.txt", folder=True)
    ]
    rootfs: Annotated[
        str,
        Key(
            "the root file system that BASE is where images are built offline",
            default="python",
            form="python|nginx",
            like="python",
        ),
    ]
    base: Annotated[
        str,
        Key(
            "the published image that BASE is where a registry answers",
            form=r"[!-~]+",
            like="docker.io/library/python:3.11-slim-bookworm",
        ),
    ]
    versions: Annotated[Mapping[str, Mapping[str, str]], Key("build arguments by version")] = field(hash=False)


@dataclass(frozen=True)
class Config:
    """The whole configuration; ``file`` is where it came from."""

    file: Path
    schema: Annotated[int, Key("version of this format", low=SCHEMA, high=SCHEMA)]
    app: Annotated[App, Key("")]
    helm: Annotated[Helm | None, Key("")]
    sides: Annotated[Sides, Key("")]
    service: Annotated[Service, Key("")]
    ingress: Annotated[Ingress | None, Key("")]
    request: Annotated[MainRequest, Key("")]
    requests: Annotated[tuple[Weighted, ...], Key("")]
    websocket: Annotated[WebSocket | None, Key("")]
    identity: Annotated[Identity, Key("")]
    smoke: Annotated[Smoke, Key("")]
    ledger: Annotated[Ledger | None, Key("")]
    admin: Annotated[Admin | None, Key("")]
    probes: Annotated[Probes, Key("")]
    limits: Annotated[Limits, Key("")]
    bad: Annotated[Bad, Key("")]
    policies: Annotated[Policies, Key("")]
    load: Annotated[Load, Key("")]
    build: Annotated[Build | None, Key("")]

    @property
    def drains(self) -> bool:
        """A pod can be asked to make its users leave."""
        return self.admin is not None and self.admin.drain is not None

    @property
    def switches(self) -> str | None:
        """Where the admin port's switches are; None where there are none."""
        return self.admin.switches if self.admin is not None else None

    @property
    def first(self) -> Request:
        """The first of the requests that take turns, or the only one."""
        return self.requests[0] if self.requests else self.request

    def under(self, policy: str) -> Config:
        """The application whose pods end by another policy: a key of [policies], or "drain", its own.

        Raises:
            ConfigurationError: the configuration has no manifests for it.

        """
        if policy == OWN_POLICY:
            return self
        folder = getattr(self.policies, policy, None)
        if folder is None:
            mend = f'add it under [policies]: {policy} = "a folder of manifests"'
            raise ConfigurationError(f"{self.file} has no manifests for the policy {policy}", mend)
        return replace(self, app=replace(self.app, manifests=folder))

    def version(self, word: str) -> str:
        """The version that a scenario's word stands for; what is no word is a version itself.

        Raises:
            ConfigurationError: the configuration names no such version.

        """
        words = {
            OLD: self.app.old,
            NEW: self.app.new,
            REFUSED_BY_SMOKE: self.bad.refused_by_smoke,
            BREAKS_AFTER_CUTOVER: self.bad.breaks_after_cutover,
        }
        found = words.get(word, word)
        if found is None:
            raise ConfigurationError(
                f"{self.file} names no version for {word}", f"add it under [bad]: {word[1:-1]} = ..."
            )
        return found

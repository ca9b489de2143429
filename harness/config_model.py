"""What a configuration holds: one frozen dataclass a table of bluegreen.toml."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from harness.errors import ConfigurationError

OLD = "{old}"
"""A scenario's word for the version that is live at first."""
NEW = "{new}"
"""A scenario's word for the version that is released."""
REFUSED_BY_SMOKE = "{refused_by_smoke}"
"""A scenario's word for a version that smoke must refuse."""
BREAKS_AFTER_CUTOVER = "{breaks_after_cutover}"
"""A scenario's word for a version that passes smoke and breaks under traffic."""


@dataclass(frozen=True)
class App:
    """What is released.

    Attributes:
        name: the application's name.
        manifests: folder of the Kustomize manifests, absolute.
        container: the container whose image a release changes.
        image: image name with ``{version}`` in it.
        old: the version that is live at first.
        new: the version that is released.

    """

    name: str
    manifests: Path
    container: str
    image: str
    old: str
    new: str

    def image_of(self, version: str) -> str:
        """The image of one version."""
        return self.image.replace("{version}", version)


@dataclass(frozen=True)
class Sides:
    """The two Deployments, by side."""

    blue: str
    green: str

    @property
    def deployments(self) -> dict[str, str]:
        """Deployment name by side."""
        return {"blue": self.blue, "green": self.green}


@dataclass(frozen=True)
class Service:
    """The Service that users enter by, and the pattern of the sides' internal Services."""

    name: str
    port: int
    selector_key: str
    internal: str

    def internal_of(self, side: str) -> str:
        """The internal Service of one side."""
        return self.internal.replace("{side}", side)


@dataclass(frozen=True)
class Ingress:
    """The way in from outside the cluster."""

    name: str
    host: str
    path: str


@dataclass(frozen=True)
class Request:
    """One request of the load, and the status that is right for it.

    Attributes:
        method: in capitals.
        path: target, percent-encoded.
        expect_status: the status that is right.
        headers: further headers; of ``slow`` and ``post`` instead of the others', where there is any.
        body: text; ``{id}`` becomes the request's id.
        timeout_seconds: bound of one attempt.
        slow: a request whose answer takes longer than a flip; None: that class doesn't run.
        post: a request that changes something; None: that class doesn't run.

    """

    method: str
    path: str
    expect_status: int
    headers: Mapping[str, str] = field(hash=False)  # a dict can't be hashed; a configuration must be
    body: str
    timeout_seconds: float
    slow: Request | None = None
    post: Request | None = None


@dataclass(frozen=True)
class Identity:
    """How an answer tells who gave it: ``header:NAME`` or ``json:PATH`` (dotted)."""

    revision: str
    pod: str | None


@dataclass(frozen=True)
class Smoke:
    """What the check of the idle side asks for."""

    path: str
    requests: int


@dataclass(frozen=True)
class Ledger:
    """Where on the node the application records arrivals."""

    host_path: str


@dataclass(frozen=True)
class Admin:
    """The application's port for the harness only, and the path of its state there."""

    port: int
    state: str


@dataclass(frozen=True)
class Limits:
    """Bounds in seconds: rollout, flip on fresh connections, warm time of the old side, the smoke check."""

    ready_seconds: float
    cutover_seconds: float
    warm_seconds: float
    smoke_seconds: float


@dataclass(frozen=True)
class Bad:
    """Versions with a known defect, for the scenarios that need one."""

    refused_by_smoke: str | None
    breaks_after_cutover: str | None


@dataclass(frozen=True)
class Load:
    """Requests per second of each connection class, and the seconds between two requests on an idle connection."""

    fresh: float
    busy: float
    idle: float
    slow: float
    post: float
    idle_gap_seconds: float


@dataclass(frozen=True)
class Build:
    """How images are made that no registry has.

    Attributes:
        context: folder with a Containerfile, and perhaps a hashed requirements.txt, absolute.
        rootfs: the root file system that BASE is where images are built offline.
        base: the published image that BASE is where a registry answers.
        versions: build arguments by version.

    """

    context: Path
    rootfs: str
    base: str
    versions: Mapping[str, Mapping[str, str]] = field(hash=False)


@dataclass(frozen=True)
class Config:
    """The whole configuration; ``file`` is where it came from."""

    file: Path
    schema: int
    app: App
    sides: Sides
    service: Service
    ingress: Ingress | None
    request: Request
    identity: Identity
    smoke: Smoke
    ledger: Ledger | None
    admin: Admin | None
    limits: Limits
    bad: Bad
    load: Load
    build: Build | None

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

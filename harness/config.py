"""The configuration: bluegreen.toml, or [tool.bluegreen] in pyproject.toml, found and checked."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

from harness.config_model import (
    Admin,
    App,
    Bad,
    Build,
    Config,
    Identity,
    Ingress,
    Ledger,
    Limits,
    Load,
    Request,
    Service,
    Sides,
    Smoke,
)
from harness.config_reader import Source, Table
from harness.errors import ConfigurationError

__all__ = [
    "Admin",
    "App",
    "Bad",
    "Build",
    "Config",
    "Identity",
    "Ingress",
    "Ledger",
    "Limits",
    "Load",
    "Request",
    "Service",
    "Sides",
    "Smoke",
    "find",
    "load",
]

FILE = "bluegreen.toml"
PYPROJECT = "pyproject.toml"
SCHEMA = 1
MAX_RATE = 1000.0
MAX_RATES = 2000.0
"""Of all classes together: what one generator keeps up with."""
MAX_TIMEOUT = 120.0

_LABEL = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"  # a DNS label, RFC 1123
_SUBDOMAIN = rf"{_LABEL}(\.{_LABEL})*"
_PATH = r"/[!-~]*"
_TAG = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}"  # an image tag, OCI distribution specification
_FORM = r"header:[A-Za-z0-9!#$%&'*+.^_`|~-]+|json:[A-Za-z0-9_.-]+"


def find(start: Path) -> Path:
    """The configuration file of ``start`` or the nearest folder above it.

    Raises:
        ConfigurationError: there is none, or a pyproject.toml on the way is not TOML.

    """
    first = start.resolve()
    for folder in (first, *first.parents):
        if (folder / FILE).is_file():
            return folder / FILE
        pyproject = folder / PYPROJECT
        if pyproject.is_file() and "bluegreen" in Source.read(pyproject).values.get("tool", {}):
            return pyproject
    raise ConfigurationError(
        f"no {FILE} and no [tool.bluegreen] in {PYPROJECT} from {first} upwards",
        f"write a {FILE} (README shows one) or name the file with --bg-config",
    )


def load(where: Path) -> Config:
    """Read the configuration.

    Args:
        where: the file itself, or a folder from which it is looked for, upwards.

    Raises:
        ConfigurationError: no file, or anything wrong in it, with file and line.

    """
    source = Source.read((find(where) if where.is_dir() else where).resolve())
    if source.file.name != PYPROJECT:
        return _config(Table(source, (), source.values, _keys(Config, without="file")))
    tool = source.values.get("tool", {})
    if "bluegreen" not in tool:
        source.refuse(("tool",), "has no table [tool.bluegreen]", f"add it, or name a {FILE}")
    return _config(Table(source, ("tool", "bluegreen"), tool["bluegreen"], _keys(Config, without="file")))


def _keys(kind: type, without: str = "") -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind) if field.name != without)


def _config(top: Table) -> Config:
    if top.integer("schema", low=0, high=2**31) != SCHEMA:
        top.refuse("schema", f"is {top.raw('schema')}", f"this version reads schema = {SCHEMA}")
    request = _requests(top.table("request", _keys(Request)))
    return Config(
        file=top.source.file,
        schema=SCHEMA,
        app=_app(top.table("app", _keys(App))),
        sides=_sides(top.table("sides", _keys(Sides))),
        service=_service(top.table("service", _keys(Service))),
        ingress=_ingress(top.table("ingress", _keys(Ingress))) if top.has("ingress") else None,
        request=request,
        identity=_identity(top.table("identity", _keys(Identity))),
        smoke=_smoke(top.table("smoke", _keys(Smoke)), request.path),
        ledger=_ledger(top.table("ledger", _keys(Ledger))) if top.has("ledger") else None,
        admin=_admin(top.table("admin", _keys(Admin))) if top.has("admin") else None,
        limits=_limits(top.table("limits", _keys(Limits))),
        bad=_bad(top.table("bad", _keys(Bad))),
        load=_load(top.table("load", _keys(Load)), request),
        build=_build(top.table("build", _keys(Build))) if top.has("build") else None,
    )


def _app(table: Table) -> App:
    image = table.text("image", form=r"[!-~]*\{version\}[!-~]*", like="localhost/shop:{version}")
    old = table.text("old", form=_TAG, like="v1")
    new = table.text("new", form=_TAG, like="v2")
    if old == new:
        table.refuse("new", f"is {new!r}, as app.old is", "a cutover between equal versions shows nothing: name two")
    manifests = (table.source.file.parent / table.text("manifests", like="manifests/base")).resolve()
    if not any((manifests / name).is_file() for name in ("kustomization.yaml", "kustomization.yml", "Kustomization")):
        table.refuse("manifests", f"names {manifests}, which has no kustomization.yaml", "name a Kustomize folder")
    return App(
        name=table.text("name", form=_LABEL, like="shop"),
        manifests=manifests,
        container=table.text("container", form=_LABEL, like="api"),
        image=image,
        old=old,
        new=new,
    )


def _sides(table: Table) -> Sides:
    blue = table.text("blue", form=_SUBDOMAIN, like="shop-blue")
    green = table.text("green", form=_SUBDOMAIN, like="shop-green")
    if blue == green:
        table.refuse("green", f"is {green!r}, as sides.blue is", "name two Deployments: one alone leaves no way back")
    return Sides(blue, green)


def _service(table: Table) -> Service:
    return Service(
        name=table.text("name", form=_LABEL, like="api"),
        port=table.integer("port", low=1, high=65535),
        selector_key=table.text(
            "selector_key", form=rf"({_SUBDOMAIN}/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?", like="color"
        ),
        internal=table.text("internal", form=r"[-a-z0-9]*\{side\}[-a-z0-9]*", like="shop-{side}"),
    )


def _ingress(table: Table) -> Ingress:
    return Ingress(
        name=table.text("name", form=_SUBDOMAIN, like="api"),
        host=table.text("host", form=_SUBDOMAIN, like="shop.example.org"),
        path=table.text("path", "/", form=_PATH, like="/"),
    )


def _requests(table: Table) -> Request:
    """[request], with [request.slow] and [request.post]: an application that has no such request has no such table."""
    keys = tuple(key for key in _keys(Request) if key not in ("slow", "post"))
    slow = post = None
    if table.has("slow"):
        slow = _request(table.table("slow", keys), timeout=10.0)
    if table.has("post"):
        post = _request(table.table("post", keys), method="POST", methods="POST|PUT|PATCH|DELETE")
    return replace(_request(table, path="/"), slow=slow, post=post)


def _request(
    table: Table,
    *,
    method: str = "GET",
    methods: str = "GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS",
    path: str | None = None,
    timeout: float = 5.0,
) -> Request:
    headers = table.texts("headers")
    if any("\n" in text or "\r" in text for pair in headers.items() for text in pair):
        table.refuse("headers", "hold a line end", "one header, one line")
    return Request(
        method=table.text("method", method, form=methods, like=method),
        path=table.text("path", path, form=_PATH, like="/"),
        expect_status=table.integer("expect_status", 200, low=200, high=599),
        headers=headers,
        body=table.text("body", ""),
        timeout_seconds=table.number("timeout_seconds", timeout, high=MAX_TIMEOUT),
    )


def _identity(table: Table) -> Identity:
    return Identity(
        revision=table.text("revision", form=_FORM, like="header:X-Version"),
        pod=table.maybe_text("pod", form=_FORM, like="json:pod.name"),
    )


def _smoke(table: Table, path: str) -> Smoke:
    return Smoke(
        path=table.text("path", path, form=_PATH, like="/"), requests=table.integer("requests", 20, low=1, high=10_000)
    )


def _ledger(table: Table) -> Ledger:
    return Ledger(table.text("host_path", form=r"/[!-~]*[!-.0-~]", like="/var/lib/bluegreen"))


def _admin(table: Table) -> Admin:
    return Admin(
        port=table.integer("port", low=1, high=65535), state=table.text("state", "/state", form=_PATH, like="/state")
    )


def _limits(table: Table) -> Limits:
    return Limits(
        ready_seconds=table.number("ready_seconds", 120.0, high=3600.0),
        cutover_seconds=table.number("cutover_seconds", 2.0, high=600.0),
        warm_seconds=table.number("warm_seconds", 1800.0, high=7 * 86400.0),
        smoke_seconds=table.number("smoke_seconds", 60.0, high=3600.0),
    )


def _bad(table: Table) -> Bad:
    return Bad(
        refused_by_smoke=table.maybe_text("refused_by_smoke", form=_TAG, like="v2-broken"),
        breaks_after_cutover=table.maybe_text("breaks_after_cutover", form=_TAG, like="v2-breaks"),
    )


def _load(table: Table, request: Request) -> Load:
    for name, there in (("slow", request.slow), ("post", request.post)):
        if there is None and table.has(name):
            table.refuse(name, f"is given, but nothing says what a {name} request is", f"add [request.{name}]")
    defaults = {"fresh": 200.0, "busy": 50.0, "idle": 2.0, "slow": 4.0, "post": 10.0}
    rates = {name: table.number(name, rate, high=MAX_RATE) for name, rate in defaults.items()}
    if sum(rates.values()) > MAX_RATES:
        table.refuse("fresh", f"and the others are {sum(rates.values()):g}/s in all", f"at most {MAX_RATES:g}/s")
    return Load(**rates, idle_gap_seconds=table.number("idle_gap_seconds", 5.0, high=3600.0))


def _build(table: Table) -> Build:
    context = (table.source.file.parent / table.text("context", like="images/app")).resolve()
    if not (context / "Containerfile").is_file():
        table.refuse("context", f"names {context}, which has no Containerfile", "name the folder of the image's recipe")
    versions = table.raw("versions")
    if not isinstance(versions, dict):
        table.refuse("versions", "must be a table", 'write [build.versions] and below it v1 = { REVISION = "v1" }')
    arguments = table.table("versions", tuple(versions))
    return Build(
        context=context,
        rootfs=table.text("rootfs", form="python|nginx", like="python"),
        base=table.text("base", like="docker.io/library/python:3.11-slim-bookworm"),
        versions={version: arguments.texts(version) for version in versions},
    )

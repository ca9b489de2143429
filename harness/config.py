"""The configuration: bluegreen.toml, or [tool.bluegreen] in pyproject.toml, found and checked."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from harness.client import headers, secrets
from harness.config_admin import Admin
from harness.config_key import described
from harness.config_model import (
    ANONYMOUS,
    ENVOY,
    App,
    Bad,
    Build,
    Config,
    Helm,
    Identity,
    Ingress,
    Ledger,
    Limits,
    Load,
    Service,
    Sides,
    Smoke,
    Tls,
)
from harness.config_reader import Source, Table
from harness.config_requests import Request, Weighted
from harness.errors import ConfigurationError
from harness.release.sources import CHART, form_of

__all__ = [
    "Admin",
    "App",
    "Bad",
    "Build",
    "Config",
    "Helm",
    "Identity",
    "Ingress",
    "Ledger",
    "Limits",
    "Load",
    "Request",
    "Service",
    "Sides",
    "Smoke",
    "Tls",
    "find",
    "load",
]

FILE = "bluegreen.toml"
PYPROJECT = "pyproject.toml"
MAX_RATES = 2000.0
"""Of all classes together: what one generator keeps up with."""


def find(start: Path, *others: Path) -> Path:
    """The configuration file of ``start`` or the nearest folder above it; where there is none, of the others.

    Raises:
        ConfigurationError: there is none, or a pyproject.toml on the way is not TOML.

    """
    first = start.resolve()
    for folder in (above for one in (first, *others) for above in (one.resolve(), *one.resolve().parents)):
        if (folder / FILE).is_file():
            return folder / FILE
        pyproject = folder / PYPROJECT
        if pyproject.is_file() and "bluegreen" in _tool(Source.read(pyproject)):
            return pyproject
    raise ConfigurationError(
        f"no {FILE} and no [tool.bluegreen] in {PYPROJECT} from {first} upwards",
        f"write a {FILE} (bluegreen init begins one) or name the file with --bg-config",
    )


def load(where: Path, environment: Mapping[str, str] | None = os.environ) -> Config:
    """Read the configuration.

    Args:
        where: the file itself, or a folder from which it is looked for, upwards.
        environment: has to have each ``${NAME}`` of it; None where nothing is going to be sent.

    Raises:
        ConfigurationError: no file, or anything wrong in it, with file and line; or a ``${NAME}`` in it that the
            environment doesn't have.

    """
    source = Source.read((find(where) if where.is_dir() else where).resolve())
    known = tuple(one.name for one in described(Config))
    if source.file.name != PYPROJECT:
        return _config(Table(source, (), source.values, known), environment)
    if "bluegreen" not in _tool(source):
        source.refuse(("tool",), "has no table [tool.bluegreen]", f"add it, or name a {FILE}")
    return _config(Table(source, ("tool", "bluegreen"), source.values["tool"]["bluegreen"], known), environment)


def _tool(source: Source) -> dict[str, object]:
    tool = source.values.get("tool")
    return tool if isinstance(tool, dict) else {}


def _config(top: Table, environment: Mapping[str, str] | None) -> Config:
    """Read every table, then check what one key says against another."""
    schema = next(one for one in described(Config) if one.name == "schema")
    top.value(schema)  # of another version nothing else can be judged
    config = Config(file=top.source.file, **{one.name: top.value(one) for one in described(Config)})
    config = replace(config, sides=config.sides.named())
    _check_app(top.table("app", App), config)
    if config.sides.blue == config.sides.green:
        mend = "name two Deployments: one alone leaves no way back"
        top.table("sides", Sides).refuse("green", f"is {config.sides.green!r}, as sides.blue is", mend)
    if config.helm is not None:
        _check_helm(top, config.helm, config.app.manifests)
    _check_requests(top, config, environment)
    _check_identity(top.table("identity", Identity), config)
    if config.ingress is not None and config.ingress.tls is not None:
        _check_tls(top.table("ingress", Ingress).table("tls", Tls), config.ingress.tls)
    _check_load(top.table("load", Load), config)
    if config.build is not None and not _is_file(config.build.context / "Containerfile"):
        what = f"names {config.build.context}, which has no Containerfile"
        top.table("build", Build).refuse("context", what, "name the folder of the image's recipe")
    return replace(config, smoke=replace(config.smoke, path=config.smoke.path or config.first.path))


def _check_app(table: Table, config: Config) -> None:
    app = config.app
    if app.old == app.new:
        mend = "a cutover between equal versions shows nothing: name two"
        table.refuse("new", f"is {app.new!r}, as app.old is", mend)
    if not form_of(app.manifests):
        what = f"names {app.manifests}, which has no kustomization.yaml, no {CHART} and no YAML file"
        table.refuse("manifests", what, "name the folder with the application's manifests")


def _check_helm(top: Table, helm: Helm, chart: Path) -> None:
    if form_of(chart) != CHART:
        top.refuse("helm", f"is given, but {chart} has no {CHART}", "name a chart, or leave it out")
    for file in helm.values:
        if not _is_file(file):
            top.table("helm", Helm).refuse("values", f"names {file}, which is no file", "name files of values")


def _check_requests(top: Table, config: Config, environment: Mapping[str, str] | None) -> None:
    request = top.table("request", type(config.request))
    if config.requests and (more := [key for key in request.keys if key not in ("slow", "post")]):
        request.refuse(more[0], "is given beside [[requests]]", "say it in each of [[requests]]")
    _check_request(request, config.request, environment)
    for name, special in (("slow", config.request.slow), ("post", config.request.post)):
        if special is not None:
            _check_request(request.table(name, type(special)), special, environment)
    for table, one in zip(top.tables("requests", Weighted), config.requests, strict=True):
        _check_request(table, one, environment)


def _check_request(table: Table, request: Request, environment: Mapping[str, str] | None) -> None:
    """Headers can be sent, and each secret is there; no message repeats a value of the environment."""
    for name, value in request.headers.items():
        if said := headers.fault(name, value):
            table.refuse("headers", f"can't be sent: {said}", "see RFC 9110 5.5")
    for key, text in (*(("headers", value) for value in request.headers.values()), ("body", request.body)):
        try:
            named = secrets.names(text)
            filled = "" if environment is None else secrets.fill(text, environment)
        except ConfigurationError as error:
            table.refuse(key, f"can't be filled in: {error.what}", error.mend)
        if key == "headers" and headers.fault("X-Any", filled):
            table.refuse(key, f"would hold a value that can't be sent: {text}", "mend it in the environment")
        if any(name.startswith("LOCUST_") for name in named):
            table.refuse(key, f"takes {text} from the environment", "LOCUST_ is Locust's: call it otherwise")


def _check_identity(table: Table, config: Config) -> None:
    identity, needed = config.identity, config.identity.unproven
    if identity.told_on == "ingress" and config.ingress is None:
        table.refuse("revision", f'is "{ENVOY}", but there is no way by it', "add [ingress], or let answers tell it")
    if missing := [name for name in needed if name not in identity.accept_unproven]:
        what = f'is "{identity.revision}", and so {", ".join(missing)} can\'t be proven'
        listed = ", ".join(f'"{name}"' for name in needed)
        table.refuse("revision", what, f"accept it by name: accept_unproven = [{listed}]")
    if more := [name for name in identity.accept_unproven if name not in needed]:
        what = "is given, but answers tell their version"
        what = f"holds {', '.join(more)}, which can be proven" if needed else what
        table.refuse("accept_unproven", what, f'leave it out: it belongs to revision = "{ANONYMOUS}"')


def _check_tls(table: Table, tls: Tls) -> None:
    if tls.ca is not None and tls.certificate == "run":
        table.refuse("ca", "is given, but the run makes its own authority", 'certificate = "manifests", or no ca')
    if tls.ca is not None and not _is_file(tls.ca):
        table.refuse("ca", f"names {tls.ca}, which is no file", "name a PEM file of certificates")


def _check_load(table: Table, config: Config) -> None:
    for name, there in (("slow", config.request.slow), ("post", config.request.post)):
        if there is None and table.has(name):
            table.refuse(name, f"is given, but nothing says what a {name} request is", f"add [request.{name}]")
    tls = config.ingress.tls if config.ingress is not None else None
    for name in ("tls", "h2", "h2_slow"):
        if table.has(name) and (tls is None or (name == "h2_slow" and config.request.slow is None)):
            missing = "[ingress.tls]" if tls is None else "[request.slow]"
            table.refuse(name, f"is given, but there is no {missing} that it needs", f"add {missing}")
    load = config.load
    if load.locustfile is not None and not _is_file(load.locustfile):
        table.refuse("locustfile", f"names {load.locustfile}, which is no file", "name a Python file with Locust users")
    if load.locustfile is None and table.has("users"):
        table.refuse("users", "is given, but no locustfile that they could run", "add locustfile, or leave it out")
    total = load.fresh + load.busy + load.idle + load.slow + load.post
    total += load.tls + load.h2 + load.h2_slow if tls is not None else 0.0
    if total > MAX_RATES:
        table.refuse("fresh", f"and the others are {total:g}/s in all", f"at most {MAX_RATES:g}/s")


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name too long to be one
        return False

"""What would keep a run from its verdict, found out within seconds and without changing anything."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from harness.cluster import existing
from harness.cluster.answers import Refused
from harness.cluster.existing import Options
from harness.cluster.kube_careful import CarefulKube
from harness.cluster.kubeconfig import connect, require_context
from harness.cluster.permissions import Right, kinds, needed
from harness.cluster.targets import PATHS, Target, entries
from harness.config import Config
from harness.dry_run import would_make
from harness.errors import EXIT_HARNESS, EXIT_PASS, ClusterError, ConfigurationError, HarnessError
from harness.exits import ORDER
from harness.release.ingress_tls import own_secrets
from harness.release.manifests import blaming_file
from harness.release.rendering import render
from harness.waiting import at_once

T = TypeVar("T")

SECONDS = 10.0
CALL_SECONDS = 3.0
TCP_SECONDS = 2.0
AT_ONCE = 8
MINIMUM = (1, 25)
"""Kubernetes' version: kinds and field validation as they are used here."""


@dataclass(frozen=True)
class Line:
    """One thing that was looked at; ``code`` is what a run would end with because of it."""

    what: str
    code: int = EXIT_PASS
    mend: str = ""

    def __str__(self) -> str:
        if self.code == EXIT_PASS:
            return f"ok    {self.what}"
        return f"fail  {self.what}\n      mend: {self.mend or 'see above'}"


def look(config: Config, options: Options | None, seconds: float = SECONDS) -> list[Line]:
    """Look at everything in turn, and give up after ``seconds``.

    Args:
        config: the application.
        options: the cluster that is there already; None looks at what needs no cluster.
        seconds: bound of the whole.

    """
    lines: list[Line] = []
    broken: list[Exception] = []

    def work() -> None:
        try:
            for line in _Look(config, options).lines():
                lines.append(line)
        except Exception as error:
            broken.append(error)

    # A daemon: a plugin that fetches credentials, or a server that stalls, can't hold the process up.
    thread = threading.Thread(target=work, daemon=True, name="preflight")
    thread.start()
    thread.join(seconds)
    if broken:
        raise broken[0]
    found = list(lines)
    if thread.is_alive():
        mend = "a server or a credential plugin hangs: try kubectl with this context"
        found.append(Line(f"the rest was not looked at within {seconds:g} s", EXIT_HARNESS, mend))
    return found


def exit_code(lines: list[Line]) -> int:
    """0 where all is well, else 4 or 11, as a run would end."""
    return min((line.code for line in lines), key=ORDER.index, default=EXIT_PASS)


class _Look:
    """One look; what a step has found the next ones go by."""

    def __init__(self, config: Config, options: Options | None) -> None:
        self._config = config
        self._options = options
        self._failed: Line | None = None

    def lines(self) -> Iterator[Line]:
        rendered = self._try("manifests render", self._render)
        yield self._line(f"{self._config.app.manifests}: renders, {len(rendered or ())} objects")
        if rendered is None:
            return
        options = self._options or Options(Path(), "")
        made = self._try("manifests", lambda: would_make(self._config, rendered, options))
        sides = " and ".join(self._config.sides.deployments.values())
        yield self._line(f"Service {self._config.service.name} with its selector, Deployments {sides}")
        if self._options is None:
            yield Line("no cluster was looked at: name yours with --bg-context; one of kind is made by the run")
            return
        yield from self._targets(options)
        kube = self._try("context", lambda: self._connect(options))
        yield self._line(f"context {options.context} of {options.kubeconfig}")
        if kube is None:
            return
        version = self._try("API server", lambda: _version(kube))
        yield self._line(f"the API server answers, {version}")
        if version is None:
            return
        yield from self._namespace(kube, options, kinds([*rendered, *own_secrets(self._config)]))
        rights = list(self._permissions(kube, options, rendered))
        yield from rights
        if made is not None:
            if any(line.code for line in rights):
                yield Line("dry run: left out, since a permission is missing")
            else:
                yield from self._dry_run(kube, options, made)
            yield from self._ingress_class(kube, made)
        yield self._images(kube, options)

    def _render(self) -> list[dict[str, Any]]:
        given = self._options.kubectl if self._options else None
        namespace = (self._options.namespace if self._options else "") or "default"
        return render(self._config, existing.find_kubectl(given), namespace)

    def _connect(self, options: Options) -> CarefulKube:
        require_context(options.kubeconfig, options.context)
        api = connect(options.kubeconfig, options.context, CALL_SECONDS)
        return CarefulKube(options.kubeconfig, options.context, api=api)

    def _targets(self, options: Options) -> Iterator[Line]:
        self._try("targets", lambda: existing.require_targets(options))
        if self._failed:
            yield self._line("")
        for path in PATHS:
            if path == "ingress" and self._config.ingress is None:
                continue
            for target, (host, port, _) in zip(
                [one for one in options.targets if one.serves(path)], entries(options.targets, path, 0), strict=True
            ):
                answers = self._try(f"target {host}", partial(_reach, host, port))
                yield self._line(_reached(target, path, port, answers=bool(answers)))

    def _namespace(self, kube: CarefulKube, options: Options, made: set[tuple[str, str]]) -> Iterator[Line]:
        if options.namespace:
            self._try("namespace", lambda: kube.require_usable(options.namespace, made))
            yield self._line(f"namespace {options.namespace} can be used")
        else:
            yield Line("a namespace is made for each scenario")

    def _permissions(self, kube: CarefulKube, options: Options, rendered: list[dict[str, Any]]) -> Iterator[Line]:
        rights = needed(
            [*rendered, *own_secrets(self._config)],
            admin=self._config.admin is not None,
            made=not options.namespace,
            drain=self._config.drains,
            switches=self._config.switches is not None,
            workers=options.workers,
        )
        asked = self._try("permissions", lambda: at_once(lambda one: kube.may(one, options.namespace), rights, AT_ONCE))
        if asked is None or all(asked):
            yield self._line(f"permissions: all {len(rights)} that a run needs")
            return
        space = f" --namespace {options.namespace}" if options.namespace else ""
        where = f"in {options.namespace}" if options.namespace else "in the cluster"
        mend = f"bind to this account the role that this prints: bluegreen rbac --config {self._config.file}{space}"
        missing: dict[tuple[str, str], list[Right]] = {}
        for right in (right for right, may in zip(rights, asked, strict=True) if not may):
            missing.setdefault((right.group, right.resource), []).append(right)
        for (group, resource), few in missing.items():
            name = f"{resource}.{group}" if group else resource
            verbs = ", ".join(right.verb for right in few)
            yield Line(f"may not {verbs} {name} {where}: {few[0].why}", EXIT_HARNESS, mend)

    def _dry_run(self, kube: CarefulKube, options: Options, made: list[dict[str, Any]]) -> Iterator[Line]:
        if not options.namespace:
            yield Line("dry run: left out, since the namespace isn't there yet; name one with --namespace for it")
            return
        refused = 0
        for item in made:
            self._try("dry run", partial(self._try_out, kube, item, options.namespace))
            if self._failed:
                refused += 1
                yield self._line("")
        if not refused:
            yield Line(f"dry run: the API server takes all {len(made)} objects")

    def _try_out(self, kube: CarefulKube, item: dict[str, Any], namespace: str) -> None:
        with blaming_file(self._config, item):
            kube.try_out(item, namespace)

    def _ingress_class(self, kube: CarefulKube, made: list[dict[str, Any]]) -> Iterator[Line]:
        wanted = [name for item in made if item["kind"] == "Ingress" if (name := item["spec"].get("ingressClassName"))]
        if self._config.ingress is None:
            return
        classes = self._try("Ingress class", lambda: _unless_forbidden(kube.ingress_classes))
        if self._failed:
            yield self._line("")
        elif classes is None:
            yield Line("Ingress class: not looked at, this account may not list them")
        elif unknown := [name for name in wanted if name not in classes]:
            known = f"the cluster has {', '.join(sorted(classes)) or 'none'}"
            yield Line(f"there is no Ingress class {unknown[0]}", ConfigurationError.exit_code, known)
        elif wanted or any(classes.values()):
            yield Line(f"Ingress class {', '.join(wanted) or 'by default'}")
        else:
            yield Line("Ingress class: none is named and none is the default, so the controller has to take such")

    def _images(self, kube: CarefulKube, options: Options) -> Line:
        app, bad = self._config.app, self._config.bad
        versions = (app.old, app.new, bad.refused_by_smoke, bad.breaks_after_cutover)
        names = [*(app.image_of(version) for version in versions if version), options.smoke_image]
        names += [options.load_image] if options.workers else []
        there = self._try("images", lambda: _unless_forbidden(kube.images_on_nodes))
        if self._failed:
            return self._line("")
        # No registry is called localhost from a node: such an image is on the nodes, or nowhere.
        absent = [name for name in names if name.startswith("localhost/") and there is not None and name not in there]
        if absent:
            mend = "push it to a registry that the nodes pull from, and name it so (app.image, --bg-smoke-image)"
            return Line(f"image {absent[0]} is on no node", ConfigurationError.exit_code, mend)
        return Line(f"images, to be on the nodes or pulled by them: {', '.join(names)}")

    def _try(self, what: str, step: Callable[[], T]) -> T | None:
        """What a step gives; where it fails, None, and the next line tells."""
        self._failed = None
        try:
            return step()
        except HarnessError as error:
            first, *_ = error.what.splitlines()
            self._failed = Line(
                f"{what}: {error.what if len(error.what) < 1000 else first}", error.exit_code, error.mend
            )
        except OSError as error:
            self._failed = Line(f"{what}: {error}", EXIT_HARNESS, "is it up, and may this machine reach it?")
        return None

    def _line(self, what: str) -> Line:
        return self._failed or Line(what)


def _version(kube: CarefulKube) -> str:
    version = kube.version()
    try:
        numbers = tuple(int(part) for part in version.removeprefix("v").split(".")[:2])
    except ValueError:
        return version
    if numbers < MINIMUM:
        raise ClusterError(f"it is Kubernetes {version}", f"{'.'.join(map(str, MINIMUM))} or newer is needed")
    return version


def _reach(host: str, port: int) -> bool:
    """Whether somebody listens; without a port yet, whether the host has an address.

    A refusal is an answer: the Service behind a NodePort comes with the run, and a proxy may listen only once it has an
    Ingress to serve.
    """
    if not port:
        return bool(socket.getaddrinfo(host, None))
    try:
        socket.create_connection((host, port), TCP_SECONDS).close()
    except ConnectionRefusedError:
        return False
    return True


def _reached(target: Target, path: str, port: int, *, answers: bool) -> str:
    if not port:
        return f"target {target.host} has an address, for the {path} path; its NodePort comes with the Service"
    state = "answers TCP" if answers else "is reached, nobody listens there yet"
    return f"target {target.host}:{port} {state}, for the {path} path"


def _unless_forbidden(ask: Callable[[], T]) -> T | None:
    try:
        return ask()
    except Refused as error:
        if error.status != 403:
            raise
        return None

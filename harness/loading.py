"""From a configuration to the load of a scenario, one measured window at a time on this machine."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import httpx

from harness.client import secrets
from harness.client.identity import Identity
from harness.client.plan import ClassPlan, Entry, LoadPlan, Turn
from harness.client.plan_check import SECURE
from harness.client.socket_plan import SocketPlan
from harness.client.tls import HTTP1, context_of
from harness.config import Config, Request
from harness.config_model import ANONYMOUS, PATHS
from harness.errors import ConfigurationError
from harness.evidence.sockets import CLASS as SOCKETS
from harness.load import Load, steady
from harness.release.ingress_tls import authorities
from harness.waiting import until

if TYPE_CHECKING:
    from harness.cluster.running import Cluster
    from harness.scenario import Scenario

REQUEST_TIMEOUT_S = 5.0
REACH_S = 30.0
STEADY_ANSWERS = 3
WINDOW_S = 3600.0
"""A load that nobody stopped ends by itself after this time."""


@contextlib.contextmanager
def measured(
    config: Config,
    entries: Sequence[tuple[str, int, str]],
    path: str,
    scenario: Scenario,
    cluster: Cluster,
    sockets: int | None = None,
) -> Iterator[Load]:
    """Steady load as long as the block runs; a second measured window on this machine waits for the first.

    Args:
        config: requests, identity, rates.
        entries: (host, port, node name), one per node.
        path: "service" or "ingress".
        scenario: its folder gets the samples, its journal the events.
        cluster: for the machine-wide lock.
        sockets: how many WebSockets, instead of the configuration's.

    """
    plan = plan_of(config, entries, path, scenario, cluster.tls_ports() if path == "ingress" else ())
    plan = replace(plan, sockets=sockets_of(config, sockets, secure=plan.secure))
    reach(plan, config)
    for name, reason in left_out(config, path, sockets).items():
        scenario.journal.event("class.skipped", cls=name, reason=reason)
    with cluster.store.lock("measured-window"), steady(plan, scenario.journal) as load:
        yield load


def reach(plan: LoadPlan, config: Config) -> None:
    """Wait until the live version answers through every entry: nodes and proxies learn of it one by one.

    What isn't there yet is set-up, not an outage; nothing is counted before.

    Raises:
        WaitTimeout: an entry doesn't answer in time, with its last answer.

    """
    last: dict[str, str] = {}
    # over TLS the name in the certificate is the Ingress' host, whatever the address that leads there
    asks = {"sni_hostname": plan.host_header}
    headers = [(b"Host", plan.host_header.encode())]
    headers += [
        (name.encode(), secrets.fill(value, os.environ).encode("latin-1")) for name, value in plan.headers.items()
    ]
    body = secrets.fill(plan.body, os.environ).replace("{id}", "reach").encode()

    def answers(url: str) -> bool:
        try:
            answer = client.request(plan.method, url, headers=headers, content=body or None, extensions=asks)
        except httpx.LocalProtocolError as error:
            raise ConfigurationError("the request can't be sent", "see [request] headers and body") from error
        except httpx.HTTPError as error:
            last["was"] = f"{type(error).__name__}: {error}"
            return False
        last["was"] = f"status {answer.status_code}"
        return answer.status_code in plan.expected_status

    trust = context_of(plan.ca, HTTP1) if plan.secure else False
    with httpx.Client(
        timeout=REQUEST_TIMEOUT_S, trust_env=False, headers={"Connection": "close"}, verify=trust
    ) as client:
        for entry in plan.entries:
            urls = [f"http://{entry.host}:{entry.port}{plan.path}"]
            urls += [f"https://{entry.host}:{entry.tls_port}{plan.path}"] if plan.secure else []
            for url in [one for one in urls for _ in range(STEADY_ANSWERS)]:
                until(
                    partial(answers, url),
                    f"{config.app.name} to answer through {entry.node} ({url})",
                    timeout=REACH_S,
                    every=0.1,
                    status=lambda: f"its last answer: {last['was']}",
                )


def plan_of(
    config: Config,
    entries: Sequence[tuple[str, int, str]],
    path: str,
    scenario: Scenario,
    tls_ports: Sequence[int] = (),
) -> LoadPlan:
    """The load child's plan; ``tls_ports`` are the entries' for TLS, or none.

    Raises:
        ConfigurationError: the ingress path without an [ingress] table.

    """
    if path == "ingress":
        if config.ingress is None:
            raise ConfigurationError(f"{config.file} has no [ingress]", "add it, or run the service path only")
        host = config.ingress.host
    else:
        host = config.service.name
    request = config.first
    secure = bool(tls_ports) and tls_of(config, path)
    ports = tls_ports if secure else [0] * len(entries)
    classes = classes_of(config, secure=secure)
    return LoadPlan(
        entries=tuple(Entry(*entry, port) for entry, port in zip(entries, ports, strict=True)),
        ca=authorities(config, scenario.folder) if secure else "",
        hosts=tuple(sorted({entry[0] for entry in entries})),
        host_header=host,
        classes=classes,
        run_tag=scenario.run_tag,
        folder=str(scenario.folder),
        path=request.path,
        method=request.method,
        headers=dict(request.headers),
        body=request.body,
        expected_status=(request.expect_status,),
        identity=identity_of(config),
        timeout_s=request.timeout_seconds,
        max_seconds=WINDOW_S,
        max_rate=float(math.ceil(sum(spec.rate for spec in classes.values()))),
        locustfile=str(config.load.locustfile or ""),
        users=config.load.users if config.load.locustfile else 0,
        turns=tuple(
            Turn(
                path=one.path,
                method=one.method,
                headers=dict(one.headers),
                body=one.body,
                expected_status=(one.expect_status,),
                timeout_s=one.timeout_seconds,
                weight=one.weight,
            )
            for one in config.requests
        ),
    )


def tls_of(config: Config, path: str) -> bool:
    """Whether users enter by TLS too."""
    return path == "ingress" and config.ingress is not None and config.ingress.tls is not None


def classes_of(config: Config, *, secure: bool = False) -> Mapping[str, ClassPlan]:
    """The connection classes that the application can serve, by name, each at its rate; with TLS where ``secure``."""
    load, request = config.load, config.request
    classes = {
        "fresh": ClassPlan(load.fresh),
        "busy": ClassPlan(load.busy),
        "idle": ClassPlan(load.idle, gap_s=load.idle_gap_seconds),
    }
    if request.slow is not None:
        classes["slow"] = _special(load.slow, request.slow)
    if request.post is not None:
        classes["post"] = _special(load.post, request.post)
    if secure:
        classes["tls"], classes["h2"] = ClassPlan(load.tls), ClassPlan(load.h2)
        if request.slow is not None:
            classes["h2_slow"] = _special(load.h2_slow, request.slow)
    return classes


def at_rate(config: Config, factor: float) -> Config:
    """The configuration with all requests a second times ``factor``; connections that are kept stay as many."""
    rates = ("fresh", "busy", "idle", "slow", "post", "tls", "h2", "h2_slow")
    return replace(config, load=replace(config.load, **{name: factor * getattr(config.load, name) for name in rates}))


def sockets_of(config: Config, wanted: int | None = None, *, secure: bool = False) -> SocketPlan | None:
    """The WebSockets, where the application takes any: as many as wanted, or as the configuration says; wss or ws."""
    count = config.load.sockets if wanted is None else wanted
    if config.websocket is None or not count:
        return None
    return SocketPlan(config.websocket.path, count, pong_s=config.load.pong_seconds, secure=secure)


def left_out(config: Config, path: str, sockets: int | None = None) -> Mapping[str, str]:
    """The classes that don't run on a path, by name, and why: a verdict names them."""
    special = {"slow": config.request.slow, "post": config.request.post}
    found = {name: f"no [request.{name}] in {config.file.name}" for name, spec in special.items() if spec is None}
    if config.websocket is None:
        found[SOCKETS] = f"no [websocket] in {config.file.name}"
    elif sockets == 0:
        found[SOCKETS] = "--bg-sockets 0"
    if path != "ingress":
        return found | dict.fromkeys(SECURE, "TLS begins at the Ingress")
    if not tls_of(config, path):
        host = config.ingress.host if config.ingress is not None else "it"
        return found | dict.fromkeys(SECURE, f"no [ingress.tls] in {config.file.name} that holds for {host}")
    return found | ({"h2_slow": found["slow"]} if "slow" in found else {})


def _special(rate: float, request: Request) -> ClassPlan:
    return ClassPlan(
        rate,
        path=request.path,
        method=request.method,
        body=request.body,
        headers=dict(request.headers),
        expected_status=(request.expect_status,),
        timeout_s=request.timeout_seconds,
    )


def identity_of(config: Config) -> Identity:
    """Where an answer tells its revision and pod."""
    fields: dict[str, str] = {}
    for what, spec in (("revision", config.identity.revision), ("pod", config.identity.pod)):
        if spec and spec != ANONYMOUS and spec not in PATHS:
            kind, _, value = spec.partition(":")
            fields[f"{what}_{kind}"] = value
    return Identity(**fields)

"""GOAWAY by a real Envoy, without a cluster: one that leaves as Contour's does, and one that is killed.

Beside ``make check``, since it needs Envoy's binary, which a run that builds its images leaves in the cache.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import certificates
from harness.checks.promises import goaway_first, nothing_lost
from harness.checks.registry import judge
from harness.client.identity import Identity
from harness.client.plan import ClassPlan, Entry, LoadPlan
from harness.cluster.ports import choose
from harness.cluster.store import cache_root
from harness.evidence.store import read
from harness.journal import Journal
from harness.load import Load, steady
from harness.waiting import until
from platforms.conftest import ROOT

HOST = "api.example.com"
LEAVES_S = 8.0
"""Longer than Envoy's drain_timeout of 5 s, between its two GOAWAYs, and a slow answer of 3 s."""
TYPE = "type.googleapis.com/envoy.extensions"


def binary() -> Path:
    found = sorted((cache_root() / "store" / "envoy").glob("*/envoy"))
    if not found:
        pytest.skip("no Envoy in the cache: it is there after a run with --bg-images=build")
    return found[-1]


class Envoy:
    """One proxy with TLS before one application."""

    def __init__(self, folder: Path, port: int, admin: int, upstream: int) -> None:
        self.port, self.admin = port, admin
        self._command = [str(binary()), "--base-id", str(port), "--concurrency", "1", "-l", "error"]
        self._command += ["-c", str(folder / f"envoy-{port}.json")]
        Path(self._command[-1]).write_text(json.dumps(self._config(folder, upstream)))
        self._log = (folder / f"envoy-{port}.log").open("wb")
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(self._command, stdout=self._log, stderr=self._log)
        until(lambda: listens(self.port), "Envoy to listen", timeout=20, every=0.1)

    def leave(self) -> None:
        """What Contour's preStop hook does."""
        url = f"http://127.0.0.1:{self.admin}/healthcheck/fail"
        urllib.request.urlopen(urllib.request.Request(url, method="POST"), timeout=5).close()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def close(self) -> None:
        self.kill()
        self._log.close()

    def _config(self, folder: Path, upstream: int) -> dict[str, object]:
        def address(port: int) -> dict[str, object]:
            return {"socket_address": {"address": "127.0.0.1", "port_value": port}}

        certificate = {
            "certificate_chain": {"filename": str(folder / "crt.pem")},
            "private_key": {"filename": str(folder / "key.pem")},
        }
        common = {"alpn_protocols": ["h2", "http/1.1"], "tls_certificates": [certificate]}
        tls = {"@type": f"{TYPE}.transport_sockets.tls.v3.DownstreamTlsContext", "common_tls_context": common}
        route = {"match": {"prefix": "/"}, "route": {"cluster": "app", "timeout": "60s"}}
        manager = {
            "@type": f"{TYPE}.filters.network.http_connection_manager.v3.HttpConnectionManager",
            "stat_prefix": "in",
            "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
            "http_filters": [{"name": "router", "typed_config": {"@type": f"{TYPE}.filters.http.router.v3.Router"}}],
        }
        chain = {
            "transport_socket": {"name": "tls", "typed_config": tls},
            "filters": [{"name": "hcm", "typed_config": manager}],
        }
        endpoints = [{"lb_endpoints": [{"endpoint": {"address": address(upstream)}}]}]
        cluster = {"name": "app", "type": "STATIC", "load_assignment": {"cluster_name": "app", "endpoints": endpoints}}
        listener = {"name": "in", "address": address(self.port), "filter_chains": [chain]}
        return {
            "admin": {"address": address(self.admin)},
            "static_resources": {"listeners": [listener], "clusters": [cluster]},
        }


def listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


@pytest.fixture
def envoys(tmp_path: Path) -> Iterator[list[Envoy]]:
    made = certificates.make(HOST)
    for name, text in (("ca", made.ca), ("crt", made.certificate), ("key", made.key)):
        (tmp_path / f"{name}.pem").touch(0o600)
        (tmp_path / f"{name}.pem").write_text(text)
    binary()
    app, admin, *ports = choose(6, str(tmp_path))
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "images" / "app"), "HOST": "127.0.0.1", "REVISION": "v1"}
    environment |= {"PORT": str(app), "ADMIN_PORT": str(admin)}
    started: list[Envoy] = []
    with (tmp_path / "app.log").open("wb") as log:
        process = subprocess.Popen([sys.executable, "-m", "bluegreen_app"], env=environment, stdout=log, stderr=log)
        try:
            until(lambda: listens(app), "the application to listen", timeout=20, every=0.1)
            started += [Envoy(tmp_path, ports[at], ports[at + 1], app) for at in (0, 2)]
            yield started
        finally:
            for envoy in started:
                envoy.close()
            process.kill()
            process.wait()


@pytest.mark.parametrize(("polite", "verdicts"), [(True, ["pass", "pass"]), (False, ["fail", "fail"])])
def test_a_proxy_that_leaves_says_so_and_one_that_is_killed_does_not(
    envoys: list[Envoy], tmp_path: Path, polite: bool, verdicts: list[str]
) -> None:
    folder = tmp_path / "record"
    plan = LoadPlan(
        entries=tuple(Entry("127.0.0.1", 1, f"n{at}", one.port) for at, one in enumerate(envoys)),
        hosts=("127.0.0.1",),
        host_header=HOST,
        classes={"h2": ClassPlan(20), "h2_slow": ClassPlan(2, path="/slow?ms=3000", timeout_s=10)},
        run_tag="envoy",
        folder=str(folder),
        identity=Identity(revision_header="X-Revision", pod_header="X-Pod"),
        ca=str(tmp_path / "ca.pem"),
    )
    with Journal(folder) as journal:
        journal.event("run.started", level="strict", path="ingress", nodes=["n0", "n1"])
        with steady(plan, journal) as load:
            watch(load, 4.0)
            if polite:
                envoys[0].leave()
            else:
                envoys[0].kill()
                envoys[0].start()
            watch(load, LEAVES_S)
    timeline = read(folder)
    told = judge(timeline, [goaway_first(), nothing_lost(["h2", "h2_slow"])])
    assert [one.verdict for one in told[:2]] == verdicts, "\n".join(one.detail for one in told)
    assert all(len(timeline.of_class(name)) > 15 for name in ("h2", "h2_slow"))


def watch(load: Load, seconds: float) -> None:
    """Let the load go on for a while."""
    end = time.monotonic() + seconds

    def over() -> bool:
        load.check()
        return time.monotonic() >= end

    until(over, "the time to pass", timeout=seconds + 5, every=0.1)

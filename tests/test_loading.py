"""From a configuration to a load: which classes run, with which requests, and what is said of those that don't."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.client.plan import LoadPlan
from harness.client.plan_check import SECURE
from harness.client.socket_plan import SocketPlan
from harness.config import load
from harness.errors import ConfigurationError
from harness.loading import classes_of, left_out, plan_of, sockets_of
from harness.release.isolate import private
from tests.fake_kube import config_in

ROOT = Path(__file__).resolve().parents[1]
ENTRIES = [("127.0.0.1", 30000 + number, f"node{number}") for number in range(3)]


def planned(file: Path, folder: Path, path: str = "service") -> Any:
    scenario: Any = SimpleNamespace(run_tag="tag", folder=folder)
    ports = [31000 + number for number in range(3)] if path == "ingress" else []
    return plan_of(load(file), ENTRIES, path, scenario, ports)


def test_the_demo_runs_every_class_with_its_own_request(tmp_path: Path) -> None:
    plan = planned(ROOT / "bluegreen.toml", tmp_path)
    rates = {name: spec.rate for name, spec in plan.classes.items()}
    assert rates == {"fresh": 200, "busy": 50, "idle": 2, "slow": 4, "post": 10}
    assert left_out(load(ROOT / "bluegreen.toml"), "service") == dict.fromkeys(SECURE, "TLS begins at the Ingress")
    slow, post = plan.request("slow"), plan.request("post")
    # Long enough for 5 under way near a flip at 4/s, and answered well within its time.
    assert slow.path.endswith("ms=3000") and slow.timeout_s >= 2 * 3
    assert (post.method, post.path, post.expected) == ("POST", "/orders", frozenset({201}))
    assert post.encode("r-post-7").endswith(b'{"id": "r-post-7"}')
    assert plan.request("fresh").expected == frozenset({200})
    assert plan.connections_of("idle") == 10  # 2/s, and 5 s between two requests on one of them
    assert plan.connections_of("busy") == 3
    assert sum(rates.values()) <= plan.max_rate


def test_what_an_application_can_not_serve_is_left_out_by_name(tmp_path: Path) -> None:
    file = ROOT / "manifests" / "nginx" / "bluegreen.toml"
    assert list(planned(file, tmp_path, "ingress").classes) == ["fresh", "busy", "idle"]
    names = {"slow": "[request.slow]", "post": "[request.post]", "websocket": "[websocket]"}
    missing = {name: f"no {table} in {file.name}" for name, table in names.items()}
    no_tls = f"no [ingress.tls] in {file.name} that holds for web.example.com"
    assert left_out(load(file), "ingress") == missing | dict.fromkeys(SECURE, no_tls)


def test_sockets_are_as_many_as_wanted_or_configured(tmp_path: Path) -> None:
    config_in(tmp_path)
    text = (tmp_path / "bluegreen.toml").read_text() + '[websocket]\npath = "/ws"\n[load]\nsockets = 7\n'
    (tmp_path / "bluegreen.toml").write_text(text)
    config = load(tmp_path)
    assert sockets_of(config) == SocketPlan("/ws", 7)
    assert sockets_of(config, 20) == SocketPlan("/ws", 20)
    assert sockets_of(config, 0) is None
    assert sockets_of(config, 3, secure=True) == SocketPlan("/ws", 3, secure=True)
    assert left_out(config, "service", 0)["websocket"] == "--bg-sockets 0"
    assert "websocket" not in left_out(config, "service")


def test_on_the_ingress_path_the_demo_is_entered_by_tls_and_http2_too(tmp_path: Path) -> None:
    plan = planned(ROOT / "manifests" / "tls" / "bluegreen.toml", tmp_path, "ingress")
    rates = {name: spec.rate for name, spec in plan.classes.items()}
    assert {name: rates[name] for name in SECURE} == {"tls": 10, "h2": 20, "h2_slow": 2}
    assert plan.request("h2_slow").path == plan.request("slow").path
    assert plan.timeout_of("h2_slow") == plan.timeout_of("slow")
    assert [entry.tls_port for entry in plan.entries] == [31000, 31001, 31002]
    assert plan.ca == str(tmp_path / "ca.pem")
    assert left_out(load(ROOT / "manifests" / "tls" / "bluegreen.toml"), "ingress") == {}
    assert LoadPlan.from_json(plan.to_json()) == plan


def test_authorities_of_the_users_own_certificate_are_the_users(tmp_path: Path) -> None:
    config_in(tmp_path)
    text = (tmp_path / "bluegreen.toml").read_text()
    (tmp_path / "corp.pem").write_text("")
    tls = '[ingress.tls]\nsecret = "shop-tls"\ncertificate = "manifests"\n'
    assert planned(config_in(tmp_path, text + tls).file, tmp_path, "ingress").ca == ""
    config = config_in(tmp_path, text + tls + 'ca = "corp.pem"\n')
    assert planned(config.file, tmp_path, "ingress").ca == str(tmp_path / "corp.pem")
    assert "h2_slow" not in planned(config.file, tmp_path, "ingress").classes
    assert left_out(config, "ingress")["h2_slow"] == f"no [request.slow] in {config.file.name}"
    # under another host that certificate holds for nothing
    assert set(SECURE) <= set(left_out(private(config, "bg-x"), "ingress"))


def test_rates_gap_and_time_outs_are_the_configurations(tmp_path: Path) -> None:
    config_in(tmp_path)
    text = (tmp_path / "bluegreen.toml").read_text()
    text += '[request]\ntimeout_seconds = 3\n[request.slow]\npath = "/s"\ntimeout_seconds = 20\n'
    text += "[load]\nslow = 1\nidle = 1\nidle_gap_seconds = 65\n"
    plan = planned(config_in(tmp_path, text).file, tmp_path)
    assert (plan.timeout_of("fresh"), plan.timeout_of("slow")) == (3, 20)
    assert plan.connections_of("idle") == 65
    assert classes_of(load(tmp_path))["slow"].rate == 1


def test_the_ingress_path_needs_its_table(tmp_path: Path) -> None:
    config_in(tmp_path)
    text = (
        (tmp_path / "bluegreen.toml").read_text().replace('[ingress]\nname = "shop"\nhost = "shop.example.com"\n', "")
    )
    with pytest.raises(ConfigurationError, match=r"no \[ingress\]"):
        planned(config_in(tmp_path, text).file, tmp_path, "ingress")

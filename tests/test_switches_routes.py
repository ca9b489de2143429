"""The switches that move an HTTPRoute's weights: what stands in the Ingress' place, and what each move sends."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.cluster.existing import Options
from harness.cluster.permissions import Right, needed
from harness.cluster.targets import parse
from harness.config import Config
from harness.dry_run import lines
from harness.errors import ConfigurationError
from harness.release.switches import Written
from harness.release.switches.route import SHARES, TIMEOUT, RouteRampSwitch, RouteWeightSwitch, own_routes
from harness.release.switches.selector import MANAGER
from tests.fake_kube import CONFIG, FakeKube, config_in
from tests.test_existing import rendered
from tests.test_switches import objects

__all__ = ["rendered"]

Json = dict[str, Any]
GATEWAY = CONFIG.replace('host = "shop.example.com"\n', 'host = "shop.example.com"\ngateway = "gateways/shop"\n')


class WithRoute(FakeKube):
    """A cluster with one HTTPRoute, changed by merge patches."""

    def __init__(self) -> None:
        super().__init__()
        self.item: Json = {}
        self.sent: list[dict[str, int]] = []

    def get_object(self, namespace: str, resource: str, group: str, name: str) -> Json:
        assert (namespace, resource, group, name) == ("ns", "httproutes", "gateway.networking.k8s.io/v1", "shop")
        held = {"manager": self.manager, "fieldsV1": {"f:spec": {"f:rules": {}}}}
        return copy.deepcopy({**self.item, "metadata": {"name": name, "managedFields": [held]}})

    def patch_object(self, namespace: str, resource: str, group: str, name: str, body: Json, manager: str) -> str:
        assert body.keys() == {"spec"} and body["spec"].keys() == {"rules"}
        self.manager = manager
        self.item = {**self.item, "spec": {**self.item["spec"], **copy.deepcopy(body["spec"])}}
        self.sent.append({one["name"]: one["weight"] for one in body["spec"]["rules"][0]["backendRefs"]})
        return str(len(self.sent))


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return config_in(tmp_path)


@pytest.fixture
def kube() -> WithRoute:
    return WithRoute()


def weighted(kube: WithRoute, config: Config) -> RouteWeightSwitch:
    return RouteWeightSwitch(kube.kube, "ns", config, lambda: "gateways/shop")


def with_ingress(**changes: Any) -> list[Json]:
    changed = objects()
    changed[-1]["metadata"].update(changes.pop("metadata", {}))
    changed[-1]["spec"].update(changes)
    return changed


def test_an_httproute_takes_the_place_of_the_ingress(kube: WithRoute, config: Config) -> None:
    labels, notes = {"app": "shop"}, {TIMEOUT: "60s", "projectcontour.io/websocket-routes": "/ws"}
    given_ones = with_ingress(metadata={"labels": labels, "annotations": notes})
    *kept, route = weighted(kube, config).prepare(given_ones)
    assert kept == given_ones[:-1]
    assert route == {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": "shop", "namespace": "ns", "labels": labels},
        "spec": {
            "parentRefs": [{"namespace": "gateways", "name": "shop"}],
            "hostnames": ["shop.example.com"],
            "rules": [
                {
                    "matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
                    "backendRefs": [
                        {"name": "shop-blue", "port": 8000, "weight": 100},
                        {"name": "shop-green", "port": 8000, "weight": 0},
                    ],
                    "timeouts": {"request": "60s"},
                }
            ],
        },
    }


def test_what_leads_elsewhere_stays_as_it_is(kube: WithRoute, config: Config) -> None:
    given_ones = objects()
    backend = {"service": {"name": "docs", "port": {"number": 8080}}}
    given_ones[-1]["spec"]["rules"][0]["http"]["paths"] += [{"path": "/d", "pathType": "Exact", "backend": backend}]
    switch = weighted(kube, config)
    kube.item = switch.prepare(given_ones)[-1]
    docs = kube.item["spec"]["rules"][1]
    assert docs == {
        "matches": [{"path": {"type": "Exact", "value": "/d"}}],
        "backendRefs": [{"name": "docs", "port": 8080}],
    }
    switch.flip("green")
    assert kube.item["spec"]["rules"][1] == docs
    assert switch.active() == "green"


def test_weights_move_at_once_by_one_patch(kube: WithRoute, config: Config) -> None:
    switch = weighted(kube, config)
    kube.item = switch.prepare(objects())[-1]
    assert (switch.active(), switch.color("green")) == ("blue", "shop-green")
    assert switch.services() == ("shop-blue", "shop-green")
    assert switch.flip("green").resource_version == "1"
    assert switch.active() == "green"
    assert switch.flip("blue").resource_version == "2"
    assert kube.sent == [{"shop-blue": 0, "shop-green": 100}, {"shop-blue": 100, "shop-green": 0}]
    assert switch.written() == Written("HTTPRoute/shop", "spec.rules", (MANAGER,), MANAGER)


def test_a_ramp_moves_them_in_steps_and_tells_when_the_old_side_goes_out(kube: WithRoute, config: Config) -> None:
    told: list[Any] = []

    def note(name: str, **fields: Any) -> None:
        told.append((name, fields, len(kube.sent)))

    switch = RouteRampSwitch(kube.kube, "ns", config, lambda: "gateways/shop", note, 0.5, told.append)
    kube.item = switch.prepare(objects())[-1]
    assert switch.flip("green").resource_version == "3"
    assert [one["shop-green"] for one in kube.sent] == list(SHARES) == [10, 50, 100]
    assert [sum(one.values()) for one in kube.sent] == [100] * 3
    assert told == [
        ("switch.widened", {"seconds": 0.5, "share": 10}, 1),
        0.5,
        ("switch.widened", {"seconds": 0.5, "share": 50}, 2),
        0.5,
        ("switch.narrowed", {"to_side": "green"}, 2),
    ]
    assert switch.active() == "green"


@given(weights=st.lists(st.tuples(st.integers(0, 100), st.integers(0, 100)), max_size=3))
def test_users_are_on_a_side_only_where_no_rule_says_otherwise(
    weights: list[tuple[int, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    kube = WithRoute()
    switch = weighted(kube, config_in(tmp_path_factory.mktemp("config")))
    rules = [
        {"backendRefs": [{"name": "shop-blue", "weight": blue}, {"name": "shop-green", "weight": green}]}
        for blue, green in weights
    ]
    kube.item = {"spec": {"rules": rules}}
    found = {"blue" if blue and not green else "green" if green and not blue else "" for blue, green in weights}
    if found in ({"blue"}, {"green"}):
        assert {switch.active()} == found
    else:
        with pytest.raises(ConfigurationError, match="leads to no one side"):
            switch.active()


def test_the_gateway_may_read_the_secret_of_the_ingress_and_no_other(kube: WithRoute, config: Config) -> None:
    *_, grant, route = weighted(kube, config).prepare(with_ingress(tls=[{"hosts": ["x"], "secretName": "shop-tls"}]))
    assert (grant["kind"], route["kind"]) == ("ReferenceGrant", "HTTPRoute")
    assert grant["spec"] == {
        "from": [{"group": "gateway.networking.k8s.io", "kind": "Gateway", "namespace": "gateways"}],
        "to": [{"group": "", "kind": "Secret", "name": "shop-tls"}],
    }


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"defaultBackend": {"service": {"name": "shop"}}}, "isn't for one host"),
        ({"rules": [{"http": {"paths": []}}]}, "isn't for one host"),
        ({"rules": [{"host": "a.test"}, {"host": "b.test"}]}, "isn't for one host"),
        ({"metadata": {"annotations": {TIMEOUT: "1.5s"}}}, "'1.5s' is no duration"),
        (
            {
                "rules": [
                    {
                        "host": "a.test",
                        "http": {"paths": [{"pathType": "Exact", "backend": {"service": {"name": "docs"}}}]},
                    }
                ]
            },
            "without a port's number",
        ),
    ],
)
def test_an_ingress_that_no_route_can_stand_for_is_refused(
    kube: WithRoute, config: Config, changes: Json, said: str
) -> None:
    with pytest.raises(ConfigurationError, match=said):
        weighted(kube, config).prepare(with_ingress(**changes))


def test_no_limit_is_written_as_the_gateway_api_has_it(kube: WithRoute, config: Config) -> None:
    *_, route = weighted(kube, config).prepare(with_ingress(metadata={"annotations": {TIMEOUT: "infinity"}}))
    assert route["spec"]["rules"][0]["timeouts"] == {"request": "0s"}


def test_without_services_of_their_own_or_a_gateway_there_is_no_such_switch(kube: WithRoute, tmp_path: Path) -> None:
    shared = config_in(tmp_path, CONFIG.replace('name = "shop"\nport', 'name = "shop-blue"\nport'))
    with pytest.raises(ConfigurationError, match="no Services of their own") as refused:
        weighted(kube, shared)
    assert "leave the switch `route-weight` out" in refused.value.mend


def test_rights_and_the_dry_run_tell_of_the_route(tmp_path: Path, rendered: list[Json]) -> None:
    config = config_in(tmp_path, GATEWAY)
    options = Options(tmp_path, "c", "shop", (parse("10.0.0.1"),))
    told = lines(config, rendered, options, ["route-ramp"])
    assert "  create           httproutes/shop (ingress path only, in the Ingress' place)" in told
    assert "  patch            httproutes/shop (weights)" in told
    assert any("deletecollection" in line and "httproutes" in line for line in told)
    assert not any("httproutes" in line for line in lines(config, rendered, options, ["ingress"]))
    assert [one["kind"] for one in own_routes(config)] == ["HTTPRoute"]
    assert own_routes(config_in(tmp_path)) == []
    for name in ("route-weight", "route-ramp"):
        rights = {one.key for one in needed([], admin=False, made=False, moved_by=[name])}
        verbs = {verb for group, resource, verb in rights if resource == "httproutes"}
        assert verbs == {"create", "deletecollection", "get", "list", "patch"}
        assert Right("networking.k8s.io", "ingresses", "patch").key not in rights

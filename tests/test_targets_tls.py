"""Where TLS is entered: beside each entry of the ingress path, by a port of its own."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.client.plan import ClassPlan, Entry, LoadPlan
from harness.cluster import ports
from harness.cluster.existing import Options, require_targets
from harness.cluster.session import OwnCluster
from harness.cluster.targets import entries, parse, tls_ports
from harness.errors import ConfigurationError


def options(*targets: str) -> Options:
    return Options(Path("kubeconfig"), "context", targets=tuple(parse(one) for one in targets))


def test_a_target_for_tls_is_no_way_in_of_its_own() -> None:
    given = [parse(one) for one in ("ingress=a.test:8080", "b.test", "tls=a.test:8443", "service=c.test")]
    assert [entry[:2] for entry in entries(given, "ingress", 0)] == [("a.test", 8080), ("b.test", 80)]
    assert tls_ports(given) == [8443, 443]
    assert [host for host, _, _ in entries(given, "service", 30000)] == ["b.test", "c.test"]


def test_a_target_for_tls_needs_its_host_on_the_ingress_path() -> None:
    require_targets(options("ingress=a.test", "tls=a.test:8443"))
    with pytest.raises(ConfigurationError, match="no target of the ingress path"):
        require_targets(options("ingress=a.test", "tls=b.test:8443"))
    with pytest.raises(ConfigurationError, match="no target of the ingress path"):
        require_targets(options("service=a.test", "tls=a.test"))


def own(*mapped: dict[int, int]) -> OwnCluster:
    nodes: Any = [SimpleNamespace(name=f"n{at}", address="10.0.0.9", mapped=one) for at, one in enumerate(mapped)]
    nothing: Any = None
    given: Any = (nodes, nothing, None, {}, "smoke", nothing, nothing, nothing, nothing, nothing)
    return OwnCluster("c", Path(), Path(), Path(), *given)


def test_every_node_of_a_cluster_of_our_own_has_a_port_for_tls() -> None:
    assert ports.INGRESS_TLS_NODE_PORT in ports.NODE_PORTS
    assert ports.INGRESS_TLS_NODE_PORT not in ports.LEASED_NODE_PORTS
    mapped = own({ports.INGRESS_NODE_PORT: 1, ports.INGRESS_TLS_NODE_PORT: 2}, {ports.INGRESS_TLS_NODE_PORT: 3})
    assert mapped.tls_ports() == [2, 3]
    assert own({}, {}).tls_ports() == [ports.INGRESS_TLS_NODE_PORT] * 2


@pytest.mark.parametrize(("changes", "said"), [({"tls_port": 0}, "for TLS"), ({"tls_port": 70_000}, "for TLS")])
def test_a_plan_with_tls_needs_a_port_for_it(changes: dict[str, int], said: str) -> None:
    def plan(tls_port: int, name: str, ca: str = "") -> LoadPlan:
        entry = Entry("127.0.0.1", 80, "n", tls_port)
        return LoadPlan((entry,), ("127.0.0.1",), "x.test", {name: ClassPlan(1)}, "tag", "/tmp", ca=ca)

    assert plan(443, "h2", "/ca.pem").secure
    assert not plan(0, "fresh").secure
    with pytest.raises(ConfigurationError, match=said):
        plan(changes["tls_port"], "h2")
    with pytest.raises(ConfigurationError, match="relative ca"):
        plan(443, "h2", "ca.pem")

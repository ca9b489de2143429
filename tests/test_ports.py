"""Ports on 127.0.0.1 and leased NodePorts; what kind of machine this is."""

from __future__ import annotations

import platform
import socket

import pytest

from harness.cluster import host, ports
from harness.errors import SetupError


def test_a_free_port_makes_the_round_trip_and_a_taken_one_does_not() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert not ports.round_trip(port)
    assert ports.round_trip(port)
    assert ports.round_trip(port)  # it is free again at once


def test_a_seed_prefers_the_same_ports_and_two_seeds_differ() -> None:
    one = ports.choose(5, "one")
    assert len(set(one)) == 5
    assert all(20000 <= port < 32000 for port in one)
    assert ports.choose(5, "one") == one
    assert set(ports.choose(5, "two")).isdisjoint(one)


def test_a_taken_port_is_left_out() -> None:
    first, second, third = ports.choose(3, "one")
    with socket.create_server(("127.0.0.1", second)):
        chosen = ports.choose(3, "one")
    assert chosen[:2] == [first, third]
    assert second not in chosen


def test_too_few_usable_ports_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    free = iter([True, False, True])
    monkeypatch.setattr(ports, "round_trip", lambda port: next(free, False))
    with pytest.raises(SetupError, match="only 2 of 3 ports"):
        ports.choose(3, "one")


def test_leases_are_lent_once_and_come_back() -> None:
    leases = ports.Leases()
    borrowed = [leases.lease() for _ in ports.LEASED_NODE_PORTS]
    lent = [one.__enter__() for one in borrowed]
    assert sorted(lent) == sorted(ports.LEASED_NODE_PORTS)
    assert ports.INGRESS_NODE_PORT not in lent
    with pytest.raises(SetupError, match="all NodePorts are leased"), leases.lease():
        pass
    assert borrowed[0].__exit__(KeyError, KeyError("the block broke"), None) is False
    with leases.lease() as again:
        assert again == lent[0]


def test_only_linux_is_supported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    with pytest.raises(SetupError, match=r"Darwin is not supported yet.*\n  mend: run it on Linux"):
        host.detect()


def test_this_machine_is_described() -> None:
    found = host.detect()
    assert found.restricted == (not (found.cgroup_v2 and found.sys_resource))
    assert len(host.boot_id()) == 8
    assert host.boot_id() == host.boot_id()

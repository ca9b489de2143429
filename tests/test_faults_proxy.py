"""Proxies that are replaced or killed: what is asked of the cluster, and what the record says of it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from harness.errors import ConfigurationError
from harness.faults.proxy import KILLED, REPLACED, proxies


class Cluster:
    """An engine whose control plane has proxies that a command makes others of."""

    def __init__(self) -> None:
        self.commands: list[list[str]] = []
        self.proxies = ["envoy-a", "envoy-b"]
        self.nodes = [SimpleNamespace(name="c-worker"), SimpleNamespace(name="c-control-plane")]
        self.engine: Any = self._run

    def _run(self, *words: str, what: str, timeout: float = 60) -> Any:
        assert what and timeout > 0
        assert list(words[:3]) == ["exec", "c-control-plane", "kubectl"]
        command = list(words[words.index("projectcontour") + 1 :])
        self.commands.append(command)
        if command[0] in ("rollout", "delete") and command[1] != "status":
            self.proxies = ["envoy-b", "envoy-c"]
        return SimpleNamespace(stdout=" ".join(self.proxies))


class Events:
    def __init__(self) -> None:
        self.seen: list[str] = []

    def event(self, name: str, /, **fields: object) -> None:
        self.seen.append(f"{name} {fields['kind']}")


@pytest.mark.parametrize(
    ("kind", "act"),
    [
        (REPLACED, ["rollout", "restart", "daemonset/envoy"]),
        (KILLED, ["delete", "pods", "-l", "app=envoy", "--grace-period=0", "--force", "--wait=false"]),
    ],
)
def test_it_is_seen_before_the_block_and_over_after_it(kind: str, act: list[str]) -> None:
    cluster: Any = Cluster()
    events: Any = Events()
    with proxies(kind, cluster, events):
        assert act in cluster.commands
        assert events.seen == [f"fault.injected {kind}", f"fault.confirmed {kind}"]
        assert "status" not in [command[1] for command in cluster.commands]
    assert cluster.commands[-1][:3] == ["rollout", "status", "daemonset/envoy"]
    assert events.seen[2:] == [f"fault.healed {kind}"]


def test_it_is_healed_even_if_the_block_breaks() -> None:
    cluster: Any = Cluster()
    events: Any = Events()
    with pytest.raises(ValueError, match="broke"), proxies(KILLED, cluster, events):
        raise ValueError("broke")
    assert events.seen[-1] == f"fault.healed {KILLED}"


def test_a_cluster_of_others_keeps_its_proxies() -> None:
    cluster: Any = SimpleNamespace(engine=None, allowed_faults=(KILLED,))
    events: Any = Events()
    with (
        pytest.raises(ConfigurationError, match="needs a cluster that the harness made"),
        proxies(KILLED, cluster, events),
    ):
        pass
    assert events.seen == []

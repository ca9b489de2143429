"""The API server's 429: only one account's patches of one namespace, by a level that is busy, and gone afterwards."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from harness.cluster.answers import Refused
from harness.cluster.running import Cluster
from harness.errors import ConfigurationError, FaultNotConfirmed
from harness.faults import flow_control
from harness.faults.block import Faults
from harness.faults.flow_control import throttle_switch
from harness.faults.ground import Ground
from harness.faults.left_over import FaultJournal
from harness.journal import Journal
from tests.fake_kube import config_in

LEVELS, SCHEMAS = (
    f"/apis/flowcontrol.apiserver.k8s.io/v1/{name}" for name in ("prioritylevelconfigurations", "flowschemas")
)


class Server:
    """An API server whose level without seats lets one request in while none is executing, as the real one's does."""

    def __init__(self) -> None:
        self.groups = ["kubeadm:cluster-admins"]
        self.objects: dict[str, dict[str, Any]] = {}
        self.executing = threading.Event()
        self.rejected = 0
        self.scripts: list[str] = []
        self.asked: list[tuple[str, str, Any]] = []
        self.waits = 0.2
        self.deaf = False
        self.api: Any = self
        self.engine: Any = self

    def __call__(self, *words: str, what: str, timeout: float = 0, check: bool = True) -> SimpleNamespace:
        assert words[:4] == ("exec", "x-control-plane", "bash", "-c")
        self.scripts.append(words[4])
        if "delete flowschema" in words[4]:
            self.objects.clear()
        return SimpleNamespace(stdout="", returncode=0)

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        assert path.endswith("/selfsubjectreviews")
        return {"status": {"userInfo": {"username": "kubernetes-admin", "groups": self.groups}}}

    def send(self, method: str, path: str, query: Any = None, body: Any = None) -> bytes:
        self.asked.append((method, path, query))
        if method == "POST":
            self.objects[path] = body
            return b"{}"
        if path == "/metrics":
            counted = "apiserver_flowcontrol_rejected_requests_total"
            name = next(iter(self.objects.values()))["metadata"]["name"] if self.objects else "none"
            ours = (
                f'{counted}{{flow_schema="{name}",priority_level="{name}",reason="concurrency-limit"}} {self.rejected}'
            )
            return (
                f'# HELP {counted}\n{counted}{{flow_schema="global-default",reason="queue-full"}} 99\n{ours}\n'.encode()
            )
        assert path == "/api/v1/namespaces/ns/podtemplates"
        if self.executing.is_set():
            raise Refused("busy", status=429)
        self.executing.set()
        threading.Event().wait(self.waits)
        self.executing.clear()
        raise Refused("too large resource version", status=504)

    def patch(self, path: str, body: Any, **query: str) -> dict[str, Any]:
        assert path.startswith("/api/v1/namespaces/ns/services/") and query == {"dryRun": "All"}
        if self.objects and self.executing.is_set() and not self.deaf:
            self.rejected += 1
            raise Refused("429", status=429)
        return {}


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def faults(server: Server, tmp_path: Path) -> Iterator[Faults]:
    journal = Journal(tmp_path / "run")
    nodes = [SimpleNamespace(name="x-control-plane")]
    cluster = cast(Cluster, SimpleNamespace(engine=server.engine, nodes=nodes, state=tmp_path, allowed_faults=()))
    ground = Ground(cast(Any, server), "ns", config_in(tmp_path), cast(Any, None), cluster)
    yield Faults(ground, journal, FaultJournal(tmp_path))
    journal.close()


def test_only_this_accounts_patches_of_this_namespace_are_led_to_a_level_without_a_seat(
    server: Server, faults: Faults, tmp_path: Path
) -> None:
    with faults.during(throttle_switch()):
        level, schema = server.objects[LEVELS], server.objects[SCHEMAS]
        (left,) = (tmp_path / "faults").glob("*.json")
        assert "delete flowschema" in json.loads(left.read_text())["cures"][0]["script"]
    limited = level["spec"]["limited"]
    assert limited["limitResponse"] == {"type": "Reject"}
    assert [limited[key] for key in ("nominalConcurrencyShares", "lendablePercent", "borrowingLimitPercent")] == [
        0,
        0,
        0,
    ]
    (rule,) = schema["spec"]["rules"]
    assert rule["subjects"] == [{"kind": "User", "user": {"name": "kubernetes-admin"}}]
    assert [(one["verbs"], one["resources"], one["namespaces"]) for one in rule["resourceRules"]] == [
        (["patch"], ["services"], ["ns"]),
        (["list"], ["podtemplates"], ["ns"]),
    ]
    assert schema["spec"]["priorityLevelConfiguration"]["name"] == level["metadata"]["name"]
    assert schema["spec"]["matchingPrecedence"] > 1, "the first place is the exempt schema's, by the API's own rule"
    events = [json.loads(line) for line in (tmp_path / "run" / "events.jsonl").read_text().splitlines()]
    seen = [event["effect"] for event in events if event["name"] == "fault.confirmed"]
    assert len(seen) == 1 and "requests rejected by FlowSchema bluegreen-" in seen[0]
    assert events[-1]["name"] == "fault.healed"
    assert server.objects == {} and not list((tmp_path / "faults").glob("*.json"))


def test_the_level_is_kept_busy_by_one_request_after_the_other_until_it_is_healed(
    server: Server, faults: Faults
) -> None:
    server.waits = 0.03
    with faults.during(throttle_switch()):
        threading.Event().wait(0.3)
    asked = sum("podtemplates" in path for _, path, _ in server.asked)
    assert asked >= 3
    threading.Event().wait(0.1)
    after = sum("podtemplates" in path for _, path, _ in server.asked)
    threading.Event().wait(0.1)
    assert sum("podtemplates" in path for _, path, _ in server.asked) == after, "nobody asks for it any more"


def test_where_nothing_is_refused_the_fault_is_none(
    server: Server, faults: Faults, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flow_control, "CONFIRM_S", 0.2)
    server.deaf = True
    with pytest.raises(FaultNotConfirmed, match="switch-throttled"), faults.during(throttle_switch()):
        raise AssertionError("the block may not begin")
    assert server.objects == {}


def test_an_account_that_is_exempt_is_told_so(server: Server, faults: Faults) -> None:
    server.groups = ["system:masters"]
    with pytest.raises(ConfigurationError, match="system:masters"), faults.during(throttle_switch()):
        raise AssertionError("the block may not begin")
    assert server.objects == {}

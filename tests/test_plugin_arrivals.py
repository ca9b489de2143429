"""From a namespace's records to verdict.json: the plugin's own fixtures, with stand-ins for the cluster's API only."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import harness.cluster.own
from tests.test_plugin import CONFTEST, HEAD, ROOT, Rehearsal, rehearse

__all__ = ["rehearse"]
HERE_TO_STAY = (harness.cluster.own,)
pytest_plugins = ["pytester"]

OVERRIDES = """
@pytest.fixture
def namespace(scenario):
    return types.SimpleNamespace(name="simulated")

@pytest.fixture
def release(scenario, namespace):
    return scenario
"""
OURS = """
import harness.release.start
from harness.cluster import own, ports
from harness.release.partings import Partings

class Kube:
    def __init__(self, *_):
        pass
    def create_namespace(self, name, labels):
        pass
    def end_namespace(self, name):
        pass
    def dump(self, name, folder, selector):
        pass
    def log_tail(self, namespace, pod, container, lines, follow_s):
        return f"{namespace}: the last words of {pod}\\n"

def start(config, cluster, place, scenario, switch):
    scenario.observer = types.SimpleNamespace(partings=Partings(place.kube, "ns"))
    scenario.observer.partings.follow({"metadata": {"name": "blue-0"}, "spec": {"containers": [{"name": "api"}]}})
    return scenario

@pytest.fixture(autouse=True)
def no_cluster(monkeypatch):
    monkeypatch.setattr(own, "Kube", Kube)
    monkeypatch.setattr(harness.release.start, "start", start)
"""
CLUSTER = """types.SimpleNamespace(names=names, engine="simulated", lacks=lambda path: "")"""
LEASED = """own.OwnCluster(
        name="", kubeconfig=None, kubectl=None, kind_binary=None, nodes=nodes, leases=ports.Leases(),
        ledger=pathlib.Path(pytestconfig.rootpath, "ledger"), environment={}, smoke_image="", engine="simulated",
        store=None, source=None, gateways=None, ours=None)"""
BODY = """
from tests import simulated

@on_service
@promised
def test_recorded(release, load, namespace, cluster, request):
    load.play(classes=("fresh", "busy"))
    folder = cluster.ledger / namespace.name
    folder.mkdir(parents=True)
    from harness.evidence.store import read
    lines = simulated.arrival_lines(read(release.folder), release.run_tag)
    spoil(lines)
    for name, raw in simulated.arrival_files(lines).items():
        (folder / name).write_bytes(raw)
"""


@pytest.fixture
def recorded(rehearse: Rehearsal) -> Rehearsal:
    assert OVERRIDES in CONFTEST and CLUSTER in CONFTEST
    rehearse.pytester.makeconftest(CONFTEST.replace(OVERRIDES, OURS).replace(CLUSTER, LEASED))
    return rehearse


def play(rehearsal: Rehearsal, spoil: str = "pass", *args: str) -> pytest.RunResult:
    return rehearsal(f"def spoil(lines): {spoil}\n{BODY}", *args)


def test_the_record_becomes_evidence_and_its_folder_goes(recorded: Rehearsal) -> None:
    assert play(recorded).ret == 0
    record = recorded.record
    assert record["unproven"] == []
    issued = record["samples"]["issued"]
    assert (record["arrivals"]["issued"], record["arrivals"]["arrived"], record["arrivals"]["twice"]) == (
        *(issued, issued, 0),
    )
    (finding,) = (one for one in record["findings"] if one["check"] == "arrivals")
    assert (finding["verdict"], finding["measured"], finding["limit"]) == ("pass", 0, 0)
    assert finding["detail"] == f"{issued} of {issued} requests arrived"
    assert list((recorded.pytester.path / "ledger").iterdir()) == []
    events = [json.loads(line) for line in (Path(record["evidence"]) / "events.jsonl").read_text().splitlines()]
    (kept,) = (one for one in events if one["name"] == "arrivals.kept")
    copies = {path.name: path.stat().st_size for path in (Path(record["evidence"]) / "arrivals").iterdir()}
    assert copies == kept["files"] != {}
    assert kept["faults"] == []
    assert not (Path(record["evidence"]) / "cluster").exists()  # nothing failed


def test_a_re_send_in_the_record_fails_the_scenario(recorded: Rehearsal) -> None:
    result = play(recorded, "lines['blue-0'].insert(2, lines['blue-1'][2])")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*fail *arrivals *measured 1 contradictions, limit 0  1 arrivals of requests that*"])
    assert recorded.record["arrivals"]["twice"] == 1
    (log,) = (Path(recorded.record["evidence"]) / "cluster" / "logs").iterdir()
    assert (log.name, log.read_text()) == ("blue-0.api.log", "ns: the last words of blue-0\n")
    assert recorded.record["unproven"] == []


def test_a_record_with_a_hole_is_inconclusive_and_named(recorded: Rehearsal) -> None:
    assert play(recorded, "del lines['blue-0'][0]").ret == 10
    assert recorded.record["unproven"] == ["arrivals: the record of blue-0 lacks its beginning"]


def test_an_application_without_a_record_is_unproven_by_name_and_passes(recorded: Rehearsal) -> None:
    text = (ROOT / "bluegreen.toml").read_text()
    before, rest = text.split("[ledger]")
    config = recorded.pytester.path / "bluegreen.toml"
    config.write_text(before + rest[rest.index("[admin]") :])
    for name in ("manifests", "images"):
        (recorded.pytester.path / name).symlink_to(ROOT / name)
    recorded.pytester.makepyfile(test_inner=HEAD + "def spoil(lines): pass\n" + BODY)
    result = recorded.pytester.runpytest_inprocess(
        *("-p", "harness.plugin", "-p", "no:cacheprovider", "-p", "no:logging", f"--bg-config={config}"),
        no_reraise_ctrlc=True,
    )
    assert result.ret == 0
    assert recorded.record["unproven"] == ["arrivals: api keeps no record"]
    assert recorded.record["arrivals"] == {}
    result.stdout.fnmatch_lines(["unproven: arrivals: api keeps no record"])

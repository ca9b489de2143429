"""A run that is killed while something is broken: the next one finds it on disk and heals it, on a real cluster.

Cluster: that of ``make rehearsal``, or what BLUEGREEN_CLUSTER names; it is kept. Nightly: ``pytest platforms``.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from harness.cluster.owned import name_of
from harness.cluster.store import cache_root
from harness.waiting import until
from platforms.conftest import ROOT

CLUSTER = os.environ.get("BLUEGREEN_CLUSTER") or name_of(ROOT)
STATE = cache_root() / "clusters" / CLUSTER
RUN_S = 300.0
SCENARIO = """
import pytest
from harness.faults.control_plane import *
from harness.faults.flow_control import *
from harness.faults.network import *
from harness.faults.node import *
from harness.faults.process import *
from harness.faults.resources import *
from harness.words import *

@pytest.mark.paths("service")
@pytest.mark.promises(nothing_lost())
def test_broken(release, faults):
    with faults.during({fault}):
        release.watch(seconds=300, breached=nobody)
"""


def words(*more: str, artifacts: Path) -> list[str]:
    return [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--cluster-name", CLUSTER, "--keep-cluster",
            "--rootdir", str(ROOT), "--bg-config", str(ROOT / "bluegreen.toml"), "--bg-artifacts", str(artifacts),
            *more]  # fmt: skip


def confirmed(artifacts: Path) -> bool:
    events = [line for file in artifacts.glob("**/events.jsonl") for line in file.read_text().splitlines()]
    return any('"fault.confirmed"' in line for line in events)


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("pause_node('worker2')", "node-paused"),
        ("pause_etcd()", "etcd-paused"),
        ("pause_apiserver()", "apiserver-paused"),
        ("stop_kubelet('worker2')", "kubelet-stopped"),
        ("stop_pod(release.active)", "pod-stopped"),
        ("starve_pod(release.active)", "pod-starved"),
        ("slow_line(release.active)", "pod-slowed"),
        ("drain_node('worker2')", "node-drained"),
        ("pause_kube_proxy('worker2')", "kube-proxy-paused"),
        ("pause_controller_manager()", "controller-manager-stalled"),
        ("isolate(release.active)", "side-isolated"),
        ("cut_nodes('worker', 'worker2')", "nodes-cut"),
        ("cut_nodes('worker', 'worker2', how='reset', which='established')", "nodes-cut"),
        ("throttle_switch()", "switch-throttled"),
    ],
)
def test_the_next_run_heals_what_a_killed_run_broke(fault: str, kind: str, tmp_path: Path) -> None:
    file = tmp_path / "test_broken.py"
    file.write_text(SCENARIO.format(fault=fault))
    first, second = tmp_path / "first", tmp_path / "second"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with (tmp_path / "log").open("wb") as log:
        broken = subprocess.Popen(words(str(file), "-p", "harness.plugin", artifacts=first), cwd=ROOT, stdout=log,
                                  stderr=log, env=environment, start_new_session=True)  # fmt: skip
        try:
            until(lambda: confirmed(first) or broken.poll() is not None, "the fault to be seen", timeout=RUN_S)
            assert broken.poll() is None, (tmp_path / "log").read_text()[-3000:]
        finally:
            if broken.poll() is None:
                os.killpg(broken.pid, signal.SIGKILL)
            broken.wait(30)
    left = [json.loads(one.read_text()) for one in (STATE / "faults").glob("*.json")]
    assert [one["kind"] for one in left] == [kind]
    command = words("scenarios", "-k", "test_cutover_loses_nothing and service", "--bg-rerun-inconclusive",
                    artifacts=second)  # fmt: skip
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=RUN_S, check=False
    )
    assert f"fault {kind} on" in done.stdout and "healed, an earlier run had left it" in done.stdout, done.stdout[
        -3000:
    ]
    assert f"cluster {CLUSTER}: reused" in done.stdout, done.stdout[-3000:]
    assert done.returncode == 0, done.stdout[-3000:]
    assert list((STATE / "faults").glob("*.json")) == []

"""docs/writing.md, followed literally in somebody else's repository, on a real cluster.

Cluster: that of ``make rehearsal``, or what BLUEGREEN_CLUSTER names; it is kept. Nightly: ``pytest platforms``.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from harness.cluster.owned import name_of
from platforms.conftest import ROOT
from tests.test_docs_writing import FILES

CLUSTER = os.environ.get("BLUEGREEN_CLUSTER") or name_of(ROOT)
RUN_S = 600.0
WITH_ALL = '''"""The page's check and fault in one scenario."""

import pytest

from checks_of_ours import busy_in_time
from faults_of_ours import one_pod_less
from harness.words import CUTOVER, NEW, Faults, Load, Release, ms, nothing_lost, red


@pytest.mark.paths("service")
@pytest.mark.promises(nothing_lost(), busy_in_time(5.0), red(busy_in_time(0.0001)))
def test_a_side_shrinks_at_the_flip(release: Release, load: Load, faults: Faults) -> None:
    """Nobody notices."""
    release.deploy(NEW)
    release.smoke()
    with load.steady(), faults.at(CUTOVER + ms(100), one_pod_less(release.idle)):
        release.cutover(lead_s=2)
        release.watch(seconds=8)
'''


def in_repository(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """A command of this Python in the folder."""
    return subprocess.run([sys.executable, *words], cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT)},
                          capture_output=True, text=True, timeout=RUN_S, check=False)  # fmt: skip


def repository(folder: Path) -> None:
    """An application with its configuration, and what the page says to write beside it."""
    shutil.copy2(ROOT / "bluegreen.toml", folder)
    for needed in ("manifests", "images"):
        shutil.copytree(ROOT / needed, folder / needed)
    (folder / "release").mkdir()
    for name, text in FILES.items():
        (folder / name).write_text(text)
    (folder / "release" / "test_ours.py").write_text(WITH_ALL)


def test_the_pages_scenario_check_fault_and_switch_work(tmp_path: Path) -> None:
    repository(tmp_path)
    done = in_repository(tmp_path, "-m", "pytest", "release", "--cluster-name", CLUSTER, "--keep-cluster",
                         "--bg-rerun-inconclusive", "-p", "no:cacheprovider")  # fmt: skip
    assert done.returncode == 0, f"{done.stdout[-6000:]}\n{done.stderr[-3000:]}"
    verdict: dict[str, Any] = json.loads((tmp_path / "artifacts" / "latest" / "verdict.json").read_text())
    by_name = {one["id"].partition("::")[2]: one for one in verdict["scenarios"]}
    orders = by_name["test_orders_go_on_while_users_are_moved[service]"]
    shrunk = by_name["test_a_side_shrinks_at_the_flip[service]"]
    assert {orders["switch"], shrunk["switch"]} == {"ours"}
    assert [(one["kind"], one["healed"]) for one in shrunk["faults"]] == [("one-pod-less", True)]
    run = str(Path(shrunk["evidence"]).parent.relative_to(tmp_path))
    again = in_repository(tmp_path, "-m", "harness.cli", "recheck", run, "--checks",
                          "release/checks_of_ours.py")  # fmt: skip
    assert again.returncode == 0, again.stdout + again.stderr
    assert "busy_in_time" in again.stdout

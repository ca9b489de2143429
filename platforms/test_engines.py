"""The way most users take, for real: images pulled from a registry, by docker and by podman, on a host that is offline.

Beside ``make check``, since each needs a cluster: run by ``make nightly``, or ``pytest platforms``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from harness.cluster.images import CONTOUR, ENVOY_PULLED
from platforms.conftest import NODE, ROOT, Network


def cutover(network: Network, folder: Path, engine: str, registry: str, env: dict[str, str]) -> dict[str, Any]:
    """The verdict of one cutover on both paths, everything pulled."""
    words = network.words(sys.executable, "-m", "pytest", "scenarios", "-k", "test_cutover_loses_nothing",
                          "--bg-engine", engine, "--bg-images", "pull", "--bg-registry-mirror", registry,
                          "--bg-rerun-inconclusive", "--kind-image", NODE, "--cluster-name", f"bluegreen-pull-{engine}",
                          "--bg-artifacts", str(folder / "artifacts"))  # fmt: skip
    done = subprocess.run(
        words, cwd=ROOT, env={**os.environ, **env}, capture_output=True, text=True, timeout=1500, check=False
    )
    assert done.returncode == 0, f"{done.stdout[-6000:]}\n{done.stderr[-3000:]}"
    verdict: dict[str, Any] = json.loads((folder / "artifacts" / "latest" / "verdict.json").read_text())
    return verdict


def check(verdict: dict[str, Any], engine: str, ports: str) -> None:
    environment, scenarios = verdict["environment"], verdict["scenarios"]
    assert (verdict["verdict"], environment["engine"], environment["published_ports"]) == ("pass", engine, ports)
    assert {one["path"] for one in scenarios} == {"service", "ingress"}
    assert all(one["samples"]["by_class"]["fresh"]["issued"] >= 2000 for one in scenarios)
    pulled = {name.removeprefix("pull ") for name in environment["setup_seconds"] if name.startswith("pull ")}
    assert {NODE, CONTOUR, ENVOY_PULLED} <= pulled, environment["setup_seconds"]


@pytest.mark.usefixtures("source")
def test_podman_pulls_everything(network: Network, registry: str, cache: Path, tmp_path: Path) -> None:
    check(cutover(network, tmp_path, "podman", registry, {"XDG_CACHE_HOME": str(cache)}), "podman", "dnat")


def test_docker_pulls_everything(network: Network, registry: str, cache: Path, dockerd: str, tmp_path: Path) -> None:
    env = {"XDG_CACHE_HOME": str(cache), "DOCKER_HOST": dockerd}
    check(cutover(network, tmp_path, "docker", registry, env), "docker", "node")

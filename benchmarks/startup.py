"""How long everything around the measurement takes, against a bare ``kind create cluster`` in the same run.

Writes artifacts/latest/bench/startup.json. Medians of three; every ratio is of two numbers taken in one run.
"""

from __future__ import annotations

import json
import os
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import yaml

from harness.cluster import binaries, engine, host, images, ingress, kind
from harness.cluster.store import Store, cache_root
from harness.evidence.store import read
from harness.report.artifacts import link_latest
from harness.resources import resource

REPEATS = 3
ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    """Measure and write the file."""
    numbers = {**_creation(), **_kept()}
    folder = ROOT / "artifacts" / "bench" / time.strftime("%Y%m%d-%H%M%S")
    folder.mkdir(parents=True)
    path = folder / "startup.json"
    path.write_text(json.dumps(numbers, indent=1) + "\n")
    (ROOT / "artifacts" / "latest" / "bench").mkdir(parents=True, exist_ok=True)
    link_latest(ROOT / "artifacts", path, "bench")
    print(path.read_text())


def _creation() -> dict[str, Any]:
    """Bare kind against the harness' cluster: the same image, the same configuration, in turn."""
    this_host = host.detect()
    store = Store(cache_root(), lambda text: print(f"[bench] {text}", flush=True))
    found = engine.find(store.root, this_host, "podman") or engine.find(store.root, this_host)
    if found is None:
        raise SystemExit("no container engine\n  mend: run `make test` once, which installs one")
    source = images.Images(found, store, this_host, resource("images"), "auto", "", store.say)
    tools = binaries.find(source, None, None)
    image = source.node("kindest/node:v1.37.0")
    bare_s, ours_s, ready_s = [], [], []
    for number in range(REPEATS):
        name = f"{kind.PREFIX}bench-{number}"
        ours = kind.BlueGreenKind(name, store.root / "clusters" / name, tools.kind, tools.kubectl, found, this_host,
                                  store, image)  # fmt: skip
        ours.path.mkdir(parents=True, exist_ok=True)
        (ours.path / "ledger").mkdir(exist_ok=True)
        config = ours.path / "bare.yaml"
        config.write_text(yaml.safe_dump(ours.config({})))
        words = [str(tools.kind), "create", "cluster", "--name", name, "--image", image, "--config", str(config),
                 "--kubeconfig", str(ours.kubeconfig_path), "--wait", "180s"]  # fmt: skip
        (ours.path / "owner.json").write_text(json.dumps({"key": "", "mapped": {}, "checkout": str(ROOT)}))
        started = time.monotonic()
        subprocess.run(words, check=True, capture_output=True, env={**os.environ, **found.kind_env}, timeout=420)
        bare_s.append(time.monotonic() - started)
        ours.delete()
        started = time.monotonic()
        try:
            ours.ensure(store.say)
            kind.wait_nodes(ours)
            ours_s.append(time.monotonic() - started)
            ingress.install(ours, store, resource("manifests") / "ingress", source.envoy)
            ready_s.append(time.monotonic() - started)
        finally:
            ours.delete()
    bare, mine, ready = (statistics.median(series) for series in (bare_s, ours_s, ready_s))
    return {
        "kind_create_s": round(bare, 1),
        "harness_create_s": round(mine, 1),
        "first_ingress_answer_s": None,  # not measured yet: Envoy answers only once a served Ingress exists
        "ingress_ready_s": round(ready, 1),
        "ratio_create": round(statistics.median(m / b for m, b in zip(ours_s, bare_s, strict=True)), 3),
        "ratio_first_answer": None,
    }


def _kept() -> dict[str, Any]:
    """A kept cluster: from the start of pytest to the first sample, and what a scenario takes beside its load."""
    command = [sys.executable, "-m", "pytest", "scenarios/test_cutover.py", "-k", "cutover_loses and service",
               "--keep-cluster", "-q"]  # fmt: skip
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=900)  # warm: the cluster is there now
    first_s, outside_s = [], []
    verdict: dict[str, Any] = {}
    for _ in range(REPEATS):
        began = time.monotonic_ns()
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=900)
        verdict = json.loads((ROOT / "artifacts" / "latest" / "verdict.json").read_text())
        record = verdict["scenarios"][0]
        timeline = read(Path(record["evidence"]))
        first_s.append((int(timeline.samples["intended"].min()) - began) / 1e9)
        outside_s.append(record["seconds"] - record["load_seconds"])
    cold: dict[str, float] = {}
    for path in (ROOT / "artifacts").glob("*/verdict.json"):
        for name, seconds in json.loads(path.read_text())["environment"].get("setup_seconds", {}).items():
            cold.setdefault(name, seconds)
    return {
        "kept_first_sample_s": round(statistics.median(first_s), 1),
        "outside_load_s": round(statistics.median(outside_s), 1),
        "cold_setup_s": cold,
        "memory_mib": _memory(),
    }


def _memory() -> int:
    """MiB in use on the machine with the cluster kept (the whole of it: nodes, pods, engine)."""
    text = Path("/proc/meminfo").read_text()
    kib = {key: int(value) for key, value in re.findall(r"^(\w+):\s+(\d+) kB", text, re.MULTILINE)}
    return (kib["MemTotal"] - kib["MemAvailable"]) // 1024

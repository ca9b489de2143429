"""How long everything around the measurement takes, against a bare ``kind create cluster`` in the same run.

Writes artifacts/latest/bench/startup.json. Medians of three; every ratio is of two numbers taken in one run. All of it
happens in one cluster of its own, which is gone at the end; one that a killed benchmark left is replaced.
"""

from __future__ import annotations

import json
import re
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import httpx

from benchmarks import result
from benchmarks.result import ROOT
from harness.cluster import engine, host, owned, session
from harness.cluster.kind import PREFIX, in_use
from harness.cluster.shell import run
from harness.cluster.store import Store, cache_root
from harness.config import load
from harness.errors import EXIT_INCONCLUSIVE, EXIT_PASS
from harness.evidence.store import read
from harness.resources import resource
from harness.setup import applications_of
from harness.waiting import until

REPEATS = 3
NAME = f"{PREFIX}bench"
HOST = "api.example.com"
LIMITS = {
    "ratio_create": 1.25,
    "ratio_first_answer": 3.0,
    "kept_first_sample_s": 15.0,
    "outside_load_s": 15.0,
    "memory_mib": 5 * 1024.0,
}


def main() -> None:
    """Measure, write the file, and say which limits are met."""
    _gone()
    try:
        creation = _creation()
        print(json.dumps(creation, indent=1), flush=True)
        numbers = {**creation, **_kept()}
    finally:
        _gone()
    print(result.keep("startup", numbers).read_text())
    for key, limit in LIMITS.items():
        print(f"{key}: {numbers[key]}, limit {limit:g}: {'met' if numbers[key] <= limit else 'NOT met'}")


def _creation() -> dict[str, Any]:
    """The harness' cluster against bare kind: the same image, the same configuration, in turn."""
    options = session.Options(ROOT, resource("images"), resource("manifests"), cluster_name=NAME)
    applications = applications_of([load(ROOT / "bluegreen.toml")])
    ours_s, first_s, bare_s = [], [], []
    for _ in range(REPEATS):
        started = time.monotonic()
        with session.cluster(options, applications, _say) as running:
            ours_s.append(running.environment["setup_seconds"][f"cluster {NAME}"])
            _wait_for_the_first_answer(running)
            first_s.append(time.monotonic() - started)
            config = (running.kubeconfig.parent / "kind.yaml").read_text()
        bare_s.append(_bare(running, config))
    return {
        "kind_create_s": round(statistics.median(bare_s), 1),
        "harness_create_s": round(statistics.median(ours_s), 1),
        "first_ingress_answer_s": round(statistics.median(first_s), 1),
        "ratio_create": _ratio(ours_s, bare_s),
        "ratio_first_answer": _ratio(first_s, bare_s),
    }


def _wait_for_the_first_answer(running: session.OwnCluster) -> None:
    """The demo, applied by hand as a reader of its manifests would, answers through the Ingress."""
    words: list[str | Path] = [running.kubectl, "--kubeconfig", running.kubeconfig]
    words += ["apply", "-k", resource("manifests") / "demo"]
    run(words, "apply the demo", timeout=60)
    host, port, _ = running.entries("ingress", 0)[0]
    with httpx.Client(trust_env=False, timeout=2, headers={"Host": HOST, "Connection": "close"}) as client:
        until(lambda: _answers(client, f"http://{host}:{port}/"), "the first answer through the Ingress", timeout=120)


def _answers(client: httpx.Client, url: str) -> bool:
    try:
        return client.get(url).status_code == 200
    except httpx.HTTPError:
        return False


def _bare(running: session.OwnCluster, config: str) -> float:
    """Seconds that kind alone takes for the cluster that the harness has just had."""
    try:
        with in_use(running.store, NAME):  # else another run takes it for a dead one and removes it
            return _created(running, config)
    finally:
        _gone()


def _created(running: session.OwnCluster, config: str) -> float:
    home = running.kubeconfig.parent
    (home / "ledger").mkdir(parents=True)
    owner = {
        "key": "",
        "mapped": {},
        "checkout": str(ROOT),
        "engine": running.engine.name,
    }  # so that a killed benchmark's cluster counts as ours
    (home / "owner.json").write_text(json.dumps(owner))
    (home / "bare.yaml").write_text(config)
    image = str(running.environment["node_image"])
    words: list[str | Path] = [running.kind_binary, "create", "cluster", "--name", NAME, "--image", image]
    words += ["--config", home / "bare.yaml", "--kubeconfig", running.kubeconfig, "--wait", "180s"]
    started = time.monotonic()
    run(words, "create a bare cluster", timeout=420, env=running.engine.kind_env)
    return time.monotonic() - started


def _gone() -> None:
    """Remove the benchmark's cluster, if there is one: this run's, or one that a killed run has left."""
    store = Store(cache_root(), _say)
    home = store.root / "clusters" / NAME
    if home.exists() and (found := engine.find(store.root, host.detect())) is not None:
        owned.remove([found], {}, store, home)


def _kept() -> dict[str, Any]:
    """A kept cluster: from the start of pytest to the first sample, and what a scenario takes beside its load."""
    command = [sys.executable, "-m", "pytest", "scenarios/test_cutover.py", "-k", "cutover_loses and service", "-q",
               "--cluster-name", NAME]  # fmt: skip
    first_s, outside_s = [], []
    with Memory() as memory:
        _run([*command, "--keep-cluster"])  # now there is a cluster to keep
        for number in range(REPEATS):
            began = time.monotonic_ns()
            _run([*command, *(["--keep-cluster"] if number < REPEATS - 1 else [])])
            verdict = json.loads((ROOT / "artifacts" / "latest" / "verdict.json").read_text())
            record = verdict["scenarios"][0]
            first_s.append((int(read(Path(record["evidence"])).samples["intended"].min()) - began) / 1e9)
            outside_s.append(record["seconds"] - record["load_seconds"])
    cold: dict[str, float] = {}
    for path in (ROOT / "artifacts").glob("*/verdict.json"):
        for name, seconds in json.loads(path.read_text())["environment"].get("setup_seconds", {}).items():
            cold[name] = max(seconds, cold.get(name, 0.0))
    return {
        "kept_first_sample_s": round(statistics.median(first_s), 1),
        "outside_load_s": round(statistics.median(outside_s), 1),
        "cold_setup_s": cold,
        "memory_mib": memory.mib,
    }


def _run(command: list[str]) -> None:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900)
    if done.returncode not in (EXIT_PASS, EXIT_INCONCLUSIVE):  # what took how long is told by an inconclusive run too
        raise SystemExit(
            f"{' '.join(command)} ended with {done.returncode}\n{done.stdout[-4000:]}{done.stderr[-2000:]}"
        )


class Memory:
    """The most memory in use on the machine during the block, less what was in use before it.

    Attributes:
        mib: MiB, by /proc/meminfo's MemTotal - MemAvailable, once a second.

    """

    def __enter__(self) -> Memory:
        """Start to look."""
        self.mib = 0
        self._before = _used_mib()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End it."""
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(1):
            self.mib = max(self.mib, _used_mib() - self._before)


def _used_mib() -> int:
    text = Path("/proc/meminfo").read_text()
    kib = {key: int(value) for key, value in re.findall(r"^(\w+):\s+(\d+) kB", text, re.MULTILINE)}
    return (kib["MemTotal"] - kib["MemAvailable"]) // 1024


def _ratio(ours: list[float], bare: list[float]) -> float:
    return round(statistics.median(one / other for one, other in zip(ours, bare, strict=True)), 3)


def _say(text: str) -> None:
    print(f"[bench] {text}", flush=True)

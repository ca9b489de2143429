"""The project's own instrument as it runs in a scenario: loadtests/steady.py in a child, read back from its record."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks.running import Broken, Done, execute
from harness.client.identity import Identity
from harness.client.plan import ENVIRONMENT, PARENT, ClassPlan, Entry, LoadPlan
from harness.client.plan_check import MAX_RATE
from harness.client.socket_plan import SocketPlan
from harness.evidence.store import read
from harness.evidence.timeline import Timeline

ROOT = Path(__file__).parents[1]
NAME = "this"


def drive(
    ports: Sequence[int],
    classes: Mapping[str, ClassPlan],
    seconds: float,
    folder: Path,
    *,
    timeout_s: float = 5.0,
    prefix: Sequence[str] = (),
    sockets: SocketPlan | None = None,
) -> tuple[Timeline, Done]:
    """Send open-model load for so many seconds and read its record.

    Args:
        ports: entries on 127.0.0.1.
        classes: by name. A rate above the plan's own bound runs by benchmarks/beyond.py.
        seconds: how long.
        folder: for plan and record.
        timeout_s: bound of one request.
        prefix: put before the command.
        sockets: kept open beside the classes.

    Raises:
        Broken: the child failed.

    """
    within = {name: ClassPlan(**{**asdict(spec), "rate": min(spec.rate, 1.0)}) for name, spec in classes.items()}
    plan = LoadPlan(
        entries=tuple(Entry("127.0.0.1", port, f"backend-{number}") for number, port in enumerate(ports)),
        hosts=("127.0.0.1",),
        host_header="toy.test",
        classes=within,
        run_tag="bench",
        folder=str(folder),
        path="/ok/bench",
        identity=Identity(revision_header="X-Toy-Version", pod_header="X-Toy-Pod"),
        timeout_s=timeout_s,
        max_seconds=seconds,
        sockets=sockets,
    )
    total = sum(spec.rate for spec in classes.values())
    data = json.loads(plan.to_json())
    data["classes"] = {name: asdict(spec) for name, spec in classes.items()}
    data["max_rate"] = total
    (folder / "plan.json").write_text(json.dumps(data))
    file = ROOT / ("benchmarks/beyond.py" if total > MAX_RATE else "loadtests/steady.py")
    count = str(len(classes) + (sockets is not None))
    words = [*prefix, sys.executable, "-m", "locust", "-f", str(file), "--headless", "--only-summary"]
    words += ["--users", count, "--spawn-rate", count, "--stop-timeout", str(round(timeout_s + 5))]
    words += ["--exit-code-on-error", "0", "--loglevel", "ERROR"]
    environment = {ENVIRONMENT: str(folder / "plan.json"), PARENT: str(os.getpid()), "PYTHONPATH": str(ROOT)}
    done = execute(words, timeout=seconds + timeout_s + 40, env=environment, cwd=folder)
    (folder / "events.jsonl").touch()
    timeline = read(folder)
    if done.code or timeline.notes or len(timeline.classes) != len(classes):
        raise Broken(f"the load exited with {done.code}: {timeline.notes} {done.error[-500:]}")
    return timeline, done


def kept(rate: float, connections: int, path: str = "") -> ClassPlan:
    """A kept class of so many connections: the plan counts them as rate x gap."""
    return ClassPlan(rate, path=path, gap_s=connections / rate)

"""What judging costs, over records of 10,000 to 10,000,000 samples: seconds, memory, and how they grow.

``python -m benchmarks.judging FOLDER`` judges one record as `bluegreen recheck` does, and tells its seconds as JSON.
"""

from __future__ import annotations

import json
import math
import re
import statistics
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.running import Broken, execute, window
from harness.cluster.store import Store
from harness.evidence import samples as layout
from harness.evidence.samples import Samples

SIZES: Final = (10_000, 100_000, 1_000_000, 10_000_000)
AT: Final = 1_000_000
"""The size whose seconds and memory have a limit."""
REPEATS: Final = 3
RATES: Final = {"fresh": 200.0, "busy": 50.0}
SECOND: Final = 1_000_000_000
T0: Final = 1_000 * SECOND
MOVES: Final = 2
"""A cutover and a rollback."""
NIGHTLY: Final = (150_000, 60)
"""Samples and moves of the nightly's longest scenario."""
PODS: Final = 8
TEXTS: Final = ("v1", "v2", *(f"pod-{n}" for n in range(PODS)))
HERE: Final = Path(__file__).parents[1]


def measure(store: Store, sizes: Iterable[int] = SIZES) -> dict[str, Any]:
    """The judge's numbers; each record is judged in a process of its own, the smaller ones three times."""
    found: dict[str, dict[str, float]] = {}
    for size in sizes:
        with window(store) as folder:
            write(folder, size)
            runs = [_one(folder) for _ in range(REPEATS if size <= AT else 1)]
        seconds = statistics.median(run["seconds"] for run in runs)
        found[str(size)] = {"seconds": round(seconds, 4), "peak_mib": round(max(run["peak_mib"] for run in runs), 1)}
    with window(store) as folder:
        write(folder, *NIGHTLY)
        nightly = statistics.median(_one(folder)["seconds"] for _ in range(REPEATS))
    at = found.get(str(AT)) or found[max(found, key=int)]
    seconds_by = {int(size): one["seconds"] for size, one in found.items()}
    return {
        "samples": AT if str(AT) in found else int(max(found, key=int)),
        "seconds": at["seconds"],
        "peak_mib": at["peak_mib"],
        "slope": round(slope(seconds_by), 3),
        "slope_last_decade": round(slope(dict(sorted(seconds_by.items())[-2:])), 3),
        "sizes": found,
        "nightly": {"samples": NIGHTLY[0], "moves": NIGHTLY[1], "seconds": round(nightly, 4)},
    }


def slope(seconds: dict[int, float]) -> float:
    """The exponent b of seconds = a x samples^b, by least squares over the logarithms."""
    x = np.log([float(size) for size in seconds])
    y = np.log(list(seconds.values()))
    return float(np.polyfit(x, y, 1)[0])


def write(folder: Path, count: int, turns: int = MOVES) -> None:
    """Writes a record of so many samples: two classes at their usual rates, some moves, one outage.

    The format is the recorder's; the samples are made as columns, since ten million calls would take minutes.
    """
    seconds = count / sum(RATES.values())
    moves = [round(T0 + seconds * (number + 0.5) / turns * SECOND) for number in range(turns)]
    with (folder / "samples-1.bin").open("wb") as file:
        file.write(layout.header_record(1) + layout.clock_record(T0, T0))
        for ident, text in enumerate((*TEXTS, *RATES), 1):
            file.write(layout.string_records(ident, text))
        left = count
        for code, (name, rate) in enumerate(RATES.items()):
            own = left if code == len(RATES) - 1 else round(count * rate / sum(RATES.values()))
            left -= own
            file.write(layout.class_record(code, len(TEXTS) + 1 + code, rate, T0, 5.0))
            _class(code, name, rate, own, moves).tofile(file)
            file.write(layout.closing_record(code, own, own, 0, 0))
        file.write(layout.clock_record(T0 + round(seconds * SECOND), T0 + round(seconds * SECOND)))
    _events(folder / "events.jsonl", seconds, moves)


def _class(code: int, name: str, rate: float, count: int, moves: list[int]) -> Samples:
    rng = np.random.default_rng(code)
    samples = layout.empty(count)
    samples["cls"] = code
    samples["seq"] = np.arange(count)
    samples["intended"] = T0 + (np.arange(count) * (SECOND / rate)).astype(np.int64)
    samples["sent"] = samples["intended"] + rng.integers(50_000, 400_000, count)
    samples["first_byte"] = samples["end"] = samples["sent"] + rng.integers(800_000, 4_000_000, count)
    samples["entry"] = np.arange(count) % 3
    samples["conn"] = np.arange(count) + 1 if name == "fresh" else 1
    samples["nth"] = 1 if name == "fresh" else np.arange(count) + 1
    samples["status"] = 200
    new = np.searchsorted(np.array(moves) + 300_000_000, samples["sent"]) % 2
    samples["revision"] = 1 + new
    samples["pod"] = 3 + rng.integers(0, PODS, count)
    hit = (samples["sent"] >= moves[0]) & (samples["sent"] < moves[0] + 300_000_000)
    samples["outcome"][hit] = layout.FAILED
    samples["error"][hit] = layout.ERRORS.index("connect_refused")
    return samples


def _events(path: Path, seconds: float, moves: list[int]) -> None:
    def event(at: int, name: str, **fields: object) -> tuple[int, str]:
        return at, json.dumps({"t": at, "name": name, **fields})

    end = T0 + round(seconds * SECOND)
    lines = [
        event(T0 - 3, "run.started", scenario="bench", path="service", level="user", nodes=["a", "b", "c"]),
        event(T0 - 2, "promise.declared", check="nothing_lost", params={}),
        event(T0 - 2, "promise.declared", check="idle_side_warm", params={}),
        event(T0 - 2, "promise.declared", check="no_flip_back", params={"within": 2.0}),
        event(T0 - 2, "instrument.tested", result="pass", injected=90, reported=90, detail="", seconds=1.8),
        event(T0 - 1, "load.started", classes=RATES),
        event(end + 1, "load.stopped", exit_code=0),
        event(end + 2, "cluster.answers", ok=True, detail=""),
        event(end + 3, "scenario.finished"),
    ]
    only = {"revision": None, "after": "cutover", "classes": ["fresh"], "within": 2.0}
    lines.append(event(T0 - 2, "promise.declared", check="only", params=only))
    sides = ("blue", "green")
    for number, at in enumerate(moves):
        name = ("cutover", "rollback")[number % 2]
        old, new = number % 2, 1 - number % 2
        told = {"from_revision": TEXTS[old], "to_revision": TEXTS[new]}
        told |= {"from_side": sides[old], "to_side": sides[new]}
        lines.append(event(at - SECOND, "cutover.planned", at_ns=at, move=name, **told))
        lines.append(event(at, "cutover.sent", move=name))
        lines.append(event(at + 10_000_000, "cutover.acknowledged", move=name, resource_version=str(number)))
    for second in range(int(seconds)):
        for side in sides:
            lines.append(event(T0 + second * SECOND, "pods.observed", side=side, ready=4, wanted=4))
    path.write_text("".join(f"{line}\n" for _, line in sorted(lines)))


def _one(folder: Path) -> dict[str, float]:
    done = execute([sys.executable, "-m", "benchmarks.judging", folder], timeout=300, cwd=HERE)
    if done.code:
        raise Broken(f"the judge exited with {done.code}: {done.error[-500:]}")
    told = json.loads(done.out)
    if told["verdict"] != "fail" or told["lost"] == 0 or math.isnan(told["seconds"]):
        raise Broken(f"the judge missed the outage in the record: {told}")
    return {"seconds": told["seconds"], "peak_mib": told["peak_mib"]}


def main() -> None:
    """Judge one record: from its files to the record of verdict.json. Imports aren't counted."""
    from harness.checks.promise import promises_of
    from harness.checks.registry import judge
    from harness.checks.verdict import overall
    from harness.evidence.store import read
    from harness.evidence.summary import scenario_record

    begun = time.perf_counter()
    timeline = read(Path(sys.argv[1]))
    findings = judge(timeline, promises_of(timeline))
    record = {**scenario_record(timeline, findings), "verdict": overall(findings)}
    text = json.dumps(record)
    seconds = time.perf_counter() - begun
    lost = record["samples"]["failed"] + record["samples"]["unknown"]
    told = {
        "seconds": seconds,
        "verdict": record["verdict"],
        "lost": lost,
        "record": len(text),
        "peak_mib": _peak_mib(),
    }
    print(json.dumps(told))


def _peak_mib() -> float:
    """The largest resident memory of this program. Not ru_maxrss: a child inherits what its parent had."""
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) / 1024  # type: ignore[index]


if __name__ == "__main__":
    main()

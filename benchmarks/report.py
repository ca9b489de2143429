"""What report.html costs: seconds to build, bytes, and seconds to open in a browser.

Two runs are built: one scenario of a million samples, and thirty scenarios of a usual size. Writes
artifacts/latest/bench/report.json; without Playwright or a Chromium the opening isn't measured.
"""

from __future__ import annotations

import importlib.util
import json
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any, Final

from benchmarks import judging, result
from harness.checks.promise import promises_of
from harness.checks.registry import judge
from harness.checks.verdict import overall
from harness.evidence.store import read
from harness.evidence.summary import scenario_record
from harness.report import files
from harness.report.artifacts import verdict_document

SHAPES: Final = {"one_large": (1, 1_000_000), "thirty_usual": (30, 5_000)}
"""Scenarios and samples of each."""
LIMITS: Final = {"build_s": 5.0, "bytes": 3_000_000, "open_s": 2.0}
BROWSERS: Final = ("chromium", "chromium-browser", "google-chrome")
REPEATS: Final = 3


def main() -> None:
    """Measure, write the file, and say which limits are met."""
    numbers: dict[str, Any] = {}
    for name, (scenarios, samples) in SHAPES.items():
        with tempfile.TemporaryDirectory() as folder:
            numbers[name] = measure(Path(folder) / "run", scenarios, samples)
    print(result.keep("report", numbers).read_text())
    for name, found in numbers.items():
        for key, limit in LIMITS.items():
            told = found[key]
            met = "not measured" if told is None else "met" if told <= limit else "NOT met"
            print(f"{name} {key}: {told}, limit {limit:g}: {met}")


def measure(folder: Path, scenarios: int, samples: int) -> dict[str, Any]:
    """Seconds to build and to open, and bytes, of a run of so many scenarios with so many samples each."""
    folder.mkdir(parents=True)
    records = []
    for number in range(scenarios):
        evidence = folder / f"scenario-{number}"
        evidence.mkdir()
        judging.write(evidence, samples)
        timeline = read(evidence)
        findings = judge(timeline, promises_of(timeline))
        told = scenario_record(timeline, findings, scenario_id=f"scenarios/test_bench.py::test_{number}[service]")
        records.append({**told, "verdict": overall(findings), "evidence": str(evidence)})
    document = verdict_document(folder.name, "bench", 0.0, {}, {}, json.loads(json.dumps(records)), [])
    begun = time.perf_counter()
    path = folder / files.NAME
    path.write_text(files.build(folder, document))
    built = time.perf_counter() - begun
    return {
        "scenarios": scenarios,
        "samples": samples,
        "build_s": round(built, 2),
        "bytes": path.stat().st_size,
        "open_s": opening(path),
    }


def opening(path: Path) -> float | None:
    """Seconds from the request of the page until it is loaded and laid out, median; None without a browser."""
    browser = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if browser is None or importlib.util.find_spec("playwright") is None:
        return None
    from playwright.sync_api import sync_playwright

    times = []
    with sync_playwright() as runner:
        started = runner.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        for _ in range(REPEATS):
            page = started.new_page(viewport={"width": 1280, "height": 900})
            begun = time.perf_counter()
            page.goto(path.as_uri(), wait_until="load")
            page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
            times.append(time.perf_counter() - begun)
            page.close()
        started.close()
    return round(sorted(times)[len(times) // 2], 2)


if __name__ == "__main__":
    main()

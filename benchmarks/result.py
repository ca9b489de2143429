"""Where a benchmark's numbers go: artifacts/bench/<time>/<name>.json, linked from artifacts/latest/bench/."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.report.artifacts import link_latest

ROOT = Path(__file__).resolve().parents[1]


def keep(name: str, numbers: Mapping[str, Any]) -> Path:
    """Write the numbers of the part ``name`` and return the file."""
    folder = ROOT / "artifacts" / "bench" / time.strftime("%Y%m%d-%H%M%S")
    folder.mkdir(parents=True)
    path = folder / f"{name}.json"
    path.write_text(json.dumps(numbers, indent=1) + "\n")
    link_latest(ROOT / "artifacts", path, "bench")
    return path

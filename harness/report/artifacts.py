"""The run's folder, its verdict.json, and the links in artifacts/latest/."""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.files import write_atomically

SCHEMA = 1
NOT_COVERED = (
    "cloud load balancers and their health checks",
    "DNS changes and caches outside the cluster",
    "more than one control plane; nodes on different machines",
    "gRPC and HTTP/3 connections",
    "database schema changes",
)
_RANK = {"pass": 0, "inconclusive": 1, "fail": 2}


class Run:
    """One run of the suite on disk.

    Args:
        root: the folder artifacts/.
        keep: how many runs stay; older ones are removed.

    """

    def __init__(self, root: Path, keep: int) -> None:
        self.root = root
        self.id = time.strftime("%Y%m%d-%H%M%S-") + secrets.token_hex(2)
        self.folder = root / self.id
        self.folder.mkdir(parents=True)
        self._prune(keep)

    def scenario_folder(self, node_id: str, attempt: int) -> Path:
        """A new folder for one attempt of the scenario ``node_id``."""
        file, _, test = node_id.partition("::")
        name = re.sub(r"[^A-Za-z0-9_.-]+", "-", f"{Path(file).stem}.{test}").strip("-")
        name = f"{name}.attempt{attempt}" if attempt > 1 else name
        if (self.folder / name).exists():  # two files of one name in different folders
            name += "-" + hashlib.sha256(node_id.encode()).hexdigest()[:6]
        folder = self.folder / name
        folder.mkdir(parents=True, exist_ok=False)
        return folder

    def write_verdict(self, verdict: Mapping[str, Any], *, latest: bool) -> Path:
        """Write verdict.json whole or not at all; ``latest`` also moves artifacts/latest/verdict.json there."""
        path = self.folder / "verdict.json"
        write_atomically(path, json.dumps(verdict, indent=1) + "\n")
        if latest:
            self.link_latest(path)
        return path

    def write_other(self, name: str, data: Mapping[str, Any], *, latest: bool) -> None:
        """Write another result of the run beside its verdict; ``latest`` also moves artifacts/latest/<name> there."""
        path = self.folder / name
        write_atomically(path, json.dumps(data, indent=1) + "\n")
        if latest:
            self.link_latest(path)

    def link_latest(self, path: Path) -> None:
        """Point artifacts/latest/<name> at ``path``; readers see the old or the new one, never none."""
        link_latest(self.root, path)

    def _prune(self, keep: int) -> None:
        linked = {link.resolve().parent.name for link in (self.root / "latest").glob("*") if link.is_symlink()}
        runs = sorted(p for p in self.root.iterdir() if re.fullmatch(r"\d{8}-\d{6}-[0-9a-f]{4}", p.name))
        for old in runs[: max(0, len(runs) - keep)]:
            if old.name not in linked:
                shutil.rmtree(old, ignore_errors=True)


def link_latest(root: Path, path: Path, kind: str = "") -> None:
    """Atomically make ``root``/latest/[<kind>/]<name of path> a relative link to ``path``."""
    latest = root / "latest" / kind
    latest.mkdir(parents=True, exist_ok=True)
    fresh = latest / f".{path.name}.{secrets.token_hex(4)}"
    fresh.symlink_to(os.path.relpath(path, latest))
    fresh.replace(latest / path.name)


def worst(verdicts: Sequence[str]) -> str:
    """Fail > inconclusive > pass; nothing judged is inconclusive."""
    return max(verdicts, key=_RANK.__getitem__) if verdicts else "inconclusive"


def verdict_document(
    run: str,
    tier: str,
    seconds: float,
    environment: Mapping[str, Any],
    instrument: Mapping[str, Any],
    scenarios: Sequence[Mapping[str, Any]],
    harness_errors: Sequence[str],
    skipped: Sequence[Mapping[str, str]] = (),
) -> dict[str, Any]:
    """The whole of verdict.json.

    A scenario that broke (``harness_errors``) leaves the run without evidence for it: never better than inconclusive.
    """
    verdicts = [str(scenario["verdict"]) for scenario in scenarios] + ["inconclusive"] * len(harness_errors)
    return {
        "schema": SCHEMA,
        "run": run,
        "verdict": worst(verdicts),
        "tier": tier,
        "seconds": round(seconds, 1),
        "not_covered": list(NOT_COVERED),
        "environment": dict(environment),
        "instrument": dict(instrument),
        "harness_errors": list(harness_errors),
        "skipped": list(skipped),
        "scenarios": list(scenarios),
    }

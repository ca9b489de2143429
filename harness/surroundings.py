"""What a run's numbers depend on beside the cluster: the machine's size, the kernel, Python, the harness itself."""

from __future__ import annotations

import os
import platform
from pathlib import Path

from harness import __version__
from harness.cluster.shell import run
from harness.errors import SetupError
from harness.resources import root

GIT_SECONDS = 10.0


def surroundings(source: Path | None = None) -> dict[str, object]:
    """For verdict.json's `environment`; nothing in it names this machine or a folder of it.

    Args:
        source: where the harness comes from; the default is the installed one's.

    """
    told: dict[str, object] = {
        "cpu_cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "kernel": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "harness": __version__,
    }
    revision = _revision(source or root())
    return {**told, "harness_revision": revision} if revision else told


def _revision(source: Path) -> str:
    """The commit of a checkout, with "-dirty" where files differ from it; "" for what is no checkout of its own."""
    if not (source / ".git").exists():  # an installed package may lie in a checkout of somebody else's
        return ""
    command = ["git", "-C", str(source), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    try:
        done = run(command, "ask git for the revision", timeout=GIT_SECONDS, check=False)
    except SetupError:  # no git: the version has to do
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""

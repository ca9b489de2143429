"""Which checkout a folder belongs to: pytest's root folder and the command's working folder name the same one by it."""

from __future__ import annotations

import tomllib
from pathlib import Path

FILE = "bluegreen.toml"
PYPROJECT = "pyproject.toml"


def of(start: Path) -> Path:
    """The outermost folder from ``start`` upwards with a configuration, within one git checkout; else ``start``.

    Outermost, because a checkout may hold several configurations and has one cluster; not beyond a ``.git``, because
    a checkout may lie inside another one.
    """
    first = start.resolve()
    found = first
    for folder in (first, *first.parents):
        if _configured(folder):
            found = folder
        if (folder / ".git").exists():  # a file in a worktree
            break
    return found


def _configured(folder: Path) -> bool:
    if (folder / FILE).is_file():
        return True
    try:
        values = tomllib.loads((folder / PYPROJECT).read_text(encoding="utf-8"))
    except (OSError, ValueError):  # none, or not TOML: who reads the configuration itself will say so
        return False
    return "bluegreen" in values.get("tool", {})

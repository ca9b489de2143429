"""Put away what earlier runs left: one checkout's cluster, or everything there ever was.

Needs nothing but Python, so that it still works where the environment is gone.
"""

from __future__ import annotations

import shutil
import stat
from collections.abc import Callable
from pathlib import Path

from harness import checkout
from harness.cluster import engine, host, owned
from harness.cluster.engine import Engine
from harness.cluster.store import Say, Store, cache_root
from harness.errors import HarnessError


def clean(*, everything: bool, say: Say) -> list[HarnessError]:
    """Remove the cluster of the working folder's checkout; with ``everything`` all of ours, and the cache.

    Args:
        everything: the cache folder goes only if every cluster could be removed: it holds their records.
        say: prints one line.

    Returns:
        what stayed, and why; empty where all is gone.

    """
    store = Store(cache_root(), say)
    if not store.root.exists():
        return []
    here = checkout.of(Path.cwd())
    clusters = sorted((store.root / "clusters").glob("*"))
    wanted = [home for home in clusters if everything or _belongs(home, here)]
    if not wanted and not everything:
        say(f"no cluster of {here} is on record; of others: {', '.join(home.name for home in clusters) or 'none'}")
    there, silent = _engines(store)
    stayed: list[HarnessError] = []
    for home in wanted:
        try:
            owned.remove(there, silent, store, home)
        except HarnessError as error:
            stayed.append(error)
    if everything and not stayed:
        for found in there:
            if found.name == "podman" and found.env:
                found("system", "reset", "--force", what="empty our own podman store", timeout=300)
        shutil.rmtree(store.root, onerror=_writable)
        say(f"{store.root}: removed")
    elif everything:
        say(f"{store.root}: kept, because it holds the records of what stayed")
    return stayed


def _belongs(home: Path, here: Path) -> bool:
    owner = owned.read_owner(home) or {}
    return home.name == owned.name_of(here) or owner.get("checkout") == str(here)


def _engines(store: Store) -> tuple[list[Engine], dict[str, str]]:
    """The engines that answer, and what those say that are installed and don't."""
    there: list[Engine] = []
    silent: dict[str, str] = {}
    this_host = host.detect()
    for name in engine.ENGINES:
        try:
            found = engine.find(store.root, this_host, name)
        except HarnessError as error:
            silent[name] = error.what
        else:
            there += [found] if found is not None else []
    return there, silent


def _writable(function: Callable[[str], object], path: str, _error: object) -> None:
    """Go's module cache is read-only on purpose."""
    for place in (Path(path).parent, Path(path)):
        if place.exists():
            place.chmod(place.stat().st_mode | stat.S_IRWXU)
    function(path)

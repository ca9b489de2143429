"""Clusters that some checkout on this machine has made: whose they are, whether they live, how they go."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import shutil
import ssl
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.cluster.engine import Engine
from harness.cluster.shell import run
from harness.cluster.store import Say, Store
from harness.errors import SetupError

PREFIX = "bluegreen-"
LABEL = "io.x-k8s.kind.cluster"
OWNED = ("bluegreen.dev/owner", "pytest-bluegreen")
"""Label, key and value, of all that the harness makes: nodes, namespaces, and each object in them."""
ALLOWED = ("bluegreen.dev/allow", "pytest-bluegreen")
"""Label by which the owner of a namespace lets the harness in beside what is there; the harness never sets it."""


def name_of(checkout: Path) -> str:
    """The cluster name of a checkout: two checkouts never share a cluster."""
    return PREFIX + hashlib.sha256(str(checkout.resolve()).encode()).hexdigest()[:8]


def read_owner(home: Path) -> dict[str, Any] | None:
    """What is known of the cluster whose folder is ``home``, or None where it isn't ours."""
    try:
        return dict(json.loads((home / "owner.json").read_text()))
    except (OSError, ValueError):
        return None


def listed(kind: Path, engine: Engine) -> list[str]:
    """Names of all kind clusters of this engine."""
    return run([kind, "get", "clusters"], "list kind clusters", timeout=60, env=engine.kind_env).stdout.split()


def healthy(kubeconfig: Path, bound: float = 5.0) -> bool:
    """Ask the API server itself: the engine says "Up" for containers whose processes were killed."""
    import yaml  # not above: `bluegreen clean` runs without any package

    try:
        config = yaml.safe_load(kubeconfig.read_text())
        server = config["clusters"][0]["cluster"]["server"]
        context = ssl._create_unverified_context()  # noqa: S323 - only whether somebody answers on this machine
        # a proxy for the world outside has no business between this machine and itself
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
        )
        with opener.open(f"{server}/readyz", timeout=bound) as answer:
            return bool(answer.status == 200)
    except (OSError, ValueError, KeyError, TypeError, IndexError, http.client.HTTPException, yaml.YAMLError):
        return False


def sweep(kind: Path, engine: Engine, store: Store, keep: str, say: Say) -> None:
    """Delete clusters of ours, from any checkout, that are dead or whose checkout is gone; never one in use."""
    for name in listed(kind, engine):
        home = store.root / "clusters" / name
        owner = read_owner(home)
        if name == keep or owner is None:
            continue
        gone = not Path(owner["checkout"]).exists()
        with contextlib.ExitStack() as held:
            try:
                held.enter_context(store.lock(f"cluster-{name}", timeout=0))
            except SetupError:
                continue  # in use
            # one missed answer of another checkout's cluster on a busy machine is not its death
            if not gone and any(healthy(home / "kubeconfig") for _ in range(3)):
                continue
            say(f"cluster {name}: removed, because {'its checkout is gone' if gone else 'it is dead'}")
            words: list[str | Path] = [kind, "delete", "cluster", "--name", name, "--kubeconfig", home / "kubeconfig"]
            run(words, f"delete cluster {name}", timeout=180, env=engine.kind_env)
            shutil.rmtree(home, ignore_errors=True)


def remove(engines: Sequence[Engine], silent: Mapping[str, str], store: Store, home: Path) -> None:
    """Remove the cluster whose folder is ``home`` from every engine, without kind: it may not be there any more.

    Args:
        engines: those that answer.
        silent: those that are installed and don't, with what they say.
        store: its lock keeps off the clusters in use.
        home: the cluster's folder.

    Raises:
        SetupError: it is in use, or its engine doesn't answer or refused; its folder, and so its record, stays.

    """
    with store.lock(f"cluster-{home.name}", timeout=0):
        owner, seen = read_owner(home), False
        for engine in engines if owner is not None else ():
            containers = engine.containers(f"{LABEL}={home.name}")
            if containers:
                engine("rm", "--force", "--volumes", *containers, what=f"remove cluster {home.name}", timeout=180)
                store.say(f"cluster {home.name}: removed")
                seen = True
        if owner is not None and not seen:  # nowhere to be found: is that because whoever has it is silent?
            _require_engine(owner.get("engine"), engines, silent, home)
        shutil.rmtree(home, ignore_errors=True)


def _require_engine(maker: str | None, engines: Sequence[Engine], silent: Mapping[str, str], home: Path) -> None:
    """Who made the cluster must answer; where the record doesn't name it, every one that is installed must."""
    absent = [maker] if maker is not None and maker not in [engine.name for engine in engines] else []
    for name in absent if maker is not None else silent:
        said = silent.get(name, f"{name} is not on PATH")
        raise SetupError(
            f"cluster {home.name} was not removed, its record stays: {said}",
            f"start {name} and clean again; if {name} is gone for good, remove {home} by hand",
        )

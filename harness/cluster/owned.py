"""Clusters that some checkout on this machine has made: whose they are, whether they live, how they go."""

from __future__ import annotations

import contextlib
import http.client
import json
import shutil
import ssl
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from harness.cluster.engine import Engine
from harness.cluster.shell import run
from harness.cluster.store import Say, Store
from harness.errors import SetupError

LABEL = "io.x-k8s.kind.cluster"
OWNED = ("bluegreen.dev/owner", "pytest-bluegreen")
"""Label, key and value, of every namespace and node that the harness makes."""


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


def remove(engines: Sequence[Engine], store: Store, home: Path) -> None:
    """Remove the cluster whose folder is ``home`` from every engine, without kind: it may not be there any more.

    Raises:
        SetupError: the cluster is in use, or an engine refused; its folder stays.

    """
    with store.lock(f"cluster-{home.name}", timeout=0):
        for engine in engines if read_owner(home) is not None else ():
            containers = engine.containers(f"{LABEL}={home.name}")
            if containers:
                engine("rm", "--force", "--volumes", *containers, what=f"remove cluster {home.name}", timeout=180)
                store.say(f"cluster {home.name}: removed")
        shutil.rmtree(home, ignore_errors=True)

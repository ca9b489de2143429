"""Where the tools come from: pinned Go modules, a pinned crate, Debian packages; each only where it can be had."""

from __future__ import annotations

import importlib.metadata
import re
import shutil
import subprocess
from pathlib import Path

from harness.cluster import packages
from harness.cluster.host import detect
from harness.cluster.shell import run
from harness.cluster.store import Store
from harness.errors import SetupError

GO = {
    "vegeta": ("github.com/tsenart/vegeta/v12", "v12.13.0"),
    "bombardier": ("github.com/codesenberg/bombardier", "v1.2.6"),
}
CRATES = {"oha": "1.16.0"}
DEBIAN = {"hey": "hey", "wrk": "wrk", "h2load": "nghttp2-client"}
BUILD_S = 1800.0


def program(name: str, store: Store) -> tuple[Path, str]:
    """A tool's program and version; built or installed now where it isn't there.

    Raises:
        SetupError: it can't be had on this machine, with the reason.

    """
    # Building and installing load the machine: never beside a measured window.
    with store.lock("measured-window"):
        if name in GO:
            return _go(name, store), GO[name][1].removeprefix("v")
        if name in CRATES:
            return _crate(name, store), CRATES[name]
        host = detect()
        packages.ensure({name: DEBIAN[name]}, host, install=host.root, say=store.say)
    asked = ["dpkg-query", "-W", "-f", "${Version}", DEBIAN[name]]
    version = subprocess.run(asked, capture_output=True, text=True, check=False).stdout
    return Path(shutil.which(name) or name), re.sub(r"-.*", "", version) or "unknown"


def _go(name: str, store: Store) -> Path:
    module, version = GO[name]
    if shutil.which("go") is None:
        raise SetupError(f"no {name}: Go is not installed", "install Go")
    environment = {
        "GOCACHE": str(store.root / "go" / "build"),
        "GOMODCACHE": str(store.root / "go" / "mod"),
        "GOTOOLCHAIN": "local",
        "GOFLAGS": "",
        "CGO_ENABLED": "0",
    }
    compiler = run(["go", "env", "GOVERSION"], "ask Go for its version", timeout=60, env=environment).stdout.strip()

    def make(folder: Path) -> None:
        run(
            ["go", "install", "-trimpath", f"{module}@{version}"],
            f"build {name}",
            timeout=BUILD_S,
            env={**environment, "GOBIN": str(folder)},
        )

    inputs = {"module": module, "version": version, "go": compiler}
    return store.folder(f"bench-{name}", inputs, make, "about 20 s") / name


def _crate(name: str, store: Store) -> Path:
    if shutil.which("cargo") is None:
        raise SetupError(f"no {name}: cargo is not installed", "install Rust")
    compiler = run(["cargo", "--version"], "ask cargo for its version", timeout=60).stdout.strip()

    def make(folder: Path) -> None:
        with store.context() as target:
            run(
                ["cargo", "install", name, "--version", CRATES[name], "--locked", "--root", folder],
                f"build {name}",
                timeout=BUILD_S,
                env={"CARGO_TARGET_DIR": str(target)},
            )

    inputs = {"crate": name, "version": CRATES[name], "cargo": compiler}
    return store.folder(f"bench-{name}", inputs, make, "about 3 min on 2 cores") / "bin" / name


def installed(distribution: str) -> str:
    """The version of a Python package of this environment."""
    return importlib.metadata.version(distribution)

"""A network of its own, with a registry and engines in it: what the pull path and docker need to be seen for real."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.cluster import engine, host, images
from harness.cluster.store import Store, cache_root
from harness.config import load
from harness.resources import resource
from harness.setup import applications_of
from harness.waiting import until

ROOT = Path(__file__).resolve().parents[1]
REGISTRY = "127.0.0.1:5000"
NODE = "docker.io/kindest/node:v1.36.3"
WITH_US = ("setpriv", "--pdeathsig", "TERM", "--")
"""What is started so ends with this process, however that ends."""


@dataclass(frozen=True)
class Network:
    """A network namespace with nothing but its loopback: no command in it reaches the world or the host."""

    pid: int

    def words(self, *words: str | Path) -> list[str | Path]:
        """The command, run in there."""
        return ["nsenter", f"--net=/proc/{self.pid}/ns/net", *words]

    @contextmanager
    def running(self, log: Path, *words: str | Path, env: dict[str, str] | None = None) -> Iterator[None]:
        """A daemon in there for the block."""
        with log.open("wb") as out:
            daemon = subprocess.Popen(
                [*WITH_US, *self.words(*words)], stdout=out, stderr=out, env={**os.environ, **(env or {})}
            )
        try:
            yield
        finally:
            daemon.terminate()
            daemon.wait(60)

    def succeeds(self, *words: str | Path) -> bool:
        """Whether a command ends well."""
        return subprocess.run(self.words(*words), capture_output=True, check=False, timeout=60).returncode == 0


@pytest.fixture(scope="session")
def network() -> Iterator[Network]:
    """A network namespace for all of this folder's tests."""
    if os.geteuid() != 0:
        pytest.skip("needs root, for a network namespace")
    holder = subprocess.Popen([*WITH_US, "unshare", "--net", "sleep", "7200"])
    network = Network(holder.pid)
    mine = Path("/proc/self/ns/net").readlink()
    until(lambda: Path(f"/proc/{holder.pid}/ns/net").readlink() != mine, "the network namespace", timeout=10)
    assert network.succeeds("ip", "link", "set", "lo", "up")
    yield network
    holder.kill()
    holder.wait()


@pytest.fixture(scope="session")
def source() -> images.Images:
    """The images as they are built here: what the registry is filled with."""
    this_host, store = host.detect(), Store(cache_root(), print)
    found = engine.find(store.root, this_host, "podman")
    if found is None:
        pytest.skip("needs podman, to build what the registry is filled with")
    return images.Images(found, store, this_host, resource("images"), "build", "", print)


@pytest.fixture(scope="session")
def registry(network: Network, source: images.Images, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A registry with every image that the pull path asks for, under the names it asks by."""
    program = shutil.which("docker-registry")
    if program is None:
        pytest.skip("needs Debian's docker-registry")
    folder = tmp_path_factory.mktemp("registry")
    config = {"version": 0.1, "storage": {"filesystem": {"rootdirectory": str(folder / "data")}},
              "http": {"addr": REGISTRY}}  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config))
    probe = f"import urllib.request as u; u.urlopen('http://{REGISTRY}/v2/', timeout=2)"
    with network.running(folder / "log", program, "serve", folder / "config.json"):
        until(lambda: network.succeeds(sys.executable, "-c", probe), "the registry to answer", timeout=30, every=0.5)
        for application in applications_of([load(ROOT / "bluegreen.toml")]):
            assert application.context is not None and application.bases is not None
            source.application(application.context, application.tags, application.bases)
        source.application(resource("images") / "smoke", {"localhost/bluegreen/smoke:1": {}}, images.PYTHON)
        published = {
            source.node("kindest/node"): NODE,
            images.CONTOUR: images.CONTOUR,
            images.ENVOY_BUILT: images.ENVOY_PULLED,
            source.builder_base(images.PYTHON): images.PYTHON.published,
        }
        for local, name in published.items():
            target = f"docker://{REGISTRY}/{name.split('/', 1)[1]}"
            words = network.words("podman", "push", "--quiet", "--tls-verify=false", local, target)
            pushed = subprocess.run(
                words, capture_output=True, text=True, env={**os.environ, **source.engine.env}, check=False, timeout=600
            )
            assert pushed.returncode == 0, pushed.stderr
        yield REGISTRY


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[Path]:
    """A cache with the binaries that are there already, and no image; its engine's images go at the end."""
    home = tmp_path / "cache" / "pytest-bluegreen"
    home.mkdir(parents=True)
    for shared in ("store", "locks", "go"):  # the lock too: never two measured windows on one machine
        (home / shared).symlink_to(cache_root() / shared)
    yield home.parent
    command = [sys.executable, "-m", "harness.cli", "clean", "--all"]  # unlinks what is shared
    subprocess.run(command, cwd=ROOT, env={**os.environ, "XDG_CACHE_HOME": str(home.parent)}, check=True, timeout=600)


@pytest.fixture
def dockerd(network: Network, tmp_path: Path) -> Iterator[str]:
    """Debian's dockerd with its state in a temporary folder; yields DOCKER_HOST."""
    program = shutil.which("dockerd")
    if program is None:
        pytest.skip("needs Debian's docker.io")
    short = cache_root() / f"docker-{os.getpid()}"  # a socket's path has 107 bytes: no room for pytest's own folder
    short.mkdir(parents=True)
    address = f"unix://{short / 'docker.sock'}"
    runtime = Path(__file__).with_name("oci_runtime.py")
    words: list[str | Path] = [program, "--host", address, "--data-root", tmp_path / "data"]
    words += ["--exec-root", short / "exec", "--pidfile", short / "pid"]
    words += ["--add-runtime", f"modest={runtime}", "--default-runtime", "modest"]
    try:
        with network.running(tmp_path / "dockerd.log", *words):
            until(lambda: network.succeeds("docker", "--host", address, "info"), "dockerd to answer", timeout=60)
            yield address
    finally:
        shutil.rmtree(short, ignore_errors=True)
        shutil.rmtree(tmp_path / "data", ignore_errors=True)

"""The cache folder: finished steps found again by the content of their inputs, never by date."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from harness.errors import SetupError

Say = Callable[[str], None]


def cache_root() -> Path:
    """The folder that holds everything the harness ever makes outside a checkout."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base).absolute() / "pytest-bluegreen"


def content_key(inputs: Mapping[str, object]) -> str:
    """16 hex digits that identify ``inputs``; a ``Path`` stands for the content of that file or folder."""
    digest = hashlib.sha256()
    for name in sorted(inputs):
        value = inputs[name]
        digest.update(name.encode() + b"\0")
        digest.update(_path_digest(value) if isinstance(value, Path) else json.dumps(value, sort_keys=True).encode())
        digest.update(b"\0")
    return digest.hexdigest()[:16]


def _path_digest(path: Path) -> bytes:
    digest = hashlib.sha256()
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    for file in files:
        if "__pycache__" in file.parts:
            continue
        digest.update(str(file.relative_to(path)).encode() + b"\0" + oct(file.stat().st_mode & 0o111).encode())
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.digest()


class Store:
    """Named steps with a content key each, safe against a second process and against being killed.

    Args:
        root: the cache folder.
        say: prints one progress line.
        timings: filled with seconds per step that was really made (not found).

    """

    def __init__(self, root: Path, say: Say) -> None:
        self.root = root
        self.say = say
        self.timings: dict[str, float] = {}

    def folder(self, name: str, inputs: Mapping[str, object], make: Callable[[Path], None], about: str = "") -> Path:
        """The folder that ``make`` filled for exactly these ``inputs``; made now if there is none.

        Args:
            name: the step, used in paths and progress lines.
            inputs: everything that decides the content.
            make: fills the empty folder it is given; an exception leaves nothing behind.
            about: how long it takes, for the progress line, e.g. "about 8 min on 2 cores".

        """
        final = self.root / "store" / name / content_key(inputs)
        if final.exists():
            return final
        with self.lock(f"store-{name}"):
            if final.exists():
                return final
            final.parent.mkdir(parents=True, exist_ok=True)
            for stale in final.parent.glob(".making-*"):
                shutil.rmtree(stale)
            making = Path(tempfile.mkdtemp(prefix=".making-", dir=final.parent))
            try:
                with self.step(name, about):
                    make(making)
                making.chmod(0o755)
                making.rename(final)
            finally:
                shutil.rmtree(making, ignore_errors=True)
        return final

    @contextlib.contextmanager
    def context(self) -> Iterator[Path]:
        """A temporary folder inside the cache (so that hard links into it work), removed afterwards."""
        parent = self.root / "tmp"
        parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=parent) as folder:
            yield Path(folder)

    @contextlib.contextmanager
    def step(self, name: str, about: str = "") -> Iterator[None]:
        """Say what begins, how long it takes, that it goes on (each 30 s) and how long it took."""
        started = time.monotonic()
        self.say(f"{name}: started{f' ({about})' if about else ''}")
        done = threading.Event()

        def remind() -> None:
            while not done.wait(30):
                self.say(f"{name}: {time.monotonic() - started:.0f} s so far")

        thread = threading.Thread(target=remind, daemon=True, name=f"progress-{name}")
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()
        self.timings[name] = round(time.monotonic() - started, 1)
        self.say(f"{name}: done in {self.timings[name]:.0f} s")

    @contextlib.contextmanager
    def lock(self, name: str, timeout: float = 3600.0) -> Iterator[None]:
        """Hold the lock file ``name``; the kernel frees it when its holder dies.

        Raises:
            SetupError: another process held it for the whole ``timeout`` (seconds).

        """
        path = self.root / "locks" / f"{name}.lock"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w") as handle:
            deadline = time.monotonic() + timeout
            said = False
            while True:
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except OSError:
                    if not said:
                        self.say(f"{name}: waiting for another run on this machine")
                        said = True
                    if time.monotonic() >= deadline:
                        raise SetupError(
                            f"another process has held {path} for {timeout:.0f} s", "wait for the other run, or end it"
                        ) from None
                    time.sleep(0.5)
            yield

    def require_space(self, gibibytes: float) -> None:
        """Refuse early where the disk under the cache has less than ``gibibytes`` free.

        Raises:
            SetupError: too little room.

        """
        self.root.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(self.root).free / 2**30
        if free < gibibytes:
            raise SetupError(
                f"no room: {free:.1f} GiB free under {self.root}, {gibibytes:g} GiB needed",
                "free some space, or point XDG_CACHE_HOME at a larger disk",
            )

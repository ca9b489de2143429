"""What a run says of the machine and of itself."""

from __future__ import annotations

import contextlib
import platform
import re
import socket
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from harness import __version__, fixtures, setup
from harness.run import RUN
from harness.surroundings import surroundings


def git(folder: Path, *words: str) -> None:
    who = ("-c", "user.name=x", "-c", "user.email=x@example.com")
    subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True)


def test_the_machines_size_and_all_versions_are_told_and_nothing_that_names_it(tmp_path: Path) -> None:
    told = surroundings(tmp_path)
    assert set(told) == {"cpu_cores", "kernel", "python", "harness"}
    assert isinstance(told["cpu_cores"], int) and told["cpu_cores"] > 0
    assert told["kernel"] == f"{platform.system()} {platform.release()}"
    assert (told["python"], told["harness"]) == (platform.python_version(), __version__)
    words = " ".join(str(value) for value in surroundings().values())
    assert "/" not in words and socket.gethostname() not in words


def test_a_checkout_tells_its_revision_and_whether_files_differ(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    assert "harness_revision" not in surroundings(tmp_path)  # nothing was committed yet
    (tmp_path / "a").write_text("1")
    git(tmp_path, "add", "a")
    git(tmp_path, "commit", "-qm", "x")
    git(tmp_path, "tag", "v9")
    revision = str(surroundings(tmp_path)["harness_revision"])
    assert re.fullmatch(r"[0-9a-f]{12}", revision)
    (tmp_path / "a").write_text("2")
    assert surroundings(tmp_path)["harness_revision"] == f"{revision}-dirty"
    (tmp_path / "installed").mkdir()
    assert "harness_revision" not in surroundings(tmp_path / "installed")  # in a checkout of somebody else's


def test_without_git_the_version_has_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".git").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "harness_revision" not in surroundings(tmp_path)


def test_the_runs_record_has_them_beside_what_the_cluster_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    run = SimpleNamespace(environment={})
    running = SimpleNamespace(environment={"kubernetes": "v1.36.3"})
    monkeypatch.setattr(setup, "bring_up", lambda *_: contextlib.nullcontext(running))
    config = SimpleNamespace(stash={RUN: run}, pluginmanager=SimpleNamespace(getplugin=lambda _: None))
    config.get_terminal_writer = lambda: None
    request = SimpleNamespace(session=SimpleNamespace(items=[]))
    body = cast("Any", fixtures.cluster)._get_wrapped_function()
    assert next(body(config, request)) is running
    assert run.environment == {"kubernetes": "v1.36.3", **surroundings()}

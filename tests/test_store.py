"""The cache folder, and commands that fail."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections import namedtuple
from pathlib import Path

import pytest

from harness.cluster import shell
from harness.cluster.store import Store, cache_root, content_key
from harness.errors import SetupError
from tests.conftest import Programs

ROOT = Path(__file__).resolve().parents[1]


def _tree(folder: Path) -> Path:
    (folder / "sub").mkdir(parents=True)
    (folder / "a.txt").write_text("a")
    (folder / "sub" / "b.txt").write_text("b")
    return folder


def test_the_key_of_a_folder_is_its_content(tmp_path: Path) -> None:
    one, two = _tree(tmp_path / "one"), _tree(tmp_path / "two")
    key = content_key({"tree": one})
    os.utime(one / "a.txt", (1, 1))
    (one / "sub" / "__pycache__").mkdir()
    (one / "sub" / "__pycache__" / "b.pyc").write_text("compiled")
    assert content_key({"tree": one}) == content_key({"tree": two}) == key
    assert len(key) == 16


@pytest.mark.parametrize("change", ["content", "name", "mode", "more"])
def test_the_key_of_a_folder_changes_with(tmp_path: Path, change: str) -> None:
    tree = _tree(tmp_path / "tree")
    before = content_key({"tree": tree})
    if change == "content":
        (tree / "a.txt").write_text("A")
    elif change == "name":
        (tree / "a.txt").rename(tree / "c.txt")
    elif change == "mode":
        (tree / "a.txt").chmod(0o755)
    else:
        (tree / "sub" / "c.txt").touch()
    assert content_key({"tree": tree}) != before


def test_the_key_tells_names_and_values_apart_but_not_their_order(tmp_path: Path) -> None:
    assert content_key({"a": 1, "b": 2}) == content_key({"b": 2, "a": 1})
    assert len({content_key(inputs) for inputs in ({"a": 1}, {"a": "1"}, {"b": 1}, {"a": [1]}, {})}) == 5
    file = tmp_path / "file"
    file.write_text("text")
    assert content_key({"a": file}) != content_key({"a": str(file)})


def test_a_step_is_made_once_per_content(store: Store, said: list[str]) -> None:
    made: list[int] = []

    def make(folder: Path) -> None:
        made.append(1)
        (folder / "result").write_text(str(len(made)))

    first = store.folder("step", {"x": 1}, make, "about 1 s")
    assert store.folder("step", {"x": 1}, make) == first
    assert (first / "result").read_text() == "1"
    assert store.folder("step", {"x": 2}, make) != first
    assert len(made) == 2
    assert said[0] == "step: started (about 1 s)"
    assert set(store.timings) == {"step"}


def test_a_step_that_fails_leaves_nothing(store: Store) -> None:
    def make(folder: Path) -> None:
        (folder / "half").write_text("half")
        raise SetupError("broke", "mend")

    with pytest.raises(SetupError, match="broke"):
        store.folder("step", {}, make)
    assert list((store.root / "store" / "step").iterdir()) == []
    assert store.timings == {}
    assert store.folder("step", {}, lambda folder: (folder / "whole").touch()).is_dir()


KILLED = """
import os, pathlib, signal, sys
from harness.cluster.store import Store
def make(folder):
    (folder / "half").write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
Store(pathlib.Path(sys.argv[1]), print).folder("step", {}, make)
"""
HOLDER = """
import pathlib, sys, time
from harness.cluster.store import Store
with Store(pathlib.Path(sys.argv[1]), print).lock("one"):
    print("held", flush=True)
    time.sleep(30)
"""


def _python(code: str, root: Path) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", code, str(root)], cwd=ROOT, stdout=subprocess.PIPE, text=True)


def test_a_killed_step_leaves_nothing_that_could_be_mistaken_for_its_result(store: Store) -> None:
    with _python(KILLED, store.root) as process:
        assert process.wait(10) == -signal.SIGKILL
    parent = store.root / "store" / "step"
    (left,) = parent.iterdir()
    assert left.name.startswith(".making-")
    folder = store.folder("step", {}, lambda made: (made / "whole").touch())
    assert [path.name for path in folder.iterdir()] == ["whole"]
    assert list(parent.iterdir()) == [folder]


def test_a_lock_holds_between_processes_and_ends_with_its_holder(store: Store, said: list[str]) -> None:
    with _python(HOLDER, store.root) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        started = time.monotonic()
        with pytest.raises(SetupError, match="another process has held"), store.lock("one", timeout=0.2):
            pass
        assert 0.2 <= time.monotonic() - started < 20
        assert said == ["one: waiting for another run on this machine"]
        with store.lock("two", timeout=0):
            pass
        process.kill()
        with store.lock("one", timeout=5):
            pass


def test_too_little_room_is_told_before_anything_is_made(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(0, 0, 3 * 2**30))
    store.require_space(3)
    with pytest.raises(SetupError, match=r"3\.0 GiB free .* 3\.5 GiB needed\n  mend: .*XDG_CACHE_HOME"):
        store.require_space(3.5)


def test_a_context_is_inside_the_cache_and_goes(store: Store) -> None:
    with store.context() as folder:
        assert folder.is_relative_to(store.root)
        (folder / "file").touch()
    assert not folder.exists()


def test_the_cache_follows_the_desktop_standard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/some/where")
    assert cache_root() == Path("/some/where/pytest-bluegreen")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/me")
    assert cache_root() == Path("/home/me/.cache/pytest-bluegreen")


# -- commands ---------------------------------------------------------------------------------------------------------


def test_a_command_gives_its_output_and_gets_its_environment(programs: Programs) -> None:
    programs.add("tell", 'echo "$WORD"; echo oops >&2; exit 3')
    done = shell.run(["tell", "a b"], "tell", timeout=5, env={"WORD": "said"}, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (3, "said\n", "oops\n")
    assert programs.calls() == [["tell", "a b"]]


def test_a_missing_program_is_named(programs: Programs) -> None:
    with pytest.raises(SetupError, match=r"could not build it: nosuch is not installed\n  mend: install nosuch"):
        shell.run(["nosuch"], "build it", timeout=5, mend="install nosuch")


def test_a_file_that_is_no_program_is_named(programs: Programs) -> None:
    programs.add("data").chmod(0o644)
    with pytest.raises(SetupError, match=r"could not build it: .*data can't be run: Permission denied"):
        shell.run([programs.folder / "data"], "build it", timeout=5)


def test_a_hanging_command_is_ended(programs: Programs) -> None:
    programs.add("hang", "while :; do :; done")
    started = time.monotonic()
    with pytest.raises(SetupError, match=r"hang did not finish within 0\.2 s"):
        shell.run(["hang"], "wait", timeout=0.2)
    assert time.monotonic() - started < 20


def test_an_exit_code_comes_with_the_last_lines_and_a_mend(programs: Programs) -> None:
    programs.add("fail", "n=0; while [ $n -lt 20 ]; do n=$((n+1)); echo line $n >&2; done; exit 7")
    with pytest.raises(SetupError) as caught:
        shell.run(["fail", "now"], "do it", timeout=5)
    lines = str(caught.value).splitlines()
    assert lines[0] == "could not do it: fail exited with 7"
    assert lines[1:13] == [f"    line {n}" for n in range(9, 21)]
    assert lines[13:] == ["  mend: run it by hand: fail now"]

"""The command ``bluegreen``: stored runs judged again, and everything put away."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness import __version__, checkout
from harness.checks.promise import Promise
from harness.cli import main
from harness.cluster import host, kind
from harness.cluster.store import Store
from harness.evidence.timeline import Event, Timeline
from harness.words import nothing_lost
from tests.conftest import ORDINARY, Programs
from tests.simulated import Down, World, event, having, play, write

ROOT = Path(__file__).resolve().parents[1]


def _store(folder: Path, timeline: Timeline, promise: Promise | None = None) -> Path:
    folder.mkdir(parents=True)
    promised = (promise or nothing_lost()).to_dict()
    write(folder, having(timeline, event(-1.9, "promise.declared", **promised)))
    return folder


# -- recheck ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("world", "code", "verdict"),
    [
        ({}, 0, "pass"),
        ({"downs": (Down(6.0, 6.2),)}, 1, "fail"),
        ({"lag_ms": 60.0}, 10, "inconclusive"),
    ],
)
def test_a_stored_run_is_judged_again_with_the_same_exit_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], world: dict[str, Any], code: int, verdict: str
) -> None:
    _store(tmp_path / "run" / "one", play(World(**world)))
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert main(["recheck", str(tmp_path / "run")]) == code
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{verdict:<12} one"
    assert lines[-1] == f"verdict: {verdict}"
    assert any("nothing_lost" in line for line in lines)
    after = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert {path: after[path] for path in before} == before  # the evidence stays as it was; only the report is new
    assert set(after) - set(before) == {tmp_path / "run" / "report.html"}


def test_the_worst_of_several_scenarios_is_the_runs_verdict(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _store(tmp_path / "a", play(World()))
    _store(tmp_path / "b", play(World(downs=(Down(6.0, 6.2),))))
    _store(tmp_path / "c", play(World(lag_ms=60.0)))
    assert main(["recheck", str(tmp_path)]) == 1
    assert capsys.readouterr().out.splitlines()[-1] == "verdict: fail"
    assert main(["recheck", str(tmp_path / "a")]) == 0


def test_a_repetition_counts_instead_of_its_first_attempt(tmp_path: Path) -> None:
    _store(tmp_path / "a", play(World(lag_ms=60.0)))
    _store(tmp_path / "a.attempt2", play(World()))
    assert main(["recheck", str(tmp_path)]) == 0


@pytest.mark.parametrize(
    ("attempts", "code"),
    [
        (
            {"a": {"downs": (Down(6.0, 6.2),)}, "a.attempt2": {}},
            1,
        ),  # what failed is never forgotten
        ({"a": {"lag_ms": 60.0}, "a.attempt2": {"downs": (Down(6.0, 6.2),)}}, 1),
        ({"a": {"lag_ms": 60.0}, "a.attempt2-0123ab": {}}, 0),
        ({"a": {"lag_ms": 60.0}, "a.attempt10": {}, "a.attempt2": {"lag_ms": 60.0}}, 0),
    ],
)
def test_only_what_was_inconclusive_gives_way_to_a_repetition(tmp_path: Path, attempts: Any, code: int) -> None:
    for name, world in attempts.items():
        _store(tmp_path / name, play(World(**world)))
    assert main(["recheck", str(tmp_path)]) == code


@pytest.mark.parametrize(("event", "code"), [("scenario.raised", 1), ("scenario.broke", 10)])
def test_what_ended_a_scenario_early_is_judged_again_too(tmp_path: Path, event: str, code: int) -> None:
    timeline = play(World())
    ended = Event(timeline.end_ns, event, {"error": "green has not passed smoke"})
    _store(tmp_path / "a", replace(timeline, events=(*timeline.events, ended)))
    assert main(["recheck", str(tmp_path)]) == code


def test_a_folder_without_a_record_is_exit_code_4(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recheck", str(tmp_path / "nothing")]) == 4
    said = capsys.readouterr().err.splitlines()
    assert said == [
        f"bluegreen: no stored scenario in {tmp_path / 'nothing'}",
        "  mend: give a folder below artifacts/",
    ]


def test_a_promise_that_no_check_can_judge_is_exit_code_4(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _store(tmp_path / "a", play(World()), Promise("nothing_lots"))
    assert main(["recheck", str(tmp_path)]) == 4
    assert "did you mean nothing_lost?" in capsys.readouterr().err


# -- usage ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [[], ["reckeck"], ["recheck"], ["clean", "--everything"]])
def test_wrong_usage_is_exit_code_4(capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    assert main(words) == 4
    assert "usage: bluegreen" in capsys.readouterr().err


def test_help_and_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.strip() == __version__
    assert main(["--help"]) == 0
    assert {"recheck", "clean"} <= set(
        capsys.readouterr().out.replace(",", " ").replace("{", " ").replace("}", " ").split()
    )


# -- clean ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, programs: Programs) -> Store:
    """The cache folder that the command will find, and no engine until a test adds one."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(host, "detect", lambda: ORDINARY)
    return Store(tmp_path / "cache" / "pytest-bluegreen", lambda text: None)


def _home(store: Store, name: str, checkout: Path | None = None, engine: str = "") -> Path:
    home = store.root / "clusters" / name
    home.mkdir(parents=True)
    owner = {"key": "", "mapped": {}, "checkout": str(Path.cwd() if checkout is None else checkout)}
    owner |= {"engine": engine} if engine else {}  # older records lack it
    (home / "owner.json").write_text(json.dumps(owner))
    return home


def test_where_nothing_was_ever_made_there_is_nothing_to_clean(store: Store, programs: Programs) -> None:
    programs.add("podman")
    assert main(["clean", "--all"]) == 0
    assert programs.calls() == []


def test_clean_takes_this_checkouts_cluster_only(store: Store, programs: Programs) -> None:
    programs.add("podman", '[ "$1" = ps ] && echo node; exit 0')
    mine, other = _home(store, kind.name_of(Path.cwd())), _home(store, "bluegreen-other", Path("/"))
    assert main(["clean"]) == 0
    assert (mine.exists(), other.exists()) == (False, True)
    label = f"label=io.x-k8s.kind.cluster={mine.name}"
    assert [words[4] for words in programs.calls("podman", "ps")] == [label]
    assert programs.calls("podman", "rm") == [["podman", "rm", "--force", "--volumes", "node"]]


def test_clean_all_takes_every_cluster_and_the_cache(store: Store, programs: Programs) -> None:
    for name in ("docker", "podman"):
        programs.add(name, '[ "$1" = ps ] && echo "$5" ; exit 0')
    _home(store, "bluegreen-a")
    _home(store, "bluegreen-b")
    readonly = store.root / "go" / "mod" / "module"
    readonly.mkdir(parents=True)
    (readonly / "file.go").touch()
    (readonly / "file.go").chmod(0o444)
    readonly.chmod(0o555)
    assert main(["clean", "--all"]) == 0
    assert not store.root.exists()
    assert len(programs.calls("docker", "rm")) == len(programs.calls("podman", "rm")) == 2
    assert programs.calls("podman", "system") == []  # without a store of our own the user's is left alone


def test_our_own_podman_store_is_emptied(store: Store, programs: Programs, monkeypatch: pytest.MonkeyPatch) -> None:
    programs.add("podman", 'echo "$CONTAINERS_STORAGE_CONF" > "$STATE/conf"')
    monkeypatch.setattr(host, "detect", lambda: replace(ORDINARY, root=True))
    store.root.mkdir(parents=True)
    assert main(["clean", "--all"]) == 0
    assert programs.calls("podman", "system") == [["podman", "system", "reset", "--force"]]
    assert (programs.state / "conf").read_text().startswith(str(store.root))


def test_a_cluster_in_use_survives_and_so_does_the_cache(
    store: Store, programs: Programs, capsys: pytest.CaptureFixture[str]
) -> None:
    programs.add("podman", '[ "$1" = ps ] && echo node; exit 0')
    used, unused = _home(store, "bluegreen-a"), _home(store, "bluegreen-b")
    with store.lock("cluster-bluegreen-a"):
        assert main(["clean", "--all"]) == 11
    assert (used / "owner.json").exists()
    assert not unused.exists()
    assert len(programs.calls("podman", "rm")) == 1
    said = capsys.readouterr().err
    assert "another process has held" in said
    assert "mend: wait for the other run" in said
    assert main(["clean", "--all"]) == 0
    assert not store.root.exists()


SILENT = 'echo "Cannot connect to the daemon" >&2; exit 1'


@pytest.mark.parametrize("words", [["clean"], ["clean", "--all"]])
@pytest.mark.parametrize("maker", ["docker", ""])
def test_a_cluster_whose_engine_is_silent_stays_on_record(
    store: Store, programs: Programs, capsys: pytest.CaptureFixture[str], words: list[str], maker: str
) -> None:
    programs.add("docker", SILENT)
    programs.add("podman")
    home = _home(store, kind.name_of(Path.cwd()), engine=maker)
    assert main(words) == 11
    assert (home / "owner.json").exists()
    said = capsys.readouterr().err
    assert f"cluster {home.name} was not removed, its record stays: no container engine answers" in said
    assert "Cannot connect to the daemon" in said
    assert f"mend: start docker and clean again; if docker is gone for good, remove {home} by hand" in said
    programs.add("docker", '[ "$1" = ps ] && echo node; exit 0')
    assert main(words) == 0
    assert programs.calls("docker", "rm") == [["docker", "rm", "--force", "--volumes", "node"]]
    assert not home.exists()


def test_an_engine_that_is_not_there_any_more_may_still_run_a_cluster(
    store: Store, programs: Programs, capsys: pytest.CaptureFixture[str]
) -> None:
    home = _home(store, kind.name_of(Path.cwd()), engine="nerdctl")
    assert main(["clean"]) == 11
    assert "nerdctl is not on PATH" in capsys.readouterr().err
    assert home.exists()


def test_a_silent_engine_that_made_nothing_is_in_nobodys_way(store: Store, programs: Programs) -> None:
    programs.add("docker", SILENT)
    programs.add("podman")
    home = _home(store, kind.name_of(Path.cwd()), engine="podman")
    assert main(["clean"]) == 0
    assert not home.exists()


def test_every_cluster_that_stays_is_named(
    store: Store, programs: Programs, capsys: pytest.CaptureFixture[str]
) -> None:
    programs.add("podman")
    for name in ("bluegreen-a", "bluegreen-b"):
        _home(store, name, engine="docker")
    assert main(["clean", "--all"]) == 11
    told = capsys.readouterr()
    assert [f"cluster bluegreen-{name} was not removed" in told.err for name in "ab"] == [True, True]
    assert f"{store.root}: kept" in told.out


def test_clean_finds_its_cluster_from_a_folder_below_and_under_any_name(
    store: Store, programs: Programs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs.add("podman")
    (tmp_path / "bluegreen.toml").touch()
    (tmp_path / "some" / "folder").mkdir(parents=True)
    homes = [_home(store, kind.name_of(tmp_path)), _home(store, "named-by-hand", tmp_path)]
    monkeypatch.chdir(tmp_path / "some" / "folder")
    assert main(["clean"]) == 0
    assert [home.exists() for home in homes] == [False, False]


def test_clean_says_where_it_looked(store: Store, programs: Programs, capsys: pytest.CaptureFixture[str]) -> None:
    _home(store, "bluegreen-other", Path("/"))
    assert main(["clean"]) == 0
    assert capsys.readouterr().out == f"no cluster of {Path.cwd()} is on record; of others: bluegreen-other\n"


def test_a_checkout_is_found_from_any_of_its_folders(tmp_path: Path) -> None:
    outer, inner = tmp_path / "outer", tmp_path / "outer" / "trees" / "inner"
    deep = inner / "manifests" / "shop"
    deep.mkdir(parents=True)
    assert checkout.of(deep) == deep  # nothing says more
    (deep / "bluegreen.toml").touch()
    assert checkout.of(deep) == deep
    (inner / "pyproject.toml").write_text("[tool.other]")
    assert checkout.of(deep) == deep
    (inner / "pyproject.toml").write_text("[tool.bluegreen]")
    assert checkout.of(deep) == checkout.of(deep.parent) == checkout.of(inner) == inner
    (outer / "bluegreen.toml").touch()
    assert checkout.of(deep) == outer
    (inner / ".git").touch()  # a worktree inside another checkout
    assert checkout.of(deep) == inner
    (inner / "pyproject.toml").write_text("no TOML")
    assert checkout.of(inner) == inner


def test_cleaning_needs_no_environment(tmp_path: Path) -> None:
    """`make clean` without .venv, and by a Python that has no package."""
    copy, tools = tmp_path / "copy", tmp_path / "bin"
    shutil.copytree(ROOT / "harness", copy / "harness", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "Makefile", copy)
    tools.mkdir()
    (tools / "bare-python").write_text(f'#!/bin/sh\nexec {sys.executable} -S "$@"\n')
    (tools / "podman").write_text(f'#!/bin/sh\n[ "$1" = ps ] && echo node\necho "$@" >> {tmp_path}/calls\n')
    for tool in tools.iterdir():
        tool.chmod(0o755)
    home = tmp_path / "cache" / "pytest-bluegreen" / "clusters" / "bluegreen-a"
    home.mkdir(parents=True)
    (home / "owner.json").write_text('{"engine": "podman", "checkout": "/", "key": "", "mapped": {}}')
    environment = {"PATH": f"{tools}:/usr/bin:/bin", "XDG_CACHE_HOME": str(tmp_path / "cache"), "HOME": str(tmp_path)}
    command = ["make", "--no-print-directory", "clean", f"PYTHON={tools / 'bare-python'}"]
    done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "cluster bluegreen-a: removed" in done.stdout
    assert "rm --force --volumes node" in (tmp_path / "calls").read_text()
    assert not home.parents[1].exists()

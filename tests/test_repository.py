"""The repository as a whole: which way it depends, what it must not contain, and what its wheel holds."""

from __future__ import annotations

import ast
import functools
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
HARNESS = ROOT / "harness"
MODULES = sorted(HARNESS.rglob("*.py"))
MAX_LINES = 320


def _name(file: Path) -> str:
    return file.relative_to(ROOT).as_posix()


@functools.cache
def imported(file: Path, *, typing_only: bool = False) -> tuple[str, ...]:
    """Full names of the modules that a file imports, also inside functions, but not what only a type checker sees."""
    return tuple(_imported(ast.parse(file.read_text()), file, typing_only))


def _imported(tree: ast.Module, file: Path, typing_only: bool) -> Iterator[str]:
    hidden: set[ast.AST] = set()
    if not typing_only:
        for node in ast.walk(tree):
            if isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
                hidden.update(inner for part in node.body for inner in ast.walk(part))
    for node in ast.walk(tree):
        if node in hidden:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{_name(file)}: a relative import"
            assert node.module is not None
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def starts(name: str, *packages: str) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def users_of(package: str) -> set[str]:
    """Files outside tests/ that import a package."""
    files = [
        *MODULES,
        *(file for folder in ("scenarios", "loadtests", "benchmarks") for file in (ROOT / folder).rglob("*.py")),
    ]
    return {_name(file) for file in files if any(starts(name, package) for name in imported(file, typing_only=True))}


# -- dependencies -----------------------------------------------------------------------------------------------------

WORLD = (
    "socket",
    "ssl",
    "http",
    "urllib",
    "urllib3",
    "httpx",
    "requests",
    "asyncio",
    "subprocess",
    "kubernetes",
    "locust",
)
OURS = ("harness.cluster", "harness.release", "harness.faults", "harness.report", "harness.load", "harness.loading",
        "harness.fixtures", "harness.plugin", "harness.scenario", "harness.run", "harness.journal")  # fmt: skip


@pytest.mark.parametrize("package", ["evidence", "checks"])
def test_what_judges_is_pure(package: str) -> None:
    for file in (HARNESS / package).rglob("*.py"):
        for name in imported(file):
            assert not starts(name, *WORLD, *OURS, "harness.client", "time"), f"{_name(file)} imports {name}"
            assert not (package == "evidence" and starts(name, "harness.checks")), f"{_name(file)} imports {name}"


def test_only_the_store_of_evidence_reads_files() -> None:
    for file in [*(HARNESS / "evidence").glob("*.py"), *(HARNESS / "checks").glob("*.py")]:
        if _name(file) != "harness/evidence/store.py":
            assert not {"pathlib", "io", "os", "tempfile"} & {name.split(".")[0] for name in imported(file)}, file
            assert not re.search(r"\bopen\(", file.read_text()), file


def test_the_client_knows_neither_the_cluster_nor_the_judges() -> None:
    for file in (HARNESS / "client").glob("*.py"):
        for name in imported(file):
            assert not starts(name, *OURS, "harness.checks", "kubernetes", "locust", "pytest"), f"{_name(file)}: {name}"


@pytest.mark.parametrize("package", ["cluster", "release", "report", "client", "faults"])
def test_nothing_below_imports_the_plugin(package: str) -> None:
    above = (
        "harness.plugin",
        "harness.fixtures",
        "harness.run",
        "harness.scenario",
        "harness.options",
        "harness.setup",
    )
    for file in (HARNESS / package).rglob("*.py"):
        for name in imported(file):
            assert not starts(name, *above), f"{_name(file)} imports {name}"


@pytest.mark.parametrize(
    ("package", "users"),
    [
        ("kubernetes", {"harness/cluster/kubeconfig.py"}),
        ("urllib3", {"harness/cluster/api.py"}),
        ("pytest_kind", {"harness/cluster/kind.py"}),
        # the benchmark's users are Locust's own clients: measuring them needs them
        ("locust", {"loadtests/steady.py", "loadtests/distributed.py", "benchmarks/locust_users.py"}),
        ("opentelemetry", {"harness/otel.py"}),
        ("rich", {"harness/report/screen.py"}),
        ("gevent", {"loadtests/steady.py", "loadtests/distributed.py", "benchmarks/locust_users.py"}),
    ],
)
def test_each_outside_package_has_one_door(package: str, users: set[str]) -> None:
    assert users_of(package) <= users


def test_the_doors_are_used() -> None:
    """So that the test above can't pass by looking at nothing."""
    assert "harness/cluster/kind.py" in users_of("pytest_kind")
    assert users_of("kubernetes")
    assert users_of("opentelemetry") and users_of("rich")
    assert users_of("locust") == {"loadtests/steady.py", "loadtests/distributed.py", "benchmarks/locust_users.py"}
    assert len(MODULES) > 50


# -- what must not be there -------------------------------------------------------------------------------------------


def tracked() -> list[Path]:
    """Files in git and those that would be added next; without git (an unpacked archive), everything that is there."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    except (FileNotFoundError, subprocess.CalledProcessError):
        hidden = {".venv", "artifacts", "__pycache__", "dist", "build"}
        return [file for file in ROOT.rglob("*") if file.is_file() and not hidden & set(file.parts)]
    return [ROOT / name for name in done.stdout.split("\0") if name and (ROOT / name).is_file()]


def demo_names() -> set[str]:
    """Names of the two demos that would betray a privilege if the harness knew them."""
    names = {"bluegreen_app"}
    for file in (ROOT / "bluegreen.toml", ROOT / "manifests" / "nginx" / "bluegreen.toml"):
        demo = tomllib.loads(file.read_text())
        names |= {*demo["sides"].values(), demo["service"]["internal"], demo["ingress"]["host"]}
        names |= {spec.split(":", 1)[1] for spec in demo["identity"].values() if spec.startswith("header:")}
        names |= set(demo.get("bad", {}).values())
        names |= {demo["app"]["image"].split(":")[0]}
    return names


def test_the_harness_knows_no_demo_by_name() -> None:
    names = demo_names()
    assert {"app-blue", "web-green", "api.example.com", "X-Revision", "v-bad"} <= names
    found = [f"{_name(file)}: {name}" for file in MODULES for name in names if name.lower() in file.read_text().lower()]
    assert found == []


def test_no_scenario_sleeps() -> None:
    files = list((ROOT / "scenarios").glob("*.py"))
    assert files
    for file in files:
        assert not any(starts(name, "time", "threading", "asyncio") for name in imported(file)), file
        assert "sleep" not in file.read_text(), file


def test_no_file_carries_the_address_of_a_package_registry() -> None:
    # put together here, so that this file doesn't carry them either
    hosts = (
        *(f"{host}.org" for host in ("pypi", "npmjs", "rubygems", "conda", "sum.golang", "proxy.golang")),
        *(f"{host}.debian.org" for host in ("deb", "security", "ftp", "snapshot")),
        *(f"{host}.ubuntu.com" for host in ("archive", "security", "ports")),
        *("pythonhosted" + ".org", "crates" + ".io", "goproxy" + ".cn", "goproxy" + ".io", "mirrors" + ".aliyun.com"),
    )
    settings = re.compile(r"(index[-_]url|find[-_]links|goproxy)[\s=:'\"]{1,4}https?://")
    assert settings.search("pip_index" + "_url=https://mirror.test")
    assert settings.search("--find" + "-links http://mirror.test")
    found = []
    for file in tracked():
        text = file.read_text(errors="replace").lower()
        found += [f"{_name(file)}: {host}" for host in hosts if host in text]
        found += [f"{_name(file)}: {match[0]}" for match in settings.finditer(text)]
    assert found == []


@pytest.mark.parametrize(
    "file",
    ["requirements/dev.txt", *(f"images/{image}/requirements.txt" for image in ("app", "load", "smoke"))],
)
def test_every_requirement_is_pinned_by_hash_and_none_by_address(file: str) -> None:
    text = (ROOT / file).read_text()
    assert "://" not in text
    assert not re.search(r"^\s*-(i|f|-index-url|-find-links|-extra-index-url)\b", text, re.MULTILINE)
    requirements = [
        line for line in text.replace("\\\n", " ").splitlines() if line.strip() and not line.startswith("#")
    ]
    assert requirements
    for line in requirements:
        assert re.match(r"^[A-Za-z0-9._-]+(\[[\w,-]+\])?==[\w.!+]+[\s;]", line), line
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", line), line


def test_every_workflow_is_yaml_with_jobs_that_end() -> None:
    files = sorted((ROOT / ".github" / "workflows").glob("*.y*ml"))
    assert files
    for file in files:
        workflow = yaml.safe_load(file.read_text())
        assert workflow["permissions"] == {"contents": "read"}, file
        for job in workflow["jobs"].values():
            assert 0 < job["timeout-minutes"] <= 360, file
            assert job["steps"], file


@pytest.mark.parametrize("worse", [False, True])
def test_the_nightly_run_is_held_against_the_last_good_one_and_only_a_good_one_is_kept(
    tmp_path: Path, worse: bool
) -> None:
    steps = yaml.safe_load((ROOT / ".github" / "workflows" / "nightly.yml").read_text())["jobs"]["nightly"]["steps"]
    restore, save = (
        next(one for one in steps if f"cache/{word}@" in one.get("uses", "")) for word in ("restore", "save")
    )
    assert restore["with"]["path"] == save["with"]["path"] == "last-good"
    assert save["with"]["key"].startswith(restore["with"]["restore-keys"])
    compare, keep = (next(one for one in steps if word in one.get("run", "")) for word in ("compare", "cp -L"))
    told = [steps.index(one) for one in (restore, compare, keep, save)]
    assert told == sorted(told) and "if" not in keep and "if" not in save and compare["shell"] == "bash"
    (tmp_path / "bluegreen").write_text(f"#!/bin/sh\necho compared\nexit {int(worse)}\n")
    (tmp_path / "bluegreen").chmod(0o755)
    (tmp_path / "artifacts" / "latest").mkdir(parents=True)
    (tmp_path / "artifacts" / "verdict.json").write_text("{}")
    (tmp_path / "artifacts" / "latest" / "verdict.json").symlink_to("../verdict.json")
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md")}
    script = f"{compare['run']}\n{keep['run']}"
    done = subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script], cwd=tmp_path, env=environment, check=False
    )
    assert done.returncode == int(worse)
    assert (tmp_path / "summary.md").read_text() == "compared\n"
    assert (tmp_path / "last-good" / "verdict.json").is_file() is not worse


ACTION = yaml.safe_load((ROOT / "action.yml").read_text())


def test_the_action_sets_up_python_runs_and_keeps_the_evidence_whatever_happens() -> None:
    assert ACTION["runs"]["using"] == "composite"
    python, install, run, compare, upload = ACTION["runs"]["steps"]
    assert python["uses"].startswith("actions/setup-python@")
    assert install["shell"] == run["shell"] == compare["shell"] == "bash"
    assert compare["if"] == "always() && inputs.baseline != ''"
    assert run["env"]["BLUEGREEN_NOTIFY"] == "${{ inputs.notify }}"  # not on a command line
    assert upload["uses"].startswith("actions/upload-artifact@")
    assert upload["if"].startswith("always()")
    for name, one in ACTION["inputs"].items():
        assert one["description"], name
        assert isinstance(one["default"], str), name  # none is required
    used = set(re.findall(r"inputs\.([a-z-]+)", (ROOT / "action.yml").read_text()))
    assert used == set(ACTION["inputs"])
    for step in (install, run, compare):  # what a caller wrote is data, never a part of the script
        assert "${{" not in step["run"]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, []),
        ({"BG_ARGUMENTS": "-m fast -k 'cutover or rollback'"}, ["-m", "fast", "-k", "cutover or rollback"]),
        ({"BG_CONFIG": "some where/bluegreen.toml"}, ["--bg-config=some where/bluegreen.toml"]),
        ({"BG_SCENARIOS": "my scenarios"}, []),
    ],
)
def test_the_action_passes_on_what_it_was_given(tmp_path: Path, given: dict[str, str], words: list[str]) -> None:
    for name, body in (("python", f'exec {sys.executable} "$@"'), ("pytest", 'printf "%s\\n" "$@"')):
        (tmp_path / name).write_text(f"#!/bin/sh\n{body}\n")
        (tmp_path / name).chmod(0o755)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "PYTHONPATH": str(ROOT)}
    inputs = {"BG_SCENARIOS": "", "BG_CONFIG": "", "BG_ARGUMENTS": "", **given}
    done = subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", ACTION["runs"]["steps"][2]["run"]],
        cwd=tmp_path, env={**environment, **inputs}, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    scenarios, *rest = done.stdout.splitlines()
    assert scenarios == (inputs["BG_SCENARIOS"] or str(ROOT / "scenarios"))
    assert rest == ["--rootdir", ".", "--bg-artifacts", "artifacts", "--bg-rerun-inconclusive", *words]


CALLER = """
on: push
jobs:
  rehearsal:
    runs-on: ubuntu-24.04
    steps:
      - uses: actions/checkout@v4
      - uses: ./
        with:
"""


def test_actionlint_finds_nothing(tmp_path: Path) -> None:
    lint = shutil.which("actionlint")
    if lint is None:
        pytest.skip("actionlint is not on PATH: go install github.com/rhysd/actionlint/cmd/actionlint@v1.7.7")
    (tmp_path / ".git").mkdir()
    shutil.copy(ROOT / "action.yml", tmp_path)
    workflows = tmp_path / ".github" / "workflows"
    shutil.copytree(ROOT / ".github" / "workflows", workflows)
    lines = [f"          {name}: x" for name in ACTION["inputs"]]
    (workflows / "caller.yml").write_text(CALLER + "\n".join(lines) + "\n")
    done = subprocess.run([lint], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    (workflows / "caller.yml").write_text(CALLER + "          no-such-input: x\n")
    wrong = subprocess.run([lint], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
    assert "no-such-input" in wrong.stdout  # it did look at the action


def test_every_option_in_a_workflow_exists() -> None:
    known = set(re.findall(r'"(--bg-[a-z-]+)"', (HARNESS / "options.py").read_text()))
    files = [
        *(ROOT / ".github").rglob("*.yml"),
        *(ROOT / "docs").glob("*.md"),
        *(ROOT / name for name in ("action.yml", "Makefile", "README.md")),
    ]
    for file in files:
        assert set(re.findall(r"--bg-[a-z-]+[a-z]", file.read_text())) <= known, file


@pytest.mark.parametrize("folder", ["harness", "scenarios", "loadtests", "benchmarks", "images"])
def test_no_module_grows_beyond_reading(folder: str) -> None:
    lengths = {_name(file): len(file.read_text().splitlines()) for file in (ROOT / folder).rglob("*.py")}
    assert {name: lines for name, lines in lengths.items() if lines > MAX_LINES} == {}


# -- the wheel --------------------------------------------------------------------------------------------------------


def test_the_wheel_holds_the_harness_and_all_its_data(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        entry_points = archive.read(next(name for name in names if name.endswith("entry_points.txt"))).decode()
    expected = {_name(file) for file in tracked() if file.is_relative_to(HARNESS)}
    for folder in ("scenarios", "loadtests", "manifests", "images"):
        data = {f"harness/{_name(file)}" for file in tracked() if file.is_relative_to(ROOT / folder)}
        assert data, folder
        expected |= data
    assert expected <= names
    assert {name for name in names if name.startswith("harness/")} - expected == {"harness/bluegreen.toml"}
    assert not any(name.startswith(("tests/", "artifacts/", "benchmarks/")) or "__pycache__" in name for name in names)
    assert "[pytest11]\nharness.plugin = harness.plugin" in entry_points
    assert "bluegreen = harness.cli:main" in entry_points


COLLECT = """
import sys, pathlib, pytest
from harness.resources import NAMES, resource
import harness.cli
target = pathlib.Path(sys.argv[1]).resolve()
for name in NAMES:
    assert resource(name) == target / "harness" / name, resource(name)
assert pathlib.Path(harness.cli.__file__).is_relative_to(target)
from harness.config import load
assert load(target / "harness" / "bluegreen.toml").build.context.is_dir()
from harness.load import _find
assert _find("steady.py").is_relative_to(target)
sys.exit(pytest.main(["--collect-only", "-q", "-p", "no:cacheprovider", "--rootdir", ".", str(resource("scenarios"))]))
"""


@pytest.mark.processes
def test_an_installed_wheel_needs_nothing_of_the_checkout(installed: Path, tmp_path: Path) -> None:
    target, empty = installed, tmp_path / "empty"
    empty.mkdir()
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "PYTHON"))}
    shown = subprocess.run(
        [sys.executable, "-c", COLLECT, str(target)],
        cwd=empty,
        env={**environment, "PYTHONPATH": str(target), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert "test_cutover.py::test_cutover_loses_nothing[service]" in shown.stdout
    assert "test_cutover.py::test_cutover_loses_nothing[ingress]" in shown.stdout
    assert list(empty.iterdir()) == []

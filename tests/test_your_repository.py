"""The installed harness in a repository that isn't ours: its configuration, its own scenarios, and the stock ones."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.conftest import ROOT
from tests.fake_kube import CONFIG
from tests.test_config import line_of

pytestmark = pytest.mark.processes

OWN = """
import pytest
from harness.words import CUTOVER, NEW, Config, Load, Release, nothing_lost, only


@pytest.mark.promises(nothing_lost(), only(NEW, after=CUTOVER))
def test_mine(release: Release, load: Load) -> None:
    release.deploy(NEW)


def test_configuration(app: Config) -> None:
    assert app.app.name == "shop" and app.file.name == "{file}"
"""


SMOKE = [("cutover", "test_cutover_loses_nothing[service]"), ("rollback", "test_rollback_loses_nothing[service]")]
"""The smoke tier, as junit.xml names it: systems that compare runs know scenarios by these names, so they stay."""


def names(junit: Path) -> list[tuple[str, str]]:
    cases = ElementTree.parse(junit).iter("testcase")
    return [(case.attrib["classname"], case.attrib["name"]) for case in cases]


def test_names_in_junit_are_those_of_the_files_in_this_checkout_too(tmp_path: Path) -> None:
    junit = tmp_path / "junit.xml"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "scenarios", "-m", "smoke"]
    options = ["--bg-engine", "nerdctl", "--junitxml", str(junit), "--bg-artifacts", str(tmp_path)]
    done = subprocess.run([*command, *options], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 11, done.stdout + done.stderr  # there is no such engine
    assert names(junit) == [("scenarios.test_" + file, test) for file, test in SMOKE]


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with a bluegreen.toml and no conftest.py; tests lie two folders down."""
    (tmp_path / ".git").mkdir()
    (tmp_path / "manifests").mkdir()
    (tmp_path / "manifests" / "all.yaml").write_text("")
    (tmp_path / "bluegreen.toml").write_text(CONFIG)
    (tmp_path / "tests" / "release").mkdir(parents=True)
    (tmp_path / "tests" / "release" / "test_own.py").write_text(OWN.replace("{file}", "bluegreen.toml"))
    return tmp_path


def run(installed: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """pytest as a user runs it: the plugin comes by its entry point."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "PYTHON"))}
    return subprocess.run(
        [sys.executable, "-P", "-m", "pytest", "-p", "no:cacheprovider", *arguments],
        cwd=folder,
        env={**environment, "PYTHONPATH": str(installed), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_the_stock_scenarios_are_collected_by_their_package(installed: Path, repository: Path) -> None:
    done = run(installed, repository, "--pyargs", "harness.scenarios", "--collect-only", "-q")
    assert done.returncode == 0, done.stdout + done.stderr
    ids = [line for line in done.stdout.splitlines() if "::" in line]
    assert "test_cutover.py::test_cutover_loses_nothing[service]" in ids
    assert "test_rollback.py::test_rollback_loses_nothing[ingress]" in ids
    assert all(one.startswith("test_") for one in ids)  # no folder of an environment in any name


def test_own_scenarios_need_no_conftest_and_find_the_configuration_from_where_pytest_runs(
    installed: Path, repository: Path
) -> None:
    done = run(installed, repository / "tests" / "release", "-q", "-k", "test_configuration")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed, 2 deselected" in done.stdout  # test_mine, on both paths


def test_or_a_table_of_its_pyproject(installed: Path, repository: Path) -> None:
    inside = CONFIG.replace("[", "[tool.bluegreen.").replace("schema = 1", "[tool.bluegreen]\nschema = 1")
    (repository / "bluegreen.toml").unlink()
    (repository / "pyproject.toml").write_text(inside)
    own = repository / "tests" / "release" / "test_own.py"
    own.write_text(OWN.replace("{file}", "pyproject.toml"))
    done = run(installed, repository, "-q", "-k", "test_configuration")
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_is_wrong_in_it_is_said_in_two_lines_with_its_exit_code(installed: Path, repository: Path) -> None:
    text = CONFIG.replace("port = 80", "prot = 80")
    (repository / "bluegreen.toml").write_text(text)
    stock = ("--pyargs", "harness.scenarios", "-q", "-m", "smoke")
    done = run(installed, repository, *stock)
    assert done.returncode == 4, done.stdout + done.stderr
    assert f"bluegreen.toml:{line_of(text, 'prot')}: unknown key 'service.prot'" in done.stderr
    assert "mend: did you mean 'port'?" in done.stderr
    (repository / "bluegreen.toml").write_text(CONFIG)
    done = run(installed, repository, *stock, "--bg-engine", "nerdctl", "--junitxml", "junit.xml")
    assert done.returncode == 11, done.stdout + done.stderr
    assert names(repository / "junit.xml") == [("test_" + file, test) for file, test in SMOKE]

"""The documentation is true: links lead somewhere, and commands are commands."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from harness import cli
from tests.test_plugin import Rehearsal, rehearse  # noqa: F401 - rehearse is a fixture

pytest_plugins = ["pytester"]

ROOT = Path(__file__).resolve().parents[1]
FILES = [*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
PLACEHOLDER = re.compile(r"<[a-z]+>")


def commands(program: str) -> list[tuple[str, str]]:
    """(file, line) of each command line of a program in a fenced block, without its variables and comments."""
    found = []
    for file in FILES:
        for kind, block in FENCE.findall(file.read_text()):
            if kind in ("", "sh", "bash", "console"):
                for line in block.splitlines():
                    line = re.sub(r"^(\$ )?([A-Z_]+=\S+ )*", "", line.strip())
                    if line.split(" ")[0] == program and not line.startswith(f"{program}:"):
                        found.append((file.name, line))
    return found


def words(line: str) -> list[str]:
    line = PLACEHOLDER.sub("x", line)
    split = shlex.split(line, comments=True)
    for sign in (">", ">>", "|", "2>"):
        split = split[: split.index(sign)] if sign in split else split
    return split[1:]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_every_relative_link_leads_somewhere(file: Path) -> None:
    text = FENCE.sub("", file.read_text())
    linked = [target for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text) if "://" not in target]
    named = re.findall(
        r"(?<![\w/.<>-])(?:docs|harness|scenarios|manifests|images|benchmarks)/[\w./-]+\.(?:md|py|toml)", text
    )
    for target in linked:
        assert (file.parent / target).exists(), target
    for target in named:
        assert (ROOT / target).exists(), target


def anchors(file: Path) -> set[str]:
    """What a heading is reached by: its words in small letters, joined by hyphens, and nothing else of it."""
    heads = re.findall(r"^#+ (.+)$", FENCE.sub("", file.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_every_link_to_a_heading_finds_it(file: Path) -> None:
    text = FENCE.sub("", file.read_text())
    for target, heading in re.findall(r"\]\(([^)#\s:]*)#([^)\s]+)\)", text):
        assert heading in anchors(file.parent / target if target else file), f"{target}#{heading}"


def test_every_make_target_is_there() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    told = [(file, words(line)[0]) for file, line in commands("make")]
    for one in FILES:
        told += [(one.name, word) for word in re.findall(r"`make ([a-z-]+)`", one.read_text())]
    assert len(told) >= 5
    assert [one for one in told if one[1] not in targets] == []


def test_there_are_links_and_commands_to_look_at() -> None:
    assert len(commands("bluegreen")) >= 10 and len(commands("pytest")) >= 6
    assert "docs/ci.md" in (ROOT / "README.md").read_text()


@pytest.mark.parametrize(("file", "line"), commands("bluegreen"))
def test_every_bluegreen_command_parses(file: str, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    parser = cli._parser()
    try:
        _, unknown = parser.parse_known_args(words(line))
    except SystemExit as end:
        pytest.fail(f"{file}: {line}\n{capsys.readouterr().err}{end}")
    assert unknown == []


def test_every_pytest_command_parses(rehearse: Rehearsal) -> None:  # noqa: F811
    for file, line in commands("pytest"):
        arguments = [word for word in words(line) if word not in ("--pyargs", "harness.scenarios")]
        # paths are of the reader's repository: what is asked here is whether pytest takes the options
        options = [word for word in arguments if "/" not in word or word.startswith("-")]
        result = rehearse.pytester.runpytest_inprocess(
            "-p", "harness.plugin", "-p", "pytest_kind.plugin", "-p", "no:cacheprovider", "--collect-only", *options
        )
        assert result.ret in (0, 5), f"{file}: {line}\n{result.stderr}"


def test_a_command_that_is_none_would_be_found(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["compare", "a"]) == 4
    assert cli.main(["compare", "a", "b", "--formt=json"]) == 4
    assert "did you mean --format?" in capsys.readouterr().err

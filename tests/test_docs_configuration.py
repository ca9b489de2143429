"""docs/configuration.md has one row for each key of the model, as the model says it, and no other.

python -m tests.test_docs_configuration    prints the tables anew, to paste where one of them differs
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest

from harness.config_key import REQUIRED, Described, described
from harness.config_model import NEEDS_REVISION, Config
from harness.config_schema import needed
from tests.test_config_schema import valid

ROOT = Path(__file__).resolve().parents[1]
DOC = ROOT / "docs" / "configuration.md"
HEAD = "| key | type | default | meaning |\n|---|---|---|---|"
README = (ROOT / "README.md").read_text()


def tables(kind: type = Config, name: str = "") -> Iterator[tuple[str, type, bool]]:
    """Every table by its heading, with its dataclass and whether it must be there."""
    for one in described(kind):
        if one.table is not None:
            below = f"{name}.{one.name}".lstrip(".")
            yield f"[[{below}]]" if one.many else f"[{below}]", one.table, needed(one)
            if not one.many:
                yield from tables(one.table, below)


def rows(kind: type) -> list[str]:
    return [
        f"| `{one.name}` | {type_of(one)} | {default_of(one)} | {one.key.meaning} |"
        for one in described(kind)
        if one.table is None
    ]


def type_of(one: Described) -> str:
    if one.mapping:
        return "table"
    kind = get_args(one.kind)[0] if one.many else one.kind
    if kind is int:
        text = f"whole number, {one.key.low} to {int(one.key.high)}"
    elif kind is float:
        text = f"number, above {one.key.above:g}, up to {one.key.high:g}"
    else:
        text = "path" if kind is Path else "string"
    return f"array of {text}s" if one.many else text


def default_of(one: Described) -> str:
    if one.required:
        return "**required**"
    if one.optional or one.mapping:
        return "none"
    if one.key.otherwise:
        return one.key.otherwise
    value: Any = one.key.default
    assert value is not REQUIRED
    return "none" if value in ((), "") else f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


def written() -> dict[str, list[str]]:
    """The rows that the document has below each heading."""
    parts = re.split(r"^## `(.+)`.*$", DOC.read_text(), flags=re.MULTILINE)
    return {
        heading: re.findall(r"^\| `.+\|$", text, re.MULTILINE)
        for heading, text in zip(parts[1::2], parts[2::2], strict=True)
    }


@pytest.mark.parametrize(
    ("heading", "kind", "must"), list(tables()), ids=lambda one: one if isinstance(one, str) else ""
)
def test_each_table_is_described_as_the_model_says_it(heading: str, kind: type, must: bool) -> None:
    assert written()[heading] == rows(kind)
    line = next(line for line in DOC.read_text().splitlines() if line.startswith(f"## `{heading}`"))
    assert line.endswith(", required") == must


def test_no_table_is_described_that_does_not_exist() -> None:
    assert list(written()) == [heading for heading, _, _ in tables()]


def test_the_examples_are_toml_and_the_names_are_all_told() -> None:
    for example in re.findall(r"```toml\n(.+?)```", DOC.read_text() + README, re.DOTALL):
        tomllib.loads(example)
    for name in NEEDS_REVISION:
        assert f'"{name}"' in DOC.read_text()


def test_the_whole_example_is_valid() -> None:
    from harness.config_schema import schema

    example = re.findall(r"```toml\n(.+?)```", DOC.read_text(), re.DOTALL)[0]
    assert valid(tomllib.loads(example), schema())


if __name__ == "__main__":
    for heading, kind, must in tables():
        print_ = sys.stdout.write
        print_(f"## `{heading}`{', required' if must else ''}\n\n{(kind.__doc__ or '').splitlines()[0]}\n\n")
        print_("\n".join([HEAD, *rows(kind)]) + "\n\n")

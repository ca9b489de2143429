"""A thousand odd configurations: each is read, or refused in two lines that name file, line and key. No traceback."""

from __future__ import annotations

import copy
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.config import Config, load
from harness.config_key import described
from harness.errors import ConfigurationError
from tests.test_config_requests import SEVERAL
from tests.test_toml_lines import quoted, spelled

ROOT = Path(__file__).resolve().parents[1]
VALID = re.sub(
    r'"(manifests/demo|images/app)"', lambda match: f'"{ROOT / match[1]}"', (ROOT / "bluegreen.toml").read_text()
)
WHOLE = tomllib.loads(VALID)
KEYS = sorted({key for table in (WHOLE, *WHOLE.values()) if isinstance(table, dict) for key in table})

NAMES = st.sampled_from([*KEYS, "", "rouete", "a.b", "a\nb", "naïve", "💥", "\x00", "x" * 300]) | st.text(
    st.characters(codec="utf-8"), max_size=5
)
ODD: list[Any] = [
    *(0, -1, 1, 65536, 2**63, 10**4000, 1e308, 0.0, -0.5, True, False),
    *("", "/", "v1", "none", "header:X", "json:", "${HOME}", "${", "$${x}", "{id}", "{version}", "\x00", "\n"),
    *("🟦" * 60, "x" * 5000, "/" + "a" * 5000, "../..", "~", "-1", "\ufffd"),
    *([], [[]], [1], ["only"], [{}], [{"path": "/"}], [{"path": "/", "weight": 2}], {}, {"a": 1}, {"a": {"b": []}}),
    *({"path": "/"}, {"v1": {"A": "b"}}, {"X-A": "b"}, {"X-A": "\n"}, {"name": "x", "host": "x"}),
]
VALUES = st.sampled_from(ODD) | st.text(st.characters(codec="utf-8"), max_size=8) | st.integers() | st.floats(-1e9, 1e9)
LEAVES = [[name, key] for name, table in WHOLE.items() if isinstance(table, dict) for key in table]
PLACES = (
    st.sampled_from(LEAVES)
    | st.lists(st.sampled_from(KEYS), min_size=1, max_size=3)
    | st.lists(NAMES, min_size=1, max_size=3)
)
CHANGES = st.one_of(
    st.tuples(st.just("set"), PLACES, VALUES),
    st.tuples(st.just("drop"), PLACES, st.none()),
    st.tuples(st.just("rename"), PLACES, NAMES),
)
SCRAPS = st.sampled_from(
    [
        '"',
        "'",
        '"""',
        "[",
        "[[",
        "]",
        "{",
        "}",
        "=",
        ",",
        "#",
        "\n",
        "\r\n",
        "\x00",
        "\ufeff",
        "[a.b]\n",
        "x.y = 1\n",
        "[[requests]]\n",
        "nan",
        "inf",
        "0x" + "f" * 5000,
        "9" * 5000,
        "1979-05-27",
        "\\u0000",
        "[" * 2000,
        SEVERAL,
    ]
)


def inside(document: dict[str, Any], place: list[str]) -> dict[str, Any] | None:
    """The table that a place's last key belongs to, where there is one: the whole, or any table on the way."""
    found: Any = document
    for key in place[:-1]:
        found = found.get(key) if isinstance(found, dict) and isinstance(found.get(key), dict) else found
    return found if isinstance(found, dict) else None


@st.composite
def structures(draw: st.DrawFn) -> str:
    """The valid configuration with some keys set to anything, dropped or renamed."""
    document = copy.deepcopy(WHOLE)
    for kind, place, value in draw(st.lists(CHANGES, min_size=1, max_size=4)):
        table = inside(document, place)
        key = place[-1]
        if table is None:
            continue
        if kind == "set":
            table[key] = copy.deepcopy(value)
        elif key in table:
            old = table.pop(key)
            if kind == "rename":
                table[value] = old
    return "\n".join(f"{quoted(key)} = {spelled(value)}" for key, value in document.items())


@st.composite
def texts(draw: st.DrawFn) -> str:
    """The valid configuration with scraps put in, or parts cut out: mostly no TOML any more, or odd TOML."""
    text = VALID
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(text)))
        if draw(st.booleans()):
            text = text[:at] + draw(SCRAPS) + text[at:]
        else:
            text = text[:at] + text[at + draw(st.integers(0, 40)) :]
    return text


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("odd") / "bluegreen.toml"


def read_or_refused(file: Path, text: str) -> None:
    file.write_bytes(text.encode())
    try:
        assert isinstance(load(file), Config)
    except ConfigurationError as error:
        lines = str(error).splitlines()
        assert len(lines) == 2 and lines[1].startswith("  mend: ") and len(lines[1]) > 10, str(error)
        found = re.match(rf"{re.escape(str(file))}:(\d+): (.+)", lines[0])
        assert found, lines[0]
        assert 1 <= int(found[1]) <= max(1, len(text.splitlines()))


QUICK = settings(max_examples=500, derandomize=True, suppress_health_check=list(HealthCheck), database=None)


@QUICK
@given(text=structures())
def test_any_change_of_keys_and_values_is_read_or_refused_in_two_lines(file: Path, text: str) -> None:
    read_or_refused(file, text)


@QUICK
@given(text=texts())
def test_any_damage_to_the_text_is_read_or_refused_in_two_lines(file: Path, text: str) -> None:
    read_or_refused(file, text)


def test_what_is_mutated_is_valid_and_whole(file: Path) -> None:
    """So that the thousand are odd by their changes alone."""
    file.write_text(VALID)
    assert load(file).build is not None
    assert {one.name for one in described(Config)} - {"websocket"} - set(WHOLE) == {"helm", "requests"}

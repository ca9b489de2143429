"""Where keys stand: against tomlkit's documents and odd spellings."""

from __future__ import annotations

import tomllib
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from harness.toml_lines import Keys, lines

ODD = r'''# a comment with [brackets] = 1
a = """
[not]
a = table""" # "
"b c".'d' = [ # one
  1,
  {x = "}", y = [2,
    3]},
]
[t . "u.v"]
k = 1979-05-27 07:32:00
l = QQQit's ''fine''QQQ
m = """four quotes"""" # ]
[[n]]
p = 1
[[n]]
[n.o]
q = true
[[n.r]]
[[n.r]]
s = "\"[x]"
'''.replace("QQQ", "'" * 3)


def test_odd_spellings() -> None:
    tomllib.loads(ODD)
    found = lines(ODD)
    rows = ODD.splitlines()

    def row(*keys: str | int) -> str:
        return rows[found[keys] - 1].strip()

    assert row("a").startswith('a = """')
    assert row("b c", "d").startswith('"b c"')
    assert row("b c", "d", 1, "y", 1) == "3]},"
    assert row("t", "u.v", "k").startswith("k = 1979")
    assert row("t", "u.v", "m").startswith("m = ")
    assert found["n", 1] == found["n", 0] + 2
    assert row("n", 1, "o", "q") == "q = true"
    assert row("n", 1, "r", 1, "s").startswith("s = ")
    assert ("not",) not in found


def spelled(value: Any) -> str:
    """A value as TOML, arrays and inline tables over several lines wherever TOML allows it."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{quoted(key)} = {spelled(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list):
        return "[\n" + ",\n".join(spelled(one) for one in value) + "\n]"
    if isinstance(value, bool):
        return str(value).lower()
    return quoted(value) if isinstance(value, str) else str(value)


def quoted(text: str) -> str:
    return '"' + "".join(c if c.isprintable() and c not in '"\\' else f"\\U{ord(c):08x}" for c in text) + '"'


def every(value: Any, at: Keys = ()) -> set[Keys]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return {at, *(keys for key, one in inner for keys in every(one, (*at, key)))} - {()}


TEXT = st.text(st.characters(codec="utf-8"), max_size=6)
VALUES = st.recursive(
    TEXT | st.integers(-9, 9) | st.booleans(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=150)
@given(st.dictionaries(TEXT, VALUES, max_size=4))
def test_every_key_of_any_document_has_its_line(document: dict[str, Any]) -> None:
    text = "\n".join(f"{quoted(key)} = {spelled(value)} # = [" for key, value in document.items())
    assert tomllib.loads(text) == document
    found = lines(text)
    assert set(found) == every(document)
    rows = text.split("\n")
    for key in document:
        assert rows[found[key,] - 1].startswith(quoted(key))

"""The schema says what the reader does: the shipped files are valid by it, and what one refuses the other refuses."""

from __future__ import annotations

import copy
import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from harness.cli import main
from harness.config import load
from harness.config_schema import schema
from harness.errors import ConfigurationError
from tests.test_config_properties import VALID
from tests.test_config_requests import SEVERAL
from tests.test_toml_lines import quoted, spelled

ROOT = Path(__file__).resolve().parents[1]
Json = dict[str, Any]
USED = {"$schema", "title", "type", "description", "default"}
CHECKED = {
    "properties",
    "required",
    "additionalProperties",
    "items",
    "pattern",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "anyOf",
}


def valid(value: Any, by: Json) -> bool:
    """The words of JSON Schema that ours uses, and no others: a word that this doesn't know fails the test."""
    assert by.keys() <= USED | CHECKED, by.keys()
    kinds: Json = {"object": dict, "array": list, "string": str, "integer": int, "number": (int, float)}
    if not isinstance(value, kinds[by["type"]]) or isinstance(value, bool):
        return False
    if isinstance(value, dict):
        further = by.get("additionalProperties", {"type": "object"})
        inner = {key: by.get("properties", {}).get(key, further) for key in value}
        if further is False and False in inner.values():
            return False
        if not any(set(one["required"]) <= value.keys() for one in by.get("anyOf", [{"required": ()}])):
            return False
        return set(by.get("required", ())) <= value.keys() and (
            "additionalProperties" not in by or all(valid(one, inner[key]) for key, one in value.items())
        )
    if isinstance(value, list):
        return all(valid(one, by["items"]) for one in value)
    if isinstance(value, str):
        return "pattern" not in by or re.search(by["pattern"], value) is not None
    low = value > by["exclusiveMinimum"] if "exclusiveMinimum" in by else value >= by["minimum"]
    return bool(low and value <= by["maximum"])


def test_the_command_prints_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema"]) == 0
    assert json.loads(capsys.readouterr().out) == schema()


@pytest.mark.parametrize(
    "file",
    [
        "bluegreen.toml",
        *(f"manifests/{name}/bluegreen.toml" for name in ("nginx", "nginx-many", "datasette", "single", "tls")),
    ],
)
def test_the_shipped_files_are_valid(file: str) -> None:
    assert valid(tomllib.loads((ROOT / file).read_text()), schema())


def test_every_key_is_described_and_every_default_is_valid() -> None:
    def walk(by: Json) -> None:
        for name, one in by.get("properties", {}).items():
            inner = one.get("items", one) if one["type"] == "array" else one
            assert one.get("description") or inner.get("description"), name
            if "default" in one:
                assert valid(one["default"], {key: word for key, word in one.items() if key != "pattern"}), name
            walk(inner)

    walk(schema())


DROP = object()
CHANGES = [
    *((("app", key), DROP) for key in ("name", "manifests", "container", "image", "old", "new")),
    *(((table,), DROP) for table in ("schema", "app", "sides", "service", "identity")),
    *(((table, "zzz"), 1) for table in ("app", "sides", "service", "request", "limits", "load", "build")),
    *((("sides", key), DROP) for key in ("blue", "green")),
    (("sides", "template"), "Shop"),
    (("schema",), 2),
    (("service", "port"), 0),
    (("service", "port"), "80"),
    (("service", "port"), 65536),
    (("service", "selector_key"), "-"),
    (("app", "image"), "shop:latest"),
    (("load", "busy"), 0),
    (("load", "busy"), 1001),
    (("request", "method"), "get"),
    (("request", "headers"), {"A": 1}),
    (("request", "slow", "path"), DROP),
    (("request", "post", "method"), "GET"),
    (("requests",), {"path": "/"}),
    (("requests",), [{"path": "/", "weight": 101}]),
    (("identity", "revision"), "cookie:x"),
    (("identity", "accept_unproven"), ["onyl"]),
    (("ledger", "host_path"), "/"),
    (("build", "versions"), {"v1": {"A": 1}}),
]


@pytest.mark.parametrize(("place", "value"), CHANGES, ids=lambda one: str(one) if isinstance(one, tuple) else "")
def test_what_the_reader_refuses_for_its_form_the_schema_refuses_too(
    tmp_path: Path, place: tuple[str, ...], value: Any
) -> None:
    document = copy.deepcopy(tomllib.loads(VALID))
    table = document
    for key in place[:-1]:
        table = table[key]
    if value is DROP:
        del table[place[-1]]
    else:
        table[place[-1]] = value
    assert not valid(document, schema())
    file = tmp_path / "bluegreen.toml"
    file.write_text("\n".join(f"{quoted(key)} = {spelled(one)}" for key, one in document.items()))
    with pytest.raises(ConfigurationError):
        load(file)


def test_what_the_reader_takes_the_schema_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_TOKEN", "t")
    monkeypatch.setenv("SHOP_QUERY", "q")
    text = re.sub(r"\[request\]\n(.+\n)+", "", VALID) + SEVERAL
    file = tmp_path / "bluegreen.toml"
    file.write_text(text)
    assert len(load(file).requests) == 2
    assert valid(tomllib.loads(text), schema())

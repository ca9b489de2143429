"""The JSON schema of bluegreen.toml for editors, from the same descriptions that the reader works by."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

from harness.config_key import REQUIRED, Described, described
from harness.config_model import Config

Json = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_TYPES = {str: "string", int: "integer", float: "number", Path: "string"}


def schema() -> Json:
    """The schema of the whole file; each table is described by its dataclass' first line."""
    return {"$schema": DIALECT, "title": "bluegreen.toml", **_table(Config)}


def _table(table: type) -> Json:
    keys = described(table)
    made: Json = {
        "type": "object",
        "description": (table.__doc__ or "").splitlines()[0],
        "properties": {one.name: _key(one) for one in keys},
        "additionalProperties": False,
    }
    if required := [one.name for one in keys if needed(one) and not one.key.unless]:
        made["required"] = required
    for other in dict.fromkeys(one.key.unless for one in keys if one.key.unless):
        instead = [one.name for one in keys if one.key.unless == other]
        made["anyOf"] = [{"required": instead}, {"required": [other]}]
    return made


def needed(one: Described) -> bool:
    """True if the file must give the key: by itself, or, for a table, because a key in it has no default."""
    if one.table is not None:
        return not one.optional and not one.many and any(needed(inner) for inner in described(one.table))
    return one.required or bool(one.key.unless)


def _key(one: Described) -> Json:
    if one.table is not None:
        table = _table(one.table)
        return {"type": "array", "items": table} if one.many else table
    if one.mapping:
        return {"description": one.key.meaning, **_mapping(get_args(one.kind)[1])}
    value = _scalar(one, get_args(one.kind)[0] if one.many else one.kind)
    made: Json = {"type": "array", "items": value} if one.many else value
    made["description"] = one.key.meaning
    if one.key.default is not REQUIRED and not one.key.otherwise:
        made["default"] = list(one.key.default) if one.many else one.key.default
    return made


def _scalar(one: Described, kind: type) -> Json:
    made: Json = {"type": _TYPES[kind]}
    if kind is int:
        made |= {"minimum": one.key.low, "maximum": int(one.key.high)}
    elif kind is float:
        made |= {"exclusiveMinimum": one.key.above, "maximum": one.key.high}
    elif one.key.form:
        made["pattern"] = f"^(?:{one.key.form})$"
    return made


def _mapping(inner: Any) -> Json:
    """A table with the user's own keys; of `helm.set` the values may be tables again, which dot the names."""
    if inner is Any:
        return {"type": "object"}
    if inner is str:
        return {"type": "object", "additionalProperties": {"type": "string"}}
    return {"type": "object", "additionalProperties": _mapping(get_args(inner)[1])}

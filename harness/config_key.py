"""What is known of each key of a configuration: one description that the reader, the schema and the docs share."""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from typing import Annotated, Any, Final, Union, get_args, get_origin, get_type_hints

REQUIRED: Final = ...
"""The default of a key that has none."""
LABEL: Final = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
"""The form of a DNS label, RFC 1123."""
SUBDOMAIN: Final = rf"{LABEL}(\.{LABEL})*"
"""The form of a DNS name."""


@dataclass(frozen=True)
class Key:
    """One key of a table.

    Attributes:
        meaning: one sentence, for the docs and for editors.
        default: what holds where the file doesn't say; REQUIRED where it must.
        form: regular expression that the whole of a string matches; "" for any.
        like: a right value, for messages.
        low: least whole number.
        above: bound that a number must exceed.
        high: greatest number.
        otherwise: the default in words, where it isn't a fixed value.
        folder: a string that names a folder beside the file.
        unless: the key beside this one that may stand for it; the file must give one of the two.

    """

    meaning: str
    default: Any = REQUIRED
    form: str = ""
    like: str = ""
    low: int = 0
    above: float = 0.0
    high: float = 0.0
    otherwise: str = ""
    folder: bool = False
    unless: str = ""


@dataclass(frozen=True)
class Described:
    """A key with its name, and what kind of value it takes.

    Attributes:
        name: in the file.
        kind: the type of the value: str, int, float, Path, a dataclass, or a container of these; never optional.
        optional: None where the file doesn't give it.
        key: the rest.

    """

    name: str
    kind: Any
    optional: bool
    key: Key

    @property
    def table(self) -> type | None:
        """The dataclass of a sub-table, or of an array's elements."""
        kind = get_args(self.kind)[0] if get_origin(self.kind) is tuple else self.kind
        return kind if isinstance(kind, type) and is_dataclass(kind) else None

    @property
    def many(self) -> bool:
        """An array of values or tables."""
        return get_origin(self.kind) is tuple

    @property
    def mapping(self) -> bool:
        """A table with keys that the user chooses."""
        return get_origin(self.kind) is Mapping

    @property
    def required(self) -> bool:
        """True if the file must say it."""
        return not self.optional and not self.mapping and self.table is None and self.key.default is REQUIRED


def described(table: type) -> tuple[Described, ...]:
    """The keys of a table's dataclass, in the order of its fields; fields without a `Key` are no keys of the file."""
    return _described(table)


@cache
def _described(table: type) -> tuple[Described, ...]:
    hints = get_type_hints(table, include_extras=True)
    found = []
    for field in fields(table):
        hint = hints[field.name]
        if get_origin(hint) is not Annotated:
            continue
        kind, key = get_args(hint)[:2]
        optional = get_origin(kind) in (Union, types.UnionType)
        if optional:
            (kind,) = (part for part in get_args(kind) if part is not types.NoneType)
        found.append(Described(field.name, kind, optional, key))
    return tuple(found)

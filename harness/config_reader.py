"""Reads TOML tables strictly into the model's dataclasses; every error names the file, the line and the right key."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NoReturn, TypeVar, cast, get_args

from harness.config_key import Described, Key, described
from harness.errors import ConfigurationError
from harness.toml_lines import Keys, lines

T = TypeVar("T")
SHOWN: Final = 100
"""Characters of a wrong value or key that a message repeats."""


@dataclass(frozen=True)
class Source:
    """One parsed TOML file, and where its keys stand.

    Attributes:
        file: the file's absolute path.
        text: what it holds, for line numbers.
        values: the parsed document.

    """

    file: Path
    text: str
    values: Mapping[str, Any]

    @classmethod
    def read(cls, file: Path) -> Source:
        """Parse ``file``.

        Raises:
            ConfigurationError: it can't be read, is not UTF-8 or not TOML.

        """
        try:
            text = file.read_text(encoding="utf-8")
        except OSError as error:
            raise ConfigurationError(
                f"{file}: can't be read: {error.strerror}", "check the path and its mode"
            ) from error
        except UnicodeDecodeError as error:
            raise ConfigurationError(f"{file}: is not UTF-8", "save the file as UTF-8") from error
        try:
            return cls(file, text, tomllib.loads(text))
        except ValueError as error:  # tomllib's own error is one; a number of 5,000 digits is Python's
            found = re.search(r"at line (\d+)", str(error))
            line = int(found.group(1)) if found else len(text.splitlines())
            raise ConfigurationError(f"{file}:{line}: not TOML: {error}", "mend the syntax on that line") from error
        except RecursionError as error:
            rows = text.splitlines()
            line = 1 + max(range(len(rows)), key=lambda row: rows[row].count("[") + rows[row].count("{"))
            raise ConfigurationError(f"{file}:{line}: nested too deeply to be read", "nest it less") from error

    def line(self, path: Keys) -> int:
        """The line (from 1) of the key at ``path``, or of its nearest table that the file spells out; else 1."""
        places = lines(self.text)
        for length in range(len(path), 0, -1):
            if path[:length] in places:
                return places[path[:length]]
        return 1

    def refuse(self, path: Keys, what: str, mend: str) -> NoReturn:
        """Raise a ConfigurationError at the line of ``path``."""
        raise ConfigurationError(f"{self.file}:{self.line(path)}: {what}", mend)


class Table:
    """One table of a source, read key by key.

    Args:
        source: the file.
        path: the table's path in it; () is the document.
        values: what stands there.
        known: all keys that may stand there; None: any.

    Raises:
        ConfigurationError: it is no table, or holds a key that isn't known (the nearest right one is named).

    """

    def __init__(self, source: Source, path: Keys, values: object, known: tuple[str, ...] | None) -> None:
        self.source = source
        self.path = path
        if not isinstance(values, dict):
            name = _dotted(path)
            source.refuse(path, f"{name} must be a table, not {_kind(values)}", f"write [{name}] and its keys below it")
        self._values: dict[str, Any] = values
        for key in values:
            if known is not None and key not in known:
                near = difflib.get_close_matches(key[:SHOWN], known, n=1, cutoff=0.5)
                mend = f"did you mean {near[0]!r}?" if near else f"the keys here are {', '.join(known)}"
                source.refuse((*path, key), f"unknown key {self.name(key)!r}", mend)

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys that the file gives."""
        return tuple(self._values)

    def name(self, key: str) -> str:
        """The key's full dotted name."""
        return _dotted((*self.path, key))

    def has(self, key: str) -> bool:
        """Whether the file gives this key."""
        return key in self._values

    def refuse(self, key: str, what: str, mend: str) -> NoReturn:
        """Raise a ConfigurationError at this key: ``what`` completes "<key> ..."."""
        self.source.refuse((*self.path, key), f"{self.name(key)} {what}", mend)

    def read(self, kind: type[T]) -> T:
        """The table as one of the model's dataclasses."""
        return kind(**{one.name: self.value(one) for one in described(kind)})

    def value(self, one: Described) -> Any:
        """The value of one key, of the type that the model says."""
        key, kind, table = one.key, one.kind, one.table
        if key.unless and not self.has(one.name) and not self.has(key.unless):
            where = _dotted(self.path)
            self.refuse(one.name, "is missing", f"add {one.name} = ... under [{where}], or {key.unless} = ...")
        if one.optional and not self.has(one.name):
            return None
        if table is not None and one.many:
            return tuple(element.read(table) for element in self.tables(one.name, table))
        if table is not None:
            return self.table(one.name, table).read(table)
        if one.many:
            return self.texts_or_files(one.name, key, files=get_args(kind)[0] is Path)
        if one.mapping:
            return self.mapping(one.name, get_args(kind)[1])
        if kind is int:
            return self.integer(one.name, key)
        if kind is float:
            return self.number(one.name, key)
        return self.file(one.name, self.text(one.name, key)) if kind is Path else self.text(one.name, key)

    def table(self, key: str, kind: type) -> Table:
        """The table under ``key``; an absent one reads as empty."""
        known = tuple(one.name for one in described(kind))
        return Table(self.source, (*self.path, key), self._values.get(key, {}), known)

    def tables(self, key: str, kind: type) -> list[Table]:
        """The tables of the array under ``key``; an absent one reads as empty."""
        values = self._values.get(key, [])
        if not isinstance(values, list):
            self.refuse(key, f"must be an array of tables, not {_kind(values)}", f"write [[{self.name(key)}]]")
        known = tuple(one.name for one in described(kind))
        return [Table(self.source, (*self.path, key, at), value, known) for at, value in enumerate(values)]

    def raw(self, key: str, default: object = ...) -> object:
        """The value as it stands, or the default.

        Raises:
            ConfigurationError: absent, and there is no default.

        """
        if key in self._values:
            return cast(object, self._values[key])
        if default is ...:
            where = f"under [{_dotted(self.path)}]" if self.path else "at the top of the file"
            self.refuse(key, "is missing", f"add {key} = ... {where}")
        return default

    def text(self, key: str, known: Key) -> str:
        """A string that matches the whole of the key's form; a default needn't."""
        value = self.raw(key, known.default)
        if not isinstance(value, str):
            self.refuse(key, f"must be a string, not {_kind(value)}", f'write it in quotes, like "{known.like or "x"}"')
        if known.form and self.has(key) and not re.fullmatch(known.form, value):
            self.refuse(key, f"can't be {_shown(value)}", f"write it like {known.like!r}")
        return value

    def file(self, key: str, text: str) -> Path:
        """A file or folder beside the configuration, as an absolute path; whether it exists isn't asked here."""
        try:
            return (self.source.file.parent / text).resolve()
        except (OSError, ValueError, RuntimeError) as error:  # a NUL, a name too long, links in a circle
            self.refuse(key, f"can't be a path: {_shown(text)}", f"name a folder beside the file ({error})")

    def texts_or_files(self, key: str, known: Key, *, files: bool) -> tuple[Any, ...]:
        """An array of strings, or of files beside the configuration."""
        values = self.raw(key, known.default)
        if not isinstance(values, list | tuple):
            self.refuse(key, f"must be an array, not {_kind(values)}", f'write {key} = ["{known.like}"]')
        for value in values:
            if not isinstance(value, str):
                self.refuse(key, f"holds {_kind(value)}", f'write strings only, like ["{known.like}"]')
            if known.form and not re.fullmatch(known.form, value):
                near = difflib.get_close_matches(value[:SHOWN], known.form.split("|"), n=1)
                mend = f"did you mean {near[0]!r}?" if near else f"one of {known.form.replace('|', ', ')}"
                self.refuse(key, f"can't hold {_shown(value)}", mend)
        return tuple(self.file(key, value) for value in values) if files else tuple(values)

    def integer(self, key: str, known: Key) -> int:
        """A whole number within the key's bounds."""
        value, bounds = self.raw(key, known.default), f"write a number from {known.low} to {known.high:g}"
        if not isinstance(value, int) or isinstance(value, bool):
            self.refuse(key, f"must be a whole number, not {_kind(value)}", bounds)
        if not known.low <= value <= known.high:
            self.refuse(key, f"is {_shown(value)}", bounds)
        return value

    def number(self, key: str, known: Key) -> float:
        """A number within the key's bounds."""
        value, bounds = self.raw(key, known.default), f"write a number above {known.above:g} and up to {known.high:g}"
        if not isinstance(value, int | float) or isinstance(value, bool):
            self.refuse(key, f"must be a number, not {_kind(value)}", bounds)
        if not known.above < value <= known.high:
            self.refuse(key, f"is {_shown(value)}", bounds)
        return float(value)

    def mapping(self, key: str, kind: Any) -> dict[str, Any]:
        """A table with the user's own keys: strings, tables of strings, or (Any) scalars; absent reads as empty."""
        inner = Table(self.source, (*self.path, key), self._values.get(key, {}), None)
        if kind is str:
            return {name: inner.text(name, Key("", like="value")) for name in inner.keys}
        if kind is Any:
            return inner.scalars()
        return {name: inner.mapping(name, str) for name in inner.keys}

    def scalars(self) -> dict[str, Any]:
        """Strings, numbers and booleans by dotted name, whether written as one name or as tables."""
        found: dict[str, Any] = {}
        for name, value in self._values.items():
            if isinstance(value, dict):
                deeper = Table(self.source, (*self.path, name), value, None).scalars()
                found |= {f"{name}.{below}": one for below, one in deeper.items()}
            elif isinstance(value, str | bool | int | float):
                found[name] = value
            else:
                self.refuse(name, f"can't be {_kind(value)}", "strings, numbers and booleans only; lists go in a file")
        return found


def _dotted(path: Keys) -> str:
    """The path as TOML spells it, on one line; elements of arrays by number from 0."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            bare = part[:SHOWN] if re.fullmatch(r"[A-Za-z0-9_-]+", part) else _shown(part)
            text += f".{bare}" if text else bare
    return text


def _shown(value: object) -> str:
    """A wrong value for a message: on one line, and not longer than a line."""
    if isinstance(value, int) and value.bit_length() > 8 * SHOWN:
        return "a number of hundreds of digits"  # Python refuses to print 5,000 of them
    text = repr(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


def _kind(value: object) -> str:
    """What TOML calls the type of a parsed value."""
    names = {bool: "a boolean", int: "a number", float: "a number", str: "a string", list: "a list", dict: "a table"}
    return names.get(type(value), "a date or time")

"""Reads one TOML table strictly: types, ranges, unknown keys; every error names the file and the line."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, cast

from harness.errors import ConfigurationError


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
        except tomllib.TOMLDecodeError as error:
            found = re.search(r"at line (\d+)", str(error))
            line = int(found.group(1)) if found else len(text.splitlines())
            raise ConfigurationError(f"{file}:{line}: not TOML: {error}", "mend the syntax on that line") from error

    def line(self, path: tuple[str, ...]) -> int:
        """The line (from 1) of the key at ``path``, or of its nearest table that the file spells out; else 1."""
        places = _places(self.text)
        for length in range(len(path), 0, -1):
            if path[:length] in places:
                return places[path[:length]]
        return 1

    def refuse(self, path: tuple[str, ...], what: str, mend: str) -> NoReturn:
        """Raise a ConfigurationError at the line of ``path``."""
        raise ConfigurationError(f"{self.file}:{self.line(path)}: {what}", mend)


_PART = r"""(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')"""
_DOTTED = rf"{_PART}(?:\s*\.\s*{_PART})*"
_HEADER = re.compile(rf"^\s*\[\[?\s*({_DOTTED})\s*\]\]?")
_KEY = re.compile(rf"^\s*({_DOTTED})\s*=")


def _places(text: str) -> dict[tuple[str, ...], int]:
    """Line of every table and key that ``text`` spells out (keys inside inline tables: their outer key's line)."""
    places: dict[tuple[str, ...], int] = {}
    table: tuple[str, ...] = ()
    inside = ""  # the quotes of a multi-line string that is open
    for number, line in enumerate(text.splitlines(), 1):
        if not inside:
            if header := _HEADER.match(line):
                table = _split(header.group(1))
                places.setdefault(table, number)
            elif key := _KEY.match(line):
                places.setdefault(table + _split(key.group(1)), number)
        for quotes in re.findall(r"\"\"\"|'''", line):
            if not inside:
                inside = quotes
            elif inside == quotes:
                inside = ""
    return places


def _split(dotted: str) -> tuple[str, ...]:
    return tuple(part.strip("\"'") for part in re.findall(_PART, dotted))


class Table:
    """One table of a source, read key by key.

    Args:
        source: the file.
        path: the table's path in it; () is the document.
        values: what stands there.
        known: all keys that may stand there.

    Raises:
        ConfigurationError: it is no table, or holds a key that isn't known (the nearest right one is named).

    """

    def __init__(self, source: Source, path: tuple[str, ...], values: object, known: tuple[str, ...]) -> None:
        self.source = source
        self.path = path
        if not isinstance(values, dict):
            source.refuse(path, f"{'.'.join(path)} must be a table, not {_kind(values)}", f"write [{'.'.join(path)}]")
        self._values: dict[str, Any] = values
        for key in values:
            if key not in known:
                near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
                mend = f"did you mean {near[0]!r}?" if near else f"the keys here are {', '.join(known)}"
                source.refuse((*path, key), f"unknown key {self.name(key)!r}", mend)

    def name(self, key: str) -> str:
        """The key's full dotted name."""
        return ".".join((*self.path, key))

    def has(self, key: str) -> bool:
        """Whether the file gives this key."""
        return key in self._values

    def refuse(self, key: str, what: str, mend: str) -> NoReturn:
        """Raise a ConfigurationError at this key: ``what`` completes "<key> ..."."""
        self.source.refuse((*self.path, key), f"{self.name(key)} {what}", mend)

    def table(self, key: str, known: tuple[str, ...]) -> Table:
        """The table under ``key``; an absent one reads as empty."""
        return Table(self.source, (*self.path, key), self._values.get(key, {}), known)

    def raw(self, key: str, default: object = None) -> object:
        """The value as it stands, or the default.

        Raises:
            ConfigurationError: absent, and there is no default.

        """
        if key in self._values:
            return cast(object, self._values[key])
        if default is None:
            self.refuse(key, "is missing", f"add {key} = ... under [{'.'.join(self.path)}]")
        return default

    def text(self, key: str, default: str | None = None, *, form: str = "", like: str = "") -> str:
        """A string that matches the whole of the pattern ``form``; ``like`` shows a right one."""
        value = self.raw(key, default)
        if not isinstance(value, str):
            self.refuse(key, f"must be a string, not {_kind(value)}", f'write it in quotes, like "{like or value}"')
        if form and not re.fullmatch(form, value):
            self.refuse(key, f"can't be {value!r}", f"write it like {like!r}")
        return value

    def maybe_text(self, key: str, *, form: str = "", like: str = "") -> str | None:
        """The same, None where the file doesn't give it."""
        return self.text(key, form=form, like=like) if self.has(key) else None

    def integer(self, key: str, default: int | None = None, *, low: int, high: int) -> int:
        """A whole number with low <= value <= high."""
        value = self.raw(key, default)
        if not isinstance(value, int) or isinstance(value, bool):
            self.refuse(key, f"must be a whole number, not {_kind(value)}", f"write a number from {low} to {high}")
        if not low <= value <= high:
            self.refuse(key, f"is {value}", f"write a number from {low} to {high}")
        return value

    def number(self, key: str, default: float | None = None, *, above: float = 0.0, high: float) -> float:
        """A number with above < value <= high."""
        value = self.raw(key, default)
        if not isinstance(value, int | float) or isinstance(value, bool):
            self.refuse(key, f"must be a number, not {_kind(value)}", f"write a number up to {high:g}")
        if not above < value <= high:
            self.refuse(key, f"is {value}", f"write a number above {above:g} and up to {high:g}")
        return float(value)

    def texts(self, key: str) -> dict[str, str]:
        """A table of strings; absent reads as empty."""
        values = self.raw(key, {})
        if not isinstance(values, dict):
            self.refuse(
                key, f"must be a table of strings, not {_kind(values)}", f'write {key} = {{ "X-Name" = "value" }}'
            )
        for inner, value in values.items():
            if not isinstance(value, str):
                self.refuse(
                    key, f"holds {inner!r} with {_kind(value)} instead of a string", "write its value in quotes"
                )
        return dict(values)


def _kind(value: object) -> str:
    """What TOML calls the type of a parsed value."""
    names = {bool: "a boolean", int: "a number", float: "a number", str: "a string", list: "a list", dict: "a table"}
    return names.get(type(value), "a date or time")

"""On which line each key of a TOML document stands, which tomllib doesn't tell.

A small scanner of its own, because it may take for granted that the document is valid: tomllib has read it before.
tomlkit would be another dependency at run time, and tells no lines either.
"""

from __future__ import annotations

import bisect
import re
import tomllib
from typing import Final

Keys = tuple[str | int, ...]
"""Where a value stands: its keys from the top, and a number from 0 within an array."""

_STRING: Final = re.compile(
    r'"""(?:[^"\\]|\\.|"{1,2}(?!"))*"{3,5}'
    r"|'''(?:[^']|'{1,2}(?!'))*'{3,5}"
    r'|"(?:[^"\\]|\\.)*"'
    r"|'[^']*'",
    re.DOTALL,
)
_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")
_SCALAR: Final = re.compile(r"[^,\]}#\n]*")  # a number, a boolean, a date
_BLANK: Final = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_DOT: Final = re.compile(r"[ \t]*\.[ \t]*")


def lines(text: str) -> dict[Keys, int]:
    """The line, from 1, of every table, key and array element that the document spells out.

    Args:
        text: a valid TOML document.

    """
    scanner = _Scanner(text)
    scanner.document()
    starts = [match.end() for match in re.finditer("\n", text)]
    return {keys: bisect.bisect_right(starts, offset) + 1 for keys, offset in scanner.found.items()}


class _Scanner:
    """One pass over the document; ``found`` has the offset of the first place of each key."""

    def __init__(self, text: str) -> None:
        self.found: dict[Keys, int] = {}
        self._text = text
        self._at = 0
        self._lengths: dict[Keys, int] = {}  # of the arrays of tables so far

    def document(self) -> None:
        table: Keys = ()
        self._blank()
        while self._at < len(self._text):
            start = self._at
            if self._text.startswith("[", start):
                table = self._header(start)
            else:
                self._pair(table)
            self._blank()

    def _header(self, start: int) -> Keys:
        many = self._text.startswith("[[", start)
        self._at += 2 if many else 1
        *above, last = self._dotted()
        table: Keys = ()
        for key in above:
            table = self._inside((*table, key))
        table = (*table, last)
        self._note(table, start)
        if many:
            self._lengths[table] = self._lengths.get(table, 0) + 1
        table = self._inside(table)
        self._note(table, start)
        self._blank()
        self._at += 2 if many else 1
        return table

    def _inside(self, table: Keys) -> Keys:
        """The last element so far, where the table is an array of tables."""
        return (*table, self._lengths[table] - 1) if table in self._lengths else table

    def _pair(self, table: Keys) -> None:
        start = self._at
        for key in self._dotted():
            table = (*table, key)
            self._note(table, start)
        self._blank()
        self._at += 1  # =
        self._value(table)

    def _value(self, keys: Keys) -> None:
        self._blank()
        self._note(keys, self._at)
        opening = self._text[self._at]
        if opening not in "[{":
            match = _STRING.match(self._text, self._at) or _SCALAR.match(self._text, self._at)
            self._at = match.end() if match else self._at
            return
        self._at += 1
        number = 0
        self._blank()
        while self._text[self._at] not in "]}":
            if opening == "{":
                self._pair(keys)
            else:
                self._value((*keys, number))
            number += 1
            self._blank()
            if self._text[self._at] == ",":
                self._at += 1
                self._blank()
        self._at += 1

    def _dotted(self) -> list[str]:
        keys = []
        while True:
            self._blank()
            if quoted := _STRING.match(self._text, self._at):
                plain = "\\" not in quoted[0] or quoted[0].startswith("'")
                keys.append(quoted[0][1:-1] if plain else str(tomllib.loads(f"key = {quoted[0]}")["key"]))
                self._at = quoted.end()
            elif bare := _BARE.match(self._text, self._at):
                keys.append(bare[0])
                self._at = bare.end()
            if not (dot := _DOT.match(self._text, self._at)):
                return keys
            self._at = dot.end()

    def _blank(self) -> None:
        match = _BLANK.match(self._text, self._at)
        self._at = match.end() if match else self._at

    def _note(self, keys: Keys, offset: int) -> None:
        self.found.setdefault(keys, offset)

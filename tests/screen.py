"""A terminal of so many columns: what stands on it after some output, cursor movements included."""

from __future__ import annotations

import re

_CONTROL = re.compile(r"\x1b\[(\??[0-9;]*)([A-Za-z])")


class Terminal:
    """Enough of an ANSI terminal for pytest's and rich's output.

    Args:
        columns: its width; longer lines wrap.

    """

    def __init__(self, columns: int = 80) -> None:
        self.columns = columns
        self.rows: list[list[str]] = [[]]
        self.row = self.column = 0
        self.hidden = False

    def feed(self, text: str) -> None:
        """Take in output."""
        position = 0
        while position < len(text):
            if control := _CONTROL.match(text, position):
                self._control(control[1], control[2])
                position = control.end()
                continue
            self._put(text[position])
            position += 1

    def _control(self, argument: str, verb: str) -> None:
        number = int(argument) if argument.isdigit() else 1
        if verb == "A":
            self.row = max(0, self.row - number)
        elif verb == "G":
            self.column = number - 1
        elif verb == "K":
            line = self.rows[self.row]
            self.rows[self.row] = [] if argument == "2" else line[: self.column]
        elif argument == "?25":
            self.hidden = verb == "l"
        elif verb != "m":
            raise AssertionError(f"a control that this terminal doesn't know: {argument}{verb}")

    def _put(self, character: str) -> None:
        if character == "\n":
            self._down()
            self.column = 0  # as the line discipline of a terminal does
        elif character == "\r":
            self.column = 0
        else:
            if self.column >= self.columns:
                self._down()
                self.column = 0
            line = self.rows[self.row]
            line += [" "] * (self.column + 1 - len(line))
            line[self.column] = character
            self.column += 1

    def _down(self) -> None:
        self.row += 1
        if self.row == len(self.rows):
            self.rows.append([])

    @property
    def lines(self) -> list[str]:
        """What stands there."""
        return ["".join(row).rstrip() for row in self.rows]

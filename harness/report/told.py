"""How pytest shows a scenario that has no pass: the whole text once, and one line of it in the short summary."""

from __future__ import annotations

from typing import NamedTuple, Protocol


class Writer(Protocol):
    """The part of pytest's terminal writer that is used."""

    def line(self, text: str = "") -> None:
        """Write one line."""


class Crash(NamedTuple):
    """What pytest's summary and junit.xml take as the message."""

    message: str


class Told:
    """A report's `longrepr`. Where CI is set, pytest cuts no summary line: a plain text would stand there twice."""

    def __init__(self, text: str, line: int) -> None:
        """Take the whole text, and which of its lines is the message.

        Args:
            text: of one line or more.
            line: the number of the one that says the most, from 0; a text without it is told by its last.

        """
        self.text = text
        lines = text.splitlines() or [""]
        self.reprcrash = Crash(" ".join(lines[min(line, len(lines) - 1)].split()))

    def toterminal(self, writer: Writer) -> None:
        """Write all of it, as pytest asks under FAILURES and ERRORS."""
        for line in self.text.splitlines():
            writer.line(line)

    def __str__(self) -> str:
        """Return the whole text, as junit.xml has it."""
        return self.text

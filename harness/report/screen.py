"""Where a running scenario is shown: one live block on a terminal, plain lines anywhere else.

Both leave pytest's own line as they found it: the block is erased and the cursor put back to where pytest writes on;
after plain lines the beginning of pytest's line is written again.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final, Protocol, TextIO

from harness.report import progress
from harness.report.progress import Progress, View

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

PREFIX: Final = "[bluegreen]"
EVENTS_SHOWN: Final = 4
PLAIN_EVERY_S: Final = 5.0


class Screen(Protocol):
    """What is shown, from `open` to `close`, by one thread."""

    def open(self, line: str) -> None:
        """Begin; ``line`` is what pytest has written on the current line."""

    def show(self, progress: Progress, now_ns: int) -> None:
        """Show the present moment."""

    def say(self, text: str) -> None:
        """Show a line that stays; from any thread."""

    def close(self) -> None:
        """End, leaving the terminal as it was; a second call does nothing."""


class Block:
    """A live block, redrawn in place.

    Args:
        console: rich's, on the terminal itself.
        title: the scenario.
        verbosity: pytest's; below 0 one line, above 0 every class and the last events.

    """

    def __init__(self, console: Console, title: str, verbosity: int) -> None:
        from rich.live import Live

        self._console = console
        self._title = title
        self._verbosity = verbosity
        self._line = ""
        self._open = False
        self._said = False
        self._live = Live(
            console=console, auto_refresh=False, transient=True, redirect_stdout=False, redirect_stderr=False
        )

    def open(self, line: str) -> None:
        """Begin below pytest's line."""
        self._line = line
        self._open = True
        if line:
            self._console.file.write("\n")
        self._live.start()

    def show(self, progress: Progress, now_ns: int) -> None:
        """Redraw."""
        self._live.update(block(self._title, progress, now_ns, self._verbosity), refresh=True)

    def say(self, text: str) -> None:
        """Show the line above the block."""
        self._said = True
        self._console.print(text, markup=False, soft_wrap=True)

    def close(self) -> None:
        """Erase the block; the cursor goes to where pytest writes on."""
        if not self._open:
            return
        self._open = False
        self._live.stop()
        if self._said:
            self._console.file.write(self._line)
        elif self._line:
            from rich.cells import cell_len

            # relative, and not a saved position: the terminal may have scrolled
            self._console.file.write(f"\x1b[1A\x1b[{cell_len(self._line) % max(1, self._console.width) + 1}G")
        self._console.file.flush()


class Plain:
    """Lines, one for each new phase; where more is asked for also one every few seconds.

    Args:
        file: where they go.
        verbosity: pytest's; below 0 nothing is written.

    """

    def __init__(self, file: TextIO, verbosity: int) -> None:
        self._file = file
        self._verbosity = verbosity
        self._line = ""
        self._told = 0
        self._wrote = False
        self._last_ns = 0
        self._lock = threading.Lock()

    def open(self, line: str) -> None:
        """Begin; nothing is written before there is something to say."""
        self._line = line

    def show(self, progress: Progress, now_ns: int) -> None:
        """Write the phases that are new, and with -v the numbers from time to time."""
        if self._verbosity < 0:
            return
        fresh, self._told = progress.said[self._told :], len(progress.said)
        began = progress.said[0][0] if progress.said else now_ns
        for t, text in fresh:
            self._write(f"{PREFIX} {(t - began) / 1e9:6.1f} s  {text}")
        if self._verbosity > 0 and now_ns - self._last_ns >= PLAIN_EVERY_S * 1e9:
            view = progress.view(now_ns)
            if self._last_ns and view.sent:
                self._write(f"{PREFIX} {view.elapsed_s:6.1f} s  {line_of(view)}")
            self._last_ns = now_ns

    def say(self, text: str) -> None:
        """Write the line, whatever the verbosity."""
        self._write(text)

    def _write(self, text: str) -> None:
        with self._lock:
            if not self._wrote and self._line:
                self._file.write("\n")
            self._wrote = True
            self._file.write(text + "\n")
            self._file.flush()

    def close(self) -> None:
        """Begin pytest's line again, if anything was written into it."""
        if self._wrote:
            self._file.write(self._line)
            self._file.flush()
        self._wrote = False


def line_of(view: View) -> str:
    """A moment on one line."""
    return progress.line(view)


def block(title: str, state: Progress, now_ns: int, verbosity: int) -> RenderableType:
    """The live block as rich draws it."""
    from rich.console import Group
    from rich.text import Text

    view = state.view(now_ns)
    if verbosity < 0:
        return Text(line_of(view), no_wrap=True, overflow="ellipsis")
    head = Text(no_wrap=True, overflow="ellipsis")
    head.append(title, style="bold")
    head.append(f"  {view.phase}", style="cyan")
    if view.left_s is not None:
        head.append(f"  {view.left_s:.0f} s left")
    if not view.sent:
        return head
    rates = "  ".join(f"{name} {rate:.0f}" for name, rate in view.rates.items()) or "none yet"
    sockets = f"   {view.sockets} sockets open" if view.sockets is not None else ""
    rows = (
        (f" requests/s  {rates}   {view.sent:,} sent{sockets}", ""),
        (f" {progress.losses(view)}", "bold red" if view.lost else "green"),
        (f" {progress.gap(view)}", ""),
    )
    parts: list[RenderableType] = [head]
    parts += [Text(text, style=style, no_wrap=True, overflow="ellipsis") for text, style in rows]
    if verbosity > 0:
        parts += _details(view, state)
    return Group(*parts)


def _details(view: View, state: Progress) -> Sequence[RenderableType]:
    from rich.text import Text

    by_class: Mapping[str, int] = view.issued
    classes = "  ".join(f"{name} {by_class[name]:,} ({view.lost.get(name, 0)} lost)" for name in sorted(by_class))
    began = state.said[0][0] if state.said else 0
    lines = [f" {classes}", *progress.recent(state.said, began, EVENTS_SHOWN)]
    return [Text(one, style="dim", no_wrap=True, overflow="ellipsis") for one in lines]


def choose(
    file: TextIO, environment: Mapping[str, str], title: str, *, verbosity: int, captured: bool, color: str
) -> Screen:
    """The block where it can be redrawn and nobody else writes, lines elsewhere.

    Args:
        file: the terminal, or whatever stands in its place.
        environment: TERM, CI and NO_COLOR are looked at.
        title: the scenario.
        verbosity: pytest's.
        captured: pytest keeps what the tests print to itself; otherwise their output and the block would mix.
        color: pytest's --color.

    """
    redrawn = file.isatty() and environment.get("TERM", "dumb") not in ("", "dumb") and not environment.get("CI")
    if not redrawn or not captured:
        return Plain(file, verbosity)
    from rich.console import Console

    console = Console(file=file, force_terminal=True, no_color=color == "no" or None, highlight=False, emoji=False)
    return Block(console, title, verbosity)

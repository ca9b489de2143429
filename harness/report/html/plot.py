"""A chart's drawing board: SVG stretched to the page's width, and labels as HTML, which never stretch.

The SVG's unit across is one millisecond and its unit down one CSS pixel, so that a reader's script can zoom by
changing nothing but the view box, and a label's place is a share of the width.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from harness.report.html.markup import Html, el, join
from harness.report.html.series import Numbers, Window

MOST_MARKS = 4000
"""Distinct marks in one row of a chart; beyond, neighbors that would touch anyway are drawn as one bar."""
LETTER = 6.2
"""Pixels of a label's letter."""
NARROW = 380.0
"""Pixels of the narrowest board (style.css): whether a label fits to the right of its mark, and beside others."""


def short(value: float) -> str:
    """A coordinate with at most one decimal."""
    text = f"{value:.1f}"
    return text[:-2] if text.endswith(".0") else text


class Plot:
    """Collects what one chart is made of, lane by lane from the top.

    Args:
        window: what is shown.
        narrow: pixels of the board where it is narrowest.

    """

    def __init__(self, window: Window, narrow: float = NARROW) -> None:
        self.window = window
        self.narrow = narrow
        self.top = 0.0
        self._svg: list[Html] = []
        self._behind: list[Html] = []
        self._labels: list[Html] = []

    def lane(self, title: str, height: float, cls: str = "") -> float:
        """Begin a lane with its title above it; returns the y of its upper edge."""
        self._labels.append(el("span", title, cls="lane", style=f"top:{short(self.top)}px"))
        upper = self.top + 19
        self.top = upper + height + 9
        if cls:
            self.rect(self.window.start, self.window.stop, upper, height, cls, behind=True)
        return upper

    def path(self, d: str, cls: str) -> None:
        """One path, if there is anything to draw."""
        if d:
            self._svg.append(el("path", d=d, cls=cls))

    def rect(self, start: float, stop: float, y: float, height: float, cls: str, *, behind: bool = False) -> None:
        """A box from `start` to `stop` (ms), clipped to the window; ``behind`` all lanes where asked."""
        low, high = max(start, self.window.start), min(stop, self.window.stop)
        if high < low:
            return
        box = el("rect", x=short(low), y=short(y), width=short(high - low), height=short(height), cls=cls)
        (self._behind if behind else self._svg).append(box)

    def rule(self, at: float, y: float, until: float, cls: str) -> None:
        """An upright line."""
        self._svg.append(el("path", d=f"M{short(at)} {short(y)}V{short(until)}", cls=cls))

    def ticks(self, at: Numbers, y: float, height: float, cls: str) -> None:
        """An upright mark at each instant; none is left out, equal ones are drawn once."""
        self.path(tick_path(at, y, height, self.window), cls)

    def before(self, at: float, words: object) -> bool:
        """Whether a label beside the instant `at` goes to its left, as the page's script decides it too."""
        share = (at - self.window.start) / self.window.span
        return LETTER * len(str(words)) + 10 > self.narrow * (1 - share) and share > 0.3

    def text(self, at: float, y: float, words: object, cls: str = "", *, tip: str = "") -> None:
        """A label beside the instant `at`; to its left where it wouldn't fit to the right."""
        left = 100 * (at - self.window.start) / self.window.span
        side = "before" if self.before(at, words) else "after"
        self._labels.append(
            el(
                "span",
                words,
                cls=f"t {side} {cls}".strip(),
                style=f"left:{left:.3f}%;top:{short(y)}px",
                data_t=short(at),
                title=tip or None,
            )
        )

    def edge(self, y: float, words: object, cls: str = "") -> None:
        """A label at the lane's right edge, which stays there when zoomed."""
        self._labels.append(el("span", words, cls=f"edge {cls}".strip(), style=f"top:{short(y)}px"))

    def axis(self) -> None:
        """Ticks of time at the bottom."""
        for at in nice(self.window.start / 1000, self.window.stop / 1000, 8):
            share = (1000 * at - self.window.start) / self.window.span
            self._labels.append(
                el(
                    "span",
                    second(at),
                    cls=f"x {_end(share)}".strip(),
                    style=f"left:{100 * share:.3f}%;top:{short(self.top)}px",
                )
            )
        self.top += 20

    def html(self, ident: str, title: str, text: str) -> Html:
        """The board: a drawing with title and description, its labels hidden from screen readers."""
        height, box = short(self.top), f"{short(self.window.start)} 0 {short(self.window.span)} {short(self.top)}"
        drawing = el(
            "svg",
            el("title", title, id=f"{ident}-title"),
            el("desc", text, id=f"{ident}-desc"),
            *self._behind,
            *self._svg,
            viewBox=box,
            preserveAspectRatio="none",
            role="img",
            aria_labelledby=f"{ident}-title",
            aria_describedby=f"{ident}-desc",
        )
        return el("div", drawing, el("div", *self._labels, aria_hidden="true"), cls="plot", style=f"height:{height}px")


def _end(share: float) -> str:
    """A label at one of the ends of the axis is set so that it stays inside."""
    return "first" if share < 0.03 else "last" if share > 0.97 else ""


def tick_path(at: Numbers, y: float, height: float, window: Window) -> str:
    """Upright marks as one path, in steps from one to the next.

    Marks are told apart to a ten-thousandth of the window, which is finer than a screen's pixel.
    """
    if not len(at):
        return ""
    grain = 1 if window.span < 20_000 else 0
    spots = np.unique(np.round(at, grain))
    if len(spots) > MOST_MARKS:
        return _bars(spots, y, height, window.span / MOST_MARKS)
    tall, parts, before = short(height), [f"M{short(spots[0])} {short(y)}v{short(height)}"], float(spots[0])
    for spot in spots[1:].tolist():
        # each step counts from the rounded place of the one before, so that no error adds up
        parts.append(f"m{short(spot - before)}-{tall}v{tall}")
        before = spot
    return "".join(parts)


def dot_path(x: Numbers, y: Numbers) -> str:
    """Dots as one path, in steps from one to the next; x to a tenth of a millisecond, y to half a pixel."""
    parts: list[str] = []
    last_x = last_y = 0.0
    for a, b in zip(np.round(x, 1).tolist(), (np.round(2 * y) / 2).tolist(), strict=True):
        step, rise = short(a - last_x), short(b - last_y)
        parts.append(f"m{step}{rise if rise.startswith('-') else f' {rise}'}h0")
        last_x, last_y = a, b
    return "".join(parts)


def _bars(spots: Numbers, y: float, height: float, near: float) -> str:
    cuts = np.flatnonzero(np.diff(spots) > near)
    starts = spots[np.concatenate(([0], cuts + 1))]
    stops = spots[np.concatenate((cuts, [len(spots) - 1]))]
    pairs = zip(starts.tolist(), stops.tolist(), strict=True)
    box = f"v{short(height)}h"
    return "".join(f"M{short(a)} {short(y)}{box}{short(b - a)}V{short(y)}z" for a, b in pairs)


def step_path(at: Iterable[float], value: Iterable[float], until: float, base: float) -> str:
    """The outline of an area of steps: from `base` up to each value, which holds until the next, or `until`."""
    spots, heights = list(at), list(value)
    if not spots:
        return ""
    d = f"M{short(spots[0])} {short(base)}"
    for spot, height in zip(spots, heights, strict=True):
        d += f"H{short(spot)}V{short(height)}"
    return f"{d}H{short(until)}V{short(base)}z"


def line_path(x: Numbers, y: Numbers) -> str:
    """A line through the points; a NaN interrupts it, and a lone point is drawn as a dot."""
    parts: list[str] = []
    down = False
    for spot, height in zip(x.tolist(), y.tolist(), strict=True):
        if height != height:  # NaN
            down = False
            continue
        parts.append(f"{'L' if down else 'M'}{short(spot)} {short(height)}{'' if down else 'h0'}")
        down = True
    return "".join(parts)


def nice(start: float, stop: float, most: int) -> list[float]:
    """At most about so many round numbers from start to stop."""
    span = stop - start
    if span <= 0:
        return []
    rough = span / most
    power = 10.0 ** np.floor(np.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough)
    first = int(np.ceil(start / step - 1e-9))
    return [float(k * step) for k in range(first, int(np.floor(stop / step + 1e-9)) + 1)]


def second(value: float) -> str:
    """An axis' label: "−0.5 s", "0", "20 s"."""
    text = f"{abs(value):.3f}".rstrip("0").rstrip(".")
    return "0" if text == "0" else f"{'−' if value < 0 else ''}{text} s"


def legend(items: Iterable[tuple[str, str]]) -> Html:
    """Swatches of looks with their words."""
    return el("p", join(el("span", el("i", cls=f"key {cls}"), words) for cls, words in items), cls="legend")

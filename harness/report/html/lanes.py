"""The lanes of a chart: each draws itself onto a `Plot` from the columns in `series`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from harness.evidence.outages import Outage
from harness.evidence.timeline import Timeline
from harness.report.html import numbers, series
from harness.report.html.marks import Mark, short_names
from harness.report.html.plot import LETTER, MOST_MARKS, Plot, dot_path, line_path, nice, step_path
from harness.report.html.series import Lost, Numbers, Steps, Window
from harness.report.html.tones import BLUE, GREEN, NAMES, OTHER, Tones

ROW = 16.0
SHARE = 54.0
LATENCY = 84.0
STRIP = 13.0
SHARE_BINS = 400
LATENCY_BINS = 200
MOST_ROWS = 9
STAIRS = 12
"""Up to so many marks have a row each."""


def rows(marks: Sequence[Mark], plot: Plot) -> list[int]:
    """A row for each mark, so that no label lies on another; the last row takes what finds no place (unlabeled)."""
    if len(marks) <= STAIRS:
        return list(range(len(marks)))
    window, free, found = plot.window, [-1.0] * MOST_ROWS, []
    for mark in marks:
        at, words = _label(mark, window)
        start = (at - window.start) / window.span * plot.narrow
        stop = start if mark.until_ns is None else (window.at(mark.until_ns) - window.start) / window.span * plot.narrow
        wide = LETTER * len(words) + 14
        # on a wider board the script may set to the right what has no room there on the narrowest: both are kept free
        left, right = start - wide if plot.before(at, words) else start, max(stop, start + wide)
        row = next((row for row in range(MOST_ROWS) if free[row] <= left), MOST_ROWS)
        if row < MOST_ROWS:
            free[row] = right
        found.append(row)
    return found


def _label(mark: Mark, window: Window) -> tuple[float, str]:
    """Where a mark's label stands, and its words: what began before the window is told at its edge."""
    at = window.at(mark.at_ns)
    return min(max(at, window.start), window.stop), mark.label if at >= window.start else f"← {mark.label}"


def events(plot: Plot, marks: Sequence[Mark], places: Sequence[int], height: float) -> None:
    """What happened: instants as diamonds, spans as bars, each with its words."""
    upper = plot.lane("events", height)
    window = plot.window
    for mark, row in zip(marks, places, strict=True):
        y = upper + row * ROW
        at, until = window.at(mark.at_ns), window.at(mark.until_ns or mark.at_ns)
        if mark.until_ns is not None:
            plot.rect(at, until, y + 1, 14, f"span {mark.kind}")
        if mark.seen_ns is not None and window.holds(mark.seen_ns):
            plot.rule(window.at(mark.seen_ns), y + 1, y + 15, "seen")
        if window.start <= at <= window.stop:
            plot.path(f"M{at:.1f} {y + 8:.1f}h0", f"dot {mark.kind}")
        if row < MOST_ROWS or len(marks) <= STAIRS:
            beside, words = _label(mark, window)
            plot.text(beside, y, words, mark.kind)


def guides(plot: Plot, marks: Sequence[Mark], top: float) -> None:
    """Thin lines from the marks through all lanes; the switch itself is a strong one."""
    for mark in marks:
        at = plot.window.at(mark.at_ns)
        if plot.window.start <= at <= plot.window.stop:
            plot.rule(at, top, plot.top, f"guide {mark.kind}")


def outages(plot: Plot, found: Sequence[Outage], top: float) -> None:
    """Both bounds of each outage behind the lanes: light for "at most", darker for "at least".

    Classes overlap: whatever one of them proves to be out is dark; what is light are the bounds of the class that knows
    best. The table of outages has each class's own.
    """
    window, tall = plot.window, plot.top - top
    for stall, look in ((True, "stall"), (False, "outage")):
        own = [outage for outage in found if outage.stall is stall]
        dark = [(window.at(one.start_ns), window.at(one.start_ns) + one.low_ns / 1e6) for one in own]
        light: list[tuple[float, float]] = []
        bounded = [(one.high_ns, one.since_ns, one) for one in own if one.high_ns is not None]
        for high, since, one in sorted(bounded, key=lambda item: item[0]):
            start = window.at(one.start_ns)
            if since is not None and not any(low <= start <= until for low, until in light):
                light.append((window.at(since), window.at(since) + high / 1e6))
        for spans, bound in ((light, "high"), (dark, "low")):
            for start, stop in merged(spans):
                plot.rect(start, stop, top, tall, f"{look} {bound}", behind=True)


def merged(spans: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    """The union of some spans, as spans apart from each other."""
    found: list[tuple[float, float]] = []
    for start, stop in sorted(spans):
        if found and start <= found[-1][1]:
            found[-1] = found[-1][0], max(found[-1][1], stop)
        else:
            found.append((start, stop))
    return found


def share(plot: Plot, timeline: Timeline, tones: Tones, height: float) -> None:
    """Whose answers users of fresh connections got, as shares of each short span."""
    name = series.main_class(timeline)
    upper = plot.lane(f"who answered {name} connections, share", height, "ground")
    counts = series.shares(series.answers(timeline, plot.window, tones), plot.window, SHARE_BINS)
    total = counts.sum(axis=0)
    base = upper + height
    # what neither side answered lies between: drawn first, up to its upper edge, and covered by blue
    floor = [(counts[BLUE] + counts[OTHER], OTHER)] if counts[OTHER].any() else []
    for part, tone in (*floor, (counts[BLUE], BLUE), (counts[GREEN], GREEN)):
        of_all = np.divide(part, total, out=np.zeros(len(total)), where=total > 0)
        _area(plot, of_all, total > 0, upper, height, base, f"area {NAMES[tone]}", lower=tone != GREEN)
    for tone in (BLUE, GREEN, OTHER):
        first = np.flatnonzero(counts[tone] > 0.5 * np.maximum(total, 1))
        if len(first):
            at = plot.window.start + plot.window.span * float(first[0]) / SHARE_BINS
            plot.text(at, upper + (height - 18 if tone == BLUE else 3), tones.label(tone), f"chip {NAMES[tone]}")


def _area(
    plot: Plot, part: Numbers, some: np.ndarray, upper: float, height: float, base: float, cls: str, *, lower: bool
) -> None:
    """Steps of equal bins: from the floor upward for the lower area, from the ceiling downward for the upper."""
    edge = plot.window.start + plot.window.span * np.arange(len(part) + 1) / len(part)
    value = base - part * height if lower else upper + part * height
    origin = base if lower else upper
    shown = some & (part > 0)
    cuts = np.flatnonzero(np.diff(np.concatenate(([0], shown.astype(np.int8), [0]))))
    d = ""
    for a, b in zip(cuts[::2].tolist(), cuts[1::2].tolist(), strict=True):
        keep = [a, *(i for i in range(a + 1, b) if value[i] != value[i - 1])]
        d += step_path(edge[keep].tolist(), value[keep].tolist(), float(edge[b]), origin)
    plot.path(d, cls)


def answers(plot: Plot, timeline: Timeline, tones: Tones, height: float) -> None:
    """Every single answer of the main class, one row for each node that the requests came in by."""
    name = series.main_class(timeline)
    upper = plot.lane(f"who answered {name} connections, each answer by node", height, "ground")
    found = series.answers(timeline, plot.window, tones)
    entries = np.unique(found.entry).tolist()
    short = short_names(timeline.node(entry) for entry in entries)
    pitch = height / max(len(entries), 1)
    for number, entry in enumerate(entries):
        own = found.entry == entry
        y = upper + number * pitch
        for tone in (BLUE, GREEN, OTHER):
            tall = round(pitch - 3)
            lift = 0 if tone != GREEN else round(tall * 0.35)  # the new side's marks are shorter, too
            plot.ticks(found.end[own & (found.tone == tone)], y + 1.5 + lift, tall - lift, f"answer {NAMES[tone]}")
        if len(entries) > 1:
            plot.edge(y + pitch / 2 - 8, short[timeline.node(entry)], "node")


def latency(plot: Plot, timeline: Timeline, *, each: bool) -> None:
    """How long answers took from when they were due: median and 99th percentile, or each of them."""
    name = series.main_class(timeline)
    window = plot.window
    others = [spec.name for spec in timeline.classes if spec.name not in (name, series.SLOW, "websocket")]
    due, took = series.latencies(timeline, window, name)
    each = each and len(due) <= MOST_MARKS
    points = {other: series.latencies(timeline, window, other) for other in others} if each else {}
    title = f"latency, each {name} answer (others gray)" if each else f"latency of {name}: median and 99th percentile"
    upper = plot.lane(title, LATENCY, "ground")
    every = np.concatenate([took, *(pair[1] for pair in points.values())])
    if not len(every):
        plot.text(window.start, upper + LATENCY / 2 - 9, "no answer", "none")
        return
    low = np.floor(np.log10(max(float(every.min()), 0.01)))
    high = max(np.ceil(np.log10(max(float(every.max()), 0.02))), low + 1)

    def y(values: Numbers) -> Numbers:
        return np.asarray(upper + LATENCY * (1 - (np.log10(np.maximum(values, 0.01)) - low) / (high - low)))

    for power in range(int(low), int(high) + 1):
        spot = float(y(np.array([10.0**power]))[0])
        plot.path(f"M{window.start:.1f} {spot:.1f}H{window.stop:.1f}", "grid")
        if power > low or high - low < 4:
            plot.edge(min(spot - 8, upper + LATENCY - 14), _scale(10.0**power), "scale")
    if each:
        for other in points.values():
            plot.path(dot_path(other[0], y(other[1])), "sample other")
        plot.path(dot_path(due, y(took)), "sample")
        return
    found = series.latency(timeline, window, LATENCY_BINS)
    middle = window.start + window.span * (np.arange(LATENCY_BINS) + 0.5) / LATENCY_BINS
    plot.path(line_path(middle, y(found.p99)), "p99")
    plot.path(line_path(middle, y(found.p50)), "p50")


def _scale(ms: float) -> str:
    return f"{ms:g} ms" if ms < 1000 else f"{ms / 1000:g} s"


def losses(plot: Plot, found: Sequence[Lost], names: Sequence[str]) -> None:
    """Every lost request as a mark at the moment when it was due, one row for each class that lost any."""
    total = sum(one.total for one in found)
    upper = plot.lane(f"lost requests: {numbers.count(total)}", ROW * max(len(names), 1))
    if not names:
        plot.path(f"M{plot.window.start:.1f} {upper + 8:.1f}H{plot.window.stop:.1f}", "nothing")
        return
    for number, name in enumerate(names):
        own = next((one for one in found if one.name == name), None)
        y = upper + number * ROW
        plot.path(f"M{plot.window.start:.1f} {y + 15:.1f}H{plot.window.stop:.1f}", "grid")
        if own is None:
            continue
        for which, cls, tall in ((own.failed, "failed", 12), (own.unknown, "unknown", 7), (own.allowed, "allowed", 4)):
            busy = " bars" if len(which) > MOST_MARKS else ""
            plot.ticks(which, y + 14 - tall, tall, f"lost {cls}{busy}")
        plot.edge(y - 1, f"{name} {numbers.count(own.total)}", "node")


def strips(plot: Plot, title: str, found: Sequence[Steps]) -> None:
    """A number by side over time, each filled up to its share of what it should be."""
    if not found:
        return
    upper = plot.lane(title, (STRIP + 3) * len(found))
    for number, one in enumerate(found):
        y = upper + number * (STRIP + 3)
        plot.rect(plot.window.start, plot.window.stop, y, STRIP, "ground")
        base = y + STRIP
        d = step_path(one.at, [base - STRIP * value / one.top for value in one.value], plot.window.stop, base)
        plot.path(d, f"area {NAMES[one.tone]}")
        plot.edge(y - 2, f"{one.label} {_course(one.value)} of {one.top:g}", "node")


def _course(values: Sequence[float]) -> str:
    """How a number went, in a few signs: where it began, what lies farthest from both ends, where it ended."""
    first, last = values[0], values[-1]
    beyond = max(values, key=lambda value: max(value - max(first, last), min(first, last) - value))
    outside = not min(first, last) <= beyond <= max(first, last)
    course = [first, *([beyond] if outside else []), *([last] if outside or last != first else [])]
    return " → ".join(f"{value:g}" for value in course)


def grid(plot: Plot, top: float) -> None:
    """Upright lines at the axis' round numbers."""
    for at in nice(plot.window.start / 1000, plot.window.stop / 1000, 8):
        plot.rect(1000 * at, 1000 * at, top, plot.top - top, "tickline", behind=True)

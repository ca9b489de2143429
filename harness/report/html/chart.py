"""A scenario's charts: the whole run, and one panel for each of its first or most telling moves."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from harness.evidence.milestones import milestones
from harness.evidence.outages import Outage, outages
from harness.evidence.timeline import Move, Timeline
from harness.report.html import lanes, marks, numbers, series
from harness.report.html.markup import Html, el, join
from harness.report.html.plot import Plot, legend
from harness.report.html.series import Told, Window
from harness.report.html.sockets import open_by_side
from harness.report.html.tones import BLUE, GREEN, NAMES, OTHER, Tones, tones

PANELS = 4
"""Moves that have a panel of their own."""
WHOLE = 540.0
"""Pixels of the whole run's board where it is narrowest (style.css)."""
READOUT_BINS = 240
"""Of the whole run; a panel of one move has half as many."""


@dataclass(frozen=True)
class Scene:
    """What all charts of a scenario share.

    Args:
        timeline: the scenario's.
        tones: the sides' looks.
        outages: all of them.
        losing: the classes that lost anything at any time: the rows of lost requests are the same in all charts.
        sockets: WebSockets open, as `series.steps` takes them.

    """

    timeline: Timeline
    tones: Tones
    outages: tuple[Outage, ...]
    losing: tuple[str, ...]
    sockets: Told


def scene(timeline: Timeline) -> Scene:
    """What the charts of one scenario are drawn from."""
    losing = tuple(one.name for one in series.lost(timeline, series.whole(timeline)) if one.total)
    looks = tones(timeline)
    return Scene(timeline, looks, outages(timeline), losing, open_by_side(timeline, looks))


def charts(one: Scene, ident: str) -> Html:
    """The whole run beside its move; several moves below the whole, with a note on those that have no panel."""
    flips = one.timeline.flips()
    shown = chosen(one, flips)
    panels = [_panel(one, move, number, flips, f"{ident}-move{number}") for number, move in shown]
    beside = len(panels) == 1
    first = _whole(one, flips, f"{ident}-whole", panels[0].rows if beside else 0)
    if beside:  # both have the rows of the one that needs more, so that their lanes are level
        most = max(first.rows, panels[0].rows)
        first = _whole(one, flips, f"{ident}-whole", most)
        panels = [_panel(one, move, number, flips, f"{ident}-move{number}", most) for number, move in shown]
    note = None
    if len(shown) < len(flips):
        note = el(
            "p",
            f"{len(shown)} of {len(flips)} moves have a panel: those that lost most, then the slowest to reach users. "
            "The table of milestones has all of them.",
            cls="note",
        )
    body = el("div", first.html, *[panel.html for panel in panels], cls="charts beside" if beside else "charts")
    return join([_legend(one), body, *([note] if note else [])])


def chosen(one: Scene, flips: Sequence[Move]) -> list[tuple[int, Move]]:
    """Up to `PANELS` moves with their numbers from 1, in order: those that lost most, then the slowest."""
    numbered = list(enumerate(flips, 1))
    if len(numbered) <= PANELS:
        return numbered

    def weight(item: tuple[int, Move]) -> tuple[float, float, int]:
        lost = sum(each.total for each in series.lost(one.timeline, series.around(item[1])))
        told = milestones(one.timeline, item[1])
        return -lost, -(told.first_new_ms if told.first_new_ms is not None else np.inf), item[0]

    return sorted(sorted(numbered, key=weight)[:PANELS])


@dataclass(frozen=True)
class _Chart:
    html: Html
    rows: int


def _whole(one: Scene, flips: Sequence[Move], ident: str, least: int) -> _Chart:
    window = series.whole(one.timeline)
    zero = "the switch" if len(flips) == 1 else "the first switch" if flips else "the start of the load"
    title = "The whole run" if one.timeline.loaded else "What happened"
    found = [mark for mark in marks.of_run(one.timeline) if _inside(mark, window)]
    zooms = [(f"{move.move} {number}" if len(flips) > 1 else move.move, move) for number, move in enumerate(flips, 1)]
    buttons = [
        el(
            "button",
            f"±1 s of {name}",
            type="button",
            data_from=f"{window.at(move.sent_ns or 0) - 1000:.1f}",
            data_to=f"{window.at(move.sent_ns or 0) + 1000:.1f}",
        )
        for name, move in zooms[:8]
    ]
    lost = series.lost(one.timeline, window)
    first = min((float(at.min()) for each in lost for at in (each.failed, each.unknown) if len(at)), default=None)
    if first is not None:
        span = {"data_from": f"{first - 500:.1f}", "data_to": f"{first + 1500:.1f}"}
        buttons.append(el("button", "first loss", type="button", **span))
    return _chart(one, window, found, ident, f"{title}, time from {zero}", least, each=False, buttons=buttons)


def _panel(one: Scene, move: Move, number: int, flips: Sequence[Move], ident: str, least: int = 0) -> _Chart:
    window = series.around(move)
    name = f"{move.move.capitalize()} {number} of {len(flips)}" if len(flips) > 1 else move.move.capitalize()
    to = f" to {move.to_revision}" if move.to_revision else ""
    found = marks.of_move(one.timeline, move, window)
    return _chart(one, window, found, ident, f"{name}{to}, ±1 s of the patch", least, each=True, buttons=[])


def _inside(mark: marks.Mark, window: Window) -> bool:
    return mark.at_ns <= window.stop_ns and (mark.until_ns or mark.at_ns) >= window.start_ns


def _chart(
    one: Scene,
    window: Window,
    found: Sequence[marks.Mark],
    ident: str,
    title: str,
    least: int,
    *,
    each: bool,
    buttons: Sequence[Html],
) -> _Chart:
    plot = Plot(window) if each else Plot(window, WHOLE)
    timeline = one.timeline
    places = lanes.rows(found, plot)
    rows = max([least, *(place + 1 for place in places)], default=0)
    if rows:
        lanes.events(plot, found, places, rows * lanes.ROW)
    top = plot.top
    lost = series.lost(timeline, window)
    if timeline.loaded:
        nodes = len(timeline.started.get("nodes") or ())
        height = max(lanes.SHARE, 15.0 * min(nodes, 6))
        lanes.answers(plot, timeline, one.tones, height) if each else lanes.share(plot, timeline, one.tones, height)
        lanes.latency(plot, timeline, each=each)
        lanes.losses(plot, lost, one.losing)
        lanes.outages(plot, one.outages, top)
    lanes.strips(plot, "WebSockets open", series.steps(window, one.tones, one.sockets))
    lanes.strips(plot, "pods ready", series.steps(window, one.tones, series.pods(timeline)))
    lanes.strips(plot, "endpoints of the Service", series.steps(window, one.tones, series.endpoints(timeline)))
    lanes.guides(plot, [mark for mark in found if mark.kind != "release"], top)
    lanes.grid(plot, top)
    plot.axis()
    board = plot.html(ident, title, description(one, window, found))
    figure = el(
        "figure",
        el("figcaption", el("span", title, cls="what"), el("span", *buttons, cls="zoom") if buttons else None),
        el("div", board, cls="scroll", tabindex=0, role="group", aria_label=f"Chart: {title}"),
        el("p", cls="readout", aria_live="polite"),
        _readout(one, window, READOUT_BINS // 2 if each else READOUT_BINS),
        cls="chart",
        data_from=f"{window.start:.1f}",
        data_to=f"{window.stop:.1f}",
        id=ident,
    )
    return _Chart(figure, rows)


def description(one: Scene, window: Window, found: Sequence[marks.Mark]) -> str:
    """The chart in words, for those who can't see it."""
    said = [f"From {numbers.offset(window.start)} to {numbers.offset(window.stop)}."]
    said += [f"{mark.label} at {numbers.offset(window.at(mark.at_ns))}." for mark in found[:12]]
    lost = [each for each in series.lost(one.timeline, window) if each.total]
    said += [f"{numbers.count(each.total)} {each.name} lost." for each in lost] or ["Nothing lost."]
    inside = [outage for outage in one.outages if window.holds(outage.start_ns)]
    for outage in inside[:6]:
        high = "unbounded" if outage.high_ns is None else f"{numbers.ms(outage.high_ns / 1e6)} ms"
        kind = "Answers stalled" if outage.stall else "Outage"
        low = numbers.ms(outage.low_ns / 1e6)
        begun = numbers.offset(window.at(outage.start_ns))
        said.append(f"{kind} of {outage.cls} at {begun}: at least {low} ms, at most {high}.")
    return " ".join(said)


def _readout(one: Scene, window: Window, bins: int) -> Html:
    """The numbers behind the pointer, bin by bin, for the page's script."""
    timeline = one.timeline
    counts = series.shares(series.answers(timeline, window, one.tones), window, bins)
    total = counts.sum(axis=0)
    found = series.latency(timeline, window, bins)
    lost = np.zeros(bins, np.int64)
    for each in series.lost(timeline, window):
        for at in (each.failed, each.unknown, each.allowed):
            lost += np.bincount(series.by_bin(window, bins, at), minlength=bins)
    data: Mapping[str, object] = {
        "n": total.tolist(),
        "share": {
            one.tones.label(tone): np.round(100 * counts[tone] / np.maximum(total, 1)).astype(int).tolist()
            for tone in (BLUE, GREEN, OTHER)
            if counts[tone].any()
        },
        "p50": [None if value != value else round(value, 1) for value in found.p50.tolist()],
        "p99": [None if value != value else round(value, 1) for value in found.p99.tolist()],
        "lost": {str(at): int(lost[at]) for at in np.flatnonzero(lost)},
    }
    text = json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")
    return el("script", Html(text), type="application/json", cls="bins")


def _legend(one: Scene) -> Html:
    items = [(NAMES[tone], one.tones.label(tone)) for tone in (BLUE, GREEN) if one.tones.side(tone)]
    if one.losing:
        items += [("failed", "failed"), ("unknown", "unknown: may have been served")]
    if any(not outage.stall for outage in one.outages):
        items += [("outage low", "outage, at least"), ("outage high", "at most")]
    if any(outage.stall for outage in one.outages):
        items += [("stall low", "stall (late answers), at least"), ("stall high", "at most")]
    return legend(items)

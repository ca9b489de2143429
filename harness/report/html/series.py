"""The columns behind the lanes of a chart, as numbers; times in ms from the window's zero."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harness.evidence.losses import Mask, all_judged, answered_mask, lost_mask
from harness.evidence.samples import OK, UNKNOWN, Samples
from harness.evidence.timeline import Event, Move, Timeline
from harness.report.html.tones import OTHER, Tones

Numbers = npt.NDArray[np.float64]
NS = 1e6
MARGIN_NS = 1_100_000_000
"""What a panel of one move shows on each side of the patch: 1 s, and a little more so that 1 s is inside."""
Step = tuple[int, str, float, float | None]
"""From this instant (ns) on, that side has so many, of so many that it should have (None: as many as it ever had)."""
Told = Sequence[Step]
MAIN = "fresh"
SLOW = "slow"


@dataclass(frozen=True, slots=True)
class Window:
    """A span of a timeline.

    Args:
        zero_ns: where times count from: the moment that the patch was sent.
        start_ns: first instant shown.
        stop_ns: last instant shown.

    """

    zero_ns: int
    start_ns: int
    stop_ns: int

    @property
    def start(self) -> float:
        """First instant in ms."""
        return (self.start_ns - self.zero_ns) / NS

    @property
    def stop(self) -> float:
        """Last instant in ms."""
        return (self.stop_ns - self.zero_ns) / NS

    @property
    def span(self) -> float:
        """Length in ms, never 0."""
        return max(self.stop - self.start, 1e-6)

    def ms(self, t_ns: npt.NDArray[np.int64]) -> Numbers:
        """Instants in ms from zero."""
        return np.asarray((t_ns - self.zero_ns) / NS, np.float64)

    def at(self, t_ns: int) -> float:
        """One instant in ms from zero."""
        return (t_ns - self.zero_ns) / NS

    def holds(self, t_ns: int) -> bool:
        """Whether an instant is inside."""
        return self.start_ns <= t_ns <= self.stop_ns


def whole(timeline: Timeline) -> Window:
    """From the load's start to its last answer (or fault, or move), zero at the first switch.

    Without load it is all that there is.
    """
    flips = timeline.flips()
    started = timeline.first("load.started")
    start = started.t if started else timeline.events[0].t if timeline.events else 0
    last = int(timeline.samples["end"].max(initial=0))
    if not started or not last:
        stop = timeline.end_ns
    else:  # the load's program needs seconds more to end, in which nothing happens to users
        moved = [move.sent_ns for move in flips if move.sent_ns is not None]
        stop = max([last, *(event.t for event in timeline.named("fault.healed", "retire.done")), *moved])
    zero = flips[0].sent_ns if flips else None
    return Window(start if zero is None else zero, start, max(stop, start + 1))


def around(move: Move) -> Window:
    """One second on each side of a move's patch."""
    zero = move.sent_ns if move.sent_ns is not None else move.planned_ns
    return Window(zero, zero - MARGIN_NS, zero + MARGIN_NS)


def main_class(timeline: Timeline) -> str:
    """The class that the lanes of shares and latencies show: fresh connections, else the largest."""
    if len(timeline.of_class(MAIN)):
        return MAIN
    sizes = {spec.name: len(timeline.of_class(spec.name)) for spec in timeline.classes}
    return max(sizes, key=sizes.__getitem__, default=MAIN)


def within(samples: Samples, window: Window, column: str) -> Samples:
    """The samples whose `column` is inside the window."""
    kept: Samples = samples[(samples[column] >= window.start_ns) & (samples[column] <= window.stop_ns)]
    return kept


@dataclass(frozen=True)
class Answers:
    """Answers that tell who gave them: when they ended (ms), their look, their entry node."""

    end: Numbers
    tone: npt.NDArray[np.uint8]
    entry: npt.NDArray[np.uint8]


def answers(timeline: Timeline, window: Window, tones: Tones) -> Answers:
    """The main class's answers inside the window."""
    samples = within(timeline.of_class(main_class(timeline)), window, "end")
    samples = samples[answered_mask(samples)]
    return Answers(window.ms(samples["end"]), tones.of_strings(timeline)[samples["revision"]], samples["entry"])


def by_bin(window: Window, bins: int, at: Numbers) -> npt.NDArray[np.int64]:
    """Which of so many equal bins each instant is in."""
    return np.clip(((at - window.start) * bins / window.span).astype(np.int64), 0, bins - 1)


def shares(found: Answers, window: Window, bins: int) -> npt.NDArray[np.int64]:
    """How many answers of each look there are in each bin, shape (3, bins)."""
    cell = found.tone.astype(np.int64) * bins + by_bin(window, bins, found.end)
    return np.bincount(cell, minlength=(OTHER + 1) * bins).reshape(OTHER + 1, bins)


@dataclass(frozen=True)
class Latency:
    """Latencies by bin in ms, from when the request was due; NaN where a bin has no answer."""

    p50: Numbers
    p99: Numbers


def latency(timeline: Timeline, window: Window, bins: int) -> Latency:
    """The main class's answers by the bin in which they were due; percentiles by the nearest rank."""
    due, took = latencies(timeline, window, main_class(timeline))
    where = by_bin(window, bins, due)
    order = np.lexsort((took, where))
    counts = np.bincount(where, minlength=bins)
    first = np.concatenate(([0], np.cumsum(counts)))[:-1]
    ranked = took[order]

    def rank(share: float) -> Numbers:
        found = np.full(bins, np.nan)
        some = counts > 0
        found[some] = ranked[first[some] + np.ceil(share * counts[some]).astype(np.int64) - 1]
        return found

    return Latency(rank(0.5), rank(0.99))


def latencies(timeline: Timeline, window: Window, name: str) -> tuple[Numbers, Numbers]:
    """When each answered request of a class was due, and how long after that its answer ended, in ms."""
    samples = within(timeline.of_class(name), window, "intended")
    samples = samples[samples["outcome"] == OK]
    return window.ms(samples["intended"]), np.asarray((samples["end"] - samples["intended"]) / NS, np.float64)


@dataclass(frozen=True)
class Lost:
    """The lost requests of one class, each by the instant when it was due (ms).

    Args:
        name: the class.
        failed: that count, and surely weren't served.
        unknown: that count, and may have been served.
        allowed: that the level lets pass.

    """

    name: str
    failed: Numbers
    unknown: Numbers
    allowed: Numbers

    @property
    def total(self) -> int:
        """All of them."""
        return len(self.failed) + len(self.unknown) + len(self.allowed)


def lost(timeline: Timeline, window: Window) -> list[Lost]:
    """Every lost request by class; classes without any inside the window are there too, empty."""
    judged = all_judged(timeline)
    lost_ones = lost_mask(timeline.samples)
    picked = timeline.samples[lost_ones]
    counts = judged[lost_ones]
    inside = (picked["intended"] >= window.start_ns) & (picked["intended"] <= window.stop_ns)
    found = []
    for spec in timeline.classes:
        own = inside & (picked["cls"] == spec.code)

        def at(which: Mask, own: Mask = own) -> Numbers:
            return window.ms(picked["intended"][own & which])

        unknown = picked["outcome"] == UNKNOWN
        found.append(Lost(spec.name, at(counts & ~unknown), at(counts & unknown), at(~counts)))
    return found


@dataclass(frozen=True)
class Steps:
    """A number that holds until the next one: instants in ms, the numbers, and the largest that it should reach."""

    label: str
    tone: int
    at: Sequence[float]
    value: Sequence[float]
    top: float


def steps(window: Window, tones: Tones, told: Sequence[tuple[int, str, float, float | None]]) -> list[Steps]:
    """One line of steps by side, with the number that held when the window began; a side that never had any has none.

    Args:
        window: what is shown.
        tones: the sides' looks.
        told: (instant in ns, side, number, number wanted or None) in order of time.

    """
    found = []
    for side, tone in tones.sides.items():
        own = [(t, value, wanted) for t, name, value, wanted in told if name == side]
        top = max((max(value, wanted or 0) for _, value, wanted in own), default=0)
        if not own or top <= 0:
            continue
        before = [one for one in own if one[0] <= window.start_ns][-1:]
        inside = [one for one in own if window.start_ns < one[0] <= window.stop_ns]
        kept = [(window.start, before[0][1])] if before else []
        for t, value, _ in inside:
            if not kept or kept[-1][1] != value:
                kept.append((window.at(t), value))
        if kept:
            found.append(Steps(side, tone, [at for at, _ in kept], [v for _, v in kept], top))
    return found


def pods(timeline: Timeline) -> list[Step]:
    """Pods ready by side, as `steps` takes them."""
    return [
        (event.t, str(event.fields.get("side")), _number(event, "ready"), _number(event, "wanted"))
        for event in timeline.named("pods.observed", "install.ready", "deploy.ready")
    ]


def endpoints(timeline: Timeline) -> list[Step]:
    """Addresses in the Service's EndpointSlices by side, as `steps` takes them."""
    return [
        (event.t, str(side), float(number or 0), None)
        for event in timeline.named("slice.changed")
        for side, number in dict(event.fields.get("sides") or {}).items()
    ]


def _number(event: Event, key: str) -> float:
    value = event.fields.get(key)
    return float(value) if isinstance(value, int | float) else 0.0

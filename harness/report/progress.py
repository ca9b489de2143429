"""What a running scenario looks like just now, folded together event by event and batch by batch of samples.

Pure: who reads the record, and where the result is shown, is somebody else's business.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from harness.evidence.losses import USER_CLASSES, lost_mask
from harness.evidence.samples import FLAG_RETRIABLE, OK, UNSENT, Samples
from harness.evidence.sockets import CLASS
from harness.evidence.timeline import SECOND, Event

BUCKET_NS: Final = SECOND // 4
RATE_BUCKETS: Final = 8
"""Rates are told over the last two seconds that are whole on disk."""
SETTLES_NS: Final = SECOND // 2
"""The generator writes its samples in batches: what is younger isn't on disk yet."""
DENSE_RATE: Final = 10.0
"""A gap is told of classes that send at least this often; between the requests of others there is nothing to see."""


@dataclass(frozen=True, slots=True)
class View:
    """A moment of a running scenario.

    Args:
        phase: what is going on, for people.
        left_s: seconds until the phase ends by itself; None where nobody knows.
        elapsed_s: seconds since the scenario began.
        sent: requests handed to the wire that have an outcome.
        rates: answers per second by revision, over the last two seconds.
        lost: lost requests by class that count at the run's level, and WebSocket connections that were refused or ended
            badly; a class that lost nothing has no entry.
        retriable: losses that the level lets pass, by class.
        gap_ms: longest time without a good answer, less the time between two requests; the running one included.
        gap_class: the class that had it; "" for none.
        sockets: WebSockets that are open; None where the record has none.
        issued: requests by class.

    """

    phase: str
    left_s: float | None
    elapsed_s: float
    sent: int
    rates: Mapping[str, float]
    lost: Mapping[str, int]
    retriable: Mapping[str, int]
    gap_ms: float
    gap_class: str
    sockets: int | None
    issued: Mapping[str, int]


@dataclass
class _Gap:
    last: int = 0
    longest: float = 0.0


@dataclass
class Progress:
    """The fold; one per attempt of a scenario.

    Attributes:
        phase: what is going on.
        said: phases in order, each once, as (ns, text): the plain lines.

    """

    phase: str = "set-up"
    said: list[tuple[int, str]] = field(default_factory=list)
    _began: int = 0
    _until: int | None = None
    _loaded: bool = False
    _ending: bool = False
    _level: str = "user"
    _rates: dict[str, float] = field(default_factory=dict)
    _sent: Counter[str] = field(default_factory=Counter)
    _lost: Counter[str] = field(default_factory=Counter)
    _retriable: Counter[str] = field(default_factory=Counter)
    _answers: deque[tuple[int, Counter[str]]] = field(default_factory=deque)
    _gaps: dict[str, _Gap] = field(default_factory=dict)
    sockets: int | None = None
    sockets_lost: int = 0

    def event(self, event: Event) -> None:
        """Take in one event."""
        self._began = self._began or event.t
        if event.name == "run.started":
            self._level = str(event.fields.get("level") or "user")
        elif event.name == "load.started":
            self._loaded = True
            self._rates = {str(name): float(rate) for name, rate in dict(event.fields.get("classes") or {}).items()}
        elif event.name == "load.stopped":
            self._loaded = False
        # After a watch most scenarios end their load, and only its end is an event: silence then is no gap.
        self._ending = event.name == "watch.finished" or (self._ending and event.name not in _GOES_ON)
        told = phase_of(event)
        if told is not None:
            self.phase, self._until = told, _until(event)
            self.said.append((event.t, told))

    def samples(self, samples: Samples, strings: Mapping[int, str], classes: Mapping[int, str]) -> None:
        """Take in what is new of one sample file, whose string ids and class codes these are."""
        if not len(samples):
            return
        lost, good = lost_mask(samples), samples["outcome"] == OK
        for code in np.unique(samples["cls"]).tolist():
            name = classes.get(code, f"?{code}")
            mine = samples["cls"] == code
            self._sent[name] += int(np.count_nonzero(mine & (samples["outcome"] != UNSENT)))
            bad = mine & lost
            if bad.any():
                allowed = name in USER_CLASSES and self._level == "user"
                free = int(np.count_nonzero(bad & ((samples["flags"] & FLAG_RETRIABLE) != 0))) if allowed else 0
                self._retriable[name] += free
                self._lost[name] += int(np.count_nonzero(bad)) - free
            self._gap(name, samples["end"][mine & good])
        for key in np.unique(samples["revision"][good]).tolist():
            ends = samples["end"][good & (samples["revision"] == key)] // BUCKET_NS
            for bucket, count in zip(*np.unique(ends, return_counts=True), strict=True):
                self._answered(int(bucket), strings.get(key) or "answers", int(count))

    def _gap(self, name: str, ends: np.ndarray[Any, np.dtype[np.int64]]) -> None:
        rate = self._rates.get(name, 0.0)
        if rate < DENSE_RATE or not len(ends):
            return
        gap = self._gaps.setdefault(name, _Gap())
        ordered = np.sort(ends)
        if gap.last:
            ordered = np.concatenate([[gap.last], ordered[ordered > gap.last]])
        if len(ordered) > 1:
            gap.longest = max(gap.longest, float(np.diff(ordered).max()) - 1e9 / rate)
        gap.last = max(gap.last, int(ordered[-1]))

    def _answered(self, bucket: int, revision: str, count: int) -> None:
        for known, counts in reversed(self._answers):
            if known == bucket:
                counts[revision] += count
                return
        self._answers.append((bucket, Counter({revision: count})))
        if len(self._answers) > 16 * RATE_BUCKETS:
            self._answers.popleft()

    def view(self, now_ns: int) -> View:
        """The moment ``now_ns``, CLOCK_MONOTONIC ns."""
        last = (now_ns - SETTLES_NS) // BUCKET_NS
        rates: Counter[str] = Counter()
        for bucket, counts in self._answers:
            rates.update(dict.fromkeys(counts, 0))
            if last - RATE_BUCKETS <= bucket < last:
                rates.update(counts)
        span = RATE_BUCKETS * BUCKET_NS / 1e9
        lost = {**self._lost, CLASS: self.sockets_lost}
        gap_ms, gap_class = 0.0, ""
        for name, gap in self._gaps.items():
            running = (
                now_ns - SETTLES_NS - gap.last - 1e9 / self._rates[name] if self._loaded and not self._ending else 0.0
            )
            longest = max(gap.longest, running) / 1e6
            if longest > gap_ms:
                gap_ms, gap_class = longest, name
        return View(
            phase=self.phase,
            left_s=max(0.0, (self._until - now_ns) / 1e9) if self._until is not None else None,
            elapsed_s=max(0.0, (now_ns - self._began) / 1e9) if self._began else 0.0,
            sent=sum(self._sent.values()),
            rates={name: rates[name] / span if self._loaded else 0.0 for name in sorted(rates)},
            lost={name: count for name, count in lost.items() if count},
            retriable={name: count for name, count in self._retriable.items() if count},
            gap_ms=gap_ms,
            gap_class=gap_class,
            sockets=self.sockets,
            issued=dict(self._sent),
        )


def _until(event: Event) -> int | None:
    """When the phase that an event begins is over by itself, CLOCK_MONOTONIC ns."""
    if event.name == "cutover.planned":
        return int(event.fields.get("at_ns") or event.t)
    if event.name == "watch.started":
        return event.t + round(float(event.fields.get("seconds") or 0) * SECOND)
    return None


def phase_of(event: Event) -> str | None:
    """What an event begins, for people; None where it changes nothing that they look at."""
    told = {key: value for key, value in event.fields.items() if value is not None}
    text = _PHASES.get(event.name)
    return text.format_map(_Told(told)).strip() if text is not None else None


class _Told(dict[str, Any]):
    """An event of an older or a foreign record may lack a field: that is no reason to show nothing."""

    def __missing__(self, key: str) -> str:
        return "?"


_GOES_ON: Final = ("cutover.planned", "cutover.sent", "watch.started", "load.started")
_PHASES: Final[Mapping[str, str]] = {
    "run.started": "set-up",
    "install.ready": "{version} is live on {side}",
    "deploy.started": "deploying {version} on {side}",
    "deploy.ready": "{version} is ready on {side}",
    "deploy.refused": "deploy refused: {reason}",
    "smoke.passed": "smoke passed: {side} ({version})",
    "smoke.failed": "smoke failed: {detail}",
    "load.started": "under load",
    "cutover.planned": "{move} to {to_revision} on {to_side} planned",
    "cutover.sent": "{move} sent",
    "cutover.acknowledged": "{move} acknowledged",
    "cutover.refused": "{move} refused: {reason}",
    "watch.started": "watching users",
    "watch.breached": "limit broken: {detail}",
    "watch.finished": "watch finished",
    "fault.injected": "fault injected: {kind}",
    "fault.healed": "fault healed: {kind}",
    "retire.done": "{side} retired",
    "retire.refused": "retire refused: {reason}",
    "load.stopped": "load stopped",
    "scenario.finished": "judging",
}


def line(view: View) -> str:
    """A moment on one line."""
    parts = [view.phase + (f" ({view.left_s:.0f} s left)" if view.left_s is not None else "")]
    parts += [f"{name} {rate:.0f}/s" for name, rate in view.rates.items()]
    if view.sent:
        parts += [f"{view.sent:,} sent", losses(view), gap(view)]
    if view.sockets is not None:
        parts.append(f"{view.sockets} sockets open")
    return ", ".join(parts)


def losses(view: View) -> str:
    """How many were lost, by class."""
    by_class = _list(view.lost)
    text = f"{sum(view.lost.values())} lost" + (f" ({by_class})" if by_class else "")
    return text + (f", {sum(view.retriable.values())} retriable" if view.retriable else "")


def gap(view: View) -> str:
    """The longest time without a good answer."""
    return f"longest gap {view.gap_ms:.0f} ms" + (f" ({view.gap_class})" if view.gap_class else "")


def _list(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items())


def recent(said: Sequence[tuple[int, str]], began_ns: int, count: int) -> list[str]:
    """The last phases with their seconds since the beginning."""
    return [f"{(t - began_ns) / 1e9:+8.1f} s  {text}" for t, text in said[-count:]]

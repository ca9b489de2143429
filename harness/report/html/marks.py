"""What happened, as marks on the axis of time: of the whole run, and of one move."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from harness.evidence.faults import answer_to
from harness.evidence.milestones import FRESH, milestones
from harness.evidence.timeline import Event, Move, Timeline
from harness.report.html import numbers
from harness.report.html.series import Window

QUIET = frozenset(
    {
        *("run.started", "promise.declared", "instrument.tested", "class.skipped", "arrivals.kept", "arrivals.unkept"),
        *("cluster.answers", "scenario.finished", "install.ready", "load.started", "load.stopped", "pods.observed"),
        *("pods.entered", "selector.observed", "slice.changed", "cutover.planned", "cutover.sent"),
        *("cutover.acknowledged", "cutover.settled", "pod.changed", "pod.gone", "static.checked", "cluster.warned"),
        "proxy.told",
    }
)
"""Events that are no marks: set-up, what lanes show, and what moves and milestones are put together from."""
QUIET_ENDS = (".described", ".answers")
TOGETHER_NS = 2_000_000_000
"""Pods of a side that are told to stop within this time of each other are one mark."""
ENDS = ("ready", "finished", "done", "breached", "stopped", "ended", "failed")
"""Last words of events that end what one ending in "started" began."""


@dataclass(frozen=True, slots=True)
class Mark:
    """One thing that happened.

    Args:
        at_ns: when, or when it began.
        label: a few words.
        kind: "move", "milestone", "release" or "fault": the look.
        until_ns: when it ended; None for an instant.
        seen_ns: when its effect was seen, for faults.

    """

    at_ns: int
    label: str
    kind: str
    until_ns: int | None = None
    seen_ns: int | None = None


def of_run(timeline: Timeline) -> list[Mark]:
    """Moves, faults, and all other events that somebody may ask about, in order of time."""
    found = [Mark(move.sent_ns, move.move, "move") for move in timeline.moves() if move.sent_ns is not None]
    found += [
        Mark(move.planned_ns, f"{move.move} refused", "move")
        for move in timeline.moves()
        if move.sent_ns is None and move.refused
    ]
    found += faults(timeline)
    found += [*_others(timeline), *stops(timeline)]
    return sorted(found, key=lambda mark: mark.at_ns)


def of_move(timeline: Timeline, move: Move, window: Window) -> list[Mark]:
    """A move's milestones, and what else happened around it."""
    zero = window.zero_ns
    told = milestones(timeline, move)

    def after(ms: float | None, label: str, kind: str = "milestone") -> list[Mark]:
        if ms is None:
            return []
        return [Mark(zero + round(ms * 1e6), f"{label} {numbers.offset(ms)}", kind)]

    announced = [event.t for event in timeline.named("cutover.planned") if event.fields.get("at_ns") == move.planned_ns]
    found = [Mark(announced[0], "planned", "milestone", until_ns=move.planned_ns)] if announced else []
    found.append(Mark(zero, "patch sent", "move"))
    found += after(told.acknowledged_ms, "acknowledged")
    found += after(told.slice_ms, "endpoints switched")
    found += after(told.first_new_ms, f"first new{_via(told.nodes_ms, told.first_new_ms)}")
    short = short_names(told.nodes_ms)
    for node, ms in told.nodes_ms.items():
        if ms != told.first_new_ms:
            found += after(ms, f"new via {short[node]}")
    found += after(told.last_old_ms.get(FRESH), "last old")
    found += [*faults(timeline), *_others(timeline), *stops(timeline)]
    found += [
        Mark(other.sent_ns, other.move, "move")
        for other in timeline.moves()
        if other.sent_ns is not None and other.sent_ns != zero
    ]
    inside = [mark for mark in found if _touches(mark, window)]
    return sorted(inside, key=lambda mark: mark.at_ns)


def _via(nodes: Mapping[str, float], first: float | None) -> str:
    """Through which node the first new answer came, where there are several."""
    if len(nodes) < 2:
        return ""
    short = short_names(nodes)
    return next((f", {short[node]}" for node, ms in nodes.items() if ms == first), "")


def faults(timeline: Timeline) -> list[Mark]:
    """Each fault from its injection to its healing, with the moment when its effect was seen."""
    found = []
    for injected in timeline.named("fault.injected"):
        seen, healed = (answer_to(timeline, injected, verb) for verb in ("confirmed", "healed"))
        label = f"fault: {injected.fields.get('kind') or 'unnamed'}"
        label += "" if seen else " (not confirmed)"
        label += "" if healed else " (not healed)"
        found.append(
            Mark(injected.t, label, "fault", healed.t if healed else timeline.end_ns, seen.t if seen else None)
        )
    return found


def is_quiet(name: str) -> bool:
    """Whether events of this name are no marks."""
    return name in QUIET or name.endswith(QUIET_ENDS)


def stops(timeline: Timeline) -> list[Mark]:
    """When pods were told to stop (SIGTERM), until the last of them was gone; those of a side together."""
    gone = {str(event.fields.get("pod")): event.t for event in timeline.named("pod.gone")}
    seen: set[str] = set()
    groups: list[tuple[str, list[tuple[int, str]]]] = []
    for event in timeline.named("pod.changed"):
        pod, side = str(event.fields.get("pod")), str(event.fields.get("side") or "")
        if pod in seen or not event.fields.get("stopping"):
            continue
        seen.add(pod)
        last = next((group for name, group in reversed(groups) if name == side), None)
        if last is not None and event.t - last[-1][0] <= TOGETHER_NS:
            last.append((event.t, pod))
        else:
            groups.append((side, [(event.t, pod)]))
    found = []
    for side, group in groups:
        ends = [gone[pod] for _, pod in group if pod in gone]
        what = f"{len(group)} {side} pods" if len(group) > 1 else f"pod {group[0][1]}"
        found.append(Mark(group[0][0], f"SIGTERM {what}", "release", max(ends) if ends else None))
    return found


def _others(timeline: Timeline) -> list[Mark]:
    """All events that are neither quiet nor of a fault; "x.started" and its end are one mark."""
    events = [e for e in timeline.events if not is_quiet(e.name) and not e.name.startswith(("fault.", "cutover."))]
    found, ended = [], set()
    for number, event in enumerate(events):
        if number in ended:
            continue
        subject, _, verb = event.name.rpartition(".")
        end = None
        if verb == "started":
            end = next((n for n in range(number + 1, len(events)) if _ends(events[n], subject, event)), None)
        until = None
        label = _label(event)
        if end is not None:
            ended.add(end)
            until = events[end].t
            word = events[end].name.rpartition(".")[2]
            label += f", {word}" if word in ("breached", "failed") else ""
        found.append(Mark(event.t, label, "release", until))
    return found


def _ends(event: Event, subject: str, started: Event) -> bool:
    own, _, verb = event.name.rpartition(".")
    side = started.fields.get("side")
    return own == subject and verb in ENDS and (side is None or event.fields.get("side", side) == side)


def _label(event: Event) -> str:
    """The event's name as words, and what it is about."""
    subject, _, verb = event.name.rpartition(".")
    words = subject.replace(".", " ").replace("_", " ") if verb == "started" else event.name.replace(".", " ")
    about = [str(event.fields[key]) for key in ("version", "side", "pod") if event.fields.get(key)]
    return " ".join([words, *about])


def _touches(mark: Mark, window: Window) -> bool:
    return mark.at_ns <= window.stop_ns and (mark.until_ns or mark.at_ns) >= window.start_ns


def short_names(names: Iterable[str]) -> dict[str, str]:
    """The names without the beginning that all of them have, cut at a hyphen: "demo-worker2" is "worker2"."""
    known = list(names)
    words = [name.split("-") for name in known]
    shortest = min((len(one) for one in words), default=1) - 1  # something of every name has to stay
    same = next((n for n in range(shortest) if len({one[n] for one in words}) > 1), shortest)
    same = same if len(known) > 1 else 0
    return {name: "-".join(one[same:]) for name, one in zip(known, words, strict=True)}

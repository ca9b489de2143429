"""Checks of probes: users leave a pod that isn't ready, meet none before it is, and a hung one is started anew."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from harness.checks.finding import FAIL, INCONCLUSIVE, PASS, UNPROVEN, Finding
from harness.checks.registry import check
from harness.evidence.departures import (
    Departure,
    departures,
    last_by_node,
    new_requests,
    readiness,
    records,
    spans,
    window,
)
from harness.evidence.probe_specs import Specs, differences
from harness.evidence.timeline import SECOND, Event, Timeline

ENOUGH_BEFORE = 3
"""New requests in the 5 s before, through one node, for which silence afterwards means something."""
SURE = 10.0
"""New requests to be expected in a time, for which none at all is no accident (e^-10)."""
NO_RECORD = "no record of probes was kept"


@check("not_ready_gets_nothing")
def not_ready_gets_nothing(timeline: Timeline, *, within: float = 3.0, again: float = 3.0) -> Finding:
    """From `within` seconds after its last good probe on, a pod gets no new request until it is ready again.

    It must get them again, through each node, within `again` seconds of its first good probe. What is new: the first
    request on a connection; behind a proxy, each request. Times are those of the application's own record.
    """
    name, unit = "not_ready_gets_nothing", "ms"
    if timeline.probes is None:
        return Finding(name, UNPROVEN, None, None, unit, NO_RECORD)
    if faults := _faults(timeline):
        return Finding(name, INCONCLUSIVE, None, 1e3 * within, unit, faults)
    judged = [one for one in departures(timeline) if (one.until_ns - one.span.since) / SECOND > within]
    judged = [one for one in judged if max(one.before.values()) >= ENOUGH_BEFORE]
    if not judged:
        return Finding(name, INCONCLUSIVE, None, 1e3 * within, unit, "no pod with users was unready for long enough")
    worst = max((ms for one in judged for ms in one.last.values()), default=0.0)
    late = [one for one in judged if any(ms > 1e3 * within for ms in one.last.values())]
    if late:
        text = f"{late[0].span.pod} got new requests after its last good probe: {_nodes(late[0].last)}"
        return Finding(name, FAIL, worst, 1e3 * within, unit, text)
    said = "; ".join(f"{one.span.pod}: last new request {_nodes(one.last)}" for one in judged)
    forgotten = [text for one in judged if (text := _forgotten(timeline, one, again))]
    if forgotten:
        return Finding(name, FAIL, worst, 1e3 * within, unit, f"{'; '.join(forgotten)}; {said}")
    back = "; ".join(f"{one.span.pod}: first again {_nodes(one.again)}" for one in judged if one.again)
    return Finding(name, PASS, worst, 1e3 * within, unit, f"{said}; {back}".removesuffix("; "))


def _forgotten(timeline: Timeline, one: Departure, again: float) -> str:
    """Nodes through which a pod that is ready again should have got requests, and didn't; "" where there is none."""
    back = one.span.back
    if back is None or back + again * SECOND > window(timeline)[1] or _moved(timeline, one.span.since, back, again):
        return ""
    sure = [node for node, count in one.before.items() if count / 5.0 * again >= SURE]
    late = [node for node in sure if one.again.get(node, 1e9) > 1e3 * again]
    if not late:
        return ""
    return f"{one.span.pod} was ready again and got nothing within {again:g} s through {', '.join(late)}"


def _moved(timeline: Timeline, since: int, back: int, again: float) -> bool:
    """Whether users were moved meanwhile: then nobody owes the pod anything."""
    return any(since <= (move.sent_ns or 0) <= back + again * SECOND for move in timeline.moves())


@check("ready_before_served")
def ready_before_served(timeline: Timeline) -> Finding:
    """No pod answered a user who was sent to it before its first good readiness probe; at least one started by then."""
    name = "ready_before_served"
    if timeline.probes is None:
        return Finding(name, UNPROVEN, None, None, "requests", NO_RECORD)
    if faults := _faults(timeline):
        return Finding(name, INCONCLUSIVE, None, 0, "requests", faults)
    first, last = window(timeline)
    early: dict[str, int] = {}
    waited: list[str] = []
    for span in spans(timeline):
        if not span.starting or not first < span.since < last:
            continue
        end = last if span.back is None else span.back
        sent = new_requests(timeline, span.pod)["sent"]
        count = int(np.count_nonzero((sent > span.since) & (sent < end)))
        if count:
            early[span.pod] = count
        waited.append(f"{span.pod} was ready {(end - span.since) / 1e9:.1f} s after its start")
    number = sum(early.values())
    if number:
        text = ", ".join(f"{count} by {pod}" for pod, count in early.items())
        return Finding(name, FAIL, number, 0, "requests", f"answered before the first good readiness probe: {text}")
    if not waited:
        return Finding(name, INCONCLUSIVE, 0, 0, "requests", "no pod started while users were there")
    return Finding(name, PASS, 0, 0, "requests", "; ".join(waited))


@check("deleted_leaves_first")
def deleted_leaves_first(timeline: Timeline, *, within: float = 3.0) -> Finding:
    """A deleted pod gets its last new request within `within` seconds of the deletion, and ends only after that."""
    name, unit = "deleted_leaves_first", "ms"
    deleted = timeline.named("pod.deleted")
    if timeline.probes is None:
        return Finding(name, UNPROVEN, None, None, unit, NO_RECORD)
    if faults := _faults(timeline):
        return Finding(name, INCONCLUSIVE, None, 1e3 * within, unit, faults)
    said, worst, bad = [], 0.0, False
    for event in deleted:
        pod = str(event.fields.get("pod"))
        nodes = last_by_node(timeline, pod, event.t)
        record = next((one for one in records(timeline) if one.pod == pod), None)
        until = window(timeline)[1]
        if record is None or until < event.t + within * SECOND or not len(new_requests(timeline, pod)):
            continue
        last = max(nodes.values(), default=0.0)
        worst = max(worst, last)
        ended = (int(record.ends[-1]) - event.t) / 1e6 if len(record.ends) else None
        bad |= last > 1e3 * within or (ended is not None and ended <= last)
        end = "and it served on until the end" if ended is None else f"and it ended after {ended:.0f} ms"
        said.append(f"{pod}: last new request {_nodes(nodes)}, {end}")
    if not said:
        return Finding(name, INCONCLUSIVE, None, 1e3 * within, unit, "no pod with users was deleted early enough")
    return Finding(name, FAIL if bad else PASS, worst, 1e3 * within, unit, "; ".join(said))


@check("not_restarted")
def not_restarted(timeline: Timeline) -> Finding:
    """No process of a pod began a second time, but of pods that were hung or drained on purpose; by their records."""
    name = "not_restarted"
    if timeline.probes is None:
        return Finding(name, UNPROVEN, None, None, "restarts", NO_RECORD)
    if faults := _faults(timeline):
        return Finding(name, INCONCLUSIVE, None, 0, "restarts", faults)
    meant = {str(one.fields.get("target")) for one in _hung(timeline)}
    meant |= {str(one.fields.get("pod")) for one in timeline.named("pod.drained")}
    counts = {one.pod: len(one.starts) - 1 for one in records(timeline) if one.pod not in meant}
    number = sum(counts.values())
    if not counts:
        return Finding(name, INCONCLUSIVE, None, 0, "restarts", "no pod was left alone")
    if number:
        text = ", ".join(f"{pod}: {count}" for pod, count in counts.items() if count)
        return Finding(name, FAIL, number, 0, "restarts", f"processes that began again: {text}")
    return Finding(name, PASS, 0, 0, "restarts", f"none of {len(counts)} pods began again")


@check("hung_restarted")
def hung_restarted(timeline: Timeline, *, within: float) -> Finding:
    """Each pod that was made to hang began anew within so many seconds, and was ready again afterwards."""
    name, unit = "hung_restarted", "s"
    hung = _hung(timeline)
    if timeline.probes is None:
        return Finding(name, UNPROVEN, None, None, unit, NO_RECORD)
    if not hung:
        return Finding(name, INCONCLUSIVE, None, within, unit, "no pod was made to hang")
    said, worst, bad = [], 0.0, False
    for event in hung:
        pod = str(event.fields.get("target"))
        record = next((one for one in records(timeline) if one.pod == pod), None)
        starts = record.starts[record.starts > event.t] if record is not None else np.zeros(0, np.int64)
        if record is None or not len(starts):
            bad = True
            said.append(f"{pod} hung and was never started anew")
            continue
        took = (int(starts[0]) - event.t) / 1e9
        good = record.of(readiness(timeline))
        ready = bool(np.any((good["t"] > starts[0]) & (good["status"] // 100 == 2)))
        worst, bad = max(worst, took), bad or took > within or not ready
        said.append(f"{pod} began anew after {took:.1f} s{'' if ready else ' and was never ready again'}")
    return Finding(name, FAIL if bad else PASS, worst, within, unit, "; ".join(said))


@check("same_probes")
def same_probes(timeline: Timeline) -> Finding:
    """Both sides' applied probes were the same at each look, and each side asked for readiness; names what differed."""
    looks = timeline.named("probes.applied")
    if not looks:
        return Finding("same_probes", INCONCLUSIVE, None, 0, "differences", "the sides' probes weren't looked at")
    found: dict[str, None] = {}
    for event in looks:
        (one, first), (other, second) = _sides(event)
        found |= dict.fromkeys(f"{one} and {other} differ in {text}" for text in differences(first, second))
        found |= dict.fromkeys(f"{event.fields.get('side')}: {text}" for text in event.fields.get("missing") or ())
    if found:
        return Finding("same_probes", FAIL, len(found), 0, "differences", "; ".join(found))
    return Finding("same_probes", PASS, 0, 0, "differences", f"the same at each of {len(looks)} looks")


def _sides(event: Event) -> Sequence[tuple[str, Specs]]:
    return sorted((event.fields.get("sides") or {}).items())


def _hung(timeline: Timeline) -> list[Event]:
    return [event for event in timeline.named("fault.injected") if event.fields.get("kind") == "pod-hung"]


def _faults(timeline: Timeline) -> str:
    """What keeps the records of probes from proving anything; "" where nothing does."""
    if not readiness(timeline):
        return "no side asks for readiness by HTTP, so no probe tells when a pod is ready"
    return _first(fault for one in records(timeline) for fault in one.faults)


def _first(faults: Iterable[str]) -> str:
    return next(iter(faults), "")


def _nodes(times: Mapping[str, float]) -> str:
    return ", ".join(f"{node} +{ms:.0f} ms" for node, ms in sorted(times.items())) or "none"

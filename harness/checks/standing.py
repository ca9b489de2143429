"""What is judged in every scenario and never declared: the instrument's honesty, and the system as it is left."""

from __future__ import annotations

import numpy as np

from harness.checks.finding import FAIL, INCONCLUSIVE, PASS, Finding
from harness.checks.registry import check
from harness.evidence.faults import answer_to
from harness.evidence.ledger import ledger as lines_of
from harness.evidence.samples import UNSENT
from harness.evidence.statistics import budget, lag_by_class
from harness.evidence.timeline import SECOND, Timeline

NEAR_NS = 2 * SECOND
SLOW_NS = SECOND
"""A slow request counts near a flip only if it took this long: one that doesn't outlive a flip tells nothing of it."""


@check("ledger", standing=True)
def ledger(timeline: Timeline) -> Finding | None:
    """Closes for each class, and nothing of the record is cut or damaged; else the whole run proves nothing."""
    if not timeline.loaded:
        return None
    faults = [f"{line.name}: {', '.join(line.faults)}" for line in lines_of(timeline) if line.faults]
    if not timeline.classes:
        faults.append("the load left no record")
    faults += timeline.notes
    if not faults:
        issued = sum(line.issued for line in lines_of(timeline))
        return Finding("ledger", PASS, 0, 0, "faults", f"closes: {issued} requests, each with its outcome")
    shown = "; ".join(faults[:4]) + (f"; and {len(faults) - 4} more" if len(faults) > 4 else "")
    return Finding("ledger", INCONCLUSIVE, len(faults), 0, "faults", f"open: {shown}", voids=True)


@check("lag", standing=True)
def lag(timeline: Timeline, *, lines: float = 2.0) -> Finding | None:
    """p99 of (sent - intended) is at most two lines of each class's schedule, around the flips and in the watch."""
    if not timeline.loaded:
        return None
    found = [
        (spec, value / 1e6, 1e3 * lines / spec.rate) for spec, value in lag_by_class(timeline).items() if spec.rate > 0
    ]
    if not found:
        return Finding("lag", INCONCLUSIVE, None, None, "ms", "no request was sent in the judged window")
    spec, value, limit = max(found, key=lambda one: one[1] / one[2])
    verdict = PASS if value <= limit else INCONCLUSIVE
    return Finding("lag", verdict, value, limit, "ms", f"{spec.name}: sent {value:.2f} ms late at the 99th percentile")


@check("self_test", standing=True)
def self_test(timeline: Timeline) -> Finding | None:
    """The instrument reported exactly what was injected; a failed test voids the run, a missing one proves nothing."""
    if not timeline.loaded:
        return None
    events = timeline.named("instrument.tested")
    failed = [event for event in events if event.fields.get("result") == "fail"]
    passed = [event for event in events if event.fields.get("result") == "pass"]
    told = (failed or passed or list(events))[:1]
    if not told:
        return Finding("self_test", INCONCLUSIVE, None, None, "losses", "the instrument wasn't tested")
    fields = told[0].fields
    reported, injected, detail = fields.get("reported"), fields.get("injected"), str(fields.get("detail") or "")
    if reported is None or injected is None:
        reported = injected = None
    if failed:
        text = f"reported {reported} of {injected} injected losses; {detail}".removesuffix("; ")
        return Finding("self_test", INCONCLUSIVE, reported, injected, "losses", text, voids=True)
    if not passed:
        return Finding("self_test", INCONCLUSIVE, reported, injected, "losses", f"skipped {detail}".rstrip())
    return Finding("self_test", PASS, reported, injected, "losses", detail or "every injected loss was reported")


@check("near_flip", standing=True)
def near_flip(
    timeline: Timeline,
    *,
    fresh: int = 300,
    busy: int = 100,
    post: int = 10,
    slow: int = 5,
    idle: int = 2,
    tls: int = 20,
    h2: int = 40,
    h2_slow: int = 5,
) -> Finding | None:
    """Enough requests of each class that ran were under way within 2 s of each flip."""
    enough = {"fresh": fresh, "busy": busy, "post": post, "slow": slow, "idle": idle}
    enough |= {"tls": tls, "h2": h2, "h2_slow": h2_slow}
    flips = timeline.flips()
    if not timeline.loaded or not flips:
        return None
    thin: list[str] = []
    least: tuple[float, int, int] | None = None
    for number, move in enumerate(flips, 1):
        for spec in timeline.classes:
            wanted = enough.get(spec.name)
            if wanted is None:
                continue
            samples = timeline.of_class(spec.name)
            near = (samples["sent"] <= (move.sent_ns or 0) + NEAR_NS) & (
                samples["end"] >= (move.sent_ns or 0) - NEAR_NS
            )
            if spec.name in ("slow", "h2_slow"):
                near &= samples["end"] - samples["sent"] >= SLOW_NS
            count = int(np.count_nonzero(near & (samples["sent"] > 0) & (samples["outcome"] != UNSENT)))
            if least is None or count / max(wanted, 1) < least[0]:
                least = (count / max(wanted, 1), count, wanted)
            if count < wanted:
                thin.append(f"{count} {spec.name} near {move.move} {number}, {wanted} wanted")
    if least is None:
        return Finding("near_flip", INCONCLUSIVE, None, None, "requests", "no class ran that tells of a flip")
    text = "; ".join(thin) if thin else f"enough requests near each of {len(flips)} flips"
    return Finding("near_flip", INCONCLUSIVE if thin else PASS, least[1], least[2], "requests", text)


@check("slo", standing=True)
def slo(timeline: Timeline) -> Finding | None:
    """Where an objective was given: the run spends no more than the error budget, (lost/n) / (1 - objective) <= 1.

    A scenario that promises losses is told its burn, and not held against it.
    """
    spent = budget(timeline)
    if spent is None:
        return None
    burn = spent["burn"]
    if burn is None:
        return Finding("slo", INCONCLUSIVE, None, 1, "budgets", "no request was issued")
    text = f"{spent['lost']} of {spent['issued']} requests lost at an objective of {100 * spent['target']:.6g} %"
    if spent["retriable"]:
        text += f"; {spent['retriable']} more, retriable by any client, are let pass at level {timeline.level}"
    if timeline.started.get("expect") == "loses":
        return Finding("slo", PASS, burn, None, "budgets", f"{text}; this scenario promises losses")
    return Finding("slo", PASS if burn <= 1 else FAIL, burn, 1, "budgets", text)


@check("completed", standing=True)
def completed(timeline: Timeline) -> Finding | None:
    """The scenario's body came to its end: what ended it early is part of the record."""
    if broke := timeline.first("scenario.broke"):
        return Finding("completed", INCONCLUSIVE, 0, 1, "scenario", f"the harness broke: {broke.fields.get('error')}")
    if raised := timeline.first("scenario.raised"):
        return Finding("completed", FAIL, 0, 1, "scenario", str(raised.fields.get("error")))
    return None


@check("cluster_answers", standing=True)
def cluster_answers(timeline: Timeline) -> Finding:
    """The cluster is as healthy at the end as it was before."""
    events = timeline.named("cluster.answers")
    if not events:
        return Finding("cluster_answers", INCONCLUSIVE, None, None, "", "the cluster wasn't asked")
    ok, detail = events[-1].fields.get("ok") is True, str(events[-1].fields.get("detail") or "")
    return Finding("cluster_answers", PASS if ok else FAIL, int(ok), 1, "answers", detail or f"ok: {ok}")


@check("faults_healed", standing=True)
def faults_healed(timeline: Timeline) -> Finding | None:
    """Each injected fault was seen to have an effect, and was healed; one unseen leaves open what it should prove."""
    injected = timeline.named("fault.injected")
    if not injected:
        return None
    unhealed, unseen = [], []
    for event in injected:
        name = str(event.fields.get("kind") or event.fields.get("id") or "fault")
        healed = answer_to(timeline, event, "healed")
        if healed is None or healed.fields.get("ok", True) is not True:
            unhealed.append(name)
        if answer_to(timeline, event, "confirmed") is None:
            unseen.append(name)
    good = len(injected) - len(unhealed)
    if unhealed:
        verdict = FAIL if timeline.first("scenario.finished") else INCONCLUSIVE
        text = f"not healed: {', '.join(unhealed)}"
    elif unseen:
        verdict, text = INCONCLUSIVE, f"never seen to have an effect: {', '.join(unseen)}"
    else:
        verdict, text = PASS, f"{len(injected)} faults seen and healed"
    return Finding("faults_healed", verdict, good, len(injected), "faults", text)

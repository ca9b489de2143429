"""Checks of single requests: nothing lost, exactly these lost, enough of them, who answered."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from harness.checks.finding import ANONYMOUS, FAIL, INCONCLUSIVE, PASS, UNPROVEN, Finding
from harness.checks.registry import check
from harness.evidence.losses import Losses, answered_mask, error_counts, judged_mask, losses, ran
from harness.evidence.outages import outages
from harness.evidence.samples import UNSENT
from harness.evidence.socket_summary import socket_text
from harness.evidence.sockets import CLASS
from harness.evidence.timeline import Timeline


@check("nothing_lost")
def nothing_lost(timeline: Timeline, *, classes: Sequence[str] | None = None) -> Finding:
    """Fails on any judged loss (failed + unknown); a class without an issued and answered request proves nothing.

    Lost requests that any client may retry are always told, with the level that counts them or lets them pass.
    """
    names = tuple(classes) if classes is not None else ran(timeline)
    counts = {name: losses(timeline, name) for name in names}
    lost = sum(count.judged for count in counts.values())
    issued = sum(count.issued for count in counts.values())
    said = [_told(timeline, name) for name in names if counts[name].judged]
    said += [_retriable(timeline, name, count) for name, count in counts.items() if count.retriable]
    silent = [name for name, count in counts.items() if not count.ok]
    if lost:
        verdict, start = FAIL, f"{lost} of {issued} requests lost"
    elif silent or not names:
        # Where all losses are allowed ones and nothing else came, nothing shows that the service was there at all.
        verdict, start = INCONCLUSIVE, f"no answer of {', '.join(silent) or 'any class'}"
    else:
        verdict, start = PASS, f"nothing lost of {issued} requests" + (" that count" if said else "")
    if "idle" in names and timeline.started.get("path") == "ingress":
        said.append(
            "idle connections end at the proxy on this path: a pod's idle close is the proxy's race, not theirs"
        )
    return Finding("nothing_lost", verdict, lost, 0, "requests", "; ".join([start, *said]))


def _retriable(timeline: Timeline, name: str, count: Losses) -> str:
    text = f"{count.retriable} of {count.issued} {name} were lost, retriable by any client (RFC 9110 9.2.2)"
    text += f": let pass at level {timeline.level}" if count.allowed else f": counted at level {timeline.level}"
    return text + _errors(timeline, name)


def _errors(timeline: Timeline, name: str) -> str:
    errors = error_counts(timeline.of_class(name))
    return f" ({', '.join(f'{count} {error}' for error, count in errors.most_common(4))})" if errors else ""


def _told(timeline: Timeline, name: str) -> str:
    """How many of a class were lost, of what, and when the first was, seen from the move before it."""
    if name == CLASS:
        return socket_text(timeline)
    samples = timeline.of_class(name)
    bad = judged_mask(timeline, name, samples)
    first = int(samples["intended"][bad].min())
    nodes = sorted({timeline.node(int(entry)) for entry in np.unique(samples["entry"][bad])})
    text = f"{int(np.count_nonzero(bad))} of {losses(timeline, name).issued} {name}{_errors(timeline, name)}"
    text += f" through {', '.join(nodes)}"
    sends = [(move.sent_ns, move.move) for move in timeline.moves() if move.sent_ns is not None]
    if sends:
        sent, name_of_move = min(sends, key=lambda item: abs(item[0] - first))
        text += (
            f", the first {abs(first - sent) / 1e6:.0f} ms {'after' if first >= sent else 'before'} a {name_of_move}"
        )
    return text


@check("loses")
def loses(
    timeline: Timeline, *, classes: Sequence[str], may: Sequence[str] = (), at_most_ms: float | None = None
) -> Finding:
    """Passes only if exactly these classes have judged losses, and their outages are provably short enough.

    Those in `may` have them or not; how many is told.
    """
    there = ran(timeline)
    issued = {name: losses(timeline, name).issued for name in {*there, *classes}}
    losing = {name for name in there if losses(timeline, name).judged}
    wanted = set(classes)
    unexpected, spared = sorted(losing - wanted - set(may)), sorted(name for name in wanted - losing if issued[name])
    absent = sorted(name for name in wanted if not issued[name])
    number, limit = float(len(losing)), float(len(wanted))
    if unexpected:
        said = "; ".join(_told(timeline, name) for name in unexpected)
        return Finding("loses", FAIL, number, limit, "classes", f"lost though not expected to: {said}")
    if spared:
        return Finding("loses", FAIL, number, limit, "classes", f"{', '.join(spared)} should have lost and didn't")
    if absent:
        return Finding("loses", INCONCLUSIVE, number, limit, "classes", f"no request of {', '.join(absent)}")
    if not any(issued.values()):
        return Finding("loses", INCONCLUSIVE, number, limit, "classes", "no request at all")
    said = "; ".join(_told(timeline, name) for name in there if name in losing) or "no class lost anything"
    if at_most_ms is None:
        return Finding("loses", PASS, number, limit, "classes", said)
    return _short_enough(timeline, losing, float(at_most_ms), said)


def _short_enough(timeline: Timeline, losing: set[str], limit: float, said: str) -> Finding:
    if CLASS in losing and timeline.sockets is not None:
        away = timeline.sockets.away_ns()
        if away is None or away / 1e6 > limit:
            text = "a socket never came back" if away is None else f"a socket was away for {away / 1e6:.0f} ms"
            return Finding("loses", FAIL, None if away is None else away / 1e6, limit, "ms", f"{text}; {said}")
    spans = [outage for outage in outages(timeline) if outage.cls in losing and outage.lost]
    if not spans:
        return Finding("loses", PASS, 0.0, limit, "ms", said)
    low = max(outage.low_ns for outage in spans) / 1e6
    highs = [outage.high_ns for outage in spans]
    if low > limit:
        return Finding("loses", FAIL, low, limit, "ms", f"an outage lasted at least {low:.0f} ms; {said}")
    bounded = [high for high in highs if high is not None]
    high = max(bounded) / 1e6 if len(bounded) == len(highs) else None
    if high is None or high > limit:
        most = "until the end of the record" if high is None else f"at most {high:.0f} ms"
        text = f"an outage lasted between {low:.0f} ms and {most}: the limit can't be told; {said}"
        return Finding("loses", INCONCLUSIVE, low if high is None else high, limit, "ms", text)
    return Finding("loses", PASS, high, limit, "ms", said)


@check("enough")
def enough(timeline: Timeline, *, n: int, cls: str = "fresh") -> Finding:
    """At least n requests of the class were issued; fewer are inconclusive, never a fail."""
    issued = losses(timeline, cls).issued
    verdict = PASS if issued >= n and issued > 0 else INCONCLUSIVE
    return Finding("enough", verdict, issued, n, "requests", f"{issued} {cls} requests, {n} wanted")


@check("never_served")
def never_served(timeline: Timeline, *, revision: str) -> Finding:
    """No answer of any class and any outcome shows the revision; without answers that tell theirs, inconclusive."""
    if timeline.anonymous:
        return Finding("never_served", UNPROVEN, None, None, "answers", ANONYMOUS)
    samples = timeline.samples
    known = answered_mask(samples) & (samples["revision"] != 0) & (samples["outcome"] != UNSENT)
    seen = known & (samples["revision"] == timeline.id_of(revision))
    count, told = int(np.count_nonzero(seen)), int(np.count_nonzero(known))
    if timeline.sockets is not None:
        handshakes = timeline.sockets.revisions()
        count, told = count + handshakes[revision], told + handshakes.total()
    # An answer that doesn't say who gave it could have come from anywhere.
    mute = int(np.count_nonzero(answered_mask(samples) & ~known))
    if count:
        return Finding("never_served", FAIL, count, 0, "answers", f"{count} of {told} answers came from {revision}")
    if not told or mute:
        text = f"{mute} answers didn't tell their revision" if mute else "no answer told its revision"
        return Finding("never_served", INCONCLUSIVE, 0, 0, "answers", text)
    return Finding("never_served", PASS, 0, 0, "answers", f"none of {told} answers came from {revision}")

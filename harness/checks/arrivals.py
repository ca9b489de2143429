"""The check of arrivals: what the application wrote down against what was sent, request by request."""

from __future__ import annotations

from harness.checks.finding import FAIL, INCONCLUSIVE, PASS, Finding
from harness.checks.registry import check
from harness.evidence.reconcile import Reconciled, reconcile
from harness.evidence.socket_arrivals import Written, reconcile_messages
from harness.evidence.timeline import Timeline

CONTRADICTIONS = (
    ("twice", "arrivals of requests that had arrived before, sent again by the client or a proxy"),
    ("unasked", "arrivals under the run's tag of what was never sent"),
    ("unheard", "ok answers by pods that never saw the request"),
    ("posts_twice", "POSTs applied again"),
    ("posts_lost", "POSTs answered as done and never applied"),
)
"""What fails, by its name in `Reconciled`, in words that follow a number."""
OF_MESSAGES = (
    ("unwritten", "messages acknowledged and never written down"),
    ("again", "arrivals of messages beyond those that the client sent"),
    ("unasked", "messages written down that were never sent"),
)
"""Likewise, of WebSockets, in `Written`."""
FAULTS_SHOWN = 3


@check("arrivals", standing=True)
def arrivals(timeline: Timeline) -> Finding | None:
    """Each request arrived at most once, each ok answer is by a pod that saw its request, no POST is lost or doubled.

    None where no record was kept: the application's configuration decides that, and the verdict says
    `unproven: arrivals` by name. A record that was promised and isn't whole is another matter, and makes the scenario
    inconclusive: a hidden re-send can be in just the part that is missing, and a broken record that only added a line
    to the verdict would stay broken. It is never a fail, since nothing shows that users noticed; but what the rest of
    the record proves is one, for all that is in it is true.

    A POST of unknown outcome that wasn't applied is a loss, which `nothing_lost` counts; here it is only told.
    """
    if timeline.arrivals is None or not timeline.loaded:
        return None
    found = reconcile(timeline, timeline.arrivals)
    said = [
        f"{count} {words} ({'; '.join(found.told[name])})"
        for name, words in CONTRADICTIONS
        if (count := int(getattr(found, name)))
    ]
    messages = reconcile_messages(timeline.sockets, timeline.arrivals) if timeline.sockets is not None else Written()
    said += [
        f"{count} {words} ({'; '.join(messages.told[name])})"
        for name, words in OF_MESSAGES
        if (count := int(getattr(messages, name)))
    ]
    faults = list(found.faults)
    faults += [f"{messages.beyond} acknowledged messages are in no record"] if messages.beyond else []
    if faults:
        more = len(faults) - FAULTS_SHOWN
        said.append("the record isn't whole: " + "; ".join(faults[:FAULTS_SHOWN]))
        said += [f"and {more} more"] if more > 0 else []
    count = found.contradictions + messages.contradictions
    verdict = FAIL if count else INCONCLUSIVE if faults else PASS
    text = "; ".join([*said, _counted(found), *([f"{messages.written} messages too"] if messages.written else [])])
    return Finding("arrivals", verdict, count, 0, "contradictions", text)


def _counted(found: Reconciled) -> str:
    text = f"{found.arrived} of {found.issued} requests arrived"
    elsewhere = [(found.failed_elsewhere, "failed"), (found.unknown_elsewhere, "unknown")]
    never = [f"{count} {word}" for count, word in elsewhere if count]
    text += f", {' and '.join(never)} ones never did" if never else ""
    unknown = found.unknown_applied, found.unknown_not_applied, found.unknown_untold
    if any(unknown):
        text += "; of the POSTs of unknown outcome {} were applied, {} were not, {} can't be told".format(*unknown)
    return text

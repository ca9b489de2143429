"""What a scenario's author writes: plain functions that return promises."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from harness.checks.moment import Moment
from harness.checks.promise import Promise

CUTOVER: Final = Moment("cutover")
ROLLBACK: Final = Moment("rollback")
START: Final = "start"
"""For `only`: from the first request on."""


def _names(classes: Iterable[str]) -> tuple[str, ...]:
    return (classes,) if isinstance(classes, str) else tuple(classes)


def nothing_lost(classes: Iterable[str] | None = None) -> Promise:
    """No request of these classes (by default all that ran) is failed or unknown.

    At user level idle keep-alive may lose what any client may retry (RFC 9110 9.2.2); the finding states how much.
    """
    return Promise("nothing_lost", {} if classes is None else {"classes": _names(classes)})


def answered_within(
    seconds: float = 0.9,
    after: float | None = 3.0,
    classes: Iterable[str] = ("fresh", "busy", "idle", "post", "tls", "h2"),
) -> Promise:
    """Around each move (1 s before to `after` seconds after it; None: always) every answer comes within `seconds`.

    0.9 s is just less than what a lost SYN costs (RFC 6298 2.1: 1 s): a hole in the service loses nothing where
    everything waits for its end, but shows here.
    """
    return Promise("answered_within", {"seconds": float(seconds), "after": after, "classes": _names(classes)})


def only(
    revision: str | None, after: str = CUTOVER, classes: Iterable[str] = ("fresh",), within: float = 2.0
) -> Promise:
    """Every answer to a request sent later than `within` seconds after such a move shows exactly this revision.

    Args:
        revision: None means the one that each move led to.
        after: CUTOVER, ROLLBACK, or START (from the first request on, without allowance).
        classes: those that are judged.
        within: allowance in seconds from the send of the patch.

    """
    return Promise(
        "only", {"revision": revision, "after": str(after), "classes": _names(classes), "within": float(within)}
    )


def no_flip_back(within: float = 2.0) -> Promise:
    """Once a fresh request met the new revision, none meets the old one from `within` seconds on, until the next move.

    The Service's selector, where it was observed, stays as it was set too.
    """
    return Promise("no_flip_back", {"within": float(within)})


def idle_side_warm(wanted: int | None = None) -> Promise:
    """After each move the side that users left keeps all its pods (or `wanted` of them) ready."""
    return Promise("idle_side_warm", {} if wanted is None else {"wanted": wanted})


def cutover_happened() -> Promise:
    """Each planned move was acknowledged and a fresh request met the new revision. Always judged as well."""
    return Promise("cutover_happened")


def moved_by_tool() -> Promise:
    """What decides where users are is held by the switch's own tool alone after each move. Always judged as well."""
    return Promise("moved_by_tool")


def never_empty() -> Promise:
    """Under load the Service always has a ready endpoint."""
    return Promise("never_empty")


def never_served(revision: str) -> Promise:
    """No user ever saw this revision."""
    return Promise("never_served", {"revision": revision})


def refused(reason_contains: str = "", stage: str = "smoke", at_first: bool = False) -> Promise:
    """The release was refused at this stage, with this text in the reason; ``at_first``: and went through later.

    Stages are "deploy", "smoke", "cutover", "rollback" and "retire".
    """
    params = {"reason_contains": reason_contains, "stage": stage}
    return Promise("refused", {**params, **({"at_first": True} if at_first else {})})


def loses(*classes: str, may: Iterable[str] = (), at_most_ms: float | None = None) -> Promise:
    """Exactly these classes lose requests, no outage of theirs being longer than `at_most_ms`.

    Args:
        classes: each must lose something.
        may: whether these do is a race, so that either is right; any other that loses is a fail.
        at_most_ms: None for no bound.

    """
    allowed = _names(may)
    params = {"classes": classes, **({"may": allowed} if allowed else {})}
    return Promise("loses", {**params, **({} if at_most_ms is None else {"at_most_ms": at_most_ms})})


def sockets_clean(on: str | None = None, reconnect: float = 2.5, peak: float = 0.2) -> Promise:
    """No WebSocket lost, doubled or misordered a message, and whatever was closed came back soon and spread out.

    Args:
        on: the revision that every socket is open on at the end; None: any.
        reconnect: bound of the 99th percentile from a close to the next 101, in seconds; closes are 1012 or 1001 only.
        peak: bound of the reconnects within any 100 ms, as a share of all sockets.

    """
    return Promise("sockets_clean", {"on": on, "reconnect": float(reconnect), "peak": float(peak)})


def half_open_noticed(within: float = 3.0) -> Promise:
    """Each socket whose peer vanished without a word is given up within so many seconds."""
    return Promise("half_open_noticed", {"within": float(within)})


def outage(classes: Iterable[str], at_most: float, at_least: float = 0.0) -> Promise:
    """Only these classes lose or wait, none longer at a time than `at_most` s; the longest lasts `at_least` s.

    Each outage is judged by both its bounds: one that only may have been too long (or too short) is inconclusive.
    """
    return Promise("outage", {"classes": _names(classes), "at_most": float(at_most), "at_least": float(at_least)})


def rolled_back_by_watch() -> Promise:
    """The watch saw a breach and pointed users back by itself, and they got there."""
    return Promise("rolled_back_by_watch")


def enough(n: int, cls: str = "fresh") -> Promise:
    """At least `n` requests of the class were issued; fewer prove too little."""
    return Promise("enough", {"n": n, "cls": cls})


def not_ready_gets_nothing(within: float = 3.0, again: float = 3.0) -> Promise:
    """A pod gets no new request later than `within` seconds after its last good probe, and some `again` when ready."""
    return Promise("not_ready_gets_nothing", {"within": float(within), "again": float(again)})


def ready_before_served() -> Promise:
    """No pod answers a user before its first good readiness probe."""
    return Promise("ready_before_served")


def deleted_leaves_first(within: float = 3.0) -> Promise:
    """A deleted pod gets its last new request within so many seconds of its deletion, and ends only after that."""
    return Promise("deleted_leaves_first", {"within": float(within)})


def not_restarted() -> Promise:
    """No pod's process begins again, but of pods that are hung or drained on purpose."""
    return Promise("not_restarted")


def hung_restarted(within: float) -> Promise:
    """Each pod that is made to hang begins anew within so many seconds, and is ready again."""
    return Promise("hung_restarted", {"within": float(within)})


def same_probes() -> Promise:
    """Both sides' applied probes are the same, and both ask for readiness."""
    return Promise("same_probes")


def kept_until_drained(within: float = 3.0, cls: str = "busy") -> Promise:
    """Kept connections stay on the old side until it drains, and are on the new one `within` seconds later."""
    return Promise("kept_until_drained", {"within": float(within), "cls": cls})


def idle_close(level: str = "") -> Promise:
    """Idle connections lose nothing by the server's idle close but what any client may retry; that is counted.

    At level "strict" each of those fails; "" is the run's own level.
    """
    return Promise("idle_close", {"level": level} if level else {})


def affinity(pods: int = 1, within: float = 2.0) -> Promise:
    """Before and after each move, one address reaches at most so many pods through each node."""
    return Promise("affinity", {"pods": pods, "within": float(within)})


def finishes_where_it_began(*classes: str, at_least: int = 3) -> Promise:
    """What is in flight at each move, at least `at_least` of each class, is answered by the side that users leave."""
    return Promise("finishes_where_it_began", {"classes": classes, "at_least": at_least})


def goaway_first() -> Promise:
    """The server closes no HTTP/2 connection without a GOAWAY before, and none on which it still owes an answer."""
    return Promise("goaway_first")


def arrives_once() -> Promise:
    """Each request arrived at most once, where the application keeps a record. Always judged as well."""
    return Promise("arrivals")


def steady_generator() -> Promise:
    """The load was sent when it was due (p99 of the lag within two lines of each schedule). Always judged as well."""
    return Promise("lag")


def red(promise: Promise) -> Promise:
    """The negative twin of a promise: passes only where that check fails."""
    return _twin("red", promise)


def inconclusive(promise: Promise) -> Promise:
    """The negative twin of a promise that never fails: passes only where that check can't tell."""
    return _twin("inconclusive", promise)


def caught(expected: str, by: str) -> Promise:
    """The gate turns red on a broken release, by this part of it ("traffic", "smoke", "refusal", "static").

    And for the right reason: the likeliest cause that the diagnosis finds in the record has the id `expected`.
    """
    return Promise("caught", {"expected": expected, "by": by})


def _twin(name: str, promise: Promise) -> Promise:
    # The parameters stay on one level, so that placeholders in them are resolved like all others.
    params: dict[str, Any] = {"of": promise.check, **promise.params}
    return Promise(name, params)


GATE: Final = (
    nothing_lost(),
    answered_within(),
    only(None, after=CUTOVER, within=2.0),
    no_flip_back(),
    idle_side_warm(),
)
"""What every release promises its users: by this a broken one is caught, and a sound one passes."""

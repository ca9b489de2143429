"""What a scenario's author writes: plain functions that return promises."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from harness.checks.promise import Promise

CUTOVER: Final = "cutover"
ROLLBACK: Final = "rollback"
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


def never_served(revision: str) -> Promise:
    """No user ever saw this revision."""
    return Promise("never_served", {"revision": revision})


def refused(reason_contains: str = "", stage: str = "smoke") -> Promise:
    """The release was refused at this stage ("deploy", "smoke", "cutover", "retire"), with this text in the reason."""
    return Promise("refused", {"reason_contains": reason_contains, "stage": stage})


def loses(*classes: str, at_most_ms: float | None = None) -> Promise:
    """Exactly these classes lose requests, no outage of theirs being longer than `at_most_ms`."""
    return Promise("loses", {"classes": classes, **({} if at_most_ms is None else {"at_most_ms": at_most_ms})})


def rolled_back_by_watch() -> Promise:
    """The watch saw a breach and pointed users back by itself, and they got there."""
    return Promise("rolled_back_by_watch")


def enough(n: int, cls: str = "fresh") -> Promise:
    """At least `n` requests of the class were issued; fewer prove too little."""
    return Promise("enough", {"n": n, "cls": cls})


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


def _twin(name: str, promise: Promise) -> Promise:
    # The parameters stay on one level, so that placeholders in them are resolved like all others.
    params: dict[str, Any] = {"of": promise.check, **promise.params}
    return Promise(name, params)

"""What changed between two runs beyond noise. Pure: two verdict documents in, a comparison out.

Losses are compared by Fisher's exact test, times by the Mann-Whitney test over all moves of a path; the p-values of one
comparison are held against `ALPHA` by Holm's method, so that a hundred comparisons of nothing find nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any, Final, Literal

Direction = Literal["worse", "better", "other"]
Record = Mapping[str, Any]

ALPHA: Final = 0.01
"""Share of comparisons of two equal runs that find anything, at most."""
MIN_RATIO: Final = 1.1
MIN_MS: Final = 10.0
"""A difference of medians below either is of no interest, however sure it is."""
JUDGED: Final = ("no_loss", "bounded")
"""Of scenarios that expect losses, or a refusal, fewer or more of them is neither better nor worse."""
MILESTONES: Final = ("acknowledged_ms", "slice_ms", "first_new_ms", "mixed_ms")
_RANK: Final = {"pass": 0, "inconclusive": 1, "fail": 2}


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that changed.

    Args:
        kind: "verdict", "scenario", "losses", "moves", "milestone", "lag", "duration", "skipped", "unproven",
            "harness".
        where: scenario, or path.
        what: one line: what it was and what it is.
        direction: "worse" or "better"; "other" where it is neither.
        regression: it counts for the exit code.
        p: how likely chance alone makes such a difference; None where no chance is involved.

    """

    kind: str
    where: str
    what: str
    direction: Direction
    regression: bool = False
    p: float | None = None


@dataclass(frozen=True, slots=True)
class Numbers:
    """One time in both runs.

    Args:
        where: path and move, or "all".
        name: such as "first_new_ms".
        before: the values of A, sorted.
        after: those of B.

    """

    where: str
    name: str
    before: tuple[float, ...]
    after: tuple[float, ...]

    @property
    def medians(self) -> tuple[float | None, float | None]:
        """Of both; None without a value."""
        return (median(self.before) if self.before else None, median(self.after) if self.after else None)


@dataclass(frozen=True)
class Comparison:
    """Run B against run A.

    Args:
        before: id of A.
        after: id of B.
        changes: what changed, worst first.
        numbers: every time that was compared, changed or not.

    """

    before: str
    after: str
    changes: tuple[Change, ...] = ()
    numbers: tuple[Numbers, ...] = field(default=())

    @property
    def regressed(self) -> bool:
        """Whether anything got worse that counts."""
        return any(change.regression for change in self.changes)


@dataclass(frozen=True, slots=True)
class _Test:
    """A difference that may be chance."""

    p: float
    change: Change


def compare(before: Record, after: Record) -> Comparison:
    """Compare two verdict documents of schema 1.

    Symmetric: compare(b, a) finds the same, better for worse; compare(a, a) finds nothing.
    """
    a, b = _by_id(before), _by_id(after)
    both = sorted(a.keys() & b.keys())
    certain = [*_scenarios(a, b), *_harness(before, after), *_skips(before, after, a, b)]
    for name in both:
        certain += _verdict(name, a[name], b[name])
        certain += _names(name, a[name], b[name])
    numbers = tuple(_numbers([a[name] for name in both], [b[name] for name in both]))
    tests = [test for name in both for test in _losses(name, a[name], b[name])]
    tests += _moves([a[name] for name in both], [b[name] for name in both])
    tests += [test for one in numbers for test in _times(one)]
    changes = [*certain, *(test.change for test in _sure(tests))]
    order = {"worse": 0, "other": 1, "better": 2}
    changes.sort(key=lambda one: (not one.regression, order[one.direction], one.kind, one.where, one.what))
    return Comparison(str(before["run"]), str(after["run"]), tuple(changes), numbers)


def _by_id(document: Record) -> dict[str, Record]:
    return {str(record["id"]): record for record in document["scenarios"]}


def _sure(tests: Sequence[_Test]) -> Iterator[_Test]:
    """Holm: the smallest p against ALPHA / number of tests, the next against one test less, until one fails."""
    for passed, test in enumerate(sorted(tests, key=lambda one: one.p)):
        if test.p > ALPHA / (len(tests) - passed):
            return
        yield test


def _scenarios(a: Mapping[str, Record], b: Mapping[str, Record]) -> Iterator[Change]:
    """A good scenario that isn't judged any more is evidence lost; a bad one that is new is bad news."""
    gone: Mapping[str, Direction] = {"pass": "worse", "fail": "better"}
    new: Mapping[str, Direction] = {"pass": "better", "fail": "worse"}
    for name in sorted(a.keys() ^ b.keys()):
        verdict = str((a.get(name) or b[name])["verdict"])
        direction = (gone if name in a else new).get(verdict, "other")
        what = f"no longer judged (was {verdict})" if name in a else f"newly judged ({verdict})"
        yield Change("scenario", name, what, direction, regression=direction == "worse")


def _harness(before: Record, after: Record) -> Iterator[Change]:
    a, b = set(before.get("harness_errors") or ()), set(after.get("harness_errors") or ())
    for error in sorted(b - a):
        yield Change("harness", "", f"broke: {error}", "worse", regression=True)
    for error in sorted(a - b):
        yield Change("harness", "", f"no longer breaks: {error}", "better")


def _skips(before: Record, after: Record, a: Mapping[str, Record], b: Mapping[str, Record]) -> Iterator[Change]:
    """Scenarios skipped in one run; that they aren't judged any more is told by `_scenarios` already."""
    skipped = [{str(one["id"]): str(one["reason"]) for one in document.get("skipped") or ()}
               for document in (before, after)]  # fmt: skip
    for name in sorted(skipped[1].keys() - skipped[0].keys() - a.keys()):
        yield Change("skipped", name, f"newly skipped: {skipped[1][name]}", "other")
    for name in sorted(skipped[0].keys() - skipped[1].keys() - b.keys()):
        yield Change("skipped", name, f"no longer skipped: {skipped[0][name]}", "other")


def _verdict(name: str, a: Record, b: Record) -> Iterator[Change]:
    was, now = str(a["verdict"]), str(b["verdict"])
    if was != now:
        worse = _RANK[now] > _RANK[was]
        yield Change("verdict", name, f"{was} -> {now}", "worse" if worse else "better", regression=worse)


def _names(name: str, a: Record, b: Record) -> Iterator[Change]:
    """What one of the runs left out within a scenario, or couldn't prove."""
    for key in ("skipped", "unproven"):
        was, now = set(a.get(key) or ()), set(b.get(key) or ())
        kept = {one.partition(":")[0] for one in was} & {one.partition(":")[0] for one in now}
        for one in sorted(now - was):
            if one.partition(":")[0] not in kept:
                yield Change(key, name, f"newly {key}: {one}", "worse", regression=True)
        for one in sorted(was - now):
            if one.partition(":")[0] not in kept:
                yield Change(key, name, f"no longer {key}: {one}", "better")


def _losses(name: str, a: Record, b: Record) -> Iterator[_Test]:
    classes = a["samples"]["by_class"].keys() & b["samples"]["by_class"].keys()
    for one in sorted(classes):
        was, now = _counts(a["samples"]["by_class"][one]), _counts(b["samples"]["by_class"][one])
        if was[0] or now[0]:
            kind = f"{one}: {share(*was)} -> {share(*now)} lost"
            yield _fisher("losses", name, kind, was, now, judged=_judged(a, b))
    if not (a.get("sockets") and b.get("sockets")):
        return
    for one, lost, of in (("websocket", ("bad",), ("attempts",)),
                          ("websocket messages", ("lost", "unacknowledged"), ("due", "sent"))):  # fmt: skip
        was, now = ((_sum(side["sockets"], lost), _sum(side["sockets"], of)) for side in (a, b))
        if was[0] or now[0]:
            kind = f"{one}: {share(*was)} -> {share(*now)} lost"
            yield _fisher("losses", name, kind, was, now, judged=_judged(a, b))


def _sum(counts: Mapping[str, Any], names: Iterable[str]) -> int:
    return sum(int(counts[name]) for name in names)


def _counts(counts: Mapping[str, Any]) -> tuple[int, int]:
    return int(counts["failed"]) + int(counts["unknown"]), int(counts["issued"])


def _judged(a: Record, b: Record) -> bool:
    return a.get("expect") in JUDGED and b.get("expect") in JUDGED


def _by_path(a: Sequence[Record], b: Sequence[Record]) -> dict[str, list[tuple[Record, Record]]]:
    """The same scenario in both runs, by path; one that took another path in each says nothing of either."""
    found: dict[str, list[tuple[Record, Record]]] = {}
    for pair in sorted(zip(a, b, strict=True), key=lambda pair: str(pair[0]["path"])):
        if _judged(*pair) and pair[0]["path"] == pair[1]["path"]:
            found.setdefault(str(pair[0]["path"]), []).append(pair)
    return found


def _moves(a: Sequence[Record], b: Sequence[Record]) -> Iterator[_Test]:
    """Moves that lost something: what happens inside one isn't independent, so that the move is the unit."""
    for path, pairs in _by_path(a, b).items():
        was, now = (_bad(pair[side] for pair in pairs) for side in (0, 1))
        if was[0] or now[0]:
            yield _fisher("moves", path, f"{share(*was)} -> {share(*now)} moves with losses", was, now, judged=True)


def _bad(records: Iterable[Record]) -> tuple[int, int]:
    moves = [move for record in records for move in record.get("moves") or ()]
    return sum(1 for move in moves if move["lost_something"]), len(moves)


def _fisher(kind: str, where: str, what: str, was: tuple[int, int], now: tuple[int, int], *, judged: bool) -> _Test:
    from scipy.stats import fisher_exact

    table = [[was[0], was[1] - was[0]], [now[0], now[1] - now[0]]]
    p = float(fisher_exact(table).pvalue) if was[1] and now[1] else 1.0
    more = now[0] * was[1] > was[0] * now[1]
    direction: Direction = ("worse" if more else "better") if judged else "other"
    return _Test(p, Change(kind, where, what, direction, regression=judged and more, p=p))


def share(lost: int, total: int) -> str:
    """Lost of total, with the two-sided 95 % interval of Clopper and Pearson in percent."""
    low, high = interval(lost, total)
    return f"{lost} of {total} ({100 * low:.2g} to {100 * high:.2g} %)"


def interval(lost: int, total: int, confidence: float = 0.95) -> tuple[float, float]:
    """The two-sided interval of a rate by Clopper and Pearson (Biometrika 26, 1934); (0, 1) without evidence."""
    from scipy.special import betaincinv

    tail = (1 - confidence) / 2
    low = float(betaincinv(lost, total - lost + 1, tail)) if lost else 0.0
    high = float(betaincinv(lost + 1, total - lost, 1 - tail)) if lost < total else 1.0
    return low, high


def _numbers(a: Sequence[Record], b: Sequence[Record]) -> Iterator[Numbers]:
    """Times by path and move over all scenarios that are in both runs; lag and durations over all."""
    for path, mine in _by_path(a, b).items():
        for move in ("cutover", "rollback"):
            for name in MILESTONES:
                before, after = (
                    tuple(sorted(value for pair in mine for value in values(pair[side], move, name))) for side in (0, 1)
                )
                if before or after:
                    yield Numbers(f"{path} {move}", name, before, after)
    for name in ("lag_p99_ms", "seconds"):
        before, after = (
            tuple(sorted(float(record[name]) for record in side if record.get(name) is not None)) for side in (a, b)
        )
        if before or after:
            yield Numbers("all", name, before, after)


def values(record: Record, move: str, name: str) -> list[float]:
    """One milestone of all such moves of a scenario; of a record without single moves, their latest."""
    told = [one for one in record.get("moves") or () if one["move"] == move]
    told = told or [one for one in (record.get(move),) if one]
    return [float(one[name]) for one in told if one.get(name) is not None]


def _times(one: Numbers) -> Iterator[_Test]:
    was, now = one.medians
    if was is None or now is None or one.before == one.after:
        return
    from scipy.stats import mannwhitneyu

    p = float(mannwhitneyu(one.before, one.after, alternative="two-sided", method="auto").pvalue)
    low, high = sorted((was, now))
    scale = 1000.0 if one.name == "seconds" else 1.0
    # Chance must be asked about all that was looked at, so that what is too small to matter counts as a test, too.
    matters = (high - low) * scale >= MIN_MS and high >= MIN_RATIO * low
    kind = {"lag_p99_ms": "lag", "seconds": "duration"}.get(one.name, "milestone")
    what = f"{one.name} {spread(one.before)} -> {spread(one.after)}"
    direction: Direction = "worse" if now > was else "better"
    # The lag is the instrument's and the duration the machine's: neither says that the release got worse.
    counts = kind == "milestone" and direction == "worse"
    yield _Test(p if matters else 1.0, Change(kind, one.where, what, direction, counts, p))


def spread(numbers: Sequence[float]) -> str:
    """Median, range and how many."""
    if not numbers:
        return "none"
    return f"{median(numbers):.4g} [{min(numbers):.4g}..{max(numbers):.4g}, n={len(numbers)}]"

"""From the numbers to what people read: limits and whether they are met, the printed table, docs/instrument.md."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks import modes
from benchmarks.ours import NAME
from benchmarks.tools import CONNECTIONS
from harness.client.misbehave import MODES

BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
RATIOS = {"locust-fasthttpuser": 3.0, "locust-httpuser": 8.0}
JUDGE = {"seconds": 3.0, "peak_mib": 300.0, "slope": 1.1}
SELF_TEST_S = 5.0
Entry = dict[str, Any]


def machine() -> str:
    """What it was measured on, in a few words."""
    gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    kernel = platform.release().split("-")[0]
    return f"{os.cpu_count()} cores, {gib:.0f} GiB, Linux {kernel}, Python {platform.python_version()}"


def limits(numbers: Entry) -> list[Entry]:
    """Every number that has a limit: what was measured, the limit, whether it is met."""
    found: list[Entry] = []

    def at_most(what: str, value: float | None, limit: float, unit: str = "", *, floor: bool = False) -> None:
        met = value is not None and (value >= limit if floor else value <= limit)
        sign = ">=" if floor else "<="
        found.append({"what": what, "measured": value, "limit": f"{sign} {limit:g} {unit}".strip(), "met": met})

    own = numbers["tools"][NAME]
    for key in ("modes", "modes_fresh"):
        rows = own[key] or {}
        right = sum(modes.exact(row) for row in rows.values())
        at_most(f"{key}: rows with reported = injected, arrivals = issued", right, max(1, len(MODES)), floor=True)
    for key in ("outages", "outages_fresh"):
        for name, cell in (own[key] or {}).items():
            if cell and "limit_ms" in cell:
                at_most(f"{key}.{name}: width of the bracket", cell["width_ms"], cell["limit_ms"], "ms")
            if cell:
                at_most(f"{key}.{name}: bracket contains the truth", int(cell["contains"]), 1, floor=True)
    for name, limit in RATIOS.items():
        mine, other = own["requests_per_cpu_second"], numbers["tools"][name]["requests_per_cpu_second"]
        ratio = round(mine / other, 2) if mine and other else None
        at_most(f"requests per CPU-second / {name}", ratio, limit, floor=True)
    for key, limit in JUDGE.items():
        at_most(f"judge: {key}", (numbers["judge"] or {}).get(key), limit)
    at_most("self-test: seconds", (numbers["self_test"] or {}).get("seconds"), SELF_TEST_S, "s")
    return found


def dishonest(own: Entry) -> list[str]:
    """Modes in which the project's own instrument didn't report exactly what was injected, or sent more or less."""
    found = []
    for key in ("modes", "modes_fresh"):
        rows = own[key] or {}
        found += [f"{key}.{mode}" for mode in MODES if mode not in rows or not modes.exact(rows[mode])]
    return found


def all_right(numbers: Entry) -> list[str]:
    """Other tools with every mode right."""
    return [
        name
        for name, entry in numbers["tools"].items()
        if name != NAME and entry["modes"] and all(_right(entry, mode) for mode in entry["modes"])
    ]


def _right(entry: Entry, mode: str) -> bool:
    return modes.right(entry["modes"].get(mode), 0 if entry.get("bounded", True) else CONNECTIONS)


def _mode_cell(entry: Entry, mode: str) -> str:
    row = (entry["modes"] or {}).get(mode)
    if row is None:
        return "-"
    mark = "" if _right(entry, mode) else "**"
    extra = row["arrivals"] - row["issued"]
    again = f", +{extra} sent" if extra > 0 and entry.get("bounded", True) else ""
    return f"{mark}{row['injected']} -> {row['reported']}{again}{mark}"


def _outage_cell(cell: Entry | None) -> str:
    return "-" if cell is None else f"{cell['low_ms']:.0f} .. {cell['high_ms']:.0f} of {cell['true_ms']:.0f}"


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def _rows(numbers: Entry) -> Iterator[tuple[str, Entry]]:
    yield from numbers["tools"].items()


def _grid(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def tables(numbers: Entry) -> list[tuple[str, str]]:
    """Title and Markdown table of each part."""
    tools = numbers["tools"]
    names = [f"{name} {entry['version'] or '(not here)'}" for name, entry in _rows(numbers)]
    fresh = {"modes": tools[NAME]["modes_fresh"]}
    mode_rows = [
        [f"`{mode}`", *(_mode_cell(entry, mode) for entry in tools.values()), _mode_cell(fresh, mode)] for mode in MODES
    ]
    own = tools[NAME]
    kinds = list(own["outages"])
    lines = [(name, entry["outages"] or {}) for name, entry in _rows(numbers)]
    lines.insert(1, (f"{NAME}, fresh connections", own["outages_fresh"]))
    outage_rows = [[name, *(_outage_cell(cells.get(kind)) for kind in kinds)] for name, cells in lines]
    base = own["requests_per_cpu_second"]
    speed_rows = [
        [
            name,
            _number(entry["p99_error"], "+.1%"),
            _number(entry["open_rate"], ",d"),
            _number(entry["requests_per_cpu_second"], ",d"),
            _number(
                base / entry["requests_per_cpu_second"] if base and entry["requests_per_cpu_second"] else None, ".2f"
            ),
        ]
        for name, entry in _rows(numbers)
    ]
    judge = numbers["judge"] or {"sizes": {}}
    judge_rows = [
        [f"{int(size):,}", f"{one['seconds']:.3g}", f"{one['peak_mib']:.0f}"] for size, one in judge["sizes"].items()
    ]
    limit_rows = [
        [row["what"], _number(row["measured"], "g"), row["limit"], "met" if row["met"] else "**not met**"]
        for row in numbers["limits"]
    ]
    p99 = "p99 under a 1 s stop, against the truth"
    return [
        ("Injected -> reported", _grid(["mode", *names, f"{NAME}, fresh"], mode_rows)),
        ("Outages: the record's bounds, of the truth, in ms", _grid(["tool", *kinds], outage_rows)),
        (
            "Time and cost",
            _grid(["tool", p99, "open model holds", "requests per CPU-second", f"{NAME} / tool"], speed_rows),
        ),
        ("The judge", _grid(["samples", "seconds", "peak MiB"], judge_rows)),
        ("Limits", _grid(["what", "measured", "limit", ""], limit_rows)),
    ]


def _notes(numbers: Entry) -> str:
    lines = []
    for name, entry in _rows(numbers):
        by_reason: dict[str, list[str]] = {}
        for cell, reason in entry["reasons"].items():
            by_reason.setdefault(" ".join(reason.split()), []).append(cell)
        lines += [f"* {name}, {', '.join(cells)}: {reason}" for reason, cells in by_reason.items()]
    return "\n".join(lines)


def _costs(numbers: Entry) -> str:
    own = numbers["tools"][NAME]
    tasks, whole = own["requests_per_cpu_second_in_locust_tasks"], own["requests_per_cpu_second_open"]
    others = {name: numbers["tools"][name]["requests_per_cpu_second"] for name in RATIOS}
    ratios = [f"{tasks / other:.1f} x {name}" for name, other in others.items() if tasks and other]
    return (
        f"{NAME} with Locust's task loop around each request: {_number(tasks, ',d')} requests per CPU-second "
        f"({', '.join(ratios)}); the whole open-model load at 2,000/s, pacer included: {_number(whole, ',d')}."
    )


def _anchors(numbers: Entry) -> str:
    found = all_right(numbers)
    if found:
        return f"New anchor: {', '.join(found)} got every mode right, too."
    wrong = {
        name: [mode for mode in entry["modes"] if not _right(entry, mode)]
        for name, entry in _rows(numbers)
        if name != NAME and entry["modes"]
    }
    least = min((len(missed) for missed in wrong.values()), default=0)
    nearest = [f"{name} (all but {', '.join(missed)})" for name, missed in wrong.items() if len(missed) == least]
    return f"No other tool got every mode right; nearest: {', '.join(nearest)}."


def markdown(numbers: Entry) -> str:
    """What stands between the markers of docs/instrument.md."""
    judge, test = numbers["judge"] or {}, numbers["self_test"] or {}
    parts = [f"Measured {numbers['date']} in one run of {numbers['seconds']} s on {numbers['machine']}."]
    for title, grid in tables(numbers):
        parts += [f"### {title}", grid]
        if title == "Injected -> reported":
            parts.append(_anchors(numbers))
        if title == "Time and cost":
            parts.append(_costs(numbers))
        if title == "The judge" and judge:
            nightly = judge["nightly"]
            parts.append(
                f"Growth: samples^{judge['slope']} over all sizes, samples^{judge['slope_last_decade']} over the last "
                f"decade. {nightly['moves']} moves in {nightly['samples']:,} samples: "
                f"{nightly['seconds']:.3g} s. Self-test: {test.get('seconds')} s, {test.get('injected')} injected, "
                f"{test.get('reported')} reported."
            )
    parts += ["### Cells without a number", _notes(numbers)]
    return "\n\n".join(parts)


def rewrite(path: Path, numbers: Entry) -> None:
    """Put the tables between the markers; the prose around them stays.

    Raises:
        ValueError: the markers aren't there.

    """
    text = path.read_text()
    if BEGIN not in text or END not in text:
        raise ValueError(f"{path} has no {BEGIN} ... {END}")
    before, _, rest = text.partition(BEGIN)
    path.write_text(f"{before}{BEGIN}\n{markdown(numbers)}\n{END}{rest.partition(END)[2]}")


def printed(numbers: Entry) -> str:
    """The same for a terminal, columns aligned."""
    parts = []
    for title, grid in tables(numbers):
        rows = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in grid.splitlines()]
        del rows[1]
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
        parts.append("\n".join([title, *(f"  {line}" for line in lines)]).replace("**", ""))
    return "\n\n".join([*parts, _costs(numbers), _anchors(numbers), _notes(numbers)])

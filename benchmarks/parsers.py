"""What each tool's own output says, as one kind of value. Pure: text in, numbers out."""

from __future__ import annotations

import csv
import io
import json
import re
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Log:
    """A tool's own record of single requests, as columns.

    Args:
        sent: ns on any one clock, when the request began.
        end: ns on the same clock, when it was over.
        ok: whether the tool calls it good.
        entry: which of several targets it went to, from 0.
        lag: ns that it was sent late against the tool's schedule; empty where there is none.
        complete: failed requests are in it, too.

    """

    sent: Ints
    end: Ints
    ok: npt.NDArray[np.bool_]
    entry: Ints
    lag: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    complete: bool = True


@dataclass(frozen=True)
class Told:
    """What a tool told about one run.

    Args:
        issued: requests that it says it made.
        reported: those of them that it calls errors, or whose status isn't 2xx.
        p99_ms: the 99th percentile of its response times; None where it tells none.
        log: its record of single requests, where it keeps one.

    """

    issued: int
    reported: int
    p99_ms: float | None = None
    log: Log | None = None


class Unreadable(Exception):
    """A tool's output isn't as expected."""


def _find(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    if found is None:
        raise Unreadable(f"no {pattern!r} in the output: {text[-300:]!r}")
    return found[1]


def _log(rows: Iterable[tuple[float, float, bool, int]], *, complete: bool = True, unit: int = 1) -> Log:
    """Rows of (sent, end, ok, entry), times in `unit` ns: whole numbers stay exact, as ns of the epoch must."""
    columns = list(zip(*rows, strict=True)) or [(), (), (), ()]
    return Log(
        sent=np.array([round(value * unit) for value in columns[0]], np.int64),
        end=np.array([round(value * unit) for value in columns[1]], np.int64),
        ok=np.array(columns[2], np.bool_),
        entry=np.array(columns[3], np.int64),
        complete=complete,
    )


def percentile_ms(log: Log) -> float | None:
    """The 99th percentile of a log's response times."""
    return float(np.percentile(log.end - log.sent, 99)) / 1e6 if len(log.sent) else None


def hey(text: str) -> Told:
    """Its summary. "Status code distribution" holds answers, "Error distribution" everything else."""
    statuses = {int(code): int(n) for code, n in re.findall(r"^\s*\[(\d{3})\]\s+(\d+) responses", text, re.MULTILINE)}
    errors = text.partition("Error distribution:")[2]
    failed = sum(int(n) for n in re.findall(r"^\s*\[(\d+)\]\s", errors, re.MULTILINE))
    if not statuses and not failed:
        raise Unreadable(f"neither answers nor errors in hey's summary: {text[-300:]!r}")
    bad = sum(n for code, n in statuses.items() if not 200 <= code < 300)
    p99 = re.search(r"99%+ in ([\d.]+) secs", text)
    return Told(sum(statuses.values()) + failed, bad + failed, float(p99[1]) * 1e3 if p99 else None)


def hey_csv(text: str) -> Told:
    """Its ``-o csv``: answers only (failed requests are left out), times in seconds with four decimals."""
    rows = list(csv.DictReader(io.StringIO(text)))
    log = _log(
        (
            (float(r["offset"]), float(r["offset"]) + float(r["response-time"]), r["status-code"].startswith("2"), 0)
            for r in rows
        ),
        complete=False,
        unit=1_000_000_000,
    )
    return Told(len(rows), int(np.count_nonzero(~log.ok)), percentile_ms(log), log)


def bombardier(text: str) -> Told:
    """Its JSON: ``others`` are requests without an answer; latencies in microseconds."""
    result = json.loads(text)["result"]
    bad = sum(int(result[key]) for key in ("req1xx", "req3xx", "req4xx", "req5xx", "others"))
    percentiles = (result.get("latency") or {}).get("percentiles") or {}
    p99 = float(percentiles["99"]) / 1e3 if "99" in percentiles else None
    return Told(int(result["req2xx"]) + bad, bad, p99)


_WRK_UNITS = {"us": 1e-3, "ms": 1.0, "s": 1e3, "m": 6e4}


def wrk(text: str) -> Told:
    """Its text: "requests" are complete answers, socket errors come on top; "timeout" counts late answers again."""
    answered = int(_find(r"(\d+) requests in ", text))
    errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", text)
    failed = sum(int(n) for n in errors.groups()[:3]) if errors else 0
    status = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    value, unit = re.search(r"99%\s+([\d.]+)(us|ms|s|m)\b", text).groups() if "99%" in text else ("", "")  # type: ignore[union-attr]
    p99 = float(value) * _WRK_UNITS[unit] if value else None
    return Told(answered + failed, failed + (int(status[1]) if status else 0), p99)


def h2load(text: str) -> Told:
    """Its text: "started" is what it sent, "failed" covers what it never started, too."""
    pattern = r"requests: (\d+) total, (\d+) started, (\d+) done, (\d+) succeeded, (\d+) failed"
    found = re.search(pattern, text)
    if found is None:
        raise Unreadable(f"no totals in h2load's output: {text[-300:]!r}")
    return Told(int(found[2]), int(found[5]))


def h2load_log(text: str) -> Log:
    """Its ``--log-file``: start in microseconds of the epoch, status (-1: failed), duration in microseconds."""
    rows = [line.split("\t") for line in text.splitlines() if line.count("\t") >= 2]
    return _log(
        ((int(start), int(start) + int(took), status.startswith("2"), 0) for start, status, took, *_ in rows),
        unit=1_000,
    )


def vegeta_csv(text: str, rate: float, targets: Sequence[str] = ()) -> Told:
    """Its ``encode -to csv``: ns of the epoch, status (0: no answer), latency in ns, ..., error, body, name, seq, ...

    Its schedule is began + seq/rate; the earliest request against it counts as punctual.
    """
    rows = sorted((row for row in csv.reader(io.StringIO(text)) if row), key=lambda row: int(row[8]))
    if not rows:
        raise Unreadable("vegeta recorded nothing")
    entries = {url: number for number, url in enumerate(targets)}
    log = _log(
        (int(r[0]), int(r[0]) + int(r[2]), r[1].startswith("2") and not r[5], entries.get(r[10], 0)) for r in rows
    )
    schedule = np.array([round(int(row[8]) * 1e9 / rate) if rate else 0 for row in rows], np.int64)
    late = log.sent - schedule
    log = Log(log.sent, log.end, log.ok, log.entry, late - late.min() if rate else np.zeros(0, np.int64))
    return Told(len(rows), int(np.count_nonzero(~log.ok)), percentile_ms(log), log)


def oha(text: str) -> Told:
    """Its JSON; what the end of its time cut off was neither answered nor lost."""
    data: dict[str, Any] = json.loads(text)
    statuses: dict[str, int] = data["statusCodeDistribution"]
    errors: dict[str, int] = data["errorDistribution"]
    failed = sum(count for what, count in errors.items() if what != "aborted due to deadline")
    bad = sum(count for code, count in statuses.items() if not code.startswith("2"))
    p99 = (data.get("latencyPercentiles") or {}).get("p99")
    return Told(sum(statuses.values()) + failed, bad + failed, None if p99 is None else float(p99) * 1e3)


def oha_database(path: Path) -> Log:
    """Its ``--db-url``: answers only, seconds from its start; with the latency correction from the due time on."""
    connection = sqlite3.connect(path)
    try:
        rows = connection.execute('SELECT start, "end", status FROM oha').fetchall()
    finally:
        connection.close()
    return _log(
        ((start, end, 200 <= status < 300, 0) for start, end, status in rows), complete=False, unit=1_000_000_000
    )


def locust(text: str) -> Told:
    """Its ``--json`` statistics: response times in ms, rounded by Locust to two digits above 100 ms."""
    start = text.find("[")
    if start < 0:
        raise Unreadable(f"no statistics in Locust's output: {text[-300:]!r}")
    entries = json.JSONDecoder().raw_decode(text[start:])[0]
    times: dict[float, int] = {}
    for entry in entries:
        for value, count in entry["response_times"].items():
            times[float(value)] = times.get(float(value), 0) + count
    total = sum(times.values())
    seen, p99 = 0, None
    for value in sorted(times):  # as Locust's own percentile: the first value that 99 % are not above
        seen += times[value]
        if seen >= 0.99 * total:
            p99 = value
            break
    issued = sum(entry["num_requests"] for entry in entries)
    return Told(issued, sum(entry["num_failures"] for entry in entries), p99)


def locust_log(text: str) -> Log:
    """Lines of benchmarks/locust_users.py's listener: ns of the epoch, ns of the end, ok, entry."""
    rows = [line.split() for line in text.splitlines() if line.count(" ") == 3]
    return _log((int(sent), int(end), ok == "1", int(entry)) for sent, end, ok, entry in rows)

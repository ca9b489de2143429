"""The verdict as a Prometheus text file, for node_exporter's textfile collector or a push gateway.

Format: https://prometheus.io/docs/instrumenting/exposition_formats/ (text, version 0.0.4).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

NAME: Final = "metrics.prom"
VERDICTS: Final = ("pass", "inconclusive", "fail")
_HELP: Final[Mapping[str, str]] = {
    "bluegreen_run_verdict": "1 for the run's verdict, 0 for the others.",
    "bluegreen_run_seconds": "How long the run took.",
    "bluegreen_run_scenarios": "Scenarios by verdict.",
    "bluegreen_run_harness_errors": "Scenarios without a verdict because the harness broke.",
    "bluegreen_scenario_verdict": "1 for the scenario's verdict, 0 for the others.",
    "bluegreen_scenario_seconds": "How long the scenario took.",
    "bluegreen_requests": "Requests on the wire by class and outcome; lost = failed + unknown.",
    "bluegreen_sockets": "WebSocket connections; bad: refused, or ended badly.",
    "bluegreen_socket_messages": "Messages over WebSockets; lost: never came, unacknowledged: sent and never answered.",
    "bluegreen_loss_rate_upper_95": "Upper bound of the loss rate, 95 %, Clopper-Pearson.",
    "bluegreen_cutovers": "Cutovers and rollbacks under load.",
    "bluegreen_milestone_seconds": "From the move's send to a milestone, the latest over all such moves.",
    "bluegreen_longest_gap_seconds": "Longest time without a good answer, by class.",
    "bluegreen_lag_p99_seconds": "The generator's lag, 99th percentile.",
    "bluegreen_error_budget_burn": "Share of the error budget that was spent (--bg-slo).",
}
_SOCKETS: Final = ("count", "attempts", "bad", "reconnects", "never_back")
_MESSAGES: Final = ("due", "received", "lost", "doubled", "disordered", "foreign", "sent", "again", "unacknowledged")

Labels = Mapping[str, str]
_Row = tuple[str, Labels, float]


def exposition(document: Mapping[str, Any]) -> str:
    """The whole file; every metric is a gauge, since a run is a moment to whoever scrapes it."""
    rows: dict[str, list[_Row]] = {}
    for row in _rows(document):
        rows.setdefault(row[0], []).append(row)
    lines: list[str] = []
    for name, text in _HELP.items():
        if name not in rows:
            continue
        lines += [f"# HELP {name} {text}", f"# TYPE {name} gauge"]
        lines += [f"{name}{_labels(labels)} {_number(value)}" for _, labels, value in rows[name]]
    return "".join(f"{line}\n" for line in lines)


def _rows(document: Mapping[str, Any]) -> Iterator[_Row]:
    run = {"run": str(document["run"])}
    records: Sequence[Mapping[str, Any]] = document["scenarios"]
    for verdict in VERDICTS:
        yield "bluegreen_run_verdict", {**run, "verdict": verdict}, float(document["verdict"] == verdict)
        count = sum(1 for record in records if record["verdict"] == verdict)
        yield "bluegreen_run_scenarios", {**run, "verdict": verdict}, float(count)
    yield "bluegreen_run_seconds", run, float(document["seconds"])
    yield "bluegreen_run_harness_errors", run, float(len(document["harness_errors"]))
    for record in records:
        yield from _of_scenario(record, {"scenario": str(record["id"])})


def _of_scenario(record: Mapping[str, Any], base: Labels) -> Iterator[_Row]:
    for verdict in VERDICTS:
        yield "bluegreen_scenario_verdict", {**base, "verdict": verdict}, float(record["verdict"] == verdict)
    yield "bluegreen_scenario_seconds", base, float(record["seconds"])
    for name, counts in record["samples"]["by_class"].items():
        for outcome in ("ok", "failed", "unknown"):
            yield "bluegreen_requests", {**base, "class": name, "outcome": outcome}, float(counts[outcome])
    sockets = record.get("sockets") or {}
    for metric, kinds in (("bluegreen_sockets", _SOCKETS), ("bluegreen_socket_messages", _MESSAGES)):
        for kind in kinds:
            if kind in sockets:
                yield metric, {**base, "kind": kind}, float(sockets[kind])
    yield "bluegreen_loss_rate_upper_95", base, float(record["loss_rate_upper_95"])
    yield "bluegreen_cutovers", base, float(record["cutovers"])
    for move in ("cutover", "rollback"):
        for milestone in ("acknowledged", "slice", "first_new", "mixed"):
            value = (record.get(move) or {}).get(f"{milestone}_ms")
            if value is not None:
                labels = {**base, "move": move, "milestone": milestone}
                yield "bluegreen_milestone_seconds", labels, float(value) / 1e3
    for name, gap in (record.get("gaps") or {}).items():
        yield "bluegreen_longest_gap_seconds", {**base, "class": name}, float(gap) / 1e3
    if record.get("lag_p99_ms") is not None:
        yield "bluegreen_lag_p99_seconds", base, float(record["lag_p99_ms"]) / 1e3
    slo = record.get("slo")
    if slo and slo.get("burn") is not None:
        yield "bluegreen_error_budget_burn", base, float(slo["burn"])


def _labels(labels: Labels) -> str:
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items()) + "}" if labels else ""


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(value)

"""What a person reads: why a scenario failed, and the verdict of the whole run."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.evidence import tails
from harness.evidence.losses import all_judged, lost_mask
from harness.evidence.requests import request_id
from harness.evidence.samples import ERRORS, Samples
from harness.evidence.socket_summary import lost_text, socket_text

if TYPE_CHECKING:
    from harness.evidence.timeline import Timeline

AROUND_NS = 2_000_000_000
_COLORS = {"pass": "green", "inconclusive": "yellow", "fail": "red"}
_QUIET = (
    *("arrivals.kept", "manifests.changed", "pods.entered", "pods.observed", "probes.applied", "probes.kept"),
    *("promise.declared", "selector.observed", "pod.changed", "side.described", "service.described"),
    *("ingress.described", "policy.described", "budget.described", "static.checked", "cluster.warned"),
    "proxy.told",
)


def finding_line(finding: Mapping[str, Any]) -> str:
    """One finding on one line: verdict, check, measured against limit, detail."""
    numbers = ""
    if finding["limit"] is not None and finding["measured"] is not None:
        numbers = f" measured {finding['measured']:g} {finding['unit']}, limit {finding['limit']:g}"
    return f"{finding['verdict']:<12} {finding['check']:<18}{numbers}  {finding['detail']}".rstrip()


def failure_text(record: Mapping[str, Any], timeline: Timeline, repeat: str) -> str:
    """The message of a scenario that didn't pass: findings that aren't a pass, and the events around the first loss.

    Args:
        record: the scenario's element of verdict.json.
        timeline: the scenario's.
        repeat: the command that runs it again.

    """
    lines = [f"{record['verdict'].upper()}: {record['id']}"]
    lines += [f"  {finding_line(f)}" for f in record["findings"] if f["verdict"] != "pass"]
    lines += [f"  {text}"] if (text := socket_text(timeline)) else []
    around = events_around_first_loss(timeline)
    if around:
        lines += ["  around the first lost request:", *(f"    {line}" for line in around)]
    lines += diagnosis_lines(record.get("diagnosis") or [])
    lines.append(f"  evidence: {record['evidence']}")
    if record["skipped"]:
        lines.append(f"  not covered here: {'; '.join(record['skipped'])}")
    if ident := first_lost_id(timeline):
        lines.append(f"  follow it: bluegreen trace {shlex.quote(str(record['evidence']))} {ident}")
    lines.append(f"  repeat: {repeat}")
    return "\n".join(lines)


def _lost(timeline: Timeline) -> Samples:
    """What was lost as the level counts; if that is nothing, what it lets pass."""
    counted = all_judged(timeline)
    lost: Samples = timeline.samples[counted if counted.any() else lost_mask(timeline.samples)]
    return lost


def first_lost_id(timeline: Timeline) -> str:
    """The id of the first lost request, or else of the first lost socket; "" for neither, or without the run's tag."""
    lost, tag, sockets = _lost(timeline), timeline.started.get("run_tag"), timeline.sockets
    if not tag:
        return ""
    if not len(lost):
        if sockets is None or not sockets.bad.any():
            return ""
        bad = sockets.lives[sockets.bad]
        return f"{tag}-websocket-{int(bad['socket'][bad['ended'].argmin()])}"
    return request_id(timeline, lost[int(lost["intended"].argmin())])


def diagnosis_lines(diagnosis: Sequence[Mapping[str, Any]]) -> list[str]:
    """The likeliest cause with what speaks for it, and the next best with what speaks against them."""
    if not diagnosis:
        return []
    first, *others = diagnosis
    source = f" ({first['source']})" if first["source"] else ""
    lines = [f"  likely cause: {first['id']}{source}: {first['cause']}", f"    symptom: {first['symptom']}"]
    lines += [f"    seen: {text}" for text in first["for"]]
    lines += [f"    but: {text}" for text in first["against"]]
    lines.append(f"    mend: {first['mend']}")
    for other in others:
        against = "; ".join(other["against"]) or "less speaks for it"
        lines.append(f"  less likely: {other['id']}: {against}")
    return lines


def events_around_first_loss(timeline: Timeline) -> list[str]:
    """Events within 2 s of the first lost sample, with their offset from it in ms; empty if nothing was lost."""
    lost = _lost(timeline)
    if not len(lost):
        return []
    first = int(lost["intended"].min())
    lines = [(first, f"first lost request{_who(timeline, lost[int(lost['intended'].argmin())])}")]
    for event in timeline.events:
        if abs(event.t - first) <= AROUND_NS and event.name not in _QUIET:
            fields = " ".join(f"{key}={value}" for key, value in event.fields.items())
            lines.append((event.t, f"{event.name} {fields}".strip()))
    return [f"{(t - first) / 1e6:+9.1f} ms  {text}" for t, text in sorted(lines)]


def _who(timeline: Timeline, sample: Any) -> str:
    """Which request it was, so that it can be followed, and what became of it."""
    if not timeline.started.get("run_tag"):
        return ""
    how = ERRORS[int(sample["error"])] if int(sample["error"]) < len(ERRORS) else "?"
    return f" {request_id(timeline, sample)} ({how}, through {timeline.node(int(sample['entry']))})"


def scenario_line(record: Mapping[str, Any]) -> str:
    """One scenario on one line: verdict, name, requests and losses, how fast the flip was."""
    samples = record["samples"]
    lost = samples["failed"] + samples["unknown"]
    text = f"{record['verdict']:<12} {record['id'].rsplit('/', 1)[-1]}  {lost} lost of {samples['issued']}"
    if samples["retriable"]:
        text += f" ({samples['retriable']} retriable, level {record['level']})"
    text += lost_text(record)
    slo = record.get("slo")
    if slo and slo["burn"] is not None:
        text += f", burns {slo['burn']:.2f} of its error budget ({100 * slo['target']:.6g} %)"
    first = (record.get("cutover") or {}).get("first_new_ms")
    if first is not None:
        text += f", first new answer {first:.0f} ms after the switch"
    back = (record.get("rollback") or {}).get("first_new_ms")
    if back is not None:
        text += f", back after {back:.0f} ms"
    return text


def unjudged(document: Mapping[str, Any]) -> str:
    """What stands behind "8 of 8 scenarios" where the harness broke, so that it doesn't read as all."""
    return f"; harness errors: {len(document['harness_errors'])}" if document["harness_errors"] else ""


def summary(
    reporter: Any, document: Mapping[str, Any], folder: Path, arguments: Sequence[str], notes: Sequence[str] = ()
) -> None:
    """Print the verdict of the run.

    Args:
        reporter: pytest's terminal reporter.
        document: verdict.json as data.
        folder: the run's folder.
        arguments: pytest's command line, for the command that repeats it.
        notes: what else is to be known of the run's outputs, one line each.

    """
    reporter.write_sep("=", "blue-green verdict", bold=True)
    for record in document["scenarios"]:
        reporter.write_line(scenario_line(record), **{_COLORS[record["verdict"]]: True})
        for line in tails.lines(record["tails"]) if (record.get("tails") or {}).get("ended_ms") is not None else ():
            reporter.write_line(f"    {line}")
        if record["verdict"] == "inconclusive":
            for finding in record["findings"]:
                if finding["verdict"] == "inconclusive":
                    reporter.write_line(f"    {finding_line(finding)}")
    for error in document["harness_errors"]:
        reporter.write_line(f"harness      {error}", red=True)
    good = sum(1 for record in document["scenarios"] if record["verdict"] == "pass")
    skipped = sorted({name for record in document["scenarios"] for name in record.get("skipped", [])})
    unproven = sorted({name for record in document["scenarios"] for name in record.get("unproven", [])})
    verdict = document["verdict"]
    total = len(document["scenarios"])
    reporter.write_line("")
    rest = unjudged(document)
    reporter.write_line(
        f"verdict: {verdict} ({good} of {total} scenarios{rest})", bold=True, **{_COLORS[verdict]: True}
    )
    cutovers = sum(record["cutovers"] for record in document["scenarios"])
    if cutovers:
        reporter.write_line(f"evidence: {cutovers} cutovers and rollbacks; {folder}")
    else:
        reporter.write_line(f"evidence: {folder}")
    for name in skipped:
        reporter.write_line(f"skipped: {name}")
    if unproven:
        reporter.write_line(f"unproven: {', '.join(unproven)}")
    skipped = [f"{one['id'].rsplit('/', 1)[-1]} ({one['reason']})" for one in document["skipped"]]
    reporter.write_line(f"not covered: {'; '.join([*skipped, *document['not_covered']])}")
    for note in notes:
        reporter.write_line(f"note: {note}")
    reporter.write_line(f"repeat: pytest {shlex.join(str(argument) for argument in arguments)}")

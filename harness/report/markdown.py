"""The verdict as a short Markdown table, for the summary of a CI job; what went wrong comes first."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from harness.evidence.socket_summary import lost_text
from harness.report.terminal import finding_line, unjudged

VARIABLE: Final = "GITHUB_STEP_SUMMARY"
ROWS: Final = 50
"""More rows help nobody; the rest is counted."""
LIMIT_BYTES: Final = 900_000
"""The service takes 1 MiB a step."""
_SIGNS: Final = {"pass": "✅", "inconclusive": "❔", "fail": "❌"}
_ORDER: Final = ("fail", "inconclusive", "pass")


def summary(document: Mapping[str, Any]) -> str:
    """The verdict of a run, failures first."""
    records: Sequence[Mapping[str, Any]] = sorted(document["scenarios"], key=lambda one: _ORDER.index(one["verdict"]))
    good = sum(1 for record in records if record["verdict"] == "pass")
    verdict = document["verdict"]
    lines = [
        f"## {_SIGNS[verdict]} Blue-green verdict: {verdict} ({good} of {len(records)} scenarios{unjudged(document)})",
        "",
    ]
    lines += [f"- harness error: {text(error)}" for error in document["harness_errors"]]
    if document["harness_errors"]:
        lines.append("")
    if records:
        lines += ["| | scenario | lost of issued | first new answer | longest gap |", "|---|---|---|---|---|"]
        lines += [_row(record) for record in records[:ROWS]]
        if len(records) > ROWS:
            lines.append(f"| | and {len(records) - ROWS} more in verdict.json | | | |")
        lines.append("")
    for record in records[:ROWS]:
        bad = [one for one in record["findings"] if one["verdict"] in ("fail", "inconclusive")]
        if record["verdict"] != "pass" and bad:
            lines += [f"**{text(short(record['id']))}**", ""]
            lines += [f"- {text(' '.join(finding_line(one).split()))}" for one in bad]
            lines.append("")
    lines.append(
        f"Run {document['run']}, {document['seconds']:.0f} s. Not covered: {text('; '.join(_uncovered(document)))}."
    )
    return "\n".join(lines) + "\n\n"


def _uncovered(document: Mapping[str, Any]) -> list[str]:
    return [f"{short(one['id'])} ({one['reason']})" for one in document["skipped"]] + list(document["not_covered"])


def _row(record: Mapping[str, Any]) -> str:
    samples = record["samples"]
    first = (record.get("cutover") or {}).get("first_new_ms")
    gap = (record.get("gaps") or {}).get("all")
    cells = [
        f"{_SIGNS[record['verdict']]} {record['verdict']}",
        text(short(record["id"])),
        f"{samples['failed'] + samples['unknown']:,} of {samples['issued']:,}{lost_text(record)}",
        "" if first is None else f"{first:.0f} ms",
        "" if gap is None else f"{gap:.0f} ms",
    ]
    return f"| {' | '.join(cells)} |"


def short(node_id: str) -> str:
    """A scenario's id without its folders."""
    return node_id.rsplit("/", 1)[-1]


def text(raw: str) -> str:
    """``raw`` so that Markdown shows just that, on one line, in a table too."""
    return re.sub(r"([\\`*_{}\[\]<>#|~&])", r"\\\1", " ".join(raw.split()))


def append(path: Path, document: Mapping[str, Any]) -> None:
    """Append the summary to a file.

    Raises:
        OSError: it can't be written.

    """
    with path.open("a", encoding="utf-8") as file:
        file.write(summary(document).encode()[:LIMIT_BYTES].decode(errors="ignore"))

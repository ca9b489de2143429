"""Writes report.html from what is on disk: verdict.json, the scenarios' records, and results beside them."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from harness.errors import LoadError
from harness.evidence.store import read
from harness.evidence.timeline import Timeline
from harness.files import write_atomically
from harness.report.artifacts import link_latest
from harness.report.html.markup import Html
from harness.report.html.page import page, scenario_section

NAME = "report.html"


def write_report(
    folder: Path, document: Mapping[str, Any], *, name: str = NAME, latest: bool = False, note: str = ""
) -> Path | None:
    """Build the page of one run; whatever goes wrong is one line on stderr and never changes a verdict.

    Args:
        folder: the run's.
        document: verdict.json as data.
        name: of the file in `folder`.
        latest: also point artifacts/latest/<name> at it.
        note: shown above the verdict.

    Returns:
        the file, or None where it couldn't be built.

    """
    try:
        path = folder / name
        write_atomically(path, build(folder, document, note=note))
        if latest:
            link_latest(folder.parent, path)
    except Exception as error:  # the verdict is written already, and stands
        text = " ".join(str(error).split())
        sys.stderr.write(f"bluegreen: {name} could not be written ({type(error).__name__}: {text})\n")
        return None
    return path


def build(folder: Path, document: Mapping[str, Any], *, note: str = "") -> str:
    """The page; one timeline is in memory at a time.

    Raises:
        OSError: a record that is there can't be read.

    """
    root = folder.parent
    return page(
        document,
        _sections(folder, document),
        mutants_json=_beside(root, "mutants.json"),
        switches_json=_beside(root, "switches.json"),
        note=note,
    )


def _sections(folder: Path, document: Mapping[str, Any]) -> Iterator[Html]:
    for number, record in enumerate(document.get("scenarios") or (), 1):
        yield scenario_section(document, number, _timeline(folder, record))


def _timeline(folder: Path, record: Mapping[str, Any]) -> Timeline | None:
    """The scenario's record: where it was written, or in the run's folder if that was moved since."""
    evidence = Path(str(record.get("evidence") or ""))
    if not evidence.name:
        return None
    for place in (folder / evidence.name, evidence):
        try:
            return read(place)
        except LoadError:
            continue
    return None


def _beside(root: Path, name: str) -> Mapping[str, Any] | None:
    """A result that artifacts/latest/ links, with the run that wrote it; None where none can be read."""
    path = root / "latest" / name
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return {"run": path.resolve().parent.name, **found} if isinstance(found, dict) else None

"""The commands about stored runs: compare two of them, follow one request."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from harness.errors import EXIT_FAIL, EXIT_PASS, ConfigurationError
from harness.report.artifacts import SCHEMA

FORMATS = ("text", "json", "markdown")


def add(commands: Any) -> list[argparse.ArgumentParser]:
    """Add both commands to the subparsers."""
    compare = commands.add_parser(
        "compare", help="what changed between two runs beyond noise; exit code 1 for a regression", allow_abbrev=False
    )
    compare.add_argument("before", metavar="A", type=Path, help="the good run: its id, folder, or verdict.json")
    compare.add_argument("after", metavar="B", type=Path, help="the run in question, likewise")
    compare.add_argument(
        "--artifacts", type=Path, default=Path("artifacts"), metavar="FOLDER", help="where the ids are"
    )
    compare.add_argument("--format", choices=FORMATS, default="text", help="of the output (default text)")
    trace = commands.add_parser("trace", help="follow one request through a stored run", allow_abbrev=False)
    trace.add_argument("run", type=Path, help="a run's or a scenario's folder below artifacts/")
    trace.add_argument("request", metavar="REQUEST_ID", help="as a failure's text or a pod's log tells it")
    return [compare, trace]


def run(chosen: argparse.Namespace) -> int:
    """Run one of them and return its exit code.

    Raises:
        ConfigurationError: what was given is no run.

    """
    return _compare(chosen) if chosen.command == "compare" else _trace(chosen)


def _compare(chosen: argparse.Namespace) -> int:
    from harness.report.compare import compare
    from harness.report.compare_text import FORMATS as WRITERS

    try:
        found = compare(*(document(_folder(chosen.artifacts, run)) for run in (chosen.before, chosen.after)))
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ConfigurationError(f"one of the two is no whole verdict: {error!r}", "give what a run wrote") from error
    print(WRITERS[chosen.format](found))
    return EXIT_FAIL if found.regressed else EXIT_PASS


def _folder(root: Path, run: Path) -> Path:
    """What was given, if it is there or reads as a path; else the run of that id, as `show` finds it."""
    from harness.report.show import named

    return run if run.exists() or len(run.parts) != 1 or run.suffix else named(root, str(run))


def _trace(chosen: argparse.Namespace) -> int:
    from harness.trace import trace

    print("\n".join(trace(chosen.run, chosen.request)))
    return EXIT_PASS


def document(path: Path) -> dict[str, Any]:
    """A run's verdict.json.

    Args:
        path: of the file, or of its folder.

    Raises:
        ConfigurationError: there is none, or it is of another schema.

    """
    file = path / "verdict.json" if path.is_dir() else path
    mend = "give a run's folder, artifacts/latest, or a verdict.json"
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"{file} can't be read: {error.strerror}", mend) from error
    except ValueError as error:
        raise ConfigurationError(f"{file} is no JSON: {error}", mend) from error
    if not isinstance(found, dict) or "scenarios" not in found:
        raise ConfigurationError(f"{file} is no verdict", mend)
    if found.get("schema") != SCHEMA:
        raise ConfigurationError(
            f"{file} has schema {found.get('schema')}, this version reads {SCHEMA}",
            "compare it with the version that wrote it",
        )
    return found

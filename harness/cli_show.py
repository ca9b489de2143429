"""``bluegreen show``: opens the report of a run."""

from __future__ import annotations

import argparse
import sys
import webbrowser
from pathlib import Path
from typing import Any

from harness.errors import EXIT_PASS


def add(commands: Any) -> argparse.ArgumentParser:
    """Add the command to argparse's subcommands."""
    show: argparse.ArgumentParser = commands.add_parser(
        "show", help="open the report of a run in the browser", allow_abbrev=False
    )
    show.add_argument("run", nargs="?", default="", help="a run's id or folder below artifacts/ (default: the newest)")
    show.add_argument("--print", dest="only_print", action="store_true", help="print the report's path, open nothing")
    show.add_argument("--artifacts", type=Path, default=Path("artifacts"), metavar="FOLDER", help="where the runs are")
    return show


def run(chosen: argparse.Namespace) -> int:
    """Print the path of the report and, unless told otherwise, open it.

    Raises:
        ConfigurationError: no such run, or none at all.

    """
    from harness.report.show import find

    path = find(chosen.artifacts, chosen.run)
    print(path, flush=True)
    if not chosen.only_print and not webbrowser.open(path.as_uri()):
        print("bluegreen: no browser could be opened; the path above is the report", file=sys.stderr)
    return EXIT_PASS

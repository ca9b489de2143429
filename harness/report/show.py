"""Which report a person means by a run's name."""

from __future__ import annotations

import difflib
import json
from pathlib import Path

from harness.errors import ConfigurationError
from harness.report.files import NAME, write_report


def find(root: Path, run: str) -> Path:
    """The report of a run; built now where the run has none yet.

    Args:
        root: the folder artifacts/.
        run: "" for the newest one; a run's id or the beginning of one; or a path to a run's folder or to a page in it.

    Raises:
        ConfigurationError: no such run, or one that never came to a verdict.

    """
    if not run:
        newest = root / "latest" / NAME
        if newest.exists():
            return newest.resolve()
        if (root / "latest" / "verdict.json").exists():
            return _of((root / "latest" / "verdict.json").resolve().parent)
        if pages := sorted(
            root.glob(f"*/{NAME}")
        ):  # of runs that were interrupted, say: none is the latest finished one
            return pages[-1].resolve()
        raise ConfigurationError(f"no run has a report in {root}", "run pytest scenarios/ first, or give --artifacts")
    given = Path(run)
    if given.is_file() and given.suffix == ".html":
        return given.resolve()
    if given.is_dir():
        return _of(given.resolve())
    return _of(named(root, run).resolve())


def named(root: Path, run: str) -> Path:
    """The folder of a run, by its id or the beginning of one.

    Args:
        root: the folder artifacts/.
        run: as a person gives it.

    Raises:
        ConfigurationError: there is none, or several begin so.

    """
    runs = (
        sorted(path.name for path in root.iterdir() if path.is_dir() and path.name != "latest") if root.is_dir() else []
    )
    found = [name for name in runs if name.startswith(run)]
    if len(found) == 1 or run in found:
        return root / (run if run in found else found[0])
    if found:
        raise ConfigurationError(f"several runs begin with {run}", f"one of {', '.join(found[:8])}")
    near = difflib.get_close_matches(run, runs, 1, 0.4)
    mend = f"did you mean {near[0]}?" if near else f"there is {', '.join(runs[-3:]) or 'no run'} in {root}"
    raise ConfigurationError(f"no run is called {run}", mend)


def _of(folder: Path) -> Path:
    """The page in a run's folder, or of the run that a scenario's folder belongs to."""
    if not (folder / "verdict.json").exists() and (folder.parent / "verdict.json").exists():
        folder = folder.parent
    path = folder / NAME
    if path.exists():
        return path
    verdict = folder / "verdict.json"
    try:
        document = json.loads(verdict.read_text())
    except (OSError, ValueError) as error:
        mend = f"judge what is there with: bluegreen recheck {folder}"
        raise ConfigurationError(f"{folder} has no report, and no verdict to make one from", mend) from error
    written = write_report(folder, document)
    if written is None:
        raise ConfigurationError(f"the report of {folder.name} could not be built", "the line above says why")
    return written

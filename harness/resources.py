"""Where the data that comes with the harness lies: scenarios, loadtests, manifests, images."""

from __future__ import annotations

from pathlib import Path

from harness.errors import SetupError

NAMES = ("scenarios", "loadtests", "manifests", "images")


def root() -> Path:
    """The folder that holds the data folders.

    In an installed wheel they lie inside the package, in a checkout beside it.
    """
    package = Path(__file__).resolve().parent
    return package if (package / NAMES[0]).is_dir() else package.parent


def resource(name: str) -> Path:
    """The absolute path of one data folder.

    Args:
        name: one of ``NAMES``.

    Raises:
        ValueError: ``name`` is no data folder of the harness.
        SetupError: the installation is incomplete.

    """
    if name not in NAMES:
        raise ValueError(f"no data folder is called {name!r}; there are {', '.join(NAMES)}")
    folder = root() / name
    if not folder.is_dir():
        raise SetupError(f"the harness' folder {name}/ is missing beside {folder.parent}", "install the package again")
    return folder

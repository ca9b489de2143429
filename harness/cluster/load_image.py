"""The image of a load's workers: images/load with what sends of this very package, so that both are one version.

`python -m harness.cluster.load_image FOLDER` fills a folder to build it from, for a registry of your own.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Final

from harness.cluster.images import PYTHON, Images
from harness.resources import resource

TAG: Final = "localhost/bluegreen/load:1"
PARTS: Final = (
    "__init__.py",
    "errors.py",
    "client",
    "evidence/__init__.py",
    "evidence/samples.py",
    "evidence/socket_messages.py",
    "evidence/socket_record.py",
    "evidence/sockets.py",
)
"""Of the package: all that `harness.client` imports, and nothing that judges: a new rule builds no new image."""


def context(images: Path, made: Path) -> None:
    """Fill a folder with what the image is built from.

    Args:
        images: the distribution's folder of that name.
        made: an empty folder, or one to be made.

    """
    package = Path(__file__).parents[1]
    shutil.copytree(images / "load", made, dirs_exist_ok=True)
    for part in PARTS:
        target = made / "src" / "harness" / part
        target.parent.mkdir(parents=True, exist_ok=True)
        if (package / part).is_dir():
            shutil.copytree(package / part, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(package / part, target)
    loadtests = made / "src" / "loadtests"
    shutil.copytree(images.parent / "loadtests", loadtests, ignore=shutil.ignore_patterns("__pycache__"))


def provide(source: Images) -> str:
    """Have the image in the engine's store; returns its name."""
    with source.store.context() as folder:
        context(source.folder, folder)
        source.application(folder, {TAG: {}}, PYTHON)
    return TAG


if __name__ == "__main__":
    context(resource("images"), Path(sys.argv[1]))

"""A browser for the tests of the report: ``python -m tests.browser`` installs one where that may be done."""

from __future__ import annotations

import shutil
import sys

from harness.cluster.host import detect
from harness.cluster.packages import ensure
from harness.errors import HarnessError

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PACKAGES = {"chromium": "chromium"}


def browser() -> str | None:
    """The path of a Chromium, or None."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


def main() -> int:
    """Install Chromium if there is none; without it the tests are skipped by name, so that this never fails."""
    if browser() is not None:
        return 0
    try:
        ensure(PACKAGES, detect(), install=True, say=print)
    except HarnessError as error:
        sys.stderr.write(f"tests: no browser, so the report's tests in one are skipped: {error.what}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

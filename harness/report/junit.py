"""junit.xml beside verdict.json, by pytest's own writer, where the user didn't ask for one elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest
from _pytest.junitxml import LogXML

NAME = "junit.xml"


def record(config: pytest.Config, folder: Path) -> Path | None:
    """Let pytest write junit.xml into ``folder`` at the end of the session.

    Returns:
        its path, or None where the user's own ``--junitxml`` goes somewhere else.

    """
    if config.getoption("xmlpath", None):
        return None
    ini = config.getini
    path = folder / NAME
    writer = LogXML(
        str(path),
        config.getoption("junitprefix"),
        ini("junit_suite_name"),
        ini("junit_logging"),
        ini("junit_duration_report"),
        ini("junit_family"),
        ini("junit_log_passing_tests"),
    )
    config.pluginmanager.register(writer, "bluegreen-junit")
    writer.pytest_sessionstart()
    return path

"""junit.xml beside verdict.json, by pytest's own writer, where the user didn't ask for one elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from _pytest.junitxml import LogXML

from harness.evidence.socket_summary import lost_messages, lost_sockets

NAME = "junit.xml"
PREFIX = "bluegreen."


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


def properties(record: Mapping[str, Any]) -> dict[str, str]:
    """A scenario's properties; their names are stable, and one whose number the record lacks is left out."""
    samples = record["samples"]
    numbers: dict[str, Any] = {
        "verdict": record["verdict"],
        "issued": samples["issued"],
        "lost": samples["failed"] + samples["unknown"],
        "sockets_lost": lost_sockets(record) if record.get("sockets") else None,
        "socket_messages_lost": lost_messages(record) if record.get("sockets") else None,
        "retriable": samples["retriable"],
        "first_new_ms": (record.get("cutover") or {}).get("first_new_ms"),
        "rollback_first_new_ms": (record.get("rollback") or {}).get("first_new_ms"),
        "longest_gap_ms": (record.get("gaps") or {}).get("all"),
        "lag_p99_ms": record.get("lag_p99_ms"),
        "evidence": record.get("evidence"),
    }
    return {
        PREFIX + name: f"{value:.3f}" if isinstance(value, float) else str(value)
        for name, value in numbers.items()
        if value is not None
    }


def merged(known: Sequence[tuple[str, object]], record: Mapping[str, Any] | None) -> list[tuple[str, object]]:
    """A test's properties with the scenario's, which take the place of an earlier attempt's."""
    others = [(name, value) for name, value in known if not name.startswith(PREFIX)]
    return [*others, *(properties(record) if record else {}).items()]

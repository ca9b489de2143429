"""What goes out once all is judged: the CI job's summary, the traces. None of it can change a verdict."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.report import markdown


def publish(document: Mapping[str, Any], environment: Mapping[str, str]) -> list[str]:
    """Send a finished run wherever the environment asks for it.

    Args:
        document: verdict.json as data.
        environment: GITHUB_STEP_SUMMARY, OTEL_EXPORTER_OTLP_ENDPOINT.

    Returns:
        One line for each thing that a person should know of it.

    """
    notes: list[str] = []
    if path := environment.get(markdown.VARIABLE):
        try:
            markdown.append(Path(path), document)
        except OSError as error:
            notes.append(f"no summary in {markdown.VARIABLE}: {error.strerror or type(error).__name__}")
    if environment.get("OTEL_EXPORTER_OTLP_ENDPOINT"):
        from harness.otel import export

        notes.append(export(document))
    return notes

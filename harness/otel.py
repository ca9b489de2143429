"""Sends the spans of a finished run to an OpenTelemetry collector; the only module that imports OpenTelemetry."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from harness.errors import LoadError
from harness.evidence.store import read
from harness.report.spans import Span, spans

TIMEOUT_S: Final = 5
"""For all of one scenario's spans: a collector that hangs holds up the end of a run by no more."""
MEND: Final = (
    "OTEL_EXPORTER_OTLP_ENDPOINT is set, but OpenTelemetry isn't installed: pip install 'pytest-bluegreen[otel]'"
)


def export(document: Mapping[str, Any]) -> str:
    """Send the spans of all scenarios of a run, as the OTEL_... variables say.

    Args:
        document: verdict.json as data; its scenarios' folders are read.

    Returns:
        One line on what came of it.

    """
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.trace.export import SpanExportResult
    except ImportError:
        return MEND
    exporter = OTLPSpanExporter(timeout=TIMEOUT_S)
    loggers = [logging.getLogger(name) for name in ("opentelemetry.exporter", "opentelemetry.sdk")]
    before = [logger.level for logger in loggers]
    for logger in loggers:  # what came of it is told below, once
        logger.setLevel(logging.CRITICAL)
    sent = 0
    try:
        for record in document["scenarios"]:
            try:
                found = spans(read(Path(record["evidence"])), record)
            except LoadError as error:
                return f"no traces: {error.what}"
            if not found:
                continue
            if exporter.export(readable(found, str(document["run"]))) is not SpanExportResult.SUCCESS:
                return f"{sent} spans were sent; then the collector refused or didn't answer within {TIMEOUT_S} s"
            sent += len(found)
    finally:
        exporter.shutdown()  # type: ignore[no-untyped-call]
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
    return f"{sent} spans were sent to the OpenTelemetry collector"


def readable(found: Sequence[Span], run: str) -> Sequence[Any]:
    """The SDK's own spans of these, ended and in one trace."""
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
    from opentelemetry.trace import Status, StatusCode, set_span_in_context

    kept = InMemorySpanExporter()
    resource = Resource.create({"service.name": "pytest-bluegreen", "bluegreen.run": run})
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(kept))
    tracer = provider.get_tracer("pytest-bluegreen")
    made: list[Any] = []
    for one in found:
        context = set_span_in_context(made[one.parent]) if one.parent >= 0 else None
        span = tracer.start_span(one.name, context, attributes=dict(one.attributes), start_time=one.start_ns)
        for when, name, known in one.events:
            span.add_event(name, dict(known), when)
        if one.error:
            span.set_status(Status(StatusCode.ERROR, one.error))
        made.append(span)
    for span, one in zip(made, found, strict=True):
        span.end(one.end_ns)
    provider.shutdown()
    return kept.get_finished_spans()

"""Failures of the collector are counted, said seldom, and stay out of others' logs."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from fedchurn.serving.tracing.otel_export import QuietExporter, otlp_exporter

LIBRARY = logging.getLogger("opentelemetry.exporter.otlp.proto.http.trace_exporter")
OK, FAILED = SpanExportResult.SUCCESS, SpanExportResult.FAILURE


def spans() -> list[ReadableSpan]:
    memory = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(memory))
    for name in ("a", "b"):
        provider.get_tracer("tests").start_span(name).end()
    return list(memory.get_finished_spans())


SPANS = spans()


class Scripted(SpanExporter):
    def __init__(self, act: Callable[[], SpanExportResult]) -> None:
        self._act = act

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return self._act()


def refuse() -> SpanExportResult:
    LIBRARY.error("Failed to export spans batch code: 404, reason: Not Found")
    return FAILED


def explode() -> SpanExportResult:
    raise ConnectionError("somewhere with a secret")


def test_delivered_spans_are_counted(caplog: pytest.LogCaptureFixture) -> None:
    exporter = QuietExporter(Scripted(lambda: OK), "http://collector")
    assert exporter.export(SPANS) is OK
    assert (exporter.num_delivered_spans, exporter.num_lost_spans) == (2, 0)
    assert caplog.records == []


def test_one_line_a_minute_with_the_number_and_the_reason(
    caplog: pytest.LogCaptureFixture,
) -> None:
    now = [0.0]
    exporter = QuietExporter(Scripted(refuse), "http://collector/v1/traces", clock=lambda: now[0])
    for now[0] in (0.0, 1.0, 59.0, 60.0):
        assert exporter.export(SPANS) is FAILED
    assert exporter.num_lost_spans == 8
    assert [record.name for record in caplog.records] == ["bentoml.churn.tracing"] * 2
    first, second = (record.getMessage() for record in caplog.records)
    assert first.startswith("2 spans could not be delivered to http://collector/v1/traces")
    assert first.endswith("code: 404, reason: Not Found")
    assert second.startswith("6 spans")


def test_an_exception_is_a_failure_and_no_traceback(caplog: pytest.LogCaptureFixture) -> None:
    exporter = QuietExporter(Scripted(explode), "http://collector")
    assert exporter.export(SPANS) is FAILED
    assert caplog.records[0].getMessage().endswith(": ConnectionError")
    assert caplog.records[0].exc_info is None


def test_others_may_still_use_the_library_s_logger(caplog: pytest.LogCaptureFixture) -> None:
    QuietExporter(Scripted(refuse), "http://collector").export(SPANS)
    caplog.clear()
    LIBRARY.error("somebody else's")
    assert caplog.messages == ["somebody else's"]
    assert len([f for f in LIBRARY.filters if "overheard" in getattr(f, "__name__", "")]) == 1


def test_the_reason_does_not_show_secrets(caplog: pytest.LogCaptureFixture) -> None:
    def complain() -> SpanExportResult:
        LIBRARY.error("no connection, url: /v1/traces?token=s3cret")
        return FAILED

    QuietExporter(Scripted(complain), "http://collector", secrets=["token=s3cret"]).export(SPANS)
    assert caplog.messages[0].endswith("no connection, url: /v1/traces?***")


def test_secrets_of_the_address_are_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    # Port 9 of this machine: nobody listens.
    exporter = otlp_exporter(
        "http://user:s3cret@127.0.0.1:9/v1/traces?token=s3cret", {}, timeout_seconds=0.2
    )
    assert exporter.export(SPANS) is FAILED
    exporter.shutdown()
    assert exporter.num_lost_spans == 2
    assert "2 spans could not be delivered to http://127.0.0.1:9/v1/traces since" in caplog.text
    assert "encode" not in caplog.text
    assert "s3cret" not in caplog.text

"""Spans on their way to a collector; when it is away they are lost, and counted."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from urllib.parse import urlsplit

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from fedchurn.serving.rare_message import Clock, RareMessage

logger = logging.getLogger("bentoml.churn.tracing")

# The exporter writes several lines per failed batch; its logger is shared with others.
_library = logging.getLogger("opentelemetry.exporter.otlp.proto.http.trace_exporter")
_exporting = threading.local()


class QuietExporter(SpanExporter):
    """Hands batches to ``inner``; one warning a minute, however many fail.

    Args:
        inner: does the work.
        place: what the warning calls the collector.
        secrets: texts that the warning must not show.
        interval_seconds: time between warnings.
        clock: of these intervals.

    Attributes:
        num_delivered_spans: taken by the collector.
        num_lost_spans: refused by it, or it was away.
    """

    def __init__(
        self,
        inner: SpanExporter,
        place: str,
        *,
        secrets: Sequence[str] = (),
        interval_seconds: float = 60.0,
        clock: Clock = time.monotonic,
    ) -> None:
        self._inner = inner
        self._place = place
        self._secrets = secrets
        self._lost = RareMessage(interval_seconds=interval_seconds, clock=clock)
        self.num_delivered_spans = 0
        self.num_lost_spans = 0
        if _overheard not in _library.filters:
            _library.addFilter(_overheard)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Deliver a batch; called by one thread of the processor at a time."""
        _exporting.complaint = ""
        try:
            result = self._inner.export(spans)
        except Exception as error:  # the processor would write a traceback per batch
            result, _exporting.complaint = SpanExportResult.FAILURE, type(error).__name__
        complaint = _exporting.complaint
        del _exporting.complaint
        if result is SpanExportResult.SUCCESS:
            self.num_delivered_spans += len(spans)
        else:
            self._count_lost(len(spans), complaint)
        return result

    def shutdown(self) -> None:
        """No more batches."""
        self._inner.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:  # noqa: ARG002
        """Nothing waits here."""
        return True

    def _count_lost(self, number: int, complaint: str) -> None:
        self.num_lost_spans += number
        unsaid = self._lost.add(number)
        if unsaid:
            for secret in self._secrets:
                complaint = complaint.replace(secret, "***")
            logger.warning(
                "%d spans could not be delivered to %s since the last such message; predictions "
                "are not affected: %s",
                unsaid,
                self._place,
                complaint or "no reason given",
            )


def otlp_exporter(
    endpoint: str, headers: dict[str, str], *, timeout_seconds: float
) -> QuietExporter:
    """An exporter to an OTLP/HTTP ``endpoint`` (the whole address, ``.../v1/traces``)."""
    inner = OTLPSpanExporter(endpoint=endpoint, headers=headers, timeout=timeout_seconds)
    address = urlsplit(endpoint)
    user, _, host = address.netloc.rpartition("@")
    secrets = [text for text in (user, address.query) if text]
    return QuietExporter(inner, f"{address.scheme}://{host}{address.path}", secrets=secrets)


def _overheard(record: logging.LogRecord) -> bool:
    """Keeps what the library says during our exports as the reason; others' lines pass."""
    if not hasattr(_exporting, "complaint"):
        return True
    _exporting.complaint = record.getMessage()
    return False

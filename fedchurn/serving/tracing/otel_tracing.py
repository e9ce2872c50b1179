"""Traces of requests by OpenTelemetry, to any OTLP collector or an MLflow server.

The provider is our own: the global one, which BentoML fills, is neither used nor changed. Spans
wait in a bounded queue for a thread that delivers them; a request never waits for it.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import Span as OtelSpan
from opentelemetry.trace import SpanKind, Status, StatusCode, Tracer, set_span_in_context

from fedchurn.serving.fallback.switch_log import place
from fedchurn.serving.rare_message import RareMessage
from fedchurn.serving.serving_settings import ServingSettings
from fedchurn.serving.tracing.otel_export import otlp_exporter
from fedchurn.serving.tracing.tracing import NO_SPAN, ROOT, Attributes, Span

logger = logging.getLogger("bentoml.churn.tracing")

EXPORT_TIMEOUT_SECONDS = 2.0
MAX_OWED = 1000


class OtelTracing:
    """Traces a share of requests.

    Args:
        exporter: where spans go; used by one thread.
        service_name: name of the service in the traces.
        fraction: share of requests that are traced (0-1).
        interval_seconds: how often spans are delivered.
        max_queued_spans: what waits at most; older spans make room for newer ones.
        draw: uniform random numbers (0-1).
    """

    def __init__(
        self,
        exporter: SpanExporter,
        *,
        service_name: str = "churn",
        fraction: float = 1.0,
        interval_seconds: float = 1.0,
        max_queued_spans: int = 4096,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._fraction = fraction
        self._draw = draw
        self._owed = 0
        self._owing = threading.Lock()
        self._harmless = Harmless()
        self._provider = TracerProvider(
            sampler=ALWAYS_ON,
            resource=Resource.create({"service.name": service_name}),
            shutdown_on_exit=False,
        )
        processor = BatchSpanProcessor(
            exporter,
            max_queue_size=max_queued_spans,
            schedule_delay_millis=interval_seconds * 1000,
            max_export_batch_size=min(512, max_queued_spans),
        )
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("fedchurn.serving")

    def request(self) -> Span:
        """The root span of a request; by chance one that does nothing."""
        if self._pay() or self._draw() < self._fraction:
            return _Span(self._tracer, ROOT, Context(), self._harmless)
        return NO_SPAN

    def due(self) -> bool:
        """Whether the next request must be traced; if so, the next ``request()`` will be.

        The fast lane asks for every request that it could answer. So each request is drawn for
        once, and the share is right whichever way requests take.
        """
        if self._draw() >= self._fraction:
            return False
        with self._owing:
            self._owed = min(self._owed + 1, MAX_OWED)
        return True

    def close(self, timeout_seconds: float = 2.0) -> None:
        """Deliver what waits, but do not hold the process for a collector that does not answer."""
        closing = threading.Thread(
            target=self._provider.shutdown, name="close tracing", daemon=True
        )
        closing.start()
        closing.join(timeout_seconds)

    def _pay(self) -> bool:
        if not self._owed:
            return False
        with self._owing:
            paid = self._owed > 0
            self._owed -= paid
            return paid


class _Span:
    """A span; whatever goes wrong with it, the request goes on."""

    __slots__ = ("_context", "_harmless", "_name", "_span", "_started", "_tracer")

    def __init__(
        self, tracer: Tracer, name: str, context: Context | None, harmless: Harmless
    ) -> None:
        self._tracer = tracer
        self._name = name
        self._context = context
        self._harmless = harmless
        self._span: OtelSpan | None = None
        self._started = 0.0

    def __enter__(self) -> _Span:
        kind = SpanKind.SERVER if self._name == ROOT else SpanKind.INTERNAL
        with self._harmless:
            self._started = time.perf_counter()
            self._span = self._tracer.start_span(self._name, context=self._context, kind=kind)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._harmless:
            if self._span is None:
                return
            if kind is not None:
                self._span.set_status(Status(StatusCode.ERROR, kind.__name__))
            latency_seconds = time.perf_counter() - self._started
            self._span.set_attribute("latency_ms", 1000 * latency_seconds)
            self._span.end()

    def span(self, name: str) -> Span:
        if self._span is None:
            return NO_SPAN
        # An explicit context: the current one belongs to the server's own instrumentation.
        context = set_span_in_context(self._span, Context())
        return _Span(self._tracer, name, context, self._harmless)

    def note(self, describe: Callable[..., Attributes], *args: Any) -> None:
        with self._harmless:
            if self._span is not None:
                self._span.set_attributes(dict(describe(*args)))


class Harmless:
    """Swallows errors of tracing, which must not cost an answer; says so once a minute."""

    def __init__(self) -> None:
        self._message = RareMessage()

    def __enter__(self) -> None:
        return None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        if not isinstance(error, Exception):
            return False
        unsaid = self._message.add()
        if unsaid:
            logger.warning("tracing failed %d times, requests went on: %s", unsaid, place(error))
        return True


def otlp_tracing(settings: ServingSettings) -> OtelTracing:
    """Tracing to ``settings.trace_endpoint``."""
    headers = dict(header.split("=", 1) for header in settings.trace_headers)
    exporter = otlp_exporter(
        settings.trace_endpoint, headers, timeout_seconds=EXPORT_TIMEOUT_SECONDS
    )
    return OtelTracing(
        exporter, service_name=f"churn-{settings.contract}", fraction=settings.trace_fraction
    )

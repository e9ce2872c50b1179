"""HTTP requests as metrics, counted in bulk; and the server's own series for those it never saw.

``HttpSeries`` is told of every request, whoever answered it. A request that the fast lane answered
has not passed BentoML's middleware, so its series (``bentoml_service_request_*``) are fed here.

    http_requests_total                  counter    endpoint, handler, method, status
    http_request_duration_seconds        histogram  endpoint, handler, method
    http_request_duration_highr_seconds  histogram  finer buckets, no labels
    http_request_size_bytes              summary    endpoint, handler
    http_response_size_bytes             summary    endpoint, handler
    http_requests_in_progress            gauge      requests that wait for their answer now

``handler`` equals ``endpoint``: dashboards exist for either name. Neither is ever a path as sent:
what is no known route is ``other``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Summary

from fedchurn.serving.prometheus_buckets import HIGHR_SECONDS, LATENCY_SECONDS
from fedchurn.serving.prometheus_bulk import add_to_summary, observe_many

OTHER = "other"
UNCOUNTED = frozenset({"/metrics"})
_METHODS = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})
_FIRST_STATUSES = (
    200,
    422,
    500,
)  # shown as 0 before they happen, so that increase() sees the first
_MAX_PENDING = 200_000


@dataclass(frozen=True)
class ServerSeries:
    """Metrics of BentoML's middleware, found by the caller, and the labels that it sets.

    Attributes:
        request_total: labels endpoint, http_response_code and those of ``labels``.
        request_duration: the same.
        last_request_timestamp: those of ``labels`` only; Unix seconds.
        labels: service_name, service_version, runner_name.
    """

    request_total: Counter
    request_duration: Histogram
    last_request_timestamp: Gauge
    labels: Mapping[str, str]

    def add(self, endpoint: str, status: int, seconds: Sequence[float]) -> None:
        """Count answers of one endpoint with one status."""
        named = {**self.labels, "endpoint": endpoint, "http_response_code": str(status)}
        self.request_total.labels(**named).inc(len(seconds))
        observe_many([self.request_duration.labels(**named)], np.asarray(seconds))
        self.last_request_timestamp.labels(**self.labels).set_to_current_time()


class _Request(NamedTuple):
    endpoint: str
    method: str
    status: int
    quick: bool
    seconds: float
    request_bytes: int
    response_bytes: int


class HttpSeries:
    """Counts requests; ``observe`` only appends to a list, ``flush`` does the rest.

    Args:
        routes: pairs (method, path) that the service knows.
        registry: where the metrics are registered.
        server: see ``ServerSeries``; may also be set later.

    Attributes:
        num_in_progress: requests that wait for an answer; whoever lets one wait adds 1 before and
            subtracts 1 after. Those that the fast lane answers at once need not.
    """

    def __init__(
        self,
        routes: Iterable[tuple[str, str]],
        registry: CollectorRegistry,
        server: ServerSeries | None = None,
    ) -> None:
        self.server = server
        self.num_in_progress = 0
        self._pending: list[_Request] = []
        known = [(method, path) for method, path in routes if path not in UNCOUNTED]
        self._endpoints = frozenset(path for _, path in known)
        self._make(registry)
        for method, path in known:
            self._show(method, path)

    def observe(
        self,
        endpoint: str,
        status: int,
        seconds: float,
        *,
        method: str = "POST",
        request_bytes: int = 0,
        response_bytes: int = 0,
        quick: bool = True,
    ) -> None:
        """Take note of one answered request; some tenths of a microsecond, from any thread.

        Args:
            endpoint: path of the route; any other text counts as ``other``.
            status: HTTP status of the answer.
            seconds: from the request to the end of the answer.
            method: HTTP method.
            request_bytes: length of the body.
            response_bytes: length of the answer's body.
            quick: answered without BentoML's middleware, whose series are then fed as well.
        """
        if len(self._pending) < _MAX_PENDING:
            self._pending.append(
                _Request(endpoint, method, status, quick, seconds, request_bytes, response_bytes)
            )

    def flush(self) -> None:
        """Bring the metrics up to date; called by one thread at a time."""
        pending = self._pending
        taken = pending[:]
        del pending[: len(taken)]
        groups: dict[tuple[str, str, int, bool], list[_Request]] = defaultdict(list)
        for request in taken:
            path = request.endpoint if request.endpoint in self._endpoints else OTHER
            if request.endpoint not in UNCOUNTED:
                groups[(path, *request[1:4])].append(request)
        for key, requests in groups.items():
            self._add(*key, requests)
        self._in_progress.set(self.num_in_progress)

    def take(self, records: Sequence[object]) -> None:  # noqa: ARG002  (a sink is given them)
        """As a sink of the recorder: flush, whatever the records."""
        self.flush()

    def close(self) -> None:
        """Nothing comes after this."""
        self.flush()

    def _add(
        self, path: str, method: str, status: int, quick: bool, requests: list[_Request]
    ) -> None:
        verb = method if method in _METHODS else OTHER
        seconds = [request.seconds for request in requests]
        self._total.labels(path, path, verb, status).inc(len(requests))
        observe_many([self._duration.labels(path, path, verb)], np.asarray(seconds))
        observe_many([self._highr], np.asarray(seconds))
        received = sum(request.request_bytes for request in requests)
        sent = sum(request.response_bytes for request in requests)
        add_to_summary(self._request_size.labels(path, path), len(requests), received)
        add_to_summary(self._response_size.labels(path, path), len(requests), sent)
        if quick and self.server is not None:
            self.server.add(path, status, seconds)

    def _make(self, registry: CollectorRegistry) -> None:
        place = ["endpoint", "handler"]
        self._total = Counter(
            "http_requests_total", "HTTP requests", [*place, "method", "status"], registry=registry
        )
        self._duration = Histogram(
            "http_request_duration_seconds",
            "From the request to the end of its answer",
            [*place, "method"],
            buckets=LATENCY_SECONDS,
            registry=registry,
        )
        self._highr = Histogram(
            "http_request_duration_highr_seconds",
            "The same for all endpoints together, in finer buckets",
            buckets=HIGHR_SECONDS,
            registry=registry,
        )
        self._request_size = Summary(
            "http_request_size_bytes", "Lengths of request bodies", place, registry=registry
        )
        self._response_size = Summary(
            "http_response_size_bytes", "Lengths of answers' bodies", place, registry=registry
        )
        self._in_progress = Gauge(
            "http_requests_in_progress",
            "Requests that wait for their answer",
            registry=registry,
            multiprocess_mode="livesum",
        )

    def _show(self, method: str, path: str) -> None:
        for status in _FIRST_STATUSES:
            self._total.labels(path, path, method, status)
        self._duration.labels(path, path, method)
        self._request_size.labels(path, path)
        self._response_size.labels(path, path)

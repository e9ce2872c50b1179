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

import threading
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from prometheus_client import Counter, Gauge, Histogram

from fedchurn.serving.metrics.prometheus_buckets import HIGHR_SECONDS, LATENCY_SECONDS
from fedchurn.serving.metrics.prometheus_bulk import add_to_summary, observe_many
from fedchurn.serving.metrics.prometheus_families import Families, show_all

OTHER = "other"
UNCOUNTED = frozenset({"/metrics"})
PREDICTING = "/predict"  # what the paths of all routes that predict begin with
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


# endpoint, method, status, quick, seconds, request bytes, response bytes; a plain tuple is cheapest
_Request = tuple[str, str, int, bool, float, int, int]


class HttpSeries:
    """Counts requests; ``observe`` only appends to a list, ``flush`` does the rest.

    Args:
        routes: pairs (method, path) that the service knows.
        families: where the metrics are made.
        server: see ``ServerSeries``; may also be set later.
        error_counters: increased by requests for predictions that ended with 500 or above.

    Attributes:
        num_in_progress: requests that wait for an answer; whoever lets one wait adds 1 before and
            subtracts 1 after. Those that the fast lane answers at once need not.
    """

    def __init__(
        self,
        routes: Iterable[tuple[str, str]],
        families: Families,
        server: ServerSeries | None = None,
        *,
        error_counters: Sequence[Counter] = (),
    ) -> None:
        self.server = server
        self.num_in_progress = 0
        self._pending: list[_Request] = []
        known = [(method, path) for method, path in routes if path not in UNCOUNTED]
        self._endpoints = frozenset(path for _, path in known)
        self._errors = tuple(error_counters)
        self._flushing = threading.Lock()
        self._make(families)
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
                (endpoint, method, status, quick, seconds, request_bytes, response_bytes)
            )

    def flush(self) -> None:
        """Bring the metrics up to date."""
        with self._flushing:
            pending = self._pending
            taken = pending[:]
            del pending[: len(taken)]
            groups: dict[tuple[str, str, int, bool], list[_Request]] = defaultdict(list)
            for request in taken:
                endpoint, method, status, quick, *_ = request
                path = endpoint if endpoint in self._endpoints else OTHER
                if endpoint not in UNCOUNTED:
                    groups[(path, method, status, quick)].append(request)
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
        *_, seconds, received, sent = zip(*requests, strict=True)
        self._total.labels(path, path, verb, status).inc(len(requests))
        observe_many([self._duration.labels(path, path, verb)], np.asarray(seconds))
        observe_many([self._highr], np.asarray(seconds))
        add_to_summary(self._request_size.labels(path, path), len(requests), sum(received))
        add_to_summary(self._response_size.labels(path, path), len(requests), sum(sent))
        if status >= 500 and path.startswith(PREDICTING):
            for counter in self._errors:
                counter.inc(len(requests))
        if quick and self.server is not None:
            self.server.add(path, status, seconds)

    def _make(self, families: Families) -> None:
        place = ("endpoint", "handler")
        self._total = families.counter(
            "http_requests_total", "Answered HTTP requests", *place, "method", "status"
        )
        self._duration = families.histogram(
            "http_request_duration_seconds",
            "From the request to the end of its answer",
            LATENCY_SECONDS,
            *place,
            "method",
        )
        self._highr = families.histogram(
            "http_request_duration_highr_seconds",
            "The same for all endpoints together, in finer buckets",
            HIGHR_SECONDS,
        )
        self._request_size = families.summary(
            "http_request_size_bytes", "Lengths of request bodies", *place
        )
        self._response_size = families.summary(
            "http_response_size_bytes", "Lengths of bodies of answers", *place
        )
        self._in_progress = families.gauge(
            "http_requests_in_progress", "Requests that wait for an answer", together="livesum"
        )

    def _show(self, method: str, path: str) -> None:
        statuses = [str(status) for status in _FIRST_STATUSES]
        show_all(self._total, ((path, path, method, status) for status in statuses))
        if path.startswith(PREDICTING):  # the others' buckets would be half of every scrape
            self._duration.labels(path, path, method)
        self._request_size.labels(path, path)
        self._response_size.labels(path, path)

"""HTTP series: what is counted, under which labels, and what the server's own series get."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from fedchurn.serving.metrics.prometheus_families import Families
from fedchurn.serving.metrics.prometheus_http import HttpSeries, ServerSeries

ROUTES = (("POST", "/predict"), ("GET", "/health"), ("GET", "/metrics"))
SERVED_BY = {"service_name": "churn", "service_version": "1", "runner_name": "churn"}


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


def _series_names(registry: CollectorRegistry, label: str) -> set[str]:
    samples = [sample for family in registry.collect() for sample in family.samples]
    return {sample.labels[label] for sample in samples if label in sample.labels}


def _total(registry: CollectorRegistry, endpoint: str, method: str, status: int) -> float | None:
    labels = {"endpoint": endpoint, "handler": endpoint, "method": method, "status": str(status)}
    return registry.get_sample_value("http_requests_total", labels)


def test_every_route_is_shown_before_its_first_request(registry: CollectorRegistry) -> None:
    HttpSeries(ROUTES, Families(registry))
    assert _total(registry, "/predict", "POST", 200) == 0
    assert _total(registry, "/predict", "POST", 500) == 0
    assert _total(registry, "/health", "GET", 200) == 0


def test_requests_count_once_they_are_flushed(registry: CollectorRegistry) -> None:
    http = HttpSeries(ROUTES, Families(registry))
    http.observe("/predict", 200, 0.25, request_bytes=100, response_bytes=50)
    http.observe("/predict", 200, 0.5, request_bytes=20, response_bytes=50)
    http.observe("/predict", 422, 0.25)
    assert _total(registry, "/predict", "POST", 200) == 0
    http.flush()
    http.flush()
    assert _total(registry, "/predict", "POST", 200) == 2
    assert _total(registry, "/predict", "POST", 422) == 1
    place = {"endpoint": "/predict", "handler": "/predict"}
    timed = {**place, "method": "POST"}
    assert registry.get_sample_value("http_request_duration_seconds_sum", timed) == 1.0
    assert registry.get_sample_value("http_request_duration_seconds_count", timed) == 3
    below = registry.get_sample_value(
        "http_request_duration_seconds_bucket", {**timed, "le": "0.25"}
    )
    assert below == 2
    assert registry.get_sample_value("http_request_duration_highr_seconds_count") == 3
    assert registry.get_sample_value("http_request_size_bytes_sum", place) == 120
    assert registry.get_sample_value("http_response_size_bytes_count", place) == 3


def test_what_callers_send_becomes_no_label(registry: CollectorRegistry) -> None:
    http = HttpSeries(ROUTES, Families(registry))
    for number in range(50):
        http.observe(f"/random/{number}", 404, 0.1, method=f"VERB{number}")
    http.flush()
    assert _total(registry, "other", "other", 404) == 50
    assert _series_names(registry, "endpoint") == {"/predict", "/health", "other"}
    assert _series_names(registry, "method") == {"POST", "GET", "other"}


def test_scrapes_are_not_traffic(registry: CollectorRegistry) -> None:
    http = HttpSeries(ROUTES, Families(registry))
    http.observe("/metrics", 200, 0.1, method="GET")
    http.flush()
    assert "/metrics" not in _series_names(registry, "endpoint")
    assert "other" not in _series_names(registry, "endpoint")


def test_waiting_requests_are_shown(registry: CollectorRegistry) -> None:
    http = HttpSeries(ROUTES, Families(registry))
    http.num_in_progress += 3
    http.take([])
    assert registry.get_sample_value("http_requests_in_progress") == 3


def test_the_servers_own_series_get_what_its_middleware_missed(
    registry: CollectorRegistry,
) -> None:
    labels = ["endpoint", "http_response_code", *SERVED_BY]
    theirs = CollectorRegistry()
    server = ServerSeries(
        Counter("bentoml_service_request_total", "x", labels, registry=theirs),
        Histogram("bentoml_service_request_duration_seconds", "x", labels, registry=theirs),
        Gauge("bentoml_service_last_request_timestamp_seconds", "x", [*SERVED_BY], registry=theirs),
        SERVED_BY,
    )
    http = HttpSeries(ROUTES, Families(registry), server)
    http.observe("/predict", 200, 0.25)
    http.observe("/predict", 200, 0.5)
    http.observe("/predict", 200, 4.0, quick=False)
    http.flush()
    theirs_of = {"endpoint": "/predict", "http_response_code": "200", **SERVED_BY}
    assert theirs.get_sample_value("bentoml_service_request_total", theirs_of) == 2
    duration = "bentoml_service_request_duration_seconds"
    assert theirs.get_sample_value(f"{duration}_sum", theirs_of) == 0.75
    assert theirs.get_sample_value(f"{duration}_count", theirs_of) == 2
    stamp = theirs.get_sample_value("bentoml_service_last_request_timestamp_seconds", SERVED_BY)
    assert stamp is not None
    assert stamp > 1e9
    assert _total(registry, "/predict", "POST", 200) == 3

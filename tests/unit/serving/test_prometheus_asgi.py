"""Requests that pass an application are counted, however they end."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from fedchurn.serving.prometheus_asgi import CountedRequests
from fedchurn.serving.prometheus_families import Families
from fedchurn.serving.prometheus_http import HttpSeries

SCOPE = {
    "type": "http",
    "path": "/health",
    "method": "GET",
    "headers": [(b"host", b"x"), (b"content-length", b"12")],
}
PLACE = {"endpoint": "/health", "handler": "/health"}


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def http(registry: CollectorRegistry) -> HttpSeries:
    return HttpSeries([("GET", "/health")], Families(registry))


async def _receive() -> dict[str, Any]:
    return {"type": "http.request", "body": b""}


async def _send(message: Any) -> None:
    assert message["type"].startswith("http.response")


def _total(registry: CollectorRegistry, status: int) -> float | None:
    labels = {**PLACE, "method": "GET", "status": str(status)}
    return registry.get_sample_value("http_requests_total", labels)


def test_an_answer_counts_with_its_status_and_sizes(
    http: HttpSeries, registry: CollectorRegistry
) -> None:
    waiting = []

    async def inner(scope: Any, receive: Any, send: Any) -> None:
        waiting.append(http.num_in_progress)
        await send({"type": "http.response.start", "status": 404, "headers": []})
        await send({"type": "http.response.body", "body": b"abc", "more_body": True})
        await send({"type": "http.response.body", "body": b"de"})

    asyncio.run(CountedRequests(inner, http)(SCOPE, _receive, _send))
    http.flush()
    assert _total(registry, 404) == 1
    assert registry.get_sample_value("http_request_size_bytes_sum", PLACE) == 12
    assert registry.get_sample_value("http_response_size_bytes_sum", PLACE) == 5
    assert (waiting, http.num_in_progress) == ([1], 0)


def test_an_application_that_breaks_is_a_500(http: HttpSeries, registry: CollectorRegistry) -> None:
    async def inner(scope: Any, receive: Any, send: Any) -> None:
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        asyncio.run(CountedRequests(inner, http)(SCOPE, _receive, _send))
    http.flush()
    assert _total(registry, 500) == 1
    assert http.num_in_progress == 0


def test_other_traffic_is_left_alone(http: HttpSeries, registry: CollectorRegistry) -> None:
    seen = []

    async def inner(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["type"])

    asyncio.run(CountedRequests(inner, http)({"type": "lifespan"}, _receive, _send))
    http.flush()
    assert seen == ["lifespan"]
    assert _total(registry, 200) == 0

"""The front: who answers a request, and that every request is counted once."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from bentos.churn.gate.access import ROUTES
from bentos.churn.gate.gate import Gate
from bentos.churn.lane.front import Front, Opened
from fedchurn.serving.access.api_keys import ApiKeys
from fedchurn.serving.metrics.prometheus_families import Families
from fedchurn.serving.metrics.prometheus_http import HttpSeries, ServerSeries
from fedchurn.serving.serving_settings import ServingSettings
from tests.unit.bentos.asgi import Answered, ask

LABELS = ["service_name", "service_version", "runner_name"]
NAMES = dict.fromkeys(LABELS, "churn")


class Inner:
    """Stands for BentoML's application: starts, and answers 201 with the body that it read."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await send({"type": "lifespan.startup.complete"})
            return
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        self.bodies.append(body)
        await send({"type": "http.response.start", "status": 201, "headers": []})
        await send({"type": "http.response.body", "body": body})


class Service:
    """A front around ``Inner``, with a lane that answers bodies that start with ``plain``."""

    def __init__(self, *, is_open: bool = True, has_lane: bool = True) -> None:
        self.registry = CollectorRegistry()
        self.inner = Inner()
        self.num_flushes = 0
        self._has_lane = has_lane
        self.front = Front(self.inner, self._open)
        if is_open:
            asyncio.run(self.front({"type": "lifespan"}, _nothing, _drop))

    def _open(self, application: Any) -> Opened:
        settings = ServingSettings(max_body_bytes=2048)
        routes = [(method, path) for path, methods in ROUTES.items() for method in methods]
        series = HttpSeries(routes, Families(self.registry), self._server_series())
        gate = Gate(application, ROUTES, ApiKeys(()), None, settings)
        lane = self._lane if self._has_lane else None
        return Opened(gate, lane, series, self._flush)

    def _lane(self, body: bytes, endpoint: str, started: float) -> bytes | None:
        return b'{"quick": true}' if body.startswith(b"plain") else None

    def _flush(self) -> None:
        self.num_flushes += 1

    def _server_series(self) -> ServerSeries:
        with_code = [*LABELS, "endpoint", "http_response_code"]
        return ServerSeries(
            Counter("server", "x", with_code, registry=self.registry),
            Histogram("server_seconds", "x", with_code, registry=self.registry),
            Gauge("server_last", "x", LABELS, registry=self.registry),
            NAMES,
        )

    def post(self, path: str, *chunks: bytes) -> Answered:
        return ask(self.front, "POST", path, chunks=chunks)

    def count(self, name: str, **labels: str) -> float:
        opened = self.front._opened
        assert opened is not None
        opened.series.flush()
        return self.registry.get_sample_value(name, labels) or 0.0

    def requests(self, endpoint: str, status: int, method: str = "POST") -> float:
        named = {"endpoint": endpoint, "handler": endpoint, "method": method}
        return self.count("http_requests_total", **named, status=str(status))

    def server_requests(self, endpoint: str, status: int) -> float:
        named = {**NAMES, "endpoint": endpoint, "http_response_code": str(status)}
        return self.count("server_total", **named)


async def _nothing() -> Any:
    return {"type": "lifespan.startup"}


async def _drop(message: Any) -> None:
    return None


def test_a_plain_row_is_answered_by_the_lane_with_every_header() -> None:
    service = Service()
    answered = service.post("/predict", b"plain row")
    assert answered.status == 200
    assert json.loads(answered.body) == {"quick": True}
    assert answered.header("content-type") == "application/json"
    assert answered.header("x-content-type-options") == "nosniff"
    assert answered.header("cache-control") == "no-store"
    assert service.inner.bodies == []


@pytest.mark.parametrize("chunks", [(b"other",), (b"plain", b" in two parts"), (b"",)])
def test_what_the_lane_does_not_take_reaches_the_application_whole(
    chunks: tuple[bytes, ...],
) -> None:
    service = Service()
    answered = service.post("/predict", *chunks)
    assert answered.status == 201
    assert service.inner.bodies == [b"".join(chunks)]


def test_other_paths_and_a_closed_lane_go_the_long_way() -> None:
    assert Service().post("/predict/batch", b"plain").status == 201
    assert Service(has_lane=False).post("/predict", b"plain").status == 201


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("application/json; charset=utf-8", 200),
        ("application/json ;charset=utf-8", 200),
        ("application/jsonlines", 201),
        ("text/csv", 201),
    ],
)
def test_only_json_takes_the_lane(kind: str, status: int) -> None:
    headers = {"content-type": kind}
    answered = ask(Service().front, "POST", "/predict", headers, [b"plain row"])
    assert answered.status == status


def test_an_encoded_body_goes_the_long_way() -> None:
    headers = {"content-type": "application/json", "content-encoding": "gzip"}
    assert ask(Service().front, "POST", "/predict", headers, [b"plain row"]).status == 201


def test_before_the_service_has_started_everything_is_passed_on() -> None:
    service = Service(is_open=False)
    assert service.post("/predict", b"plain").status == 201
    assert service.post("/no-such-path", b"").status == 201


def test_every_request_is_counted_once_whoever_answers() -> None:
    service = Service()
    service.post("/predict", b"plain")
    service.post("/predict", b"other")
    service.post("/no-such-path", b"")
    ask(service.front, "GET", "/predict")
    assert service.requests("/predict", 200) == 1
    assert service.requests("/predict", 201) == 1
    assert service.requests("other", 404) == 1
    assert service.requests("/predict", 405, "GET") == 1
    # The server's own series lack what never reached it, and nothing else.
    assert service.server_requests("/predict", 200) == 1
    assert service.server_requests("/predict", 201) == 0
    assert service.server_requests("other", 404) == 1


def test_sizes_are_those_of_bodies() -> None:
    service = Service()
    service.post("/predict", b"plain row")
    service.post("/predict", b"other", b" row")
    place = {"endpoint": "/predict", "handler": "/predict"}
    assert service.count("http_request_size_bytes_sum", **place) == 9 + 9
    assert service.count("http_response_size_bytes_sum", **place) == 15 + 9


def test_a_body_above_the_limit_never_reaches_the_lane() -> None:
    service = Service()
    assert service.post("/predict", b"other", b"x" * 2048).status == 413
    assert service.inner.bodies == []


def test_metrics_are_brought_up_to_date_before_they_are_read() -> None:
    service = Service()
    ask(service.front, "GET", "/metrics")
    assert service.num_flushes == 1
    assert service.count("http_requests_in_progress") == 0

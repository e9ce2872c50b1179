"""Traces reach real receivers over HTTP: an OTLP collector, and an MLflow server."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from fedchurn.serving.records import Answer
from fedchurn.serving.serving_settings import read_serving_settings
from fedchurn.serving.tracing.tracing import Tracing, make_tracing
from tests.e2e.mlflow_server import mlflow_server
from tests.unit.serving.served import ROW, VALUES, answering, question

pytestmark = pytest.mark.e2e
START_SECONDS = 120
ARRIVAL_SECONDS = 60
NAMES = {"churn-prediction", "feature-engineering", "model-inference", "explainability"}


class Collector:
    """An OTLP receiver that keeps what it is sent, and answers with ``status``."""

    def __init__(self, status: int = 200) -> None:
        self.bodies: list[bytes] = []
        self.headers: list[dict[str, str]] = []
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.path == "/v1/traces":
                    collector.bodies.append(body)
                    collector.headers.append({k.lower(): v for k, v in self.headers.items()})
                self.send_response(status)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                return None

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}/v1/traces"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def spans(self) -> list[Any]:
        requests = [ExportTraceServiceRequest.FromString(body) for body in self.bodies]
        return [
            span
            for request in requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def collector() -> Iterator[Collector]:
    collector = Collector()
    yield collector
    collector.close()


def tracing_to(address: str, headers: str = "") -> Tracing:
    return make_tracing(
        read_serving_settings(
            {
                "FEDCHURN_CONTRACT": "shop",
                "FEDCHURN_SERVE_TRACE": "otlp",
                "FEDCHURN_SERVE_TRACE_ENDPOINT": address,
                "FEDCHURN_SERVE_TRACE_HEADERS": headers,
            }
        )
    )


def test_a_collector_gets_the_root_and_its_three_parts(
    tmp_path: Path, collector: Collector
) -> None:
    tracing = tracing_to(collector.address, "authorization=Bearer 1,x-team=churn")
    answer = answering(tmp_path, tracing).one(ROW, question(explain=True))
    assert isinstance(answer, Answer)
    tracing.close(ARRIVAL_SECONDS)

    spans = {span.name: span for span in collector.spans()}
    assert set(spans) == NAMES
    root = spans.pop("churn-prediction")
    assert root.parent_span_id == b""
    assert {span.parent_span_id for span in spans.values()} == {root.span_id}
    assert {span.trace_id for span in spans.values()} == {root.trace_id}
    said = {pair.key: pair.value for pair in root.attributes}
    assert said["release"].string_value == answer.record.served.release_id
    assert said["model_version"].string_value == "7"
    assert said["model_used"].string_value == "champion"
    assert said["probability"].double_value == answer.record.probability
    assert {(h["authorization"], h["x-team"]) for h in collector.headers} == {("Bearer 1", "churn")}
    assert not [value for value in VALUES if value.encode() in b"".join(collector.bodies)]


def free_address() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}/v1/traces"


def test_predictions_are_the_same_while_the_collector_is_away_or_refuses(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [ROW | {"Tenure": tenure} for tenure in range(40)]
    untraced = answering(tmp_path)
    plain = [untraced.one(row, question()) for row in rows]
    refusing = Collector(status=403)
    for address in (free_address(), refusing.address):
        caplog.clear()
        tracing = tracing_to(address)
        asked = answering(tmp_path, tracing)
        with caplog.at_level(logging.WARNING):
            traced = [asked.one(row, question()) for row in rows]
            tracing.close(ARRIVAL_SECONDS)
        assert probabilities(traced) == probabilities(plain)
        lines = [r for r in caplog.records if r.name != "bentoml.churn.fallback"]
        assert [r.name for r in lines] == ["bentoml.churn.tracing"]
        assert f"could not be delivered to {address}" in lines[0].getMessage()
    refusing.close()


def probabilities(answers: list[Any]) -> list[float]:
    return [answer.record.probability for answer in answers]


@pytest.fixture(scope="module")
def mlflow_uri(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with mlflow_server(tmp_path_factory.mktemp("server")) as (uri, _):
        yield uri


def test_mlflow_shows_the_trace(tmp_path: Path, mlflow_uri: str) -> None:
    client = MlflowClient(mlflow_uri)
    experiment = client.create_experiment("churn-inference")
    tracing = tracing_to(f"{mlflow_uri}/v1/traces", f"x-mlflow-experiment-id={experiment}")
    answer = answering(tmp_path, tracing).one(ROW, question(explain=True))
    assert isinstance(answer, Answer)
    tracing.close(ARRIVAL_SECONDS)

    (trace,) = client.search_traces(locations=[experiment])
    spans = {span.name: span for span in trace.data.spans}
    assert set(spans) == NAMES
    root = spans["churn-prediction"]
    assert root.parent_id is None
    assert root.attributes["release"] == answer.record.served.release_id
    assert root.attributes["probability"] == answer.record.probability
    assert spans["explainability"].attributes["top_field"] in ROW
    assert spans["model-inference"].attributes["latency_ms"] > 0

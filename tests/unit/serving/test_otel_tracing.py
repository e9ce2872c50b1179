"""Traces of requests: their shape, what they say, and what they must not say or do."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

import pytest
from opentelemetry import trace as global_trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from fedchurn.errors import SettingsError
from fedchurn.serving.records import Answer
from fedchurn.serving.serving_settings import ServingSettings, read_serving_settings
from fedchurn.serving.tracing.otel_tracing import OtelTracing
from fedchurn.serving.tracing.tracing import NO_SPAN, NoTracing, make_tracing
from tests.unit.serving.models import WAIT_SECONDS
from tests.unit.serving.served import ROW, VALUES, answering, question

PARTS = ["feature-engineering", "model-inference", "explainability"]


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def tracing(exporter: InMemorySpanExporter) -> OtelTracing:
    return OtelTracing(exporter)


def delivered(tracing: OtelTracing, exporter: InMemorySpanExporter) -> list[ReadableSpan]:
    tracing.close(WAIT_SECONDS)
    return list(exporter.get_finished_spans())


def by_name(spans: Sequence[ReadableSpan]) -> dict[str, dict[str, object]]:
    return {span.name: dict(span.attributes or {}) for span in spans}


def test_a_root_with_three_parts_in_their_order(
    tmp_path: Path, tracing: OtelTracing, exporter: InMemorySpanExporter
) -> None:
    answering(tmp_path, tracing).one(ROW, question())
    *parts, root = delivered(tracing, exporter)
    assert root.name == "churn-prediction"
    assert root.parent is None
    assert [part.name for part in parts] == PARTS
    assert [part.parent.span_id for part in parts if part.parent] == [root.context.span_id] * 3
    assert {part.context.trace_id for part in parts} == {root.context.trace_id}
    assert root.resource.attributes["service.name"] == "churn"


def test_what_the_parts_say_about_one_customer(
    tmp_path: Path, tracing: OtelTracing, exporter: InMemorySpanExporter
) -> None:
    answer = answering(tmp_path, tracing).one(ROW, question(explain=True))
    assert isinstance(answer, Answer)
    assert answer.explanation is not None
    record = answer.record
    spans = by_name(delivered(tracing, exporter))
    for attributes in spans.values():
        latency = attributes.pop("latency_ms")
        assert isinstance(latency, float)
        assert latency > 0
    score = {"probability": record.probability, "prediction": record.prediction}
    assert spans == {
        "feature-engineering": {"num_rows": 1, "num_refused_rows": 0, "num_warnings": 0},
        "model-inference": {"num_rows": 1, "model_used": "champion", **score},
        "explainability": {
            "num_explanations": 1,
            "num_contributions": len(answer.explanation.contributions),
            "top_field": answer.explanation.contributions[0].field,
        },
        "churn-prediction": {
            "endpoint": "/predict",
            "release": record.served.release_id,
            "model_version": "7",
            "model_used": "champion",
            "is_fallback": False,
            "fallback_reason": "",
            "num_rows": 1,
            "num_refused_rows": 0,
            "prediction_id": record.prediction_id,
            "risk_level": record.risk_level,
            **score,
        },
    }


def test_a_fallback_is_seen(
    tmp_path: Path, tracing: OtelTracing, exporter: InMemorySpanExporter
) -> None:
    answering(tmp_path, tracing, fault="golden_rows").one(ROW, question())
    root = by_name(delivered(tracing, exporter))["churn-prediction"]
    assert root["model_used"] == "fallback_model"
    assert (root["is_fallback"], root["fallback_reason"]) == (True, "golden_rows")


def test_a_batch_has_counts_and_no_scores(
    tmp_path: Path, tracing: OtelTracing, exporter: InMemorySpanExporter
) -> None:
    rows = [ROW, ROW | {"Tenure": 999}, ROW | {"Tenure": 61}]
    answering(tmp_path, tracing).many(rows, question(explain=True))
    spans = by_name(delivered(tracing, exporter))
    assert spans["feature-engineering"].items() >= {
        ("num_rows", 3),
        ("num_refused_rows", 1),
        ("num_warnings", 1),
    }
    assert spans["explainability"]["num_explanations"] == 2
    assert spans["churn-prediction"].items() >= {("num_rows", 3), ("num_refused_rows", 1)}
    assert not any("probability" in attributes for attributes in spans.values())


def test_no_value_of_a_row_in_any_span(
    tmp_path: Path, tracing: OtelTracing, exporter: InMemorySpanExporter
) -> None:
    asked = answering(tmp_path, tracing)
    asked.one(ROW, question(explain=True))
    asked.many([ROW, ROW | {"Device": "Castrop"}, ROW | {"Cashback": "Castrop"}], question())
    spans = delivered(tracing, exporter)
    assert len(spans) == 8
    for span in spans:
        assert not [value for value in VALUES if value in span.to_json()]


def test_an_error_is_named_without_its_message(
    tracing: OtelTracing, exporter: InMemorySpanExporter
) -> None:
    with (
        pytest.raises(ValueError, match="Castrop"),
        tracing.request() as root,
        root.span("model-inference"),
    ):
        raise ValueError("no number: 'Castrop-Rauxel'")
    spans = delivered(tracing, exporter)
    assert [span.status.status_code for span in spans] == [StatusCode.ERROR] * 2
    assert {span.status.description for span in spans} == {"ValueError"}
    assert not any("Castrop" in span.to_json() for span in spans)


def test_traces_change_no_answer(tmp_path: Path, tracing: OtelTracing) -> None:
    rows = [ROW, ROW | {"Tenure": None}, ROW | {"Tenure": 999}]
    plain = answering(tmp_path, None).many(rows, question(explain=True))
    traced = answering(tmp_path, tracing).many(rows, question(explain=True))
    for one, other in zip(plain, traced, strict=True):
        if isinstance(one, Answer) and isinstance(other, Answer):
            assert one.explanation == other.explanation
            assert one.record.probability == other.record.probability
        else:
            assert one == other
    tracing.close()


def test_spans_of_the_server_are_no_parents(
    tmp_path: Path, tracing: OtelTracing, exporter: InMemorySpanExporter
) -> None:
    server = TracerProvider(shutdown_on_exit=False).get_tracer("server")
    before = global_trace.get_tracer_provider()
    with server.start_as_current_span("POST /predict"):
        answering(tmp_path, tracing).one(ROW, question())
    assert global_trace.get_tracer_provider() is before
    assert delivered(tracing, exporter)[-1].parent is None


def test_a_share_of_requests_is_traced(exporter: InMemorySpanExporter) -> None:
    draws = iter([0.1, 0.25, 0.9, 0.0])
    tracing = OtelTracing(exporter, fraction=0.25, draw=lambda: next(draws))
    traced = []
    for _ in range(4):
        with tracing.request() as span:
            traced.append(span is not NO_SPAN)
    assert traced == [True, False, False, True]
    assert len(delivered(tracing, exporter)) == 2


def test_what_the_fast_lane_gave_away_is_traced_without_another_draw(
    exporter: InMemorySpanExporter,
) -> None:
    draws = iter([0.1, 0.9, 0.9])
    tracing = OtelTracing(exporter, fraction=0.25, draw=lambda: next(draws))
    assert [tracing.due(), tracing.due()] == [True, False]
    assert tracing.request() is not NO_SPAN
    assert tracing.request() is NO_SPAN
    tracing.close()


class Blocked(SpanExporter):
    """A collector that takes the connection and says nothing."""

    def __init__(self) -> None:
        self.release = threading.Event()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        assert self.release.wait(WAIT_SECONDS)
        return SpanExportResult.FAILURE


def test_a_collector_that_does_not_answer_holds_neither_requests_nor_the_end(
    tmp_path: Path,
) -> None:
    exporter = Blocked()
    tracing = OtelTracing(exporter, max_queued_spans=8, interval_seconds=0.01)
    asked = answering(tmp_path, tracing)
    assert all(isinstance(asked.one(ROW, question()), Answer) for _ in range(50))
    tracing.close(0.05)
    assert "close tracing" in [thread.name for thread in threading.enumerate()]
    exporter.release.set()


def test_a_defect_of_tracing_costs_no_answer(
    tmp_path: Path,
    tracing: OtelTracing,
    exporter: InMemorySpanExporter,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def describe(row: object) -> dict[str, int]:
        raise RuntimeError(f"cannot describe {row}")

    with tracing.request() as root:
        for _ in range(5):
            root.note(describe, ROW)
    assert len(delivered(tracing, exporter)) == 1
    lines = [r for r in caplog.records if r.name == "bentoml.churn.tracing"]
    assert len(lines) == 1
    assert "RuntimeError in describe" in lines[0].getMessage()
    assert "Castrop" not in caplog.text


def test_settings_decide() -> None:
    off = ServingSettings()
    for settings in (off, ServingSettings(trace="otlp", trace_fraction=0.0)):
        tracing = make_tracing(settings)
        assert isinstance(tracing, NoTracing)
        assert not tracing.due()
        assert tracing.request() is NO_SPAN
    with pytest.raises(SettingsError, match="FEDCHURN_SERVE_TRACE_ENDPOINT is empty"):
        read_serving_settings({"FEDCHURN_SERVE_TRACE": "otlp"})


def test_headers_are_read_and_never_shown() -> None:
    name = "FEDCHURN_SERVE_TRACE_HEADERS"
    settings = read_serving_settings({name: "x-mlflow-experiment-id=3, authorization=Bearer s3="})
    assert settings.trace_headers == ("x-mlflow-experiment-id=3", "authorization=Bearer s3=")
    assert "s3" not in repr(settings)
    for wrong in ("s3cret", "a b=s3cret", "a=s3cret\r\nb=c"):
        with pytest.raises(SettingsError, match=name) as caught:
            read_serving_settings({name: wrong})
        assert "s3cret" not in str(caught.value)


def test_an_endpoint_is_an_address() -> None:
    with pytest.raises(SettingsError, match="FEDCHURN_SERVE_TRACE_ENDPOINT"):
        read_serving_settings({"FEDCHURN_SERVE_TRACE_ENDPOINT": "localhost:4318"})

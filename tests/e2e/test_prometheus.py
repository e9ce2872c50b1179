"""A real Prometheus scrapes the metrics, and every panel of every dashboard shows something."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from fedchurn.contract.conditions import Value
from fedchurn.contract.load import load_contract
from fedchurn.contract.schema import Column, Contract
from fedchurn.serving.metrics.prometheus_drift import drift_features
from fedchurn.serving.metrics.prometheus_exposition import completed
from fedchurn.serving.metrics.prometheus_service import ServiceMetrics, service_metrics
from fedchurn.serving.served_release import ServedRelease
from infra.grafana.panels import expressions as grafana_expressions
from tests.e2e import reference_dashboards
from tests.e2e.prometheus_server import Prometheus, scraping, wait_until
from tests.unit.serving.predictions import record, served

pytestmark = pytest.mark.e2e
PROJECT = Path(__file__).resolve().parents[2]
GRAFANA = PROJECT / "infra" / "grafana" / "dashboards"
ROUTES = (("POST", "/predict"), ("GET", "/health"))
JOBS = {"fedchurn": "telecom", "ecommerce": "ecommerce", "telco": "telco"}
RECORD = {
    "timestamp": "2026-03-01T12:00:00+00:00",
    "figures": {"accuracy": 0.9, "f1": 0.8, "roc_auc": 0.85, "brier": 0.1, "num_labelled": 40},
    "revenue": {"revenue_at_risk": 900.0, "revenue_lost": 100.0, "revenue_saved": 200.0},
    "label_coverage": 0.5,
    "decay": {"verdict": "decay"},
    "estimated": {
        "metrics": [{"metric": name, "estimated": 0.8} for name in ("accuracy", "f1", "roc_auc")]
    },
}
RULES = {
    "groups": [
        {"name": "drift", "rules": [{"alert": "HighDriftScore", "expr": "data_drift_score > 0.3"}]}
    ]
}


@dataclass
class Service:
    """The metrics of one service, and the releases that its records name."""

    metrics: ServiceMetrics
    contract: Contract
    champion: ServedRelease
    challenger: ServedRelease


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """Has seen three services, one per contract, before and after all sorts of events."""
    folder = tmp_path_factory.mktemp("prometheus")
    champion = served(folder / "releases")
    challenger = served(folder / "releases", role="challenger", version="8", seed=9)
    services, targets = [], {}
    with ExitStack() as stack:
        for job, name in JOBS.items():
            contract = load_contract(PROJECT / "configs" / "contracts" / f"{name}.yaml")
            registry = CollectorRegistry()
            metrics = service_metrics(contract, routes=ROUTES, registry=registry)
            services.append(Service(metrics, contract, champion, challenger))
            targets[job] = stack.enter_context(_exposed(registry))
        asked = stack.enter_context(scraping(targets, RULES, folder / "server"))
        everyone = f"count(count_over_time(up[1m]) >= {{}}) == {len(services)}"
        wait_until(lambda: bool(asked.ask(everyone.format(1))))
        for service in services:
            _live(service)
        # Two scrapes after the events, and one evaluation of the rules.
        wait_until(lambda: bool(asked.ask(everyone.format(3) + " and on () count(ALERTS) > 0")))
        yield asked


@contextmanager
def _exposed(registry: CollectorRegistry) -> Iterator[str]:
    """The address of a server whose ``/metrics`` is what the service would show."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            text = completed(generate_latest(registry).decode()).encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _live(service: Service) -> None:
    """Everything that can happen, once at least."""
    metrics = service.metrics
    drawn = random.Random(7)
    metrics.release(service.champion)
    metrics.release(service.challenger)
    metrics.golden(True)
    metrics.reload("reloaded")
    for name in drift_features(service.contract):
        metrics.drift.scores({name: 0.4})
        metrics.drift.detected([name])
    metrics.performance.watch(lambda: RECORD)
    metrics.alerts.add(1, 1, 1)
    metrics.feedback(1, 1)
    metrics.shadow([0.1, 0.2], 1)
    metrics.watch_drops("log", lambda: 1)
    metrics.refused([SimpleNamespace(field=next(iter(service.contract.columns)), rule="missing")])
    for number in range(100):
        metrics.take([_record(service, number, drawn)])
        metrics.http.observe("/predict", 200, 0.6, request_bytes=400, response_bytes=300)
        metrics.http.observe("/health", 200, 0.001, method="GET", response_bytes=10)
    for _ in range(30):
        metrics.http.observe("/predict", 500, 0.6)
    metrics.refresh()


def _record(service: Service, number: int, drawn: random.Random) -> Any:
    by = service.challenger if number % 4 == 0 else service.champion
    stand_in: Any = SimpleNamespace(role=by.role, contract=service.contract)
    fallback = {"model_used": "rules", "fallback_reason": "timeout"} if number % 10 == 1 else {}
    bands = service.contract.risk_bands
    return record(
        stand_in,
        values=tuple(_value(column, drawn) for column in service.contract.columns.values()),
        probability=0.75 if number % 3 == 0 else 0.125,
        prediction=int(number % 3 == 0),
        risk_level=bands[number % len(bands)].name,
        latency_seconds=0.6,
        warnings=((service.contract.number_columns[0], "usual_range"),),
        **fallback,
    )


def _value(column: Column, drawn: random.Random) -> Value:
    if drawn.random() < 0.1:
        return None
    if column.is_number:
        low, high = column.usual or (0.0, 1.0)
        return float(round(drawn.uniform(low, high)))
    return drawn.choice(column.categories or ("text",))


def test_every_panel_of_the_reference_dashboards_shows_data(prometheus: Prometheus) -> None:
    asked = reference_dashboards.expressions()
    empty = [(panel, query) for panel, query in asked if not prometheus.numbers(query)]
    assert len(asked) > 50
    assert empty == []


def test_the_reference_figures_are_right(prometheus: Prometheus) -> None:
    job = '{job="fedchurn"}'
    assert prometheus.numbers(f"predictions_total{job}") == [100]
    assert prometheus.numbers(f"predict_churn_total{job} / predict_total{job}") == [0.34]
    assert prometheus.numbers(f"sum(churn_predictions{job})") == [100]
    assert prometheus.numbers(f"predict_errors_total{job}") == [30]
    average = f"predict_probability_sum{job} / predict_probability_count{job}"
    assert prometheus.numbers(average) == [pytest.approx((34 * 0.75 + 66 * 0.125) / 100)]
    # A first event is seen, because the series was there at 0 before.
    first = prometheus.numbers('increase(data_drift_detected_total{job="telco"}[5m])')
    assert min(first) > 0


@pytest.mark.parametrize("path", sorted(GRAFANA.glob("*.json")), ids=lambda path: path.stem)
def test_every_panel_of_our_dashboards_shows_data(prometheus: Prometheus, path: Path) -> None:
    asked = grafana_expressions(json.loads(path.read_text()))
    assert asked
    empty = [(panel, query) for panel, query in asked if not prometheus.numbers(query)]
    assert empty == []


def test_panels_that_ask_for_nothing_are_found(prometheus: Prometheus) -> None:
    assert prometheus.numbers("no_such_metric_total") == []
    with pytest.raises(AssertionError, match="parse error"):
        prometheus.ask("rate(")

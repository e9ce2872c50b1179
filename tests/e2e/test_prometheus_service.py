"""The service itself, with two workers, as a real Prometheus sees it."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from fedchurn.release.load import Release, load_release
from fedchurn.release.write import write_release
from infra.grafana.make import service_dashboard
from infra.grafana.panels import expressions
from tests.e2e.prometheus_server import DEADLINE_SECONDS, Prometheus, scraping
from tests.e2e.served import get, post, service_environ, serving
from tests.unit.release.releases import parts

pytestmark = pytest.mark.e2e
NUM_ROWS = 40


@pytest.fixture
def release(tmp_path: Path) -> Release:
    return load_release(write_release(parts(), tmp_path / "releases"))


@pytest.fixture
def url(tmp_path: Path, release: Release) -> Iterator[str]:
    """The address of a service with two workers."""
    options = "services.churn.workers=2"
    environ = service_environ(tmp_path / "home", release, BENTOML_CONFIG_OPTIONS=options)
    with serving(environ, tmp_path / "server.log") as address:
        yield address


@pytest.fixture
def prometheus(url: str, tmp_path: Path) -> Iterator[Prometheus]:
    targets = {"fedchurn": url.removeprefix("http://")}
    with scraping(targets, {"groups": []}, tmp_path / "prometheus") as asked:
        yield asked


def test_every_request_is_counted_whoever_answered_and_whoever_died(
    url: str, prometheus: Prometheus, release: Release
) -> None:
    _becomes(prometheus, {"predictions_total": 0, "count(predictions_total)": 1})
    row = dict(release.golden.rows[0])
    assert [post(url, "/predict", row)[0] for _ in range(NUM_ROWS)] == [200] * NUM_ROWS
    assert post(url, "/predict", {**row, "Tenure": 999})[0] == 422
    for number in range(20):
        assert get(url, f"/random/{number}")[0] == 404

    same = {
        "sum(churn_predictions)": NUM_ROWS,
        "sum(fedchurn_predictions_total)": NUM_ROWS,
        "feature_cashback_count": NUM_ROWS,
        'http_requests_total{endpoint="/predict",status="200"}': NUM_ROWS,
        'http_requests_total{endpoint="/predict",status="422"}': 1,
        'bentoml_service_request_total{endpoint="/predict",http_response_code="200"}': NUM_ROWS,
        'bentoml_service_request_total{endpoint="/predict",http_response_code="422"}': 1,
        'http_requests_total{endpoint="other",status="404"}': 20,
        'count(count by (endpoint) ({endpoint=~"/random.*"})) or vector(0)': 0,
        'fedchurn_row_problems_total{field="Tenure",rule="hard_limit"}': 1,
        "count(process_resident_memory_bytes)": 2,
        "fedchurn_golden_rows_ok": 1,
        f'fedchurn_release_info{{release="{release.release_id}"}}': 1,
    }
    _becomes(prometheus, same)
    increased = prometheus.numbers('increase(http_requests_total{status="422"}[1m])')
    assert max(increased) > 0  # the first one of its kind is seen

    _panels_show_data(prometheus)
    _kill_a_worker(prometheus)
    alive = {"count(process_resident_memory_bytes)": 2, "predictions_total": NUM_ROWS}
    _becomes(prometheus, alive)
    assert post(url, "/predict", row)[0] == 200
    _becomes(prometheus, {"predictions_total": NUM_ROWS + 1})
    assert get(url, "/fallback-stats")[1]["total_predictions"] == NUM_ROWS + 1


def _becomes(prometheus: Prometheus, expected: dict[str, float]) -> None:
    """Wait until the sums over each query's series are as expected."""
    end = time.monotonic() + DEADLINE_SECONDS
    while True:
        seen = {query: sum(prometheus.numbers(query)) for query in expected}
        if seen == expected or time.monotonic() > end:
            break
        time.sleep(0.2)
    assert seen == expected


def _panels_show_data(prometheus: Prometheus) -> None:
    asked = expressions(service_dashboard())
    empty = [(title, query) for title, query in asked if not prometheus.numbers(query)]
    # No label has come back: those figures are there and are not known, so they are no number.
    assert [query for _, query in empty if not prometheus.ask(query)] == []
    known = ("fedchurn_live_", "fedchurn_estimated_", "fedchurn_revenue_", "fedchurn_label_")
    assert [query for _, query in empty if not query.startswith(known)] == []


def _kill_a_worker(prometheus: Prometheus) -> None:
    """Kill one with -9, and wait until its gauges are gone."""
    series = prometheus.ask("process_resident_memory_bytes")
    pid = series[0][0]["pid"]
    assert "bentoml" in " ".join(psutil.Process(int(pid)).cmdline())
    os.kill(int(pid), signal.SIGKILL)
    gone = f'process_resident_memory_bytes{{pid="{pid}"}}'
    _becomes(prometheus, {f"count({gone}) or vector(0)": 0})

"""All metrics of the service, made by a worker and fed in bulk (docs/metrics.md lists them)."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Sequence

from prometheus_client import CollectorRegistry

from fedchurn.contract.schema import Contract
from fedchurn.serving.metrics.prometheus_alerts import AlertSeries
from fedchurn.serving.metrics.prometheus_drift import DriftSeries
from fedchurn.serving.metrics.prometheus_families import Families
from fedchurn.serving.metrics.prometheus_http import HttpSeries, ServerSeries
from fedchurn.serving.metrics.prometheus_performance import PerformanceSeries
from fedchurn.serving.metrics.prometheus_predictions import Finding, PredictionSeries
from fedchurn.serving.metrics.prometheus_reading import FallbackCounts, read_fallback_counts
from fedchurn.serving.metrics.prometheus_reference_names import ReferenceNames
from fedchurn.serving.metrics.prometheus_state import StateSeries
from fedchurn.serving.metrics.prometheus_workers import WorkerSeries, forget_dead_workers
from fedchurn.serving.records import PredictionRecord

_REFRESH_SECONDS = 1.0


class ServiceMetrics(StateSeries):
    """A sink of the recorder, and what others tell.

    Attributes:
        http: requests, whoever answers them.
        alerts: alerts, and triggers that wait.
        drift: what the newest check found.
        performance: how good answers were, by labels.
        families: what was made.
    """

    def __init__(
        self, contract: Contract, families: Families, routes: Iterable[tuple[str, str]]
    ) -> None:
        names = ReferenceNames(families, time.time())
        super().__init__(families, names)
        self.families = families
        self._predictions = PredictionSeries(contract, families, names)
        errors = families.counter(
            "fedchurn_prediction_errors_total",
            "Requests for predictions that ended with a status of 500 or above",
        )
        self.http = HttpSeries(routes, families, error_counters=(errors, *names.errors))
        self.alerts = AlertSeries(families)
        self.drift = DriftSeries(contract, families)
        self.performance = PerformanceSeries(families)
        self._workers = WorkerSeries(families)
        self._refreshing = threading.Lock()
        self._refreshed_seconds = 0.0
        self.refresh()

    def take(self, records: Sequence[PredictionRecord]) -> None:
        """Count n records (n may be 0), in the order in which they were made."""
        self._predictions.add(records)
        self.http.flush()
        if time.monotonic() - self._refreshed_seconds >= _REFRESH_SECONDS:
            self.refresh()

    def close(self) -> None:
        """Nothing comes after this."""
        self.refresh()

    def refused(self, problems: Iterable[Finding]) -> None:
        """Rows were refused for these reasons."""
        self._predictions.refused(problems)

    def refresh(self) -> None:
        """Everything that nobody tells: call it before a scrape, after the recorder's flush."""
        with self._refreshing:
            self._refreshed_seconds = time.monotonic()
            self.http.flush()
            self.read_drops()
            self.alerts.refresh()
            self.drift.refresh()
            self.performance.refresh()
            self._workers.refresh()
            forget_dead_workers()

    def fallback_counts(self) -> FallbackCounts:
        """Who answered and why, over all workers since the service started."""
        return read_fallback_counts(self.families.registry)


def service_metrics(
    contract: Contract,
    *,
    routes: Iterable[tuple[str, str]] = (),
    registry: CollectorRegistry | None = None,
    server: ServerSeries | None = None,
) -> ServiceMetrics:
    """The metrics of one worker; call it once, in the worker, after its release is loaded.

    Args:
        contract: names columns, labels and bands; nothing else becomes a label value.
        routes: pairs (method, path) that the service knows.
        registry: see ``Families``.
        server: BentoML's own HTTP series; may also be set later as ``metrics.http.server``.
    """
    metrics = ServiceMetrics(contract, Families(registry), routes)
    metrics.http.server = server
    return metrics

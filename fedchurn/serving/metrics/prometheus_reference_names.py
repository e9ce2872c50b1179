"""The same counts under the names that dashboards of earlier churn services query.

They cost some increments per flush, so they are kept as metrics of their own rather than rewritten
at every scrape: multiprocess mode adds them up like all others.

    predictions_total, prediction_latency_seconds, churn_predictions_total, prediction_errors_total,
    model_version (and data_drift_detected_total, data_drift_score: prometheus_drift.py)

    predict_total, predict_churn_total, predict_no_churn_total, predict_errors_total,
    predict_latency_seconds, predict_probability, model_info, model_loaded, app_start_time_seconds
"""

from __future__ import annotations

from collections.abc import Sequence

from prometheus_client import Counter, Gauge

from fedchurn.serving.metrics.prometheus_buckets import LATENCY_SECONDS
from fedchurn.serving.metrics.prometheus_bulk import add_to_histogram, add_to_summary
from fedchurn.serving.metrics.prometheus_families import Families, show_all, show_unset


class ReferenceNames:
    """Feeds the second names.

    Args:
        families: where they are made.
        start_time_seconds: Unix time at which the worker started.
    """

    _info_now: tuple[str, str, str] | None = None
    _loaded: Gauge

    def __init__(self, families: Families, start_time_seconds: float) -> None:
        self._make_predictions(families)
        self._make_model(families, start_time_seconds)

    def predictions(
        self,
        num_by_prediction: Sequence[int],
        latency_counts: Sequence[int],
        latency_seconds: float,
        probabilities: float,
    ) -> None:
        """Add answered rows.

        Args:
            num_by_prediction: rows that stay, rows that churn.
            latency_counts: rows per bucket of ``LATENCY_SECONDS``.
            latency_seconds: sum of the latencies.
            probabilities: sum of the churn probabilities.
        """
        stays, churns = num_by_prediction
        for family in (self._predictions, self._predict):
            family.inc(stays + churns)
        for family in (self._stays, self._by_label.labels("0")):
            family.inc(stays)
        for family in (self._churns, self._by_label.labels("1")):
            family.inc(churns)
        for histogram in (self._latency, self._predict_latency):
            add_to_histogram(histogram, latency_counts, latency_seconds)
        add_to_summary(self._probability, stays + churns, probabilities)

    def release(self, version: str | None, kind: str, f1_score: str) -> None:
        """The release that answers now; a version that is no number is 0."""
        number = version or ""
        self._version.set(float(number) if number.isdecimal() else 0.0)
        now = (number or "unknown", kind, f1_score)
        if self._info_now is not None and self._info_now != now:
            self._info.labels(*self._info_now).set(0)
        self._info.labels(*now).set(1)
        self._info_now = now

    def loaded(self, is_loaded: bool) -> None:
        """Whether this worker has a model."""
        self._loaded.set(is_loaded)

    def _make_predictions(self, families: Families) -> None:
        counter, histogram = families.counter, families.histogram
        self._predictions: Counter = counter("predictions_total", "Answered rows")
        self._by_label = counter(
            "churn_predictions_total", "Answered rows by prediction (1 is churn)", "label"
        )
        show_all(self._by_label, [["0"], ["1"]])
        latency = "As fedchurn_prediction_latency_seconds"
        self._latency = histogram("prediction_latency_seconds", latency, LATENCY_SECONDS)
        self._predict: Counter = counter("predict_total", "Answered rows")
        self._churns: Counter = counter("predict_churn_total", "Answered rows that churn")
        self._stays: Counter = counter("predict_no_churn_total", "Answered rows that stay")
        self._predict_latency = histogram("predict_latency_seconds", latency, LATENCY_SECONDS)
        self._probability = families.summary("predict_probability", "Churn probabilities")
        errors = "As fedchurn_prediction_errors_total"
        self.errors = (
            counter("prediction_errors_total", errors),
            counter("predict_errors_total", errors),
        )

    def _make_model(self, families: Families, start_time_seconds: float) -> None:
        self._version = families.gauge(
            "model_version",
            "Version of the release in the registry; 0 when it is no number",
            together="mostrecent",
        )
        show_unset(self._version)
        self._info = families.gauge(
            "model_info",
            "1 for the release that answers, 0 for those that did",
            "version",
            "type",
            "f1",
            together="livemax",
        )
        self._loaded = families.gauge(
            "model_loaded", "1 when every worker has a model", together="livemin"
        )
        self._loaded.set(0)
        started = families.gauge(
            "app_start_time_seconds",
            "Unix time at which the oldest worker started",
            together="livemin",
        )
        started.set(start_time_seconds)

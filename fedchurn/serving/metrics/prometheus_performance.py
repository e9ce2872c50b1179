"""Metrics of how good answers were, from the last performance record."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from prometheus_client import Gauge

from fedchurn.serving.metrics.prometheus_families import Families, show_unset

Record = Mapping[str, Any]

_LIVE = {
    "accuracy": "Share of right decisions",
    "f1": "F1 score of decisions",
    "roc_auc": "Area under the ROC curve",
    "brier": "Mean squared error of the churn probability",
}
_MONEY = {
    "revenue_at_risk": "Value x churn probability of customers whose outcome is open",
    "revenue_lost": "Value of customers who churned",
    "revenue_saved": "Value x churn probability of customers who were called churners and stayed",
}
_ESTIMATED = ("accuracy", "f1", "roc_auc")


class PerformanceSeries:
    """Shows the last record; NaN where a figure is not known, so that no alert takes it for 0."""

    def __init__(self, families: Families) -> None:
        self._record_now: Callable[[], Record | None] | None = None
        self._shown: Record | None = None
        self._live = {
            name: _unknown(families, f"fedchurn_live_{name}", f"{meaning}, by mature labels")
            for name, meaning in _LIVE.items()
        }
        self._money = {
            name: _unknown(families, f"fedchurn_{name}", meaning)
            for name, meaning in _MONEY.items()
        }
        self._estimated = {
            name: _unknown(
                families,
                f"fedchurn_estimated_{name}",
                f"What {name} should be of customers whose outcome is open, without labels",
            )
            for name in _ESTIMATED
        }
        self._labels = families.gauge(
            "fedchurn_mature_labels",
            "Customers of the performance window whose outcome is known",
            together="mostrecent",
        )
        self._coverage = _unknown(
            families,
            "fedchurn_label_coverage_fraction",
            "Share of customers with a mature prediction whose outcome is known (0-1)",
        )
        self._decayed = families.gauge(
            "fedchurn_performance_decayed",
            "1 when mature labels say that the release is worse than on its held-out rows",
            together="mostrecent",
        )
        self._looked_at = families.gauge(
            "fedchurn_performance_timestamp_seconds",
            "Unix time of the last look at mature labels; 0 before the first",
            together="mostrecent",
        )
        for gauge in (self._labels, self._decayed, self._looked_at):
            show_unset(gauge)

    def watch(self, record: Callable[[], Record | None]) -> None:
        """Ask ``record`` for the last record whenever ``refresh`` is called; None is no record."""
        self._record_now = record

    def refresh(self) -> None:
        """Bring the gauges up to date."""
        found = self._record_now() if self._record_now is not None else None
        if found is self._shown:
            return
        self._shown = found
        try:
            self._show(found or {})
        except (AttributeError, KeyError, TypeError, ValueError):  # somebody changed the file
            self._show({})

    def _show(self, record: Record) -> None:
        figures, revenue = record.get("figures", {}), record.get("revenue", {})
        estimated = (record.get("estimated") or {}).get("metrics", ())
        by_name = {one["metric"]: one["estimated"] for one in estimated}
        told = ((self._live, figures), (self._money, revenue), (self._estimated, by_name))
        for gauges, values in told:
            for name, gauge in gauges.items():
                gauge.set(_number(values.get(name)))
        self._labels.set(figures.get("num_labelled", 0))
        self._coverage.set(_number(record.get("label_coverage")))
        self._decayed.set(record.get("decay", {}).get("verdict") == "decay")
        if "timestamp" in record:
            self._looked_at.set(datetime.fromisoformat(record["timestamp"]).timestamp())


def _unknown(families: Families, name: str, meaning: str) -> Gauge:
    """A gauge that is NaN until it is known."""
    gauge = families.gauge(name, meaning, together="mostrecent")
    show_unset(gauge, math.nan)
    return gauge


def _number(value: float | None) -> float:
    return math.nan if value is None else value

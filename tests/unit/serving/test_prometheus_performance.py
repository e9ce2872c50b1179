"""Gauges of the last performance record: what it says, and NaN for what nobody knows."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from fedchurn.serving.feedback.performance_file import FILE, latest_performance
from fedchurn.serving.metrics.prometheus_families import Families
from fedchurn.serving.metrics.prometheus_performance import PerformanceSeries

RECORD: dict[str, Any] = {
    "format": 1,
    "release": "shop-1",
    "timestamp": "2026-03-01T12:00:00.000Z",
    "figures": {"num_labelled": 150, "accuracy": 0.875, "f1": 0.5, "roc_auc": None, "brier": 0.125},
    "label_coverage": 0.75,
    "revenue": {"revenue_at_risk": 45.0, "revenue_lost": 80.0, "revenue_saved": None},
    "decay": {"verdict": "decay"},
    "estimated": {"metrics": [{"metric": "accuracy", "estimated": 0.5}]},
}


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


def shown(registry: CollectorRegistry, name: str) -> float:
    value = registry.get_sample_value(f"fedchurn_{name}")
    assert value is not None, name
    return value


def test_a_record_is_shown(registry: CollectorRegistry) -> None:
    series = PerformanceSeries(Families(registry))
    series.watch(lambda: RECORD)
    series.refresh()
    expected = {
        **{"live_accuracy": 0.875, "live_f1": 0.5, "live_brier": 0.125, "mature_labels": 150},
        **{"revenue_at_risk": 45, "revenue_lost": 80, "label_coverage_fraction": 0.75},
        **{"performance_decayed": 1, "estimated_accuracy": 0.5},
        "performance_timestamp_seconds": 1772366400,
    }
    assert {name: shown(registry, name) for name in expected} == expected
    for unknown in ("live_roc_auc", "revenue_saved", "estimated_f1", "estimated_roc_auc"):
        assert math.isnan(shown(registry, unknown)), unknown


def test_before_the_first_record_and_after_a_new_release_figures_are_unknown(
    registry: CollectorRegistry,
) -> None:
    series = PerformanceSeries(Families(registry))
    series.refresh()
    assert math.isnan(shown(registry, "live_accuracy"))
    assert shown(registry, "mature_labels") == shown(registry, "performance_decayed") == 0
    told: list[dict[str, Any] | None] = [RECORD]
    series.watch(lambda: told[0])
    series.refresh()
    told[0] = None
    series.refresh()
    assert math.isnan(shown(registry, "live_accuracy"))
    assert shown(registry, "performance_decayed") == 0


@pytest.mark.parametrize("damage", [{"figures": 3}, {"timestamp": "noon"}, {"revenue": []}])
def test_a_record_that_somebody_changed_does_not_cost_the_scrape(
    registry: CollectorRegistry, damage: dict[str, Any]
) -> None:
    series = PerformanceSeries(Families(registry))
    series.watch(lambda: {**RECORD, **damage})
    series.refresh()
    assert math.isnan(shown(registry, "live_accuracy"))


def test_the_file_is_read_once_per_change(tmp_path: Path) -> None:
    latest = latest_performance(tmp_path)
    assert latest("shop-1") is None
    path = tmp_path / FILE
    path.write_text(json.dumps(RECORD))
    first = latest("shop-1")
    assert first == RECORD
    assert latest("shop-1") is first
    assert latest("shop-2") is None
    assert latest("shop-1") == RECORD
    path.write_text(json.dumps({**RECORD, "label_coverage": 0.5}))
    os.utime(path, ns=(1, 1))
    changed = latest("shop-1")
    assert changed is not None
    assert changed["label_coverage"] == 0.5
    path.unlink()
    assert latest("shop-1") is None

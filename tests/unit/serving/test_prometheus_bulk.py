"""Bulk observations equal ``observe`` one by one, with one process and in multiprocess mode."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram, Summary

from fedchurn.serving.metrics.prometheus_bulk import add_to_histogram, add_to_summary, observe_many

BOUNDS = (0.5, 1.0, 2.0)
EIGHTHS = st.integers(-40, 40).map(lambda n: n / 8)  # sums are exact, and bounds are among them

IN_ONE_PROCESS_OF_MANY = """
import sys, json, numpy as np
from prometheus_client import CollectorRegistry, Histogram, Summary
from prometheus_client.multiprocess import MultiProcessCollector
from fedchurn.serving.metrics.prometheus_bulk import add_to_summary, observe_many
values = [0.25, 0.5, 0.75, 2.0, 64.0]
bulk = Histogram("bulk", "x", ["k"], buckets=(0.5, 1.0, 2.0), registry=CollectorRegistry())
single = Histogram("single", "x", ["k"], buckets=(0.5, 1.0, 2.0), registry=CollectorRegistry())
bulk_summary = Summary("bulk_size", "x", registry=CollectorRegistry())
single_summary = Summary("single_size", "x", registry=CollectorRegistry())
for _ in range(2):
    observe_many([bulk.labels("a")], np.array(values))
    add_to_summary(bulk_summary, len(values), sum(values))
    for value in values:
        single.labels("a").observe(value)
        single_summary.observe(value)
merged = CollectorRegistry()
MultiProcessCollector(merged)
samples = [s for family in merged.collect() for s in family.samples]
print(json.dumps([[s.name, s.labels, s.value] for s in samples]))
"""


def _histogram() -> tuple[CollectorRegistry, Histogram]:
    registry = CollectorRegistry()
    return registry, Histogram("h", "x", buckets=BOUNDS, registry=registry)


def _values(registry: CollectorRegistry) -> dict[str, float]:
    samples = [s for family in registry.collect() for s in family.samples]
    return {f"{s.name}{s.labels}": s.value for s in samples if not s.name.endswith("_created")}


@given(st.lists(EIGHTHS, max_size=30))
def test_a_histogram_is_as_if_it_had_observed_each_value(values: list[float]) -> None:
    bulk, histogram = _histogram()
    observe_many([histogram], np.array(values))
    single, other = _histogram()
    for value in values:
        other.observe(value)
    assert _values(bulk) == _values(single)


def test_equal_histograms_can_share_the_counting() -> None:
    first, one = _histogram()
    second, two = _histogram()
    observe_many([one, two], np.array([0.5, 3.0]))
    assert _values(first) == _values(second)
    assert first.get_sample_value("h_bucket", {"le": "0.5"}) == 1
    assert first.get_sample_value("h_count") == 2


def test_counts_must_fit_the_buckets() -> None:
    _, histogram = _histogram()
    with pytest.raises(ValueError, match="3 counts for 4 buckets"):
        add_to_histogram(histogram, [1, 2, 3], 4.0)


def test_a_summary_is_as_if_it_had_observed_each_value() -> None:
    registry = CollectorRegistry()
    summary = Summary("s", "x", registry=registry)
    add_to_summary(summary, 3, 1.5)
    add_to_summary(summary, 1, 0.25)
    assert registry.get_sample_value("s_count") == 4
    assert registry.get_sample_value("s_sum") == 1.75


def test_in_multiprocess_mode_too(tmp_path: Path) -> None:
    environ = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", IN_ONE_PROCESS_OF_MANY],
        env=environ,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    seen = {"bulk": {}, "single": {}}  # type: dict[str, dict[str, float]]
    for name, labels, value in json.loads(done.stdout):
        which, _, rest = name.partition("_")
        seen[which][f"{rest}{labels}"] = value
    assert seen["bulk"] == seen["single"]
    assert seen["bulk"]["count{'k': 'a'}"] == 10
    assert seen["bulk"]["bucket{'k': 'a', 'le': '0.5'}"] == 4
    assert seen["bulk"]["size_count{}"] == 10

"""Curve points: hand-computed, and consistent with the metrics."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedchurn.evaluation.curves import (
    FeatureCurve,
    calibration_points,
    coarse_histogram,
    pr_points,
    roc_points,
    smoothed,
    strongest_first,
)
from fedchurn.evaluation.metrics import roc_auc
from fedchurn.evaluation.sums import ScoreSums, score_sums

SUMS = score_sums(np.array([1, 0, 1, 0]), np.array([0.9, 0.5, 0.5, 0.1]))


def test_roc_by_hand():
    false_rate, true_rate = roc_points(SUMS)
    assert false_rate.tolist() == [0, 0, 0.5, 1]
    assert true_rate.tolist() == [0, 0.5, 1, 1]


def test_pr_by_hand():
    recall, precision = pr_points(SUMS)
    assert recall.tolist() == [0.5, 1, 1]
    assert precision.tolist() == [1, 2 / 3, 0.5]


@given(st.lists(st.tuples(st.integers(0, 1), st.floats(0, 1)), min_size=2, max_size=60))
def test_the_area_under_the_roc_points_is_the_auc(pairs):
    sums = score_sums(np.array([y for y, _ in pairs]), np.array([p for _, p in pairs]))
    false_rate, true_rate = roc_points(sums)
    if len(false_rate):
        assert np.trapezoid(true_rate, false_rate) == pytest.approx(roc_auc(sums))


def test_no_rows_have_no_points():
    empty = ScoreSums.zero()
    assert [len(part) for part in (*roc_points(empty), *pr_points(empty))] == [0, 0, 0, 0]
    assert len(calibration_points(empty).predicted) == 0


def test_calibration_groups_are_of_equal_size_and_lose_no_row():
    random = np.random.default_rng(1)
    score = random.random(1000)
    points = calibration_points(score_sums(np.ones(1000), score), num_bins=10)
    assert points.num_rows.sum() == 1000
    assert points.num_rows.min() >= 95
    assert np.all(np.diff(points.predicted) > 0)
    assert np.all(points.observed == 1)


def test_smoothing_is_the_centred_rolling_mean_with_its_band():
    values = [0.5, 0.7, 0.6, 0.9, 0.8]
    curve = smoothed(values)
    rolling = pd.Series(values).rolling(3, center=True, min_periods=1)
    band = 1.96 * rolling.std().fillna(0).to_numpy()
    assert curve.centre == pytest.approx(rolling.mean().to_numpy())
    assert curve.high - curve.centre == pytest.approx(band)
    assert curve.centre - curve.low == pytest.approx(band)


def test_smoothing_leaves_out_unknown_rounds():
    assert smoothed([1.0, np.nan, 3.0]).centre.tolist() == [1.0, 2.0, 3.0]
    assert np.isnan(smoothed([np.nan]).centre).all()


def test_coarse_histogram_sums_to_one_per_class():
    edges, stayed, churned = coarse_histogram(SUMS)
    assert len(edges) == 33
    assert stayed.sum() == churned.sum() == 1


def test_features_are_ordered_by_effect_then_name():
    flat = FeatureCurve("b", np.zeros(2), np.arange(2.0))
    also_flat = FeatureCurve("a", np.zeros(2), np.arange(2.0))
    steep = FeatureCurve("c", np.array([-1.0, 1.0]), np.arange(2.0))
    assert [c.feature for c in strongest_first([flat, steep, also_flat])] == ["c", "a", "b"]
    assert steep.effect == 2.0

"""Metrics from sums equal sklearn's from rows."""

from __future__ import annotations

import json
import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from fedchurn.errors import SettingsError
from fedchurn.evaluation.metrics import metrics
from fedchurn.evaluation.sums import NUM_BINS, ScoreSums, score_sums

edges = st.integers(0, NUM_BINS - 1)
# Scores on bin edges are distinct bins or exact ties, so that areas must agree to rounding.
scored_rows = st.lists(st.tuples(st.integers(0, 1), edges), min_size=2, max_size=80)


@settings(deadline=None)
@given(scored_rows, edges)
def test_everything_equals_sklearn(pairs, edge):
    target = np.array([y for y, _ in pairs])
    score = np.array([k for _, k in pairs]) / NUM_BINS
    called = (score >= edge / NUM_BINS).astype(int)
    ours = metrics(score_sums(target, score), edge / NUM_BINS)
    tn, fp, fn, tp = sk.confusion_matrix(target, called, labels=[0, 1]).ravel()
    assert (ours.num_true_negatives, ours.num_false_positives) == (tn, fp)
    assert (ours.num_false_negatives, ours.num_true_positives) == (fn, tp)
    assert ours.accuracy == pytest.approx(sk.accuracy_score(target, called))
    assert ours.precision == pytest.approx(sk.precision_score(target, called, zero_division=0))
    assert ours.recall == pytest.approx(sk.recall_score(target, called, zero_division=0))
    assert ours.f1 == pytest.approx(sk.f1_score(target, called, zero_division=0))
    assert ours.specificity == pytest.approx(
        sk.recall_score(target, called, pos_label=0, zero_division=0)
    )
    assert ours.brier == pytest.approx(np.mean((score - target) ** 2), abs=1e-8)
    clipped = np.clip(score, 1e-12, 1 - 1e-12)
    assert ours.log_loss == pytest.approx(
        sk.log_loss(target, clipped, labels=[0, 1]), abs=1e-8, rel=1e-4
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # sklearn warns where a class is absent
        assert ours.balanced_accuracy == pytest.approx(sk.balanced_accuracy_score(target, called))
        assert ours.mcc == pytest.approx(sk.matthews_corrcoef(target, called))
        kappa = sk.cohen_kappa_score(target, called)
    assert ours.kappa == pytest.approx(0.0 if math.isnan(kappa) else kappa)
    if 0 < target.sum() < len(target):
        assert ours.roc_auc == pytest.approx(sk.roc_auc_score(target, score))
        assert ours.pr_auc == pytest.approx(sk.average_precision_score(target, score))


def test_areas_of_arbitrary_scores_are_within_the_binning_error():
    random = np.random.default_rng(3)
    target = random.integers(0, 2, 4000)
    score = np.clip(random.normal(0.4 + 0.2 * target, 0.2), 0, 1)
    ours = metrics(score_sums(target, score))
    assert ours.roc_auc == pytest.approx(sk.roc_auc_score(target, score), abs=1e-4)
    assert ours.pr_auc == pytest.approx(sk.average_precision_score(target, score), abs=1e-3)


def test_calibration_error_by_hand():
    """Two groups of scores: 0.2 with 1 churner in 10, and 0.8 with 8 in 10."""
    target = np.array([1] + [0] * 9 + [1] * 8 + [0] * 2)
    score = np.array([0.2] * 10 + [0.8] * 10)
    ours = metrics(score_sums(target, score))
    assert ours.calibration_error == pytest.approx(0.05, abs=1 / NUM_BINS)


def test_a_calibrated_model_has_a_small_calibration_error():
    random = np.random.default_rng(0)
    score = random.random(50_000)
    target = (random.random(50_000) < score).astype(int)
    assert metrics(score_sums(target, score)).calibration_error < 0.01
    assert metrics(score_sums(target, score**3)).calibration_error > 0.1


def test_majority_is_the_larger_class():
    ours = metrics(score_sums(np.array([0, 0, 0, 1]), np.full(4, 0.25)))
    assert (ours.churn_rate, ours.majority_accuracy, ours.accuracy) == (0.25, 0.75, 0.75)
    assert ours.roc_auc == 0.5


@pytest.mark.parametrize("label", [0, 1])
def test_one_class_has_no_auc_and_no_exception(label):
    ours = metrics(score_sums(np.full(5, label), np.linspace(0, 1, 5)))
    assert math.isnan(ours.roc_auc)
    assert math.isnan(ours.pr_auc) == (label == 0)


def test_no_rows_are_json_ready():
    values = metrics(ScoreSums.zero()).to_dict()
    assert values["num_rows"] == 0
    assert values["accuracy"] is None
    assert values["precision"] == 0.0
    json.dumps(values, allow_nan=False)


@pytest.mark.parametrize("threshold", [0.3, -1 / 4096, 1.0, math.nan, math.inf])
def test_a_threshold_off_the_edges_is_refused(threshold):
    with pytest.raises(SettingsError, match="histogram edge"):
        metrics(ScoreSums.zero(), threshold)

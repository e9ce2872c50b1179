"""Estimates without labels: right where the assumption holds, calibrated, and quiet by chance."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from fedchurn.drift.performance.estimated_performance import (
    EstimatedPerformance,
    EstimateRule,
    estimate_performance,
    isotonic,
)
from fedchurn.drift.performance.label_sums import label_sums
from fedchurn.errors import DataError, IntegrityError

# Two cells: of 100 customers below .5 10 churn, of 100 above 80 do.
HALVES = {"edges": [0, 0.5, 1], "negative_rows": [90, 20], "positive_rows": [10, 80]}
LOW, HIGH = [0.25] * 100, [0.75] * 100


def estimate(probabilities: list[float], **changes: object) -> EstimatedPerformance:
    decisions = [int(p >= 0.5) for p in probabilities]
    return estimate_performance(HALVES, probabilities, decisions, threshold=0.5, **changes)


def test_the_same_rows_have_the_same_figures() -> None:
    found = estimate(LOW + HIGH)
    accuracy, f1, area = found.metrics
    # 90 + 80 of 200 are right; of 100 called 80 churn, of 90 churners 80 are called.
    assert accuracy.estimated == accuracy.held_out == pytest.approx(0.85)
    assert f1.estimated == f1.held_out == pytest.approx(160 / 190)
    # Pairs in order: 80 x 90, ties 10 x 90 and 80 x 20 half, of 90 x 110.
    assert area.estimated == area.held_out == pytest.approx((7200 + 1250) / 9900)
    assert (found.verdict, found.num_rows, found.num_held_out_rows) == ("none", 200, 200)
    assert found.expected_churn_rate == found.held_out_churn_rate == pytest.approx(0.45)


def test_rows_that_moved_to_where_the_model_is_less_sure_are_told() -> None:
    found = estimate(HIGH * 20)
    accuracy = found.metrics[0]
    assert (accuracy.estimated, accuracy.held_out) == (pytest.approx(0.8), pytest.approx(0.85))
    assert accuracy.drop == pytest.approx(0.05)
    assert accuracy.drop_at_least < accuracy.drop < accuracy.drop_at_most
    assert found.expected_churn_rate == pytest.approx(0.8)
    assert json.loads(json.dumps(found.to_dict()))["metrics"][0]["metric"] == "accuracy"


def drawn(
    generator: np.random.Generator, num_rows: int, a: float
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Scores, and labels that are rarer than scores say: the model is badly calibrated."""
    scores = generator.beta(a, 1.5, num_rows)
    return scores, generator.random(num_rows) < scores**1.5


def histogram(scores: NDArray[np.float64], labels: NDArray[np.bool_]) -> dict[str, list[float]]:
    edges = np.linspace(0, 1, 33)
    return {
        "edges": edges.tolist(),
        "negative_rows": np.histogram(scores[~labels], edges)[0].tolist(),
        "positive_rows": np.histogram(scores[labels], edges)[0].tolist(),
    }


def test_a_shifted_window_is_estimated_as_its_labels_say_later() -> None:
    generator = np.random.default_rng(5)
    stored = histogram(*drawn(generator, 20_000, 0.3))
    scores, labels = drawn(generator, 20_000, 1.2)
    found = estimate_performance(stored, scores, scores >= 0.5, threshold=0.5)
    truth = label_sums(labels, scores, scores >= 0.5)
    for one in found.metrics:
        assert one.estimated == pytest.approx(getattr(truth, one.metric), abs=0.015), one.metric
    assert found.expected_churn_rate == pytest.approx(labels.mean(), abs=0.015)
    assert found.verdict == "warning"
    assert found.metrics[0].held_out > found.metrics[0].estimated + 0.1


def test_windows_without_change_are_seldom_warned_of() -> None:
    """100 windows at 5 %, without a smallest drop."""
    generator = np.random.default_rng(7)
    rule = EstimateRule(level=0.05, min_drop=0.0, num_draws=50)
    warned = 0
    for _ in range(100):
        stored = histogram(*drawn(generator, 1000, 0.3))
        scores, _ = drawn(generator, 300, 0.3)
        found = estimate_performance(stored, scores, scores >= 0.5, threshold=0.5, rule=rule)
        warned += found.verdict == "warning"
    assert warned <= 10  # 5 expected at most; 10 is 2.3 standard deviations above


def test_copies_among_the_held_out_rows_widen_the_bounds() -> None:
    sure, unsure = (estimate(LOW + HIGH, effective_fraction=share) for share in (1.0, 0.1))
    for one, other in zip(sure.metrics, unsure.metrics, strict=True):
        assert other.drop_at_most > one.drop_at_most


def test_the_same_window_gets_the_same_bounds() -> None:
    assert estimate(LOW + HIGH) == estimate(LOW + HIGH)


def test_few_rows_say_nothing() -> None:
    found = estimate(LOW[:99])
    assert (found.verdict, found.num_rows, found.metrics) == ("too_few_rows", 99, ())
    assert found.held_out_churn_rate == pytest.approx(0.45)
    empty = {"edges": [0, 1], "negative_rows": [0], "positive_rows": [0]}
    nothing = estimate_performance(empty, LOW, [0] * 100, threshold=0.5)
    assert (nothing.verdict, nothing.held_out_churn_rate) == ("too_few_rows", None)


def test_a_figure_that_does_not_exist_is_none() -> None:
    never = {"edges": [0, 0.5, 1], "negative_rows": [50, 50], "positive_rows": [0, 0]}
    found = estimate_performance(never, LOW, [0] * 100, threshold=1.0)
    accuracy, f1, area = found.metrics
    assert (accuracy.estimated, f1.estimated, area.estimated) == (1.0, None, None)
    assert found.verdict == "none"


@pytest.mark.parametrize(
    ("probabilities", "decisions"), [([0.5], [1, 0]), ([1.5], [1]), ([float("nan")], [1])]
)
def test_what_is_no_window_is_refused(probabilities: list[float], decisions: list[int]) -> None:
    with pytest.raises(DataError, match="do not belong together"):
        estimate_performance(HALVES, probabilities, decisions, threshold=0.5)


@pytest.mark.parametrize("scores", [{}, {"edges": [0, 1], "negative_rows": [1, 2]}, {"edges": 3}])
def test_what_is_no_histogram_is_refused(scores: dict[str, object]) -> None:
    stored = {"positive_rows": [1], **scores}
    with pytest.raises(IntegrityError, match="no held-out scores"):
        estimate_performance(stored, LOW, [0] * 100, threshold=0.5)


@given(st.lists(st.tuples(st.floats(0, 1), st.integers(0, 5).map(float)), min_size=1, max_size=20))
def test_isotonic_rises_keeps_the_mean_and_what_rises_already(
    cells: list[tuple[float, float]],
) -> None:
    values, weights = np.asarray(cells).T
    found = isotonic(values, weights)
    if weights.sum():
        assert (np.diff(found) >= 0).all()
        assert (found * weights).sum() == pytest.approx((values * weights).sum())
        assert isotonic(found, weights) == pytest.approx(found)
    rising = np.sort(values)
    assert isotonic(rising, np.ones(len(rising))) == pytest.approx(rising)


def test_cells_without_rows_take_their_neighbours() -> None:
    assert isotonic([9, 1, 9, 2, 9], [0, 1, 0, 1, 0]).tolist() == [1, 1, 1, 2, 2]

"""Sums over labelled predictions: figures worked out by hand, and sums that add up exactly."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedchurn.drift.performance.label_sums import LabelSums, add_label_sums, label_sums
from fedchurn.errors import DataError
from fedchurn.evaluation.metrics import calibration_error, roc_auc
from fedchurn.evaluation.sums import score_sums

# Label, probability, decision.
FOUR = ((1, 0.9, 1), (0, 0.6, 1), (1, 0.4, 0), (0, 0.1, 0))
ROWS = st.lists(
    st.tuples(st.integers(0, 1), st.integers(0, 8).map(lambda n: n / 8), st.integers(0, 1)),
    max_size=25,
)


def sums(rows: object) -> LabelSums:
    return label_sums(*np.asarray(rows, dtype=float).reshape(-1, 3).T)


def test_figures_by_hand() -> None:
    found = sums(FOUR).figures()
    assert found["num_labelled"] == 4
    assert found["num_positive"] == 2
    for name in ("accuracy", "precision", "recall", "f1", "observed_rate"):
        assert found[name] == 0.5, name
    assert found["roc_auc"] == 0.75
    assert found["brier"] == pytest.approx((0.01 + 0.36 + 0.36 + 0.01) / 4)
    assert found["mean_predicted"] == pytest.approx(0.5)
    # Four groups of one row each: |1 - 0.9|, |0 - 0.6|, |1 - 0.4|, |0 - 0.1|.
    assert found["calibration_error"] == pytest.approx(1.4 / 4, abs=2e-4)
    assert json.loads(json.dumps(found)) == found


def test_the_spread_of_a_squared_error() -> None:
    errors = np.array([0.01, 0.36, 0.36, 0.01])
    assert sums(FOUR).squared_error_variance == pytest.approx(errors.var(ddof=1))
    assert sums(FOUR[:1]).squared_error_variance is None


def test_the_variance_of_the_area_by_hand() -> None:
    # Churner at .9 is above both loyal customers, the one at .4 above one: placements 1 and 1/2,
    # variance 1/8; loyal ones have 1/2 and 1 of the churners above: 1/8, too. 1/8/2 + 1/8/2.
    assert sums(FOUR).roc_auc_variance == pytest.approx(1 / 8)
    assert sums(FOUR[:3]).roc_auc_variance is None


def test_nobody_has_no_figures() -> None:
    found = LabelSums.zero().figures()
    assert {n for n, v in found.items() if v is not None} == {"num_labelled", "num_positive"}
    assert LabelSums.zero().reliability() == []


def test_reliability_has_groups_of_equal_size() -> None:
    rows = [(1, 0.75, 1)] * 3 + [(0, 0.75, 1)] + [(0, 0.25, 0)] * 4
    low, high = sums(rows).reliability()
    assert (low["observed"], low["num_rows"]) == (0.0, 4)
    assert (high["observed"], high["num_rows"]) == (0.75, 4)
    assert high["predicted"] == pytest.approx(0.75, abs=2e-4)


@given(ROWS, ROWS)
def test_parts_add_up_whatever_their_order(some: object, more: object) -> None:
    both = [*some, *more]  # type: ignore[misc]
    assert sums(some) + sums(more) == sums(both) == add_label_sums([sums(more), sums(some)])


@given(ROWS)
def test_figures_are_those_of_held_out_rows(rows: list[tuple[int, float, int]]) -> None:
    """Live and held-out figures are compared, so they must be of one kind."""
    labels, scores, _ = np.asarray(rows, dtype=float).reshape(-1, 3).T
    held_out = score_sums(labels, scores)
    live = sums(rows)
    assert live.roc_auc == pytest.approx(roc_auc(held_out), nan_ok=True) or live.roc_auc is None
    assert (live.roc_auc is None) == np.isnan(roc_auc(held_out))
    if rows:
        assert live.calibration_error == pytest.approx(calibration_error(held_out))
        assert live.brier == pytest.approx(held_out.squared_error_sum / held_out.num_rows)


def test_swapping_classes_and_scores_keeps_the_variance() -> None:
    generator = np.random.default_rng(3)
    scores, labels = generator.integers(0, 4096, 50) / 4096, generator.integers(0, 2, 50)
    flipped = label_sums(1 - labels, 1 - 1 / 4096 - scores, labels)
    assert label_sums(labels, scores, labels).roc_auc_variance == pytest.approx(
        flipped.roc_auc_variance
    )


@pytest.mark.parametrize(
    ("given", "named"),
    [
        (([1], [0.5], [1, 0]), "do not belong together"),
        (([2], [0.5], [1]), r"label 2\.0 is neither"),
        (([1], [0.5], [0.5]), r"decision 0\.5 is neither"),
        (([1], [1.5], [1]), r"probability 1\.5 is not"),
        (([1], [float("nan")], [1]), "probability nan is not"),
    ],
)
def test_what_is_no_labelled_prediction_is_named(given: tuple[object, ...], named: str) -> None:
    with pytest.raises(DataError, match=named):
        label_sums(*given)  # type: ignore[arg-type]

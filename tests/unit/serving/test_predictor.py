"""Scoring one row and many, and the logistic function of one number."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedchurn.contract.customer_rows import canonical_row
from fedchurn.learning.spec import HiddenLayer, sigmoid
from fedchurn.release.golden import choose_golden_rows
from fedchurn.serving.predictor import Predictor, probability
from tests.unit.release import releases


@pytest.mark.parametrize("hidden", [(), (HiddenLayer(4), HiddenLayer(2))])
def test_one_row_scores_as_it_does_among_others(hidden: tuple[HiddenLayer, ...]) -> None:
    scorer = releases.scorer(hidden=hidden)
    model = Predictor(scorer)
    rows = choose_golden_rows(releases.CONTRACT, seed=2, num_rows=40)
    alone = [model.one(canonical_row(row, releases.CONTRACT).values) for row in rows]
    np.testing.assert_allclose(model.many(rows), alone, rtol=0, atol=1e-12)
    np.testing.assert_allclose(scorer.probabilities(rows), alone, rtol=0, atol=1e-12)


@given(st.floats(-800, 800))
def test_the_logistic_function_is_that_of_arrays(logit: float) -> None:
    expected = float(sigmoid(np.array([logit]))[0])
    assert probability(logit) == pytest.approx(expected, rel=1e-9, abs=1e-15)


def test_what_is_no_number_stays_none() -> None:
    assert math.isnan(probability(math.nan))
    assert probability(math.inf) == 1.0
    assert probability(-math.inf) == 0.0

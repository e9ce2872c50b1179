"""Effect sizes by hand and as scipy has them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.spatial.distance import jensenshannon

from fedchurn.drift.comparing.effects import (
    effects_between,
    jensen_shannon_distance,
    population_stability_index,
    wasserstein_distance,
)
from fedchurn.drift.histogram import Histogram
from fedchurn.drift.verdict import ColumnTest

SHARES = st.lists(st.integers(0, 20), min_size=4, max_size=4).filter(any)


def _shares(counts: list[int]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    cells = np.array(counts, dtype=np.float64)
    return cells / cells.sum()


@given(SHARES, SHARES)
def test_jensen_shannon_is_that_of_scipy(ours: list[int], theirs: list[int]) -> None:
    expected = jensenshannon(_shares(ours), _shares(theirs), base=2)
    found = jensen_shannon_distance(_shares(ours), _shares(theirs))
    assert found == pytest.approx(expected if math.isfinite(expected) else 0.0, abs=1e-7)


@given(SHARES, SHARES)
def test_wasserstein_is_that_of_values_in_the_middle_of_their_cells(
    ours: list[int], theirs: list[int]
) -> None:
    edges = np.array([0.0, 2.0, 6.0])  # middles -1, 1, 4, 8
    expected = stats.wasserstein_distance([-1, 1, 4, 8], [-1, 1, 4, 8], ours, theirs)
    found = wasserstein_distance(_shares(ours), _shares(theirs), edges)
    assert found == pytest.approx(expected, abs=1e-9)


def test_the_stability_index_by_hand() -> None:
    ours, theirs = np.array([0.2, 0.8]), np.array([0.5, 0.5])
    expected = -0.3 * math.log(0.4) + 0.3 * math.log(1.6)
    assert population_stability_index(ours, theirs, is_ordered=False) == pytest.approx(expected)
    gone = population_stability_index(np.array([0.0, 1.0]), theirs, is_ordered=False)
    assert 0 < gone < 10  # finite


def test_many_ordered_cells_are_joined_to_ten() -> None:
    theirs = np.full(100, 0.01)
    ours = np.tile([0.02, 0.0], 50)  # the same in every ten neighbours
    assert population_stability_index(ours, theirs, is_ordered=True) == pytest.approx(0, abs=1e-9)
    assert population_stability_index(ours, theirs, is_ordered=False) > 1


def test_a_window_without_values_has_a_missing_effect_only() -> None:
    window, reference = Histogram(np.zeros(3), 10.0), Histogram(np.array([4.0, 4, 0]), 2.0)
    found = effects_between(window, reference, ColumnTest.KS, np.array([1.0, 2.0]))
    assert (found.distance, found.psi, found.wasserstein) == (0.0, 0.0, 0.0)
    assert found.missing == pytest.approx(0.8)
    labels = effects_between(window, reference, ColumnTest.CHI_SQUARED, None)
    assert labels.wasserstein is None

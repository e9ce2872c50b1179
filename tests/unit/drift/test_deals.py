"""P-values against what can be counted."""

from __future__ import annotations

from math import comb

import numpy as np
import pytest
from numpy.typing import NDArray

from fedchurn.drift.comparing.deals import MAX_BATCH_DEALS, sequential_p_value
from fedchurn.drift.comparing.statistics import chi_squared, ks_distance

FloatArray = NDArray[np.float64]


def _p_value(window: FloatArray, both: FloatArray, max_deals: int, seed: int = 1) -> float:
    def statistic(windows: FloatArray) -> FloatArray:
        return ks_distance(windows, both)

    generator = np.random.default_rng(seed)
    return sequential_p_value(window, both, statistic, 1.0, max_deals, generator)


def test_the_p_value_counts_more_extreme_deals_and_half_of_the_equal_ones() -> None:
    # 3 of 4 window rows and 1 of 8 others are in the first cell: of all ways to deal 4 of 12 rows,
    # 4 of them in the first cell, more extreme is 4 there, and as extreme is 3.
    window, both = np.array([3.0, 1.0]), np.array([4.0, 8.0])
    chances = {k: comb(4, k) * comb(8, 4 - k) / comb(12, 4) for k in range(5)}
    expected = chances[4] + chances[3] / 2
    found = [_p_value(window, both, 4000, seed) for seed in range(200)]
    assert np.mean(found) == pytest.approx(expected, rel=0.1)  # 10 extreme deals each


def test_equal_sides_and_a_single_cell_are_no_evidence() -> None:
    generator = np.random.default_rng(1)
    for cells in ([5.0, 5.0], [10.0]):
        window = np.array(cells)
        for measure in (ks_distance, chi_squared):
            found = sequential_p_value(
                window, 2 * window, lambda w, m=measure, b=2 * window: m(w, b), 1.0, 99, generator
            )
            assert found >= 0.5


def test_a_p_value_is_never_zero_and_a_bound_below_the_deals_is_the_answer() -> None:
    window, both = np.array([50.0, 0.0]), np.array([50.0, 50.0])
    assert 0 < _p_value(window, both, 99) <= 0.01
    generator = np.random.default_rng(1)
    found = sequential_p_value(window, both, lambda w: ks_distance(w, both), 1e-9, 99, generator)
    assert found == 1e-9


def test_p_values_without_drift_are_spread_evenly() -> None:
    generator = np.random.default_rng(2)
    both = np.array([30, 20, 10, 40])
    dealt = generator.multivariate_hypergeometric(both, 25, size=400).astype(np.float64)
    found = [
        _p_value(window, both.astype(np.float64), 400, place) for place, window in enumerate(dealt)
    ]
    for level in (0.1, 0.3, 0.6):
        assert np.mean(np.array(found) <= level) == pytest.approx(level, abs=0.08)


def test_many_deals_are_looked_at_in_parts() -> None:
    window, both, sizes = np.array([9.0, 1.0]), np.array([50.0, 50.0]), []

    def statistic(windows: FloatArray) -> FloatArray:
        sizes.append(len(windows))
        return -np.arange(len(windows), dtype=np.float64)  # none is as extreme as the window

    generator = np.random.default_rng(1)
    sequential_p_value(window, both, lambda w: statistic(w) - (len(w) > 1), 1.0, 50_000, generator)
    assert sum(sizes) == 1 + 50_000
    assert max(sizes) == MAX_BATCH_DEALS

"""The statistics by hand, and p-values against what can be counted."""

from __future__ import annotations

from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from fedchurn.drift.permutation import (
    MAX_CELLS,
    chi_squared,
    group_cells,
    ks_distance,
    p_value,
    total_variation,
)
from fedchurn.drift.verdict import ColumnTest

WINDOW = np.array([[1.0, 3.0, 0.0]])
REFERENCE = np.array([3.0, 3.0, 2.0])
BOTH = WINDOW[0] + REFERENCE
COUNTS = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), min_size=2, max_size=8).filter(
    lambda cells: all(sum(side) > 0 for side in zip(*cells, strict=True))
)


def test_distances_by_hand() -> None:
    # distribution functions: window 1/4, 1, 1; reference 3/8, 6/8, 1
    assert ks_distance(WINDOW, BOTH, 4).tolist() == [0.25]
    # shares differ by 1/8, 3/8, 2/8
    assert total_variation(WINDOW, BOTH, 4).tolist() == [0.375]


def test_chi_squared_by_hand() -> None:
    # expected in the window 4/3, 2, 2/3; in the reference 8/3, 4, 4/3
    expected = (1 / 9) / (4 / 3) + 1 / 2 + (4 / 9) / (2 / 3)
    expected += (1 / 9) / (8 / 3) + 1 / 4 + (4 / 9) / (4 / 3)
    assert chi_squared(WINDOW, BOTH, 4)[0] == pytest.approx(expected)


@given(COUNTS)
def test_statistics_are_those_of_scipy(cells: list[tuple[int, int]]) -> None:
    window, reference = np.array(cells, dtype=np.float64).T
    both = window + reference
    asked = (window[np.newaxis], both, window.sum())
    values = [np.repeat(np.arange(len(side)), side.astype(int)) for side in (window, reference)]
    assert ks_distance(*asked)[0] == pytest.approx(stats.ks_2samp(*values).statistic)
    held = both > 0
    table = np.stack([window[held], reference[held]])
    if held.sum() > 1:
        expected = stats.chi2_contingency(table, correction=False).statistic
        assert chi_squared(*asked)[0] == pytest.approx(expected, abs=1e-9)


def test_the_p_value_is_the_share_of_deals_that_are_as_extreme() -> None:
    # 3 of 4 window rows and 1 of 8 others are in the first cell: of all ways to deal 4 of 12 rows,
    # 4 of them in the first cell, as far from even as this are those with 3 or 4 there.
    window, both = np.array([3.0, 1.0]), np.array([4.0, 8.0])
    extreme = sum(comb(4, k) * comb(8, 4 - k) for k in (3, 4)) / comb(12, 4)
    found = p_value(window, both, ks_distance, 20_000, np.random.default_rng(1))
    assert found == pytest.approx(extreme, abs=0.01)


def test_equal_sides_and_a_single_cell_are_no_evidence() -> None:
    generator = np.random.default_rng(1)
    for cells in ([5.0, 5.0], [10.0]):
        window = np.array(cells)
        assert p_value(window, 2 * window, ks_distance, 99, generator) == 1.0
        assert p_value(window, 2 * window, chi_squared, 99, generator) == 1.0


def test_a_p_value_is_never_zero() -> None:
    window, both = np.array([50.0, 0.0]), np.array([50.0, 50.0])
    assert p_value(window, both, ks_distance, 99, np.random.default_rng(1)) == 0.01


def _grouped(both: list[float], test: ColumnTest, num_window: float) -> list[float]:
    groups = group_cells(np.array(both), test, num_window)
    counts: NDArray[np.float64] = np.bincount(groups, both)
    return sorted(counts.tolist())


def test_labels_that_few_rows_have_are_one_group() -> None:
    # a window has half of the rows: expected 20, 4, 3, 0.5 and 10 rows
    assert _grouped([40, 8, 6, 1, 20], ColumnTest.CHI_SQUARED, 37.5) == [15, 20, 40]


def test_a_group_that_is_still_small_takes_in_the_next() -> None:
    # expected 20, 2, 1 and 10 rows
    assert _grouped([40, 4, 2, 20], ColumnTest.CHI_SQUARED, 33) == [26, 40]


def test_where_all_labels_are_few_there_is_one_group() -> None:
    assert _grouped([2, 3, 1], ColumnTest.CHI_SQUARED, 3) == [6]


def test_few_cells_of_numbers_stay_as_they_are() -> None:
    both = np.array([1.0, 0, 5, 0, 2])
    assert group_cells(both, ColumnTest.KS, 4).tolist() == [0, 1, 2, 3, 4]


@given(st.lists(st.integers(0, 50), min_size=65, max_size=300).filter(lambda c: sum(c) > 0))
def test_many_cells_of_numbers_are_joined_with_neighbours(cells: list[int]) -> None:
    groups = group_cells(np.array(cells, dtype=np.float64), ColumnTest.KS, 10)
    steps = np.diff(groups)
    assert set(steps.tolist()) <= {0, 1}
    if np.count_nonzero(cells) > MAX_CELLS:
        assert groups[-1] < MAX_CELLS

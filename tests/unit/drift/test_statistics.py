"""The statistics by hand, and against those of scipy."""

from __future__ import annotations

from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from fedchurn.drift.comparing.deals import tail_bound
from fedchurn.drift.comparing.statistics import (
    MAX_CELLS,
    PARTS,
    chi_squared,
    exponent,
    group_cells,
    ks_distance,
    log_likelihood_ratio,
    strongest_cut,
    strongest_label,
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
    assert ks_distance(WINDOW, BOTH).tolist() == [0.25]
    # shares differ by 1/8, 3/8, 2/8
    assert total_variation(WINDOW, BOTH).tolist() == [0.375]


def test_chi_squared_by_hand() -> None:
    # expected in the window 4/3, 2, 2/3; in the reference 8/3, 4, 4/3
    expected = (1 / 9) / (4 / 3) + 1 / 2 + (4 / 9) / (2 / 3)
    expected += (1 / 9) / (8 / 3) + 1 / 4 + (4 / 9) / (4 / 3)
    assert chi_squared(WINDOW, BOTH)[0] == pytest.approx(expected)


@given(COUNTS)
def test_statistics_are_those_of_scipy(cells: list[tuple[int, int]]) -> None:
    window, reference = np.array(cells, dtype=np.float64).T
    both = window + reference
    asked = (window[np.newaxis], both)
    values = [np.repeat(np.arange(len(side)), side.astype(int)) for side in (window, reference)]
    assert ks_distance(*asked)[0] == pytest.approx(stats.ks_2samp(*values).statistic)
    held = both > 0
    table = np.stack([window[held], reference[held]])
    if held.sum() > 1:
        expected = stats.chi2_contingency(table, correction=False).statistic
        assert chi_squared(*asked)[0] == pytest.approx(expected, abs=1e-9)


def _deviate(hits: float, rows: float, all_hits: float, all_rows: float) -> float:
    """z of the difference of two shares with their pooled variance."""
    share, rest = all_hits / all_rows, all_rows - rows
    difference = hits / rows - (all_hits - hits) / rest
    return float(difference / np.sqrt(share * (1 - share) * (1 / rows + 1 / rest)))


@given(COUNTS)
def test_the_strongest_label_is_the_largest_of_its_tables(cells: list[tuple[int, int]]) -> None:
    window, reference = np.array(cells, dtype=np.float64).T
    both = window + reference
    labels = [
        _deviate(hits, window.sum(), all_hits, both.sum())
        for hits, all_hits in zip(window, both, strict=True)
        if 0 < all_hits < both.sum()
    ]
    expected = max((z**2 / 2 for z in labels), default=0.0)
    assert strongest_label(window[np.newaxis], both)[0] == pytest.approx(expected)


@given(COUNTS)
def test_the_strongest_cut_is_the_largest_of_its_tables(cells: list[tuple[int, int]]) -> None:
    window, reference = np.array(cells, dtype=np.float64).T
    cuts = []
    for place in range(1, len(cells)):
        sides = [[side[:place].sum(), side[place:].sum()] for side in (window, reference)]
        table = np.array(sides)[:, np.sum(sides, axis=0) > 0]
        if table.shape[1] == 2:
            found = stats.chi2_contingency(table, correction=False, lambda_="log-likelihood")
            cuts.append(found.statistic / 2)
    found = strongest_cut(window[np.newaxis], window + reference)[0]
    assert found == pytest.approx(max(cuts, default=0.0), abs=1e-9)


@given(COUNTS)
def test_of_two_labels_one_label_is_chi_squared(cells: list[tuple[int, int]]) -> None:
    window, reference = np.array(cells[:2], dtype=np.float64).T
    if not window.sum() or not reference.sum() or not (window + reference).all():
        return
    asked = (window[np.newaxis], window + reference)
    assert strongest_label(*asked)[0] == pytest.approx(chi_squared(*asked)[0] / 2)


@given(COUNTS, st.integers(0, 10), st.integers(0, 10))
def test_parts_are_at_least_zero_and_zero_for_the_same_shares(
    cells: list[tuple[int, int]], missing: int, more: int
) -> None:
    window, reference = np.array([*cells, (missing, more)], dtype=np.float64).T
    for parts_of in PARTS.values():
        parts = parts_of(window[np.newaxis], window + reference)
        assert all(part[0] >= 0 for part in parts.values())
        same = parts_of(window[np.newaxis], 3 * window)
        assert all(part[0] == pytest.approx(0, abs=1e-9) for part in same.values())


def test_a_likelihood_ratio_by_hand() -> None:
    # 3 of 4 against 1 of 4: half of all 8; the share is 1/2
    expected = 2 * (3 * np.log(3 / 2) + 1 * np.log(1 / 2))
    found = log_likelihood_ratio(np.array([3.0]), np.array([4.0]), 4.0, 8.0)
    assert found[0] == pytest.approx(expected)


def test_the_bound_holds_for_a_window_whose_chance_is_known() -> None:
    # all of 10 rows in a cell that holds 20 of 40 rows: chance C(20, 10) / C(40, 10)
    window, both = np.array([10.0, 0, 0]), np.array([20.0, 20, 0])
    chance = 2 * comb(20, 10) / comb(40, 10)
    for test in ColumnTest:
        assert chance <= tail_bound(exponent(window, both, test)) <= 1000 * chance


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
    assert group_cells(both, ColumnTest.KS, 4).tolist() == [0, 0, 1, 1, 2]  # empty ones join


@given(st.lists(st.integers(0, 50), min_size=65, max_size=300).filter(lambda c: sum(c) > 0))
def test_many_cells_of_numbers_are_joined_with_neighbours(cells: list[int]) -> None:
    groups = group_cells(np.array(cells, dtype=np.float64), ColumnTest.KS, 10)
    steps = np.diff(groups)
    assert set(steps.tolist()) <= {0, 1}
    if np.count_nonzero(cells) > MAX_CELLS:
        assert groups[-1] < MAX_CELLS

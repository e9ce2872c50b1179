"""Noise hides one customer, raises no alarm, and is taken into account."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedchurn.drift.clients.noisy_counts import (
    NUM_GROUPS,
    geometric_noise,
    noisy_counts,
    noisy_p_value,
    noisy_window,
    wide_cells,
)
from fedchurn.drift.clients.suppression import BELOW
from fedchurn.drift.histogram import Histogram
from fedchurn.drift.reference import ReferenceColumn
from fedchurn.drift.verdict import ColumnTest, Subject

EPSILON = 0.5


def numbers(cells: list[float], missing: float = 0.0) -> ReferenceColumn:
    histogram = Histogram(np.array(cells, dtype=np.float64), missing)
    edges = np.arange(len(cells) - 1.0)
    return ReferenceColumn("x", Subject.COVARIATE, ColumnTest.KS, edges, histogram)


def labels(cells: list[float]) -> ReferenceColumn:
    histogram = Histogram(np.array(cells, dtype=np.float64), 0.0)
    return ReferenceColumn("x", Subject.COVARIATE, ColumnTest.CHI_SQUARED, None, histogram)


def test_a_customer_who_moves_one_count_by_one_changes_chances_by_half_of_epsilon() -> None:
    noise = geometric_noise(1.0, (400_000,), np.random.default_rng(1))
    shares = [np.mean(noise == z) for z in range(4)]
    ratios = [shares[z + 1] / shares[z] for z in range(3)]
    assert ratios == pytest.approx([math.exp(-0.5)] * 3, rel=0.03)
    assert np.mean(noise == -2) == pytest.approx(shares[2], rel=0.05)


def test_wide_cells_are_about_equally_filled() -> None:
    column = numbers([10.0] * 64)
    groups = wide_cells(column)
    assert np.bincount(groups).tolist() == [8] * NUM_GROUPS
    assert wide_cells(labels([5, 90, 80, 70, 60, 50, 40, 30, 6, 0])).tolist() == [
        7, 0, 1, 2, 3, 4, 5, 6, 7, 7,
    ]  # fmt: skip


@given(st.lists(st.integers(0, 60), min_size=2, max_size=30), st.integers(0, 60), st.integers(0, 9))
def test_noisy_counts_below_k_are_told_as_such(cells: list[int], missing: int, seed: int) -> None:
    counted = Histogram(np.array(cells, dtype=np.float64), float(missing))
    groups = wide_cells(numbers([float(rows) for rows in cells]))
    told = noisy_counts(counted, groups, EPSILON, 5, np.random.default_rng(seed))
    assert np.all((told == BELOW) | (told >= 5))
    assert len(told) <= NUM_GROUPS + 1


def asked(column: ReferenceColumn, window: list[int], seed: int) -> float:
    groups, num_rows = wide_cells(column), sum(window)
    counted = Histogram(np.array(window, dtype=np.float64), 0.0)
    generator = np.random.default_rng(seed)
    told = noisy_counts(counted, groups, EPSILON, 5, generator)
    return noisy_p_value(told, column, groups, num_rows, EPSILON, 5, 2000, generator)


@pytest.mark.parametrize("column", [numbers([100.0] * 20), labels([900.0, 600.0, 500.0, 0.0])])
def test_noise_raises_no_alarm_and_drift_is_still_seen(column: ReferenceColumn) -> None:
    shares = column.histogram.cells / column.histogram.cells.sum()
    draws = np.random.default_rng(7).multinomial(400, shares, size=100)
    p_values = [asked(column, window.tolist(), n) for n, window in enumerate(draws)]
    assert np.mean(np.array(p_values) <= 0.05) <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 100)
    assert np.mean(p_values) == pytest.approx(0.5, abs=0.1)
    moved = np.roll(draws[0], 1) if column.edges is None else np.repeat(draws[0][::2], 2)
    if column.edges is not None:
        moved[:10] += 30
    assert asked(column, moved.tolist(), 1) < 0.001


def test_a_noisy_window_has_all_rows_and_lies_within_groups_as_the_reference() -> None:
    column = numbers([30.0, 10.0] * 8)
    told = np.array([25, 26, 24, 25, BELOW, 50, 25, 25, BELOW])
    found = noisy_window(told, column, wide_cells(column), 200)
    assert found.num_rows == 200
    assert found.cells[8:10].tolist() == [0, 0]
    assert found.cells[10] == pytest.approx(3 * found.cells[11], abs=3)
    with pytest.raises(ValueError, match="counts of 9 groups"):
        noisy_window(told[1:], column, wide_cells(column), 200)

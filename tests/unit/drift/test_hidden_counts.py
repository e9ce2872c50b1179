"""Counts that were held back are taken to be what speaks least of drift."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedchurn.drift.clients.hidden_counts import likely_reference, likely_window
from fedchurn.drift.clients.suppression import suppressed_labels, suppressed_numbers
from fedchurn.drift.histogram import Histogram
from fedchurn.drift.reference import ReferenceColumn
from fedchurn.drift.verdict import ColumnTest, Subject


def numbers(cells: list[float], missing: float = 0.0) -> ReferenceColumn:
    edges = np.arange(len(cells) - 1.0)
    histogram = Histogram(np.array(cells, dtype=np.float64), missing)
    return ReferenceColumn("x", Subject.COVARIATE, ColumnTest.KS, edges, histogram)


def labels(cells: list[float], missing: float = 0.0) -> ReferenceColumn:
    histogram = Histogram(np.array(cells, dtype=np.float64), missing)
    return ReferenceColumn("x", Subject.COVARIATE, ColumnTest.CHI_SQUARED, None, histogram)


def number_window(column: ReferenceColumn, cells: list[int], missing: int = 0) -> Histogram:
    told = suppressed_numbers(np.array(cells), missing, 5)
    found = likely_window(told, column, sum(cells) + missing, 5)
    assert found is not None
    return found


def label_window(column: ReferenceColumn, cells: list[int], missing: int = 0) -> Histogram:
    told = suppressed_labels(np.array(cells), missing, 5)
    found = likely_window(told, column, sum(cells) + missing, 5)
    assert found is not None
    return found


def test_large_counts_come_back_as_they_were() -> None:
    column = numbers([100, 100, 100, 100], 100)
    assert number_window(column, [10, 20, 30, 40], 7).cells.tolist() == [10, 20, 30, 40]
    assert number_window(column, [10, 20, 30, 40], 7).missing == 7
    assert label_window(labels([100, 100, 100]), [50, 30, 20]).cells.tolist() == [50, 30, 20]


def test_few_missing_values_are_those_that_the_reference_lets_expect() -> None:
    found = number_window(numbers([480, 490], 30), [50, 47], 3)
    assert (found.missing, found.cells.sum()) == (3, 97)
    assert number_window(numbers([500, 500]), [50, 47], 3).missing == 0


def test_a_label_that_vanished_counts_as_just_below_k() -> None:
    assert label_window(labels([500, 500, 0]), [100, 0, 0]).cells.tolist() == [96, 4, 0]


def test_a_label_as_rare_as_ever_is_no_drift() -> None:
    column = labels([970, 30, 0])
    assert label_window(column, [97, 3, 0]).cells.tolist() == [97, 3, 0]
    assert label_window(column, [100, 0, 0]).cells.tolist() == [97, 3, 0]


def test_rare_labels_keep_their_told_sum() -> None:
    found = label_window(labels([400, 200, 200, 200, 0]), [90, 4, 2, 1, 0])
    assert found.cells[1:4].sum() == 7
    assert found.cells.max() == 90


def test_rows_of_a_piece_lie_as_the_references_do() -> None:
    # 19 rows below 4 k with a half below k stay one piece.
    assert number_window(numbers([90, 100]), [2, 17]).cells.tolist() == [9, 10]


def test_a_constant_number_stays_far_from_the_reference() -> None:
    found = number_window(numbers([250, 250, 250, 250]), [0, 0, 200, 0])
    assert found.cells.tolist() == [2, 2, 192, 4]


@given(
    st.lists(st.integers(0, 40), min_size=2, max_size=20),
    st.lists(st.integers(0, 40), min_size=20, max_size=20),
    st.integers(0, 20),
    st.integers(0, 20),
)
def test_windows_are_whole_and_have_all_rows(
    cells: list[int], others: list[int], missing: int, other_missing: int
) -> None:
    num_rows = sum(cells) + missing
    if num_rows < 5:
        return
    theirs = [float(rows) for rows in others[: len(cells)]]
    windows = [number_window(numbers(theirs, other_missing), cells, missing)]
    told = suppressed_labels(np.array(cells), missing, 5)
    found = likely_window(told, labels(theirs, other_missing), num_rows, 5)
    windows += [found] if found is not None else []
    for window in windows:
        assert window.num_rows == num_rows
        assert np.all(window.with_missing() >= 0)
        assert np.all(window.cells == np.rint(window.cells))


def test_a_silent_column_gives_no_window() -> None:
    told = suppressed_labels(np.array([4, 4, 4]), 4, 5)
    assert likely_window(told, labels([9, 9, 9]), 16, 5) is None


def test_counts_that_cannot_be_are_refused() -> None:
    column = numbers([100, 100])
    for told in ([10, 10], [10, 3, 0], [10, 10, -3], [900, 10, 0]):
        with pytest.raises(ValueError, match="x: "):
            likely_window(np.array(told), column, 20, 5)


def test_the_reference_may_hide_as_many_rows_as_were_below_its_k() -> None:
    column = labels([300, 0, 0])
    found = likely_reference(column, Histogram(np.array([98.0, 1.0, 1.0]), 0.0), 5).histogram
    assert found.cells.tolist() == [294, 3, 3]
    found = likely_reference(column, Histogram(np.array([50.0, 50.0, 0.0]), 0.0), 5).histogram
    assert found.cells.tolist() == [296, 4, 0]


def test_the_reference_may_hide_missing_numbers() -> None:
    column = numbers([200, 100])
    found = likely_reference(column, Histogram(np.array([60.0, 38.0]), 2.0), 5).histogram
    assert (found.cells.tolist(), found.missing) == ([197, 99], 4)
    found = likely_reference(column, Histogram(np.array([60.0, 40.0]), 0.0), 5).histogram
    assert (found.cells.tolist(), found.missing) == ([200, 100], 0)

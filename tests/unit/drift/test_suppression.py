"""No count below k is shown, and none can be worked out from what is shown."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from fedchurn.drift.clients.suppression import BELOW, JOINED, suppressed_labels, suppressed_numbers

Suppress = Callable[[NDArray[np.int64], int, int], NDArray[np.int64]]
CELLS = st.lists(st.integers(0, 30), min_size=2, max_size=40)


def shown(suppress: Suppress, cells: list[int], missing: int, k: int) -> list[int]:
    return suppress(np.array(cells), missing, k).tolist()


def test_numbers_are_told_in_pieces_of_k_rows() -> None:
    # 40 rows: halves of 9 and 31; 9 is one piece (4 + 5, k = 5 allows no cut), 31 falls into 6, 25.
    assert shown(suppressed_numbers, [4, 5, 6, 25], 0, 5) == [9, JOINED, 6, 25, BELOW]


def test_a_number_that_became_constant_is_seen() -> None:
    assert shown(suppressed_numbers, [0, 0, 200, 0], 0, 5) == [BELOW, JOINED, 200, BELOW, BELOW]


def test_few_missing_numbers_are_counted_with_the_others_and_many_are_told() -> None:
    assert shown(suppressed_numbers, [10, 10], 4, 5) == [12, 12, BELOW]
    assert shown(suppressed_numbers, [10, 10], 6, 5) == [10, 10, 6]


def test_a_few_numbers_among_missing_ones_are_not_told() -> None:
    assert shown(suppressed_numbers, [1, 2], 50, 5) == [BELOW, JOINED, 53]


def test_rare_labels_are_told_together_when_that_leaves_each_of_them_open() -> None:
    # Labels of 4, 3 and 2 rows: 9 in all, but two of them could hold 8 at most.
    told = shown(suppressed_labels, [60, 4, 3, 2, 0], 0, 5)
    assert told == [61, BELOW, BELOW, BELOW, BELOW, 8, BELOW]
    told = shown(suppressed_labels, [60, 4, 2, 1, 0], 0, 5)
    assert told == [60, BELOW, BELOW, BELOW, BELOW, 7, BELOW]


def test_two_labels_that_could_only_be_four_and_four_are_not_told() -> None:
    assert shown(suppressed_labels, [60, 4, 4, 0], 0, 5) == [68, BELOW, BELOW, BELOW, 0, BELOW]


def test_a_column_is_silent_when_saying_that_all_is_rare_would_say_how_rare() -> None:
    assert set(shown(suppressed_labels, [4, 4, 4], 4, 5)) == {JOINED}
    assert set(shown(suppressed_labels, [16, 0, 0], 0, 5)) == {JOINED}


@given(CELLS, st.integers(0, 30), st.integers(1, 9))
def test_numbers_add_up_and_no_count_is_below_k(cells: list[int], missing: int, k: int) -> None:
    num_rows = sum(cells) + missing
    if num_rows < k:
        return
    told = np.array(shown(suppressed_numbers, cells, missing, k))
    assert told[told >= 0].sum() == num_rows
    assert not np.any((told >= 0) & (told < k))
    assert len(told) == len(cells) + 1


@given(CELLS, st.integers(0, 30), st.integers(1, 9))
def test_pieces_hold_what_they_say_give_or_take_hidden_rows(
    cells: list[int], missing: int, k: int
) -> None:
    if sum(cells) < k:
        return
    told = np.array(shown(suppressed_numbers, cells, missing, k))
    begins = np.flatnonzero(told[:-1] != JOINED)
    true = np.add.reduceat(np.array(cells), begins)
    below = told[begins] == BELOW
    assert np.all(true[below] < k)
    assert np.all(told[begins][~below] >= true[~below])


@given(CELLS, st.integers(0, 30), st.integers(1, 9))
def test_labels_add_up_and_no_count_is_below_k(cells: list[int], missing: int, k: int) -> None:
    num_rows = sum(cells) + missing
    if num_rows < k:
        return
    told = np.array(shown(suppressed_labels, cells, missing, k))
    assert not np.any((told > 0) & (told < k))
    assert told[told > 0].sum() <= num_rows
    counts = np.delete(told, -2)
    if np.any(counts >= k):
        assert told[told > 0].sum() == num_rows
    true = np.array([*cells, missing])
    assert np.all(true[counts == BELOW] < k)
    assert np.all(counts[counts >= k] >= true[counts >= k])


def rows_in_cells(num_rows: int, num_cells: int) -> Iterator[tuple[int, ...]]:
    if num_cells == 1:
        yield (num_rows,)
        return
    for first in range(num_rows + 1):
        for rest in rows_in_cells(num_rows - first, num_cells - 1):
            yield first, *rest


@pytest.mark.parametrize("suppress", [suppressed_numbers, suppressed_labels])
@pytest.mark.parametrize("k", [2, 3, 4])
def test_nobody_can_tell_that_a_cell_holds_some_rows_but_fewer_than_k(
    suppress: Suppress, k: int
) -> None:
    """All tables of up to 13 rows: whoever knows the method and a report cannot rule out, of any
    cell, both none and k or more."""
    for num_rows in range(k, 14):
        alike = defaultdict(list)
        for cells in rows_in_cells(num_rows, 4):
            told = suppress(np.array(cells[:-1]), cells[-1], k)
            alike[told.tobytes()].append(cells)
        for tables in alike.values():
            for cell in np.array(tables).T:
                assert np.any((cell == 0) | (cell >= k))
                possible = set(cell.tolist())
                assert len(possible) > 1 or possible == {0} or min(possible) >= k

"""Counts that a client may show: none of fewer than k rows, and none to be had by subtraction.

The cells are those of the contract, so nobody who asks can choose them, and two reports about the
same rows with the same k are the same report.

Numbers: the row of cells is halved again and again, as long as both halves hold k rows. From 4 k
rows on, a half below k is named as such and the other half is halved on; with fewer rows the cell
stays whole. Labels: those of k rows and more are told, the others are named as below k, and their
sum is told as far as it leaves open how many rows each of them holds. Rows that are told nowhere
are counted with the others at evenly spaced quantiles, so that columns add up to all rows.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]

BELOW = -1  # 0 to k - 1 rows
JOINED = -2  # this cell is counted with the one before it; as the first of all: nothing is told
_SPLIT_ON = 4  # times k: below this, half a cell that is below k keeps the whole cell together


def suppressed_numbers(counts: IntArray, missing: int, min_cell_rows: int) -> IntArray:
    """Counts of a number column that may be shown, int64 (c + 1,), missing rows last.

    Args:
        counts: rows per cell, (c,).
        missing: rows without a value; at least k rows in all.
        min_cell_rows: k, at least 1.
    """
    k, num_present = min_cell_rows, int(counts.sum())
    shown = np.full(len(counts) + 1, JOINED, dtype=np.int64)
    if num_present < k:
        shown[0], shown[-1] = BELOW, num_present + missing
        return shown
    left = counts.astype(np.int64)
    if missing < k:
        left = _with_more(left, missing, np.arange(len(left)))
    for begin, end in _pieces(left, 0, len(left), k):
        rows = int(left[begin:end].sum())
        shown[begin] = rows if rows else BELOW
    shown[-1] = missing if missing >= k else BELOW
    return shown


def suppressed_labels(counts: IntArray, missing: int, min_cell_rows: int) -> IntArray:
    """Counts of a category column that may be shown, int64 (l + 3,).

    First one per label, then unknown ones, then the sum over labels below k (0: not told), then
    missing rows.

    Args:
        counts: rows per label, unknown ones last, (l + 1,).
        missing: rows without a label; at least k rows in all.
        min_cell_rows: k, at least 1.
    """
    k, cells = min_cell_rows, np.append(counts, missing).astype(np.int64)
    num_rows, most_below = int(cells.sum()), len(cells) * (k - 1)
    if most_below - (k - 1) < num_rows <= most_below:
        return np.full(len(cells) + 1, JOINED, dtype=np.int64)  # all below k would tell all
    is_told = cells >= k
    rare_labels = cells[:-2][~is_told[:-2]]
    # Any one of them may be empty for all that is told, if the others have room for its rows.
    rare = min(int(rare_labels.sum()), (len(rare_labels) - 1) * (k - 1))
    shown = np.insert(np.where(is_told, cells, BELOW), -1, rare if rare >= k else 0)
    told = np.flatnonzero(np.insert(is_told, -1, False))
    return _with_more(shown, num_rows - int(np.maximum(shown, 0).sum()), told)


def _pieces(left: IntArray, begin: int, end: int, k: int) -> Iterator[tuple[int, int]]:
    """First cell and the one behind the last of every piece, in order; pieces cover all cells.

    Rows of a half below k move to the other half in ``left`` before that is looked at: all that is
    decided could be decided by whoever sees the report, so it tells nothing about the rows moved.
    """
    middle = (begin + end) // 2
    halves = ((begin, middle), (middle, end))
    rows = [int(left[first:last].sum()) for first, last in halves]
    if end - begin == 1 or (min(rows) < k and sum(rows) < _SPLIT_ON * k):
        yield begin, end
        return
    for (first, last), (other, behind), held in zip(halves, halves[::-1], rows, strict=True):
        if held < k:
            left[first:last] = 0
            left[:] = _with_more(left, held, np.arange(other, behind))
    for (first, last), held in zip(halves, rows, strict=True):
        if held < k:
            yield first, last
        else:
            yield from _pieces(left, first, last, k)


def _with_more(counts: IntArray, num_more: int, takers: NDArray[np.intp]) -> IntArray:
    """``num_more`` rows more, at evenly spaced quantiles of the counts at ``takers``."""
    if not num_more or not len(takers):
        return counts
    places = np.cumsum(counts[takers])
    quantiles = (np.arange(num_more) + 0.5) / num_more * places[-1]
    result = counts.astype(np.int64)
    np.add.at(result, takers[np.searchsorted(places, quantiles, side="right")], 1)
    return result

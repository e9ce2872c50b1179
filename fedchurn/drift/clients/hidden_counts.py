"""What is behind counts that were held back: of all that is possible, what speaks least of drift.

A client tells no count below k (``suppression``). Where it told "below k", we take as many rows as
the reference lets us expect, at most k - 1; where it counted several cells together, the rows lie
in them as the reference's do. So what a client holds back can lower an alarm, and never raise one.
The same goes for the reference, whose cells below k were counted with others when it was made.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from fedchurn.drift.clients.suppression import BELOW, JOINED, IntArray
from fedchurn.drift.histogram import Histogram, whole_numbers
from fedchurn.drift.reference import ReferenceColumn

FloatArray = NDArray[np.float64]


def likely_window(
    shown: IntArray, column: ReferenceColumn, num_rows: int, min_cell_rows: int
) -> Histogram | None:
    """The window nearest to the reference that a client's counts allow; None if they tell nothing.

    Args:
        shown: from ``suppressed_numbers`` or ``suppressed_labels``.
        column: of the client's reference.
        num_rows: rows of the window.
        min_cell_rows: k.

    Raises:
        ValueError: these are no such counts of ``num_rows`` rows.
    """
    _check(shown, column, num_rows, min_cell_rows)
    if shown[0] == JOINED:
        return None
    expected = _expected(column.histogram, num_rows)
    if column.edges is None:
        cells = _labels(shown, expected, num_rows, min_cell_rows)
    else:
        cells = _numbers(shown, expected, num_rows, min_cell_rows)
    found = whole_numbers(cells)
    return Histogram(found[:-1], float(found[-1]))


def told_pieces(shown: IntArray, column: ReferenceColumn) -> NDArray[np.intp] | None:
    """First cells of the pieces that were told; None for labels, which are told one by one."""
    return None if column.edges is None else np.flatnonzero(shown[:-1] != JOINED)


def in_pieces(
    column: ReferenceColumn, window: Histogram, begins: NDArray[np.intp]
) -> tuple[ReferenceColumn, Histogram]:
    """Reference and window of a number as coarse as the client has told it.

    Args:
        column: of the client's reference.
        window: over the same cells.
        begins: first cell of every piece, at least two.
    """
    edges = None if column.edges is None else column.edges[begins[1:] - 1]
    theirs = np.add.reduceat(column.histogram.cells, begins)
    coarse = replace(column, edges=edges, histogram=Histogram(theirs, column.histogram.missing))
    return coarse, Histogram(np.add.reduceat(window.cells, begins), window.missing)


def likely_reference(
    column: ReferenceColumn, window: Histogram, min_cell_rows: int
) -> ReferenceColumn:
    """The client's reference with what it may hide of the window.

    Where the reference has none and the window has some, it may have had up to k - 1 rows: of a
    label, of missing values, and of each run of empty number cells. They were counted with the most
    common label, with all numbers, and in the cell beside the run.
    """
    cells, theirs = column.histogram.cells.copy(), window.cells
    scale = column.histogram.num_rows / max(window.num_rows, 1.0)
    if column.edges is None:
        empty = [np.array([cell]) for cell in np.flatnonzero((cells == 0) & (theirs > 0))]
        donors = [int(np.argmax(cells))] * len(empty)
    else:
        empty = _empty_runs(cells)
        donors = [run[0] - 1 if run[0] else run[-1] + 1 for run in empty]
    for places, donor in zip(empty, donors, strict=True):
        hidden = whole_numbers(_capped(theirs[places] * scale, min_cell_rows - 1))
        if donor < len(cells) and hidden.sum() < cells[donor]:
            cells[places] += hidden
            cells[donor] -= hidden.sum()
    return replace(column, histogram=_with_missing(cells, column, window, scale, min_cell_rows))


def _with_missing(
    cells: FloatArray,
    column: ReferenceColumn,
    window: Histogram,
    scale: float,
    min_cell_rows: int,
) -> Histogram:
    if column.histogram.missing or not window.missing:
        return Histogram(cells, column.histogram.missing)
    missing = float(min(round(window.missing * scale), min_cell_rows - 1))
    if missing >= cells.sum():
        return Histogram(cells, 0.0)
    if column.edges is None:
        cells[np.argmax(cells)] -= missing
        return Histogram(cells.clip(min=0.0), missing)
    return Histogram(whole_numbers(cells * (1 - missing / cells.sum())), missing)


def _empty_runs(cells: FloatArray) -> list[NDArray[np.intp]]:
    empty = np.flatnonzero(cells == 0)
    return [] if not len(empty) else np.split(empty, np.flatnonzero(np.diff(empty) > 1) + 1)


def _capped(rows: FloatArray, most: float) -> FloatArray:
    """``rows`` scaled down to ``most`` in all, if they are more."""
    total = rows.sum()
    return rows if total <= most else rows * (most / total)


def _expected(reference: Histogram, num_rows: int) -> FloatArray:
    """Rows per cell, missing ones last, in a window that is like the reference."""
    cells = reference.with_missing()
    return cells * (num_rows / max(cells.sum(), 1.0))


def _labels(shown: IntArray, expected: FloatArray, num_rows: int, k: int) -> FloatArray:
    counts, rare = np.delete(shown, -2), float(shown[-2])
    below = counts == BELOW
    guessed = np.where(below, np.minimum(expected, k - 1), 0.0)
    labels = below.copy()
    labels[-2:] = False  # unknown and missing ones are not in the sum of rare labels
    # Untold sums are below k, or at most 2 (k - 1) where only two labels were below k.
    most = rare if rare else 2.0 * (k - 1)
    if rare or guessed[labels].sum() > most:
        guessed[labels] = _filled(expected[labels], most, k - 1)
    if not np.any(counts > 0):
        return guessed * (num_rows / guessed.sum()) if guessed.any() else guessed
    told = np.maximum(counts, 0).astype(np.float64)
    return guessed + told * ((num_rows - guessed.sum()) / told.sum())


def _filled(shares: FloatArray, total: float, most: int) -> FloatArray:
    """``total`` rows in proportion to ``shares``, but at most ``most`` in any place."""
    weights = shares + 1e-6
    found = np.zeros_like(weights)
    left = min(total, most * float(len(weights)))
    for _ in range(len(weights)):
        open_ = found < most
        if left <= 1e-9 or not open_.any():
            break
        found[open_] = found[open_] + left * weights[open_] / weights[open_].sum()
        left = float(np.maximum(found - most, 0.0).sum())
        found = np.minimum(found, most)
    return found


def _numbers(shown: IntArray, expected: FloatArray, num_rows: int, k: int) -> FloatArray:
    if not np.any(shown[:-1] > 0):  # fewer than k values: what is told is that most are missing
        found = min(float(expected[:-1].sum()), k - 1.0)
        shares = expected[:-1] / max(expected[:-1].sum(), 1e-9)
        return np.append(shares * found, num_rows - found)
    missing = float(shown[-1]) if shown[-1] != BELOW else min(expected[-1], k - 1.0)
    rows = np.maximum(shown[:-1], 0).astype(np.float64)
    rows *= (num_rows - missing) / rows.sum()
    _take_back(rows, shown[:-1], expected[:-1], k, 0, len(rows))
    begins = np.flatnonzero(shown[:-1] != JOINED)
    return np.append(_spread(rows[begins], expected[:-1], begins), missing)


def _take_back(
    rows: FloatArray, shown: IntArray, expected: FloatArray, k: int, begin: int, end: int
) -> None:
    """Undo what ``suppressed_numbers`` did: a half below k gets its rows back from the other."""
    if np.all(shown[begin + 1 : end] == JOINED):
        return
    middle = (begin + end) // 2
    halves = ((begin, middle), (middle, end))
    for (first, last), (other, behind) in zip(halves, halves[::-1], strict=True):
        if shown[first] == BELOW and np.all(shown[first + 1 : last] == JOINED):
            rows[first] = min(float(expected[first:last].sum()), k - 1.0)
            there = rows[other:behind].sum()
            rows[other:behind] *= max(there - rows[first], 0.0) / max(there, 1e-9)
    for first, last in halves:
        _take_back(rows, shown, expected, k, first, last)


def _spread(rows: FloatArray, expected: FloatArray, begins: NDArray[np.intp]) -> FloatArray:
    """Rows per piece, dealt to its cells as the reference's are; evenly where it has none."""
    sizes = np.diff(np.append(begins, len(expected)))
    piece = np.repeat(np.arange(len(begins)), sizes)
    within = np.add.reduceat(expected, begins)[piece]
    shares = np.divide(expected, within, out=1.0 / sizes[piece], where=within > 0)
    return rows[piece] * shares


def _check(shown: IntArray, column: ReferenceColumn, num_rows: int, k: int) -> None:
    is_label = column.edges is None
    length = len(column.histogram.cells) + (2 if is_label else 1)
    told = int(np.maximum(shown, 0).sum())
    if len(shown) != length or shown.min() < JOINED or told > num_rows:
        raise ValueError(f"{column.name}: {len(shown)} counts of {told} rows are no report")
    if np.any((shown > 0) & (shown < k)):
        raise ValueError(f"{column.name}: a count below {k}")

"""Counts with noise: what one customer changes in a report is hidden among chance.

Each count of a few wide cells, fixed before anybody looked at these rows, gets two-sided geometric
noise (Ghosh, Roughgarden and Sundararajan 2009). Another value of one customer moves one row from a
cell to another, so two counts per column change by one; the budget epsilon of a report is shared
out evenly over its columns. Counts below k are then told as such, which costs no budget.

The test deals windows as ever, and gives every dealt one the same noise and the same treatment; so
noise makes drift harder to see, and false alarms no more frequent.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from fedchurn.drift.clients.suppression import BELOW, IntArray
from fedchurn.drift.comparing.deals import bounded
from fedchurn.drift.comparing.statistics import PARTS
from fedchurn.drift.histogram import Histogram, whole_numbers
from fedchurn.drift.reference import ReferenceColumn

FloatArray = NDArray[np.float64]

NUM_GROUPS = 8
MAX_DEALS = 200_000
_BATCH = 5000
_ENOUGH_EXTREME = 20
_TIE = 1e-9
_NEVER = 1e-9
_CHANGED_COUNTS = 2  # by another value of one customer, in one column


def wide_cells(column: ReferenceColumn) -> NDArray[np.intp]:
    """Group of every cell, (c,), at most 8, about equally filled in a public reference.

    Args:
        column: of all clients together, so that no client's own rows choose the groups.
    """
    cells = column.histogram.cells
    if column.edges is None:
        order = np.argsort(-cells, kind="stable")
        groups = np.empty(len(cells), dtype=np.intp)
        groups[order] = np.minimum(np.arange(len(cells)), NUM_GROUPS - 1)
        return groups
    begins = (np.cumsum(cells) - cells) / max(cells.sum(), 1.0)
    places = np.floor(begins * NUM_GROUPS).clip(max=NUM_GROUPS - 1)
    return np.unique(places, return_inverse=True)[1]


def noisy_counts(
    counted: Histogram,
    groups: NDArray[np.intp],
    epsilon: float,
    min_cell_rows: int,
    generator: np.random.Generator,
) -> IntArray:
    """Counts of one column that may be shown, int64 (g + 1,), missing rows last.

    Args:
        counted: of the client's rows.
        groups: from ``wide_cells``.
        epsilon: budget of this column, above 0.
        min_cell_rows: k; what is below is told as such.
        generator: nobody else may know its seed.
    """
    counts = _grouped(counted, groups)
    noisy = counts.astype(np.int64) + geometric_noise(epsilon, counts.shape, generator)
    return np.where(noisy < min_cell_rows, BELOW, noisy)


def geometric_noise(
    epsilon: float, shape: tuple[int, ...], generator: np.random.Generator
) -> IntArray:
    """Two-sided geometric noise for counts of one column, P(z) ~ exp(-epsilon |z| / 2)."""
    ratio = math.exp(-epsilon / _CHANGED_COUNTS)
    sides = [generator.geometric(1 - ratio, shape) for _ in range(2)]
    return (sides[0] - sides[1]).astype(np.int64)


def largest_noise(epsilon: float) -> float:
    """More than what ``geometric_noise`` adds to a count in any but one of a billion cases.

    >>> largest_noise(2.0)
    20.72326583694641
    """
    return _CHANGED_COUNTS * math.log(1 / _NEVER) / epsilon


def noisy_window(
    shown: IntArray, column: ReferenceColumn, groups: NDArray[np.intp], num_rows: int
) -> Histogram:
    """About what the counts say, over all cells: rows of a group lie as the reference's do.

    Raises:
        ValueError: these are no such counts.
    """
    if len(shown) != groups.max() + 2:
        raise ValueError(f"{column.name}: {len(shown)} counts of {groups.max() + 2} groups")
    rows = _told(shown[np.newaxis], num_rows)[0]
    cells = column.histogram.cells
    within = np.bincount(groups, cells)[groups]
    shares = np.divide(cells, within, out=1.0 / np.bincount(groups)[groups], where=within > 0)
    found = whole_numbers(np.append(rows[:-1][groups] * shares, rows[-1]))
    return Histogram(found[:-1], float(found[-1]))


def noisy_p_value(
    shown: IntArray,
    column: ReferenceColumn,
    groups: NDArray[np.intp],
    num_rows: int,
    epsilon: float,
    min_cell_rows: int,
    max_deals: int,
    generator: np.random.Generator,
) -> float:
    """Chance of counts as far from the reference as these, noise included (0-1, never 0).

    Args:
        shown: from ``noisy_counts``.
        column: of the client's reference.
        groups, epsilon, min_cell_rows: as they were for the client.
        num_rows: rows of the window.
        max_deals: dealt windows at most; no p-value is below one by their number.
        generator: of the deals.
    """
    window = _told(shown[np.newaxis], num_rows)
    both = _grouped(column.known, groups)
    both = whole_numbers(bounded(both)) + whole_numbers(window[0])
    largest = _largest(window, both, column)[0]
    num_dealt = num_extreme = 0
    while num_dealt < max_deals and num_extreme < _ENOUGH_EXTREME:
        size = min(_BATCH, max_deals - num_dealt)
        dealt = generator.multivariate_hypergeometric(
            both.astype(np.int64), min(num_rows, int(both.sum())), size=size, method="marginals"
        )
        noisy = dealt + geometric_noise(epsilon, dealt.shape, generator)
        values = _told(np.where(noisy < min_cell_rows, BELOW, noisy), num_rows)
        num_extreme += int(np.count_nonzero(_largest(values, both, column) >= largest - _TIE))
        num_dealt += size
    return (1 + num_extreme) / (1 + num_dealt)


def _grouped(counted: Histogram, groups: NDArray[np.intp]) -> FloatArray:
    return np.append(np.bincount(groups, counted.cells), counted.missing)


def _told(shown: IntArray, num_rows: int) -> FloatArray:
    """Rows per group of d windows, (d, g + 1), brought to ``num_rows`` each."""
    rows = np.maximum(shown, 0).astype(np.float64)
    totals = rows.sum(axis=1, keepdims=True)
    result: FloatArray = rows * (num_rows / np.maximum(totals, 1.0))
    return result


def _largest(windows: FloatArray, both: FloatArray, column: ReferenceColumn) -> FloatArray:
    parts = PARTS[column.test](windows, both)
    values: FloatArray = np.max(list(parts.values()), axis=0)
    return values

"""Two-sample tests on histograms, with p-values by permutation.

Window and reference are thrown together and dealt anew, at random and without replacement, into a
window and a reference of the same sizes (Pitman 1937). Under no drift all deals are equally likely,
so p = (1 + deals at least as extreme) / (1 + deals) is valid for any distribution, any rounding and
any window size; the formulas of textbooks need continuous values (KS) or large cells (chi-squared).
Since both sides are dealt, a small reference counts as the estimate that it is.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from fedchurn.drift.verdict import ColumnTest

FloatArray = NDArray[np.float64]
Statistic = Callable[[FloatArray, FloatArray, float], FloatArray]

MAX_CELLS = 64
MIN_EXPECTED_ROWS = 5.0
_TIE = 1e-9  # deals with the same statistic must count as such, whatever the rounding
_MAX_POPULATION = 10**8  # numpy deals from fewer than 10^9 rows


def ks_distance(windows: FloatArray, both: FloatArray, num_window: float) -> FloatArray:
    """Largest difference of the two distribution functions (0-1).

    Args:
        windows: rows per cell of d windows, (d, c).
        both: rows per cell of window and reference together, (c,).
        num_window: rows of a window.

    Returns:
        Float64 (d,).
    """
    num_reference = both.sum() - num_window
    running = np.cumsum(windows, axis=1)
    others = np.cumsum(both) - running
    return np.abs(running / num_window - others / num_reference).max(axis=1)


def chi_squared(windows: FloatArray, both: FloatArray, num_window: float) -> FloatArray:
    """Pearson's statistic of homogeneity, window against reference; arguments as above."""
    total = both.sum()
    num_reference = total - num_window
    shares = both / total
    squares = np.square(windows - num_window * shares)
    scale = 1.0 / num_window + 1.0 / num_reference
    return np.divide(squares, shares, out=np.zeros_like(squares), where=shares > 0).sum(1) * scale


def total_variation(windows: FloatArray, both: FloatArray, num_window: float) -> FloatArray:
    """Share of rows that would have to change their cell (0-1); arguments as above."""
    num_reference = both.sum() - num_window
    differences = windows / num_window - (both - windows) / num_reference
    return np.abs(differences).sum(axis=1) / 2


STATISTICS: dict[ColumnTest, Statistic] = {
    ColumnTest.KS: ks_distance,
    ColumnTest.CHI_SQUARED: chi_squared,
}
EFFECTS: dict[ColumnTest, Statistic] = {
    ColumnTest.KS: ks_distance,
    ColumnTest.CHI_SQUARED: total_variation,
}


def group_cells(both: FloatArray, test: ColumnTest, num_window: float) -> NDArray[np.intp]:
    """Group of every cell, (c,), from 0; from both sides together, so that deals share it.

    KS: neighbours are joined until at most about ``MAX_CELLS`` are left; below that, none are.
    Chi-squared: cells in which a window is expected to have fewer than 5 rows are one group, which
    takes the next smallest cell in if it is still as small (Cochran's rule).
    """
    if test is ColumnTest.KS:
        if np.count_nonzero(both) <= MAX_CELLS:
            return np.arange(len(both))
        begins = (np.cumsum(both) - both) / both.sum()
        places = np.floor(begins * MAX_CELLS).clip(
            max=MAX_CELLS - 1
        )  # empty cells begin at the end
        return np.unique(places, return_inverse=True)[1]
    expected = both * (num_window / both.sum())
    order = np.argsort(expected, kind="stable")
    running = np.cumsum(expected[order])
    num_small = int(np.count_nonzero(expected < MIN_EXPECTED_ROWS))
    while 0 < num_small < len(both) and running[num_small - 1] < MIN_EXPECTED_ROWS:
        num_small += 1
    groups = np.empty(len(both), dtype=np.intp)
    groups[order[:num_small]] = 0
    groups[order[num_small:]] = np.arange(len(both) - num_small) + (num_small > 0)
    return groups


def p_value(
    window: FloatArray,
    both: FloatArray,
    statistic: Statistic,
    num_draws: int,
    generator: np.random.Generator,
) -> float:
    """Share of deals in which ``statistic`` is at least that of ``window`` (0-1, never 0).

    Args:
        window: rows per cell, (c,).
        both: rows per cell of window and reference together, (c,).
        statistic: one of the functions above.
        num_draws: deals.
        generator: source of the deals.
    """
    num_window = float(window.sum())
    found = statistic(window[np.newaxis], both, num_window)[0]
    dealt = generator.multivariate_hypergeometric(
        both.astype(np.int64), int(num_window), size=num_draws, method="marginals"
    ).astype(np.float64)
    num_extreme = np.count_nonzero(statistic(dealt, both, num_window) >= found - _TIE)
    return (1 + int(num_extreme)) / (1 + num_draws)


def bounded(reference: FloatArray) -> FloatArray:
    """``reference`` scaled down, if it holds more rows than can be dealt from."""
    total = reference.sum()
    return reference if total <= _MAX_POPULATION else np.floor(reference * _MAX_POPULATION / total)

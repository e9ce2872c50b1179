"""P-values by dealing rows anew, as many times as the question deserves.

Window and reference are thrown together and dealt anew, at random and without replacement, into a
window and a reference of the same sizes (Pitman 1937). Under no drift all deals are equally likely,
so the share of deals at least as extreme is a valid p-value for any distribution, any rounding and
any window size; the formulas of textbooks need continuous values (KS) or large cells (chi-squared).
Since both sides are dealt, a small reference counts as the estimate that it is.

Dealing stops when enough deals were as extreme (Besag and Clifford 1991): a column without drift
costs some dozen deals. Where none of the most deals allowed was, the tail bound of the statistic
tells how small the p-value is.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

ENOUGH_EXTREME = 10
_FIRST_DEALS = 64
MAX_BATCH_DEALS = 8192  # at a time; with 64 cells and what is worked out of them some 50 MB
_TIE = 1e-9  # deals with the same statistic must count as such, whatever the rounding
_MAX_POPULATION = 10**8  # numpy deals from fewer than 10^9 rows
_TAIL_FACTOR = 8.0  # two sides of two parts, twice
_PLAIN = 0.1


def sequential_p_value(
    window: FloatArray,
    both: FloatArray,
    statistic: Callable[[FloatArray], FloatArray],
    bound: float,
    max_deals: int,
    generator: np.random.Generator,
) -> float:
    """Mid-p-value: chance of a deal with more than the ``statistic`` of ``window``, and half of
    that of one with as much (Lancaster 1961); 0-1, never 0.

    Args:
        window: rows per cell, (c,).
        both: rows per cell of window and reference together, (c,); whole numbers.
        statistic: of windows (d, c), float64 (d,), on the scale of minus the logarithm of p.
        bound: what the p-value certainly does not exceed; far below what deals can tell, it is it.
        max_deals: deals at most.
        generator: source of the deals.
    """
    if bound < _PLAIN / max_deals:
        return bound
    found = float(statistic(window[np.newaxis])[0])
    num_window = int(window.sum())
    cells = both.astype(np.int64)
    num_dealt = 0
    extreme = 0.0  # deals with more, and half of those with as much
    batch = min(_FIRST_DEALS, max_deals)
    while num_dealt < max_deals:
        dealt = generator.multivariate_hypergeometric(
            cells, num_window, size=batch, method="marginals"
        ).astype(np.float64)
        values = statistic(dealt)
        counted = extreme + np.cumsum(
            (values > found + _TIE) + 0.5 * (np.abs(values - found) <= _TIE)
        )
        if counted[-1] >= ENOUGH_EXTREME:
            place = int(np.searchsorted(counted, ENOUGH_EXTREME))
            return float(counted[place]) / (num_dealt + place + 1)
        extreme = float(counted[-1])
        num_dealt += batch
        batch = min(2 * batch, MAX_BATCH_DEALS, max_deals - num_dealt)
    dealt_p = (0.5 + extreme) / (1 + num_dealt)
    return dealt_p if extreme else min(dealt_p, bound)


def tail_bound(exponent: float) -> float:
    """Bound on the chance of a window with this exponent (0-1, never 0); see
    ``fedchurn.drift.comparing.statistics.exponent``."""
    return min(1.0, max(_TAIL_FACTOR * math.exp(-min(exponent, 680.0)), 1e-300))


def bounded(reference: FloatArray) -> FloatArray:
    """``reference`` scaled down, if it holds more rows than can be dealt from."""
    total = reference.sum()
    return reference if total <= _MAX_POPULATION else np.floor(reference * _MAX_POPULATION / total)

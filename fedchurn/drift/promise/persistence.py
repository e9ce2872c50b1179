"""Persistence: a column is drift when it was flagged in k of the last n windows."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


def chance_of_alarm(flagged: FloatArray, num_flagged: int, num_windows: int) -> FloatArray:
    """Chance that a window is flagged and at least k - 1 of the n - 1 before it were, too.

    Args:
        flagged: chance of each column to be flagged in a window (0-1), any shape; windows are
            independent.
        num_flagged: k.
        num_windows: n.

    Returns:
        Of the same shape.

    >>> float(chance_of_alarm(np.array([0.5]), 2, 3)[0])
    0.375
    """
    return flagged * at_least(flagged, num_flagged - 1, num_windows - 1)


def at_least(chance: FloatArray, num_hits: int, num_trials: int) -> FloatArray:
    """P(Binomial(num_trials, chance) >= num_hits)."""
    terms = [
        math.comb(num_trials, hits) * chance**hits * (1 - chance) ** (num_trials - hits)
        for hits in range(max(num_hits, 0), num_trials + 1)
    ]
    return np.asarray(sum(terms, np.zeros_like(chance)))


def needed_chance(power: float, num_flagged: int, num_windows: int) -> float:
    """Chance per window with which k of n windows are flagged with ``power`` (bisection)."""
    low, high = 0.0, 1.0
    for _ in range(50):
        middle = (low + high) / 2
        if float(at_least(np.array(middle), num_flagged, num_windows)) < power:
            low = middle
        else:
            high = middle
    return high

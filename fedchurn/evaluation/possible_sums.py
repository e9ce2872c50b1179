"""Whether any rows have such score sums: loss and error must go with the histograms."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fedchurn.evaluation.sums import MIN_PROBABILITY, NUM_BINS, ScoreSums

_ROUNDING = 1e-3  # per row; the logarithm of 1 - (1 - 1e-12) is that inexact


def impossibility(sums: ScoreSums) -> str:
    """Why no rows have such sums; empty if some do.

    A row's bin says what its probability is to 1/4096, and so what its loss may be.
    """
    counted = int(sums.positive_counts.sum() + sums.negative_counts.sum())
    if counted != sums.num_rows:
        return f"{counted} rows are counted, {sums.num_rows} stated"
    edges = np.arange(NUM_BINS + 1) / NUM_BINS
    low, high = edges[:-1], edges[1:]
    told = {
        "log loss": (sums.log_loss_sum, -_log(high), -_log(low), -_log(1 - low), -_log(1 - high)),
        "squared error": (sums.squared_error_sum, (1 - high) ** 2, (1 - low) ** 2, low**2, high**2),
    }
    for name, (value, positive_least, positive_most, negative_least, negative_most) in told.items():
        least = sums.positive_counts @ positive_least + sums.negative_counts @ negative_least
        most = sums.positive_counts @ positive_most + sums.negative_counts @ negative_most
        slack = _ROUNDING * (sums.num_rows + 1)
        if not least - slack <= value <= most + slack:
            return f"{name} {value:.6g} is not from {least:.6g} to {most:.6g}, as its scores say"
    return ""


def _log(probability: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.log(np.maximum(probability, MIN_PROBABILITY)), dtype=np.float64)

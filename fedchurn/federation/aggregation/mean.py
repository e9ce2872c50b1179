"""The mean of clients' updates, the same bytes whoever answered first."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


def weighted_mean(updates: FloatArray, weights: FloatArray) -> FloatArray:
    """Rows of ``updates`` weighted by ``weights``: sum(w u) / sum(w) (McMahan et al. 2017).

    Rows are added one after another in float64, so equal rows in equal order give equal bytes.

    Args:
        updates: (n, size), one row per client.
        weights: (n,), not negative, for example rows trained on.

    >>> weighted_mean(np.array([[4.0], [0.0]]), np.array([1.0, 3.0])).tolist()
    [1.0]
    """
    total = np.add.reduce(updates * weights[:, None], axis=0)
    return np.asarray(total / weights.sum(), dtype=np.float64)

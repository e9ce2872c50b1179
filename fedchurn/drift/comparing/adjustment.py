"""Many columns are tested at once; this keeps the share of false findings at the level."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values (Benjamini and Hochberg 1995), in the given order.

    Calling out those at or below a level keeps the expected share of false ones among them at that
    level. Where nothing has drifted every finding is false, so the level is then the chance of any.

    >>> benjamini_hochberg([0.01, 0.02, 0.9])
    [0.03, 0.03, 0.9]
    """
    if not p_values:
        return []
    one = np.asarray([p_values], dtype=np.float64)
    return [float(value) for value in benjamini_hochberg_rows(one)[0]]


def benjamini_hochberg_rows(p_values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The same for many checks at once, (checks, columns)."""
    num_columns = p_values.shape[1]
    order = np.argsort(p_values, axis=1)
    ranked = np.take_along_axis(p_values, order, axis=1)
    scaled = ranked * num_columns / np.arange(1, num_columns + 1)
    lowest = np.minimum.accumulate(scaled[:, ::-1], axis=1)[:, ::-1].clip(max=1.0)
    adjusted = np.empty_like(lowest)
    np.put_along_axis(adjusted, order, lowest, axis=1)
    return adjusted

"""Many columns are tested at once; this keeps the share of false findings at the level."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values (Benjamini and Hochberg 1995), in the given order.

    Calling out those at or below a level keeps the expected share of false ones among them at that
    level. Where nothing has drifted every finding is false, so the level is then the chance of any.

    >>> benjamini_hochberg([0.01, 0.02, 0.9])
    [0.03, 0.03, 0.9]
    """
    if not p_values:
        return []
    order = np.argsort(p_values)
    ranked = np.asarray(p_values, dtype=np.float64)[order]
    scaled = ranked * len(ranked) / np.arange(1, len(ranked) + 1)
    lowest = np.minimum.accumulate(scaled[::-1])[::-1].clip(max=1.0)
    adjusted = np.empty_like(lowest)
    adjusted[order] = lowest
    return [float(value) for value in adjusted]

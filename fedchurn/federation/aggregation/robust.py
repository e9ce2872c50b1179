"""Combination rules that a minority of wrong updates cannot lead astray."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


def median(
    updates: FloatArray,
    weights: FloatArray,  # noqa: ARG001
    hyper: Mapping[str, float],  # noqa: ARG001
) -> FloatArray:
    """The median of every coordinate (Yin et al. 2018, arXiv 1803.01498), clients alike.

    Args:
        updates: (n, size), one row per client, in order of names.
        weights: (n,), not used: a client could claim any number of rows.
        hyper: not used.
    """
    return np.asarray(np.median(updates, axis=0), dtype=np.float64)

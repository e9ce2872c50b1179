"""How far two histograms are apart, in the measures that people know."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fedchurn.drift.comparing.statistics import ks_distance, total_variation
from fedchurn.drift.histogram import Histogram
from fedchurn.drift.verdict import ColumnTest, Effects

FloatArray = NDArray[np.float64]

_MAX_PSI_CELLS = 10
_MIN_SHARE = 1e-4  # of a cell, so that an empty one gives a finite index


def effects_between(
    window: Histogram, reference: Histogram, test: ColumnTest, edges: FloatArray | None
) -> Effects:
    """Effects of a window against a reference, over the same cells.

    Args:
        window: of the window's rows.
        reference: of the reference's rows.
        test: how cells are compared: in order (numbers) or without (labels).
        edges: inner edges of a number (c - 1,), None for a category.
    """
    missing = window.missing_fraction - reference.missing_fraction
    if not window.num_present or not reference.num_present:
        return Effects(0.0, 0.0, 0.0, None if edges is None else 0.0, missing)
    ours = window.cells / window.num_present
    theirs = reference.cells / reference.num_present
    measure = ks_distance if test is ColumnTest.KS else total_variation
    both = window.cells + reference.cells
    return Effects(
        distance=float(measure(window.cells[np.newaxis], both)[0]),
        jensen_shannon=jensen_shannon_distance(ours, theirs),
        psi=population_stability_index(ours, theirs, is_ordered=test is ColumnTest.KS),
        wasserstein=None if edges is None else wasserstein_distance(ours, theirs, edges),
        missing=missing,
    )


def jensen_shannon_distance(ours: FloatArray, theirs: FloatArray) -> float:
    """Square root of the Jensen-Shannon divergence, logarithm to base 2 (0-1; Lin 1991).

    >>> jensen_shannon_distance(np.array([1.0, 0.0]), np.array([0.0, 1.0]))
    1.0
    """
    middle = (ours + theirs) / 2
    divergence = (_kullback_leibler(ours, middle) + _kullback_leibler(theirs, middle)) / 2
    return float(np.sqrt(min(max(divergence / np.log(2), 0.0), 1.0)))


def _kullback_leibler(ours: FloatArray, theirs: FloatArray) -> float:
    used = ours > 0
    return float((ours[used] * np.log(ours[used] / theirs[used])).sum())


def population_stability_index(ours: FloatArray, theirs: FloatArray, *, is_ordered: bool) -> float:
    """Sum of (a - b) ln(a / b) over cells; natural logarithm.

    Ordered cells are joined to at most 10 that are about equally filled in the reference, as the
    index is commonly defined; shares below 0.0001 count as 0.0001.
    """
    if is_ordered:
        begins = np.cumsum(theirs) - theirs
        groups = np.floor(begins * _MAX_PSI_CELLS + 1e-9).clip(max=_MAX_PSI_CELLS - 1)
        places = np.unique(groups, return_inverse=True)[1]
        ours, theirs = (np.bincount(places, side).astype(np.float64) for side in (ours, theirs))
    a, b = np.maximum(ours, _MIN_SHARE), np.maximum(theirs, _MIN_SHARE)
    return float(((a - b) * np.log(a / b)).sum())


def wasserstein_distance(ours: FloatArray, theirs: FloatArray, edges: FloatArray) -> float:
    """Earth mover's distance in the column's unit; values count as the middle of their cell."""
    if len(edges) == 1:
        return 0.0
    widths = np.diff(edges)
    middles = np.concatenate(
        [[edges[0] - widths[0] / 2], edges[:-1] + widths / 2, [edges[-1] + widths[-1] / 2]]
    )
    return float((np.abs(np.cumsum(ours - theirs))[:-1] * np.diff(middles)).sum())

"""Two ROC-AUCs on the same rows, and how they vary together.

- DeLong, DeLong, Clarke-Pearson (Biometrics 44, 1988): covariance of AUCs on the same rows;
- in n log n by ranks, as Sun and Xu (IEEE Signal Processing Letters 21, 2014);
- Obuchowski (Biometrics 53, 1997): rows of one customer are one observation, because copies of a
  customer would make noise look smaller than it is; with one row per customer this is DeLong.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


def paired_auc(
    churned: NDArray[np.bool_], scores: FloatArray, groups: NDArray[np.intp]
) -> tuple[FloatArray, FloatArray]:
    """ROC-AUC of two scores and the covariance of both.

    Args:
        churned: (n,) the positive rows.
        scores: (2, n) finite scores of the same rows.
        groups: (n,) customer of each row, numbered from 0 without gaps.

    Returns:
        AUC (2,), NaN when a class is absent, and its covariance (2, 2), NaN when a class has fewer
        than two customers.
    """
    if churned.all() or not churned.any():
        return np.full(2, np.nan), np.full((2, 2), np.nan)
    parts = [_components(churned, score) for score in scores]
    auc = np.array([positive.mean() for positive, _ in parts])
    return auc, _clustered_covariance(churned, parts, auc, groups)


def _components(churned: NDArray[np.bool_], score: FloatArray) -> tuple[FloatArray, FloatArray]:
    """DeLong's structural components: each positive's share of negatives below it (ties count
    half), and each negative's share of positives above it."""
    positive, negative = score[churned], score[~churned]
    below = _share_below(positive, np.sort(negative))
    above = 1.0 - _share_below(negative, np.sort(positive))
    return below, above


def _share_below(values: FloatArray, ordered: FloatArray) -> FloatArray:
    low = np.searchsorted(ordered, values, side="left")
    high = np.searchsorted(ordered, values, side="right")
    return (low + high) / (2.0 * len(ordered))


def _clustered_covariance(
    churned: NDArray[np.bool_],
    parts: Sequence[tuple[FloatArray, FloatArray]],
    auc: FloatArray,
    groups: NDArray[np.intp],
) -> FloatArray:
    """Obuchowski's covariance (2, 2) of two AUCs; NaN with fewer than two customers in a class."""
    total = int(groups.max()) + 1
    own = {True: groups[churned], False: groups[~churned]}
    num_customers = {side: len(np.unique(own[side])) for side in own}
    if min(num_customers.values()) < 2:
        return np.full((2, 2), np.nan)
    sums = {
        side: np.stack(
            [
                np.bincount(own[side], weights=part[0 if side else 1] - area, minlength=total)
                for part, area in zip(parts, auc, strict=True)
            ]
        )
        / len(own[side])
        for side in (True, False)
    }
    spread = {side: _scaled(sums[side] @ sums[side].T, num_customers[side]) for side in sums}
    both = _scaled(sums[True] @ sums[False].T, total)
    covariance: FloatArray = spread[True] + spread[False] + both + both.T
    return covariance


def _scaled(products: FloatArray, num_customers: int) -> FloatArray:
    return products * (num_customers / (num_customers - 1))

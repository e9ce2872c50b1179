"""Correlations of the normal values behind normal scores.

Scores of few cells correlate less than the normal values that they stand for: yes-or-no columns of
the same rows reach 0.64 at most. For given cells the correlation of scores is a power series in
that of the values, with coefficients from Hermite polynomials (Lancaster 1957); we turn it around.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fedchurn.drift.normal_scores import thresholds

FloatArray = NDArray[np.float64]

_NUM_TERMS = 24
_LARGEST = 0.99
_NUM_HALVINGS = 30
_SMALLEST_EIGENVALUE = 1e-3


def score_correlations(
    num_rows: float, sums: FloatArray, products: FloatArray, present: FloatArray
) -> FloatArray:
    """Correlations of q coordinates over rows in which both are present, (q, q).

    Args:
        num_rows: rows summed over.
        sums: of scores, 0 where a value is missing, (q,).
        products: of scores of the same row, (q, q).
        present: share of rows in which both are present (0-1), (q, q).
    """
    both = np.maximum(present, 1.0 / num_rows)
    means = sums / num_rows / np.diag(both)
    covariances = products / num_rows / both - np.outer(means, means)
    spread = np.sqrt(np.maximum(np.diag(covariances), 0.0))
    scale = np.outer(spread, spread)
    found = np.divide(covariances, scale, out=np.zeros_like(scale), where=scale > 1e-9)
    found = found.clip(-1.0, 1.0)
    np.fill_diagonal(found, 1.0)
    return found


def hermite_coefficients(scores: FloatArray, shares: FloatArray) -> FloatArray:
    """Of the step function from a normal value to its standardised score, (24,), from degree 1.

    Args:
        scores: per cell, (c,).
        shares: of rows per cell, (c,), sum 1.
    """
    mean = float(shares @ scores)
    deviation = math.sqrt(max(float(shares @ np.square(scores)) - mean**2, 0.0))
    result = np.zeros(_NUM_TERMS)
    if deviation < 1e-9:
        return result
    inner = thresholds(shares)
    finite = np.isfinite(inner)
    edges, rises = inner[finite], np.diff(scores)[finite] / deviation
    # The integral of He_k over a step up at t is He_(k-1)(t) times the density at t.
    density = np.exp(-np.square(edges) / 2) / math.sqrt(2 * math.pi)
    before, now = np.zeros_like(edges), np.ones_like(edges)
    for degree in range(1, _NUM_TERMS + 1):
        result[degree - 1] = float(rises @ (now * density)) / math.sqrt(degree)
        # Normalised polynomials: He_k / sqrt(k!).
        before, now = (
            now,
            (edges * now - math.sqrt(degree - 1) * before) / math.sqrt(degree),
        )
    return result


def latent_correlations(found: FloatArray, coefficients: Sequence[FloatArray]) -> FloatArray:
    """Correlations of normal values whose scores correlate as ``found`` (q, q)."""
    series = np.stack(coefficients)
    low, high = np.full(found.shape, -_LARGEST), np.full(found.shape, _LARGEST)
    for _ in range(_NUM_HALVINGS):
        middle = (low + high) / 2
        total = np.zeros_like(middle)
        for term in series.T[::-1]:
            total = (total + np.outer(term, term)) * middle
        below = total < found
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    result = (low + high) / 2
    unknown = np.abs(series).sum(axis=1) == 0  # a column of one cell goes with nothing
    result[unknown, :] = result[:, unknown] = 0.0
    np.fill_diagonal(result, 1.0)
    return (result + result.T) / 2


def positive_definite(correlation: FloatArray, shrinkage: float) -> FloatArray:
    """Moved towards the identity by ``shrinkage`` (0-1), and made a correlation matrix again.

    Pairwise estimates need not fit together; eigenvalues below 0.001 are raised to it (Higham 2002
    gives the nearest such matrix, this one is near enough).
    """
    moved = (1 - shrinkage) * correlation + shrinkage * np.eye(len(correlation))
    values, vectors = np.linalg.eigh(moved)
    mended = (vectors * np.maximum(values, _SMALLEST_EIGENVALUE)) @ vectors.T
    scale = 1 / np.sqrt(np.diag(mended))
    result = mended * np.outer(scale, scale)
    np.fill_diagonal(result, 1.0)
    return (result + result.T) / 2

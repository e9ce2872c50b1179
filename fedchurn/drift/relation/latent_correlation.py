"""Correlations of the normal values behind normal scores.

Scores of few cells correlate less than the normal values that they stand for: yes-or-no columns of
the same rows reach 0.64 at most. For given cells the correlation of scores is a power series in
that of the values, with coefficients from Hermite polynomials (Lancaster 1957); we go the way back.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fedchurn.drift.relation.normal_scores import thresholds

FloatArray = NDArray[np.float64]

_NUM_TERMS = 24
_NUM_STEPS = 25
_STEP = 0.5
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
    """The positive definite correlations whose scores correlate nearly as ``found`` (q, q).

    Pairs alone need not fit together: no normal values do what three columns do that are ``no`` in
    the same rows. So steps towards the wanted correlations of scores and back to positive definite
    matrices take turns (projected gradient descent).
    """
    series = np.stack(coefficients)
    latent = positive_definite(found)
    for _ in range(_NUM_STEPS):
        missed = found - _of_scores(latent, series)
        np.fill_diagonal(missed, 0.0)
        latent = positive_definite(latent + _STEP * missed)
    return latent


def _of_scores(latent: FloatArray, series: FloatArray) -> FloatArray:
    total = np.zeros_like(latent)
    for term in series.T[::-1]:
        total = (total + np.outer(term, term)) * latent
    return total


def positive_definite(matrix: FloatArray) -> FloatArray:
    """A correlation matrix near the symmetric ``matrix``, with eigenvalues of about 0.001 at least.

    Eigenvalues below are raised, then the diagonal is scaled back to 1 (Rebonato and Jaeckel 1999).
    """
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    mended = (vectors * np.maximum(values, _SMALLEST_EIGENVALUE)) @ vectors.T
    scale = 1 / np.sqrt(np.diag(mended))
    result = mended * np.outer(scale, scale)
    np.fill_diagonal(result, 1.0)
    return (result + result.T) / 2

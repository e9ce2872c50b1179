"""Combination rules that a minority of wrong updates cannot lead astray.

Every rule is a function of the updates alone: equal rows in equal order give equal bytes. What a
rule left out or shortened is told by a second function, for the round's record.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fedchurn.federation.aggregation.mean import weighted_mean

FloatArray = NDArray[np.float64]
Hyper = Mapping[str, float]

TRIM_FRACTION = 0.2
_LEAST_SHORTENED = 1e-9  # relative; below, a norm equals the limit but for rounding


@dataclass(frozen=True)
class Remarks:
    """What a rule did to single updates, by row.

    Attributes:
        left_out: why an update was not used.
        changed: how an update was changed before it was used.
        notes: numbers for the record.
    """

    left_out: Mapping[int, str] = field(default_factory=dict)
    changed: Mapping[int, str] = field(default_factory=dict)
    notes: Mapping[str, float] = field(default_factory=dict)


def median(
    updates: FloatArray,
    weights: FloatArray,  # noqa: ARG001
    hyper: Hyper,  # noqa: ARG001
) -> FloatArray:
    """The median of every coordinate (Yin et al. 2018, arXiv 1803.01498), clients alike.

    Args:
        updates: (n, size), one row per client, in order of names.
        weights: (n,), not used: a client could claim any number of rows.
        hyper: not used.
    """
    return np.asarray(np.median(updates, axis=0), dtype=np.float64)


def trimmed_mean(
    updates: FloatArray,
    weights: FloatArray,  # noqa: ARG001
    hyper: Hyper,
) -> FloatArray:
    """Per coordinate, the mean without the largest and the smallest values (Yin et al. 2018).

    ``trim_fraction`` of the clients at either end, and at least one where three or more answered.
    Clients count alike.
    """
    trimmed = num_trimmed(len(updates), hyper)
    kept = np.sort(updates, axis=0)[trimmed : len(updates) - trimmed]
    return np.asarray(kept.mean(axis=0), dtype=np.float64)


def num_trimmed(num_updates: int, hyper: Hyper) -> int:
    """Values that ``trimmed_mean`` leaves out at either end.

    >>> [num_trimmed(n, {}) for n in (2, 3, 5, 10)]
    [0, 1, 1, 2]
    """
    fraction = hyper.get("trim_fraction", TRIM_FRACTION)
    asked = int(fraction * num_updates + 1e-9)
    return max(0, min(max(1, asked), (num_updates - 1) // 2)) if fraction > 0 else 0


def trimmed_mean_remarks(updates: FloatArray, hyper: Hyper) -> Remarks:
    """How many values were left out at either end of every coordinate."""
    return Remarks(notes={"num_trimmed": float(num_trimmed(len(updates), hyper))})


def krum(
    updates: FloatArray,
    weights: FloatArray,  # noqa: ARG001
    hyper: Hyper,
) -> FloatArray:
    """Multi-Krum: the mean of the n - f updates that lie closest to others, clients alike.

    An update's score is the sum of the squared distances to its n - f - 2 nearest others; f is
    ``num_byzantine`` (Blanchard et al. 2017, "Machine Learning with Adversaries"). Needs
    n >= 2 f + 3: where fewer answered, f is the most that they allow.
    """
    return np.asarray(updates[_chosen(updates, hyper)].mean(axis=0), dtype=np.float64)


def num_byzantine(num_updates: int, hyper: Hyper) -> int:
    """The f of ``krum``: what was asked for, or the most that so many updates allow.

    >>> [num_byzantine(n, {}) for n in (2, 3, 5, 10)]
    [0, 0, 1, 3]
    """
    most = max(0, (num_updates - 3) // 2)
    return min(int(hyper.get("num_byzantine", most)), most)


def krum_scores(updates: FloatArray, num_neighbours: int) -> FloatArray:
    """Sum of the squared distances from each row to its nearest others, (n,)."""
    squares = np.einsum("ij,ij->i", updates, updates)
    distances = np.maximum(squares[:, None] + squares - 2 * updates @ updates.T, 0.0)
    np.fill_diagonal(distances, np.inf)
    nearest = np.sort(distances, axis=1)[:, : min(num_neighbours, len(updates) - 1)]
    return np.asarray(nearest.sum(axis=1), dtype=np.float64)


def krum_remarks(updates: FloatArray, hyper: Hyper) -> Remarks:
    """Whose updates were not among the chosen."""
    chosen = set(_chosen(updates, hyper).tolist())
    hostile = num_byzantine(len(updates), hyper)
    scores = np.sqrt(krum_scores(updates, max(1, len(updates) - hostile - 2)))
    limit = max((scores[row] for row in chosen), default=0.0)
    why = {
        row: f"krum: lies {scores[row]:.3g} from its nearest others, the chosen at most {limit:.3g}"
        for row in range(len(updates))
        if row not in chosen
    }
    return Remarks(
        left_out=why,
        notes={"num_byzantine": float(hostile), "num_chosen": float(len(chosen))},
    )


def _chosen(updates: FloatArray, hyper: Hyper) -> NDArray[np.intp]:
    """Rows of the n - f smallest scores, in order of rows; of equal scores the first."""
    hostile = num_byzantine(len(updates), hyper)
    scores = krum_scores(updates, max(1, len(updates) - hostile - 2))
    return np.sort(np.argsort(scores, kind="stable")[: len(updates) - hostile])


def norm_clipping(updates: FloatArray, weights: FloatArray, hyper: Hyper) -> FloatArray:
    """The weighted mean of updates that are shortened to ``clip_norm`` (Sun et al. 2019).

    See arXiv 1911.07963. Without ``clip_norm``, the median length of the round's updates.
    """
    factors, _ = _clip_factors(updates, hyper)
    return weighted_mean(updates * factors[:, None], weights)


def norm_clipping_remarks(updates: FloatArray, hyper: Hyper) -> Remarks:
    """Whose updates were shortened."""
    factors, limit = _clip_factors(updates, hyper)
    why = {
        int(row): f"norm_clipping: length {limit / factors[row]:.3g} shortened to {limit:.3g}"
        for row in np.flatnonzero(factors < 1 - _LEAST_SHORTENED)
    }
    return Remarks(changed=why, notes={"clip_norm": limit})


def _clip_factors(updates: FloatArray, hyper: Hyper) -> tuple[FloatArray, float]:
    lengths = np.linalg.norm(updates, axis=1)
    limit = float(hyper.get("clip_norm", np.median(lengths)))
    longer = lengths > limit
    return np.where(longer, limit / np.where(longer, lengths, 1.0), 1.0), limit

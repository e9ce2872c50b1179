"""How the columns of a release go together: a Gaussian copula made of sums, without any row.

Each client sends sums of its rows' normal scores and of their products (``normal_scores``); from
those come the correlations here, synthetic rows (``synthetic_rows``) and the reconstruction error
of a row: what is left of its scores beside the strongest principal components (Jackson 1991).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedchurn.contract.columns import Columns
from fedchurn.drift.relation.latent_correlation import (
    hermite_coefficients,
    latent_correlations,
    score_correlations,
)
from fedchurn.drift.relation.normal_scores import (
    TICKS_PER_UNIT,
    ScoredColumn,
    coordinates,
    places_of,
    read_scored_columns,
)
from fedchurn.drift.verdict import SCORE_COLUMN

FloatArray = NDArray[np.float64]

EXPLAINED_FRACTION = 0.7
_DECIMALS = 6


@dataclass(frozen=True)
class DependenceSums:
    """Sums over rows; ``a + b`` is the sums of both sets of rows.

    Attributes:
        num_rows: rows summed over.
        sums: int64 (q,), of coordinates in ticks: values of all columns, missingness where the
            reference has missing values, and the logit of the model's churn probability.
        products: int64 (q, q), of coordinates of the same row, in squared ticks.
    """

    num_rows: int
    sums: NDArray[np.int64]
    products: NDArray[np.int64]

    def __add__(self, other: DependenceSums) -> DependenceSums:
        return DependenceSums(
            self.num_rows + other.num_rows,
            self.sums + other.sums,
            self.products + other.products,
        )


@dataclass(frozen=True, eq=False)
class Dependence:
    """A Gaussian copula of a release's columns.

    Attributes:
        num_rows: training rows behind it.
        columns: the contract's tested columns, scored by the reference of all clients.
        correlation: of q normal values, (q, q), positive definite: first one per column, then one
            per column with missing values (in the same order), last the churn probability.
        components: orthonormal principal components of all but the last, (k, q - 1).
    """

    num_rows: int
    columns: tuple[ScoredColumn, ...]
    correlation: FloatArray
    components: FloatArray

    @property
    def names(self) -> tuple[str, ...]:
        """Name per normal value; of missingness the column's with ``?`` after it."""
        return coordinate_names(self.columns)

    def covers(self, columns: Columns) -> bool:
        """Whether ``errors`` can be told for such rows: no column is lacking."""
        return all(one.name in columns for one in self.columns)

    def errors(self, columns: Columns) -> FloatArray:
        """Reconstruction error of n canonical rows, float64 (n,).

        It is large where values go together as they seldom do in training rows. A missing value
        counts as one in the middle; where training rows have them, missingness is told as well.
        """
        return self.errors_of_places(places_of(self.columns, columns))

    def errors_of_places(self, places: Sequence[NDArray[np.intp]]) -> FloatArray:
        """The same of rows given as cells per column, (n,) each, the last for a missing value."""
        return reconstruction_errors(self.columns, places, self.components)

    def to_json(self) -> dict[str, Any]:
        """JSON-ready form; scores are made anew from the histograms beside it."""
        return {
            "num_rows": self.num_rows,
            "columns": [one.name for one in self.columns],
            "coordinates": list(self.names),
            "correlation": [self.correlation[n, :n].tolist() for n in range(len(self.names))],
            "components": self.components.tolist(),
        }


def reconstruction_errors(
    columns: Sequence[ScoredColumn],
    places: Sequence[NDArray[np.intp]],
    components: FloatArray,
) -> FloatArray:
    """Norm of what the components (k, q) leave of n rows' scores, float64 (n,)."""
    scores = coordinates(columns, places) / TICKS_PER_UNIT
    left = scores - (scores @ components.T) @ components
    found: FloatArray = np.sqrt(np.square(left).sum(axis=1))
    return found


def coordinate_names(columns: Sequence[ScoredColumn]) -> tuple[str, ...]:
    """Names of the normal values of these columns; see ``Dependence.names``."""
    flags = [f"{one.name}?" for one in columns if one.missing_ticks is not None]
    return (*(one.name for one in columns), *flags, SCORE_COLUMN)


def fit_dependence(columns: Sequence[ScoredColumn], sums: DependenceSums) -> Dependence:
    """The copula behind the sums of all clients; independence where they tell nothing."""
    size = len(coordinate_names(columns))
    correlation = np.eye(size)
    if sums.num_rows > 1:
        found = score_correlations(
            sums.num_rows,
            sums.sums / TICKS_PER_UNIT,
            sums.products / TICKS_PER_UNIT**2,
            _present(columns, sums),
        )
        _forget_own_missingness(found, columns)
        # A little towards the identity: few rows know less about pairs than there are pairs.
        found *= sums.num_rows / (sums.num_rows + size)
        np.fill_diagonal(found, 1.0)
        correlation = latent_correlations(found, _coefficients(columns))
    rounded = np.round(correlation, _DECIMALS)
    components = np.round(principal_components(rounded[:-1, :-1]), 9)
    return Dependence(sums.num_rows, tuple(columns), rounded, components)


def principal_components(correlation: FloatArray) -> FloatArray:
    """The fewest strongest components that explain 70 %, but never all, (k, q), k < q."""
    values, vectors = np.linalg.eigh(correlation)
    explained = np.cumsum(values[::-1]) / values.sum()
    num_needed = int(np.searchsorted(explained, EXPLAINED_FRACTION)) + 1
    num_kept = min(num_needed, len(values) - 1)
    # numpy leaves the sign open; the largest entry is made positive.
    kept = vectors[:, ::-1].T[:num_kept]
    largest = np.take_along_axis(kept, np.abs(kept).argmax(axis=1)[:, np.newaxis], axis=1)
    result: FloatArray = kept * np.sign(largest)
    return result


def read_dependence(stored: Mapping[str, Any]) -> Dependence | None:
    """The copula in a ``reference.json``, or None where there is none.

    Raises:
        KeyError, TypeError, ValueError, IndexError: the content is of another format.
    """
    found = stored.get("dependence")
    if found is None:
        return None
    columns = tuple(read_scored_columns(stored, found["columns"]))
    names = coordinate_names(columns)
    if list(names) != found["coordinates"]:
        raise ValueError(f"dependence of {found['coordinates']}, histograms of {list(names)}")
    correlation = np.eye(len(names))
    for place, row in enumerate(found["correlation"]):
        correlation[place, :place] = correlation[:place, place] = row
    components = np.asarray(found["components"], dtype=np.float64).reshape(-1, len(names) - 1)
    return Dependence(int(found["num_rows"]), columns, correlation, components)


def _present(columns: Sequence[ScoredColumn], sums: DependenceSums) -> FloatArray:
    """Share of rows in which two coordinates are both present, (q, q), from the sums themselves."""
    size = len(sums.sums)
    scores = {
        n: one.missing_ticks for n, one in enumerate(columns) if one.missing_ticks is not None
    }
    flagged = list(scores)
    low, high = np.array(list(scores.values()), dtype=np.float64).reshape(-1, 2).T
    flags = slice(len(columns), len(columns) + len(flagged))
    # Missingness has two scores, so it is 0 or 1 after a shift and a stretch.
    means = sums.sums[flags] / sums.num_rows
    missing = (means - low) / (high - low)
    products = sums.products[flags, flags] / sums.num_rows
    shifted = products - np.outer(low, means) - np.outer(means, low) + np.outer(low, low)
    both_missing = shifted / np.outer(high - low, high - low)
    present = np.ones((size, size))
    present[flagged, :] -= missing[:, np.newaxis]
    present[:, flagged] -= missing
    present[np.ix_(flagged, flagged)] += both_missing
    present[flagged, flagged] = 1 - missing
    return present.clip(0.0, 1.0)


def _forget_own_missingness(correlation: FloatArray, columns: Sequence[ScoredColumn]) -> None:
    """A column's missing values have no score, so these two cannot be seen together."""
    flagged = [n for n, one in enumerate(columns) if one.missing_ticks is not None]
    for flag, column in enumerate(flagged, start=len(columns)):
        correlation[flag, column] = correlation[column, flag] = 0.0


def _coefficients(columns: Sequence[ScoredColumn]) -> list[FloatArray]:
    found = [hermite_coefficients(one.ticks[:-1] / TICKS_PER_UNIT, one.shares) for one in columns]
    for one in columns:
        if one.missing_ticks is not None:
            shares = np.array([1 - one.missing_fraction, one.missing_fraction])
            found.append(hermite_coefficients(one.missing_ticks / TICKS_PER_UNIT, shares))
    normal = np.zeros_like(found[0]) if found else np.zeros(1)
    normal[0] = 1.0
    return [*found, normal]

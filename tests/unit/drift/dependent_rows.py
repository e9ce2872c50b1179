"""Rows whose dependence is known, and what training would make of them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from fedchurn.contract.columns import Columns
from fedchurn.drift.histogram import Histogram
from fedchurn.drift.reference import DriftReference, ReferenceColumn
from fedchurn.drift.relation.dependence import Dependence, DependenceSums, fit_dependence
from fedchurn.drift.relation.normal_scores import (
    ScoredColumn,
    coordinates,
    places_of,
    scored_column,
)
from fedchurn.drift.verdict import ColumnTest, Subject

FloatArray = NDArray[np.float64]

EDGES = np.linspace(-3, 3, 61)


def normal_pairs(correlation: float, num_rows: int, seed: int = 0) -> FloatArray:
    """Normal values of two columns, (num_rows, 2)."""
    generator = np.random.default_rng(seed)
    first, second = generator.standard_normal((2, num_rows))
    return np.stack([first, correlation * first + np.sqrt(1 - correlation**2) * second], axis=1)


def labels(values: FloatArray, *cuts: float) -> NDArray[np.int32]:
    """Codes of the intervals between cuts."""
    return np.searchsorted(np.array(cuts), values).astype(np.int32)


def scored(columns: Columns) -> tuple[ScoredColumn, ...]:
    """Scores by the rows' own histograms."""
    found = reference(columns).columns
    return tuple(
        scored_column(one.name, one.edges, one.histogram.cells, one.histogram.missing)
        for one in found
    )


def reference(columns: Columns) -> DriftReference:
    """The histograms of these rows as a reference."""
    found = []
    for name, values in columns.items():
        is_number = values.dtype.kind == "f"
        num_cells = len(EDGES) + 1 if is_number else int(values.max()) + 2
        empty = ReferenceColumn(
            name,
            Subject.COVARIATE,
            ColumnTest.KS if is_number else ColumnTest.CHI_SQUARED,
            EDGES if is_number else None,
            Histogram(np.zeros(num_cells), 0.0),
        )
        filled = empty.histogram_of(values)
        found.append(ReferenceColumn(name, empty.subject, empty.test, empty.edges, filled))
    return DriftReference(len(next(iter(columns.values()))), tuple(found))


def dependence(columns: Columns, logit: FloatArray | None = None) -> Dependence:
    """The copula of these rows; ``logit`` is the model's."""
    known = scored(columns)
    values = coordinates(known, places_of(known, columns))
    scores = np.zeros(len(values)) if logit is None else logit
    rows = np.column_stack([values, np.rint(scores * 4096).astype(np.int64)])
    return fit_dependence(known, DependenceSums(len(rows), rows.sum(axis=0), rows.T @ rows))


def correlations(found: Dependence) -> Mapping[tuple[str, str], float]:
    """By pair of names."""
    names = found.names
    return {
        (a, b): float(found.correlation[i, j])
        for i, a in enumerate(names)
        for j, b in enumerate(names)
    }

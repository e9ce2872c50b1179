"""Rows that nobody ever was, with the distributions of a reference and its dependence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fedchurn.drift.relation.dependence import Dependence
from fedchurn.drift.relation.normal_scores import cell_shares, inverse_normal, thresholds
from fedchurn.drift.verdict import RELATION_COLUMN

if TYPE_CHECKING:
    from fedchurn.drift.reference import DriftReference, ReferenceColumn

FloatArray = NDArray[np.float64]
Cells = NDArray[np.int32]

_NUM_RANKED_ROWS = 10_000


def sample_cells(
    reference: DriftReference,
    dependence: Dependence | None,
    num_rows: int,
    generator: np.random.Generator,
) -> Cells:
    """Cells of ``num_rows`` synthetic rows, int32 (num_rows, number of the reference's columns).

    Column j holds the place in ``reference.columns[j].histogram.with_missing()``: 0 to c - 1 are
    its cells, c is a missing value. ``SyntheticRows`` draws more than once for less.

    Args:
        reference: gives each column's distribution; may be one client's.
        dependence: how columns go together; None draws them one by one.
        num_rows: how many.
        generator: of the draw.
    """
    return SyntheticRows(reference, dependence).draw(num_rows, generator)


@dataclass(frozen=True)
class _Marginal:
    """How a normal value becomes a cell, and another one (if any) a missing value."""

    inner: FloatArray  # where the cell changes (c - 1,)
    missing_above: float  # the missing value's threshold
    value: int | None  # coordinate, None for one of its own
    flag: int | None


class SyntheticRows:
    """Draws synthetic rows; see ``sample_cells``.

    The reconstruction error of a synthetic row keeps its rank among 10 000 others, and takes the
    value of that rank among the errors of real held-out rows.
    """

    def __init__(self, reference: DriftReference, dependence: Dependence | None) -> None:
        self._dependence = dependence
        self._names = [one.name for one in reference.columns]
        known = dependence.names if dependence else ()
        self._marginals = [_marginal(one, known) for one in reference.columns]
        size = len(known)
        self._root = _root(dependence.correlation) if dependence else np.zeros((0, size))
        self._ranked: FloatArray | None = None
        if dependence and self._relation is not None:
            draw = self._draw(_NUM_RANKED_ROWS, np.random.default_rng(0))
            self._ranked = np.sort(self._errors(dependence, draw))

    @property
    def _relation(self) -> int | None:
        names = self._names
        return names.index(RELATION_COLUMN) if RELATION_COLUMN in names else None

    def draw(self, num_rows: int, generator: np.random.Generator) -> Cells:
        """Cells of new rows, int32 (num_rows, number of columns)."""
        cells = self._draw(num_rows, generator)
        if self._dependence and self._ranked is not None and self._relation is not None:
            errors = self._errors(self._dependence, cells)
            low = np.searchsorted(self._ranked, errors, side="left")
            high = np.searchsorted(self._ranked, errors, side="right")
            ranks = low + (high - low) * generator.random(num_rows)
            values = inverse_normal((ranks + 0.5) / (len(self._ranked) + 1))
            inner = self._marginals[self._relation].inner
            cells[:, self._relation] = np.searchsorted(inner, values, side="right")
        return cells

    def _draw(self, num_rows: int, generator: np.random.Generator) -> Cells:
        drawn = generator.standard_normal((num_rows, len(self._root))) @ self._root.T
        cells = np.empty((num_rows, len(self._marginals)), dtype=np.int32)
        for place, one in enumerate(self._marginals):
            value, flag = (
                drawn[:, at] if at is not None else generator.standard_normal(num_rows)
                for at in (one.value, one.flag)
            )
            inside = np.searchsorted(one.inner, value, side="right")
            cells[:, place] = np.where(flag > one.missing_above, len(one.inner) + 1, inside)
        return cells

    def _errors(self, dependence: Dependence, cells: Cells) -> FloatArray:
        """Errors of rows given as cells; columns that the reference lacks stand in the middle."""
        places = [
            cells[:, self._names.index(one.name)].astype(np.intp)
            if one.name in self._names
            else np.full(len(cells), one.num_cells, dtype=np.intp)
            for one in dependence.columns
        ]
        return dependence.errors_of_places(places)


def _marginal(column: ReferenceColumn, known: tuple[str, ...]) -> _Marginal:
    histogram = column.histogram
    fraction = histogram.missing_fraction if histogram.num_present else 1.0
    flag = f"{column.name}?"
    return _Marginal(
        inner=thresholds(cell_shares(histogram.cells)),
        missing_above=float(inverse_normal(np.array([1 - fraction]))[0]),
        value=known.index(column.name) if column.name in known else None,
        flag=known.index(flag) if flag in known else None,
    )


def _root(correlation: FloatArray) -> FloatArray:
    values, vectors = np.linalg.eigh(correlation)
    result: FloatArray = vectors * np.sqrt(np.maximum(values, 0.0))
    return result

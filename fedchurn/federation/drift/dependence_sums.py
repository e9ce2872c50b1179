"""What a client tells about how its columns go together: sums over rows, as whole numbers.

Before scores are multiplied, each column is coarsened as in the client's histograms (see
``fedchurn.encoding.statistics``): a label of fewer than k rows counts as the commonest one, and
neighbouring cells of a number are joined until they hold k rows. So of a single column these sums
tell nothing that its histogram does not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedchurn.contract.columns import Columns
from fedchurn.drift.relation.dependence import (
    DependenceSums,
    coordinate_names,
    reconstruction_errors,
)
from fedchurn.drift.relation.normal_scores import (
    TICKS_PER_UNIT,
    ScoredColumn,
    cell_places,
    missing_flags,
    places_of,
)
from fedchurn.encoding.statistics import (
    customer_squares,
    effective_rows,
    merge_small_cells,
    merged_cells,
)

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

_NUM_LOGIT_CELLS = 4096
_BLOCK_ROWS = 2**16  # below, sums of products of ticks are exact in float64


@dataclass(frozen=True)
class HeldOutSums:
    """One client's test rows; ``a + b`` is both clients'.

    Attributes:
        num_rows: test rows; 0 if there are fewer than k.
        customer_squares: sum over customers of the square of their rows.
        error_cells: rows per cell of the reconstruction error, (c,); none below k rows.
    """

    num_rows: int
    customer_squares: float
    error_cells: FloatArray

    @property
    def num_effective_rows(self) -> float:
        """Rows of different customers that tell as much (Kish 1965)."""
        return effective_rows(self.num_rows, self.customer_squares)

    def __add__(self, other: HeldOutSums) -> HeldOutSums:
        return HeldOutSums(
            self.num_rows + other.num_rows,
            self.customer_squares + other.customer_squares,
            self.error_cells + other.error_cells,
        )

    def to_arrays(self) -> dict[str, FloatArray]:
        """The sums as named arrays, for a ``Reply``."""
        rows = np.array([self.num_rows, self.customer_squares], dtype=np.float64)
        return {"held_out_rows": rows, "error_cells": self.error_cells}

    @classmethod
    def from_arrays(
        cls, arrays: Mapping[str, NDArray[np.generic]], num_cells: int | None = None
    ) -> HeldOutSums:
        """The sums behind ``to_arrays``.

        Raises:
            ValueError: they are not those of any rows, or have not ``num_cells`` cells.
        """
        num_rows, squares = np.asarray(arrays["held_out_rows"], dtype=np.float64).tolist()
        cells = np.asarray(arrays["error_cells"], dtype=np.float64)
        if num_cells not in (None, len(cells)) or not num_rows <= squares <= num_rows**2:
            raise ValueError(f"{len(cells)} cells of {num_rows:g} rows, squares {squares:g}")
        if (cells < 0).any() or not np.isclose(cells.sum(), num_rows):
            raise ValueError(f"cells hold {cells.sum():g} rows of {num_rows:g}")
        return cls(int(num_rows), squares, cells)


def dependence_sums(
    columns: Columns,
    probability: NDArray[np.floating],
    scored: Sequence[ScoredColumn],
    min_cell_rows: int,
) -> DependenceSums:
    """Sums over n rows; zeros if there are fewer than k.

    Args:
        columns: canonical columns, n values each.
        probability: churn probabilities by the model, (n,).
        scored: the tested columns, scored by the reference of all clients.
        min_cell_rows: k.
    """
    size = len(coordinate_names(scored))
    sums, products = np.zeros(size, dtype=np.int64), np.zeros((size, size), dtype=np.int64)
    if len(probability) < max(min_cell_rows, 1):
        return DependenceSums(0, sums, products)
    values = _coordinates(columns, probability, scored, min_cell_rows)
    for start in range(0, len(values), _BLOCK_ROWS):
        block = values[start : start + _BLOCK_ROWS].astype(np.float64)
        sums += block.sum(axis=0).astype(np.int64)
        products += (block.T @ block).astype(np.int64)
    return DependenceSums(len(values), sums, products)


def held_out_sums(
    columns: Columns,
    customer_groups: NDArray[np.int64],
    scored: Sequence[ScoredColumn],
    components: FloatArray,
    error_edges: FloatArray,
    min_cell_rows: int,
) -> HeldOutSums:
    """Reconstruction errors of n rows as a histogram, with cells below k joined.

    Args:
        columns: canonical columns, n values each.
        customer_groups: (n,), equal for rows of one customer.
        scored: the tested columns.
        components: principal components, (m, q).
        error_edges: inner edges of the histogram, (c - 1,).
        min_cell_rows: k.
    """
    if len(customer_groups) < max(min_cell_rows, 1):
        return HeldOutSums(0, 0.0, np.zeros(len(error_edges) + 1))
    errors = reconstruction_errors(scored, places_of(scored, columns), components)
    places = np.searchsorted(error_edges, errors, side="right")
    counts = np.bincount(places, minlength=len(error_edges) + 1)
    return HeldOutSums(
        len(customer_groups),
        customer_squares(customer_groups),
        merge_small_cells(counts, min_cell_rows),
    )


def _coordinates(
    columns: Columns,
    probability: NDArray[np.floating],
    scored: Sequence[ScoredColumn],
    min_cell_rows: int,
) -> IntArray:
    places = places_of(scored, columns)
    coarse = [
        _coarse_labels(at, one.num_cells + 1, min_cell_rows)
        if one.edges is None
        else _few_missing_in_the_middle(one, at, columns[one.name], min_cell_rows)
        for one, at in zip(scored, places, strict=True)
    ]
    values = [
        one.ticks[at] if one.edges is None else _joined_ticks(at, one.ticks, min_cell_rows)
        for one, at in zip(scored, coarse, strict=True)
    ]
    cells = np.minimum(probability * _NUM_LOGIT_CELLS, _NUM_LOGIT_CELLS - 1).astype(np.intp)
    logits = _joined_ticks(cells, np.append(_logit_ticks(), 0), min_cell_rows)
    return np.stack([*values, *missing_flags(scored, coarse), logits], axis=1)


def _coarse_labels(
    places: NDArray[np.intp], num_places: int, min_cell_rows: int
) -> NDArray[np.intp]:
    """A label (unknown and missing ones, too) of fewer than k rows counts as the commonest one.

    Where even that one has fewer, all are missing.
    """
    counts = np.bincount(places, minlength=num_places)
    common = int(np.argmax(counts)) if counts.max() >= min_cell_rows else num_places - 1
    counted_as = np.where(counts < min_cell_rows, common, np.arange(num_places))
    return counted_as[places]


def _few_missing_in_the_middle(
    column: ScoredColumn,
    places: NDArray[np.intp],
    values: NDArray[np.float64] | NDArray[np.int32],
    min_cell_rows: int,
) -> NDArray[np.intp]:
    """Fewer than k missing numbers count as the median, fewer than k others as missing."""
    absent = places == column.num_cells
    num_absent = int(np.count_nonzero(absent))
    if len(places) - num_absent < min_cell_rows:
        return np.full_like(places, column.num_cells)
    if 0 < num_absent < min_cell_rows:
        median = np.array([np.median(values[~absent])])
        return np.where(absent, cell_places(median, column.edges, column.num_cells), places)
    return places


def _joined_ticks(places: NDArray[np.intp], ticks: IntArray, min_cell_rows: int) -> IntArray:
    """Ticks per row (n,): neighbouring cells of k rows together count with the mean of their span.

    The mean is that of cells, not of rows: it does not say which of its cells held the rows.
    """
    missing = len(ticks) - 1
    counts = np.bincount(places, minlength=len(ticks))[:missing]
    shared = np.zeros(len(ticks), dtype=np.int64)
    for span, cells in merged_cells(counts, min_cell_rows):
        shared[cells] = round(float(ticks[span.start : span.stop].mean()))
    return shared[places]


def _logit_ticks() -> IntArray:
    middles = (np.arange(_NUM_LOGIT_CELLS) + 0.5) / _NUM_LOGIT_CELLS
    return np.rint(np.log(middles / (1 - middles)) * TICKS_PER_UNIT).astype(np.int64)

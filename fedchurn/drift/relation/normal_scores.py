"""Values of any column as normal scores, so that columns of all kinds can be correlated.

A value's score is the inverse normal of the middle of its cell in the distribution of all clients'
training rows (van der Waerden 1952, with ties in the middle). Categories count in the contract's
order of labels. Scores are whole ticks of 1/4096: sums of their products are exact, and so the same
bytes however rows are dealt to clients.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedchurn.contract.columns import UNKNOWN, Columns

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

TICKS_PER_UNIT = 4096
_NORMAL = NormalDist()


@dataclass(frozen=True, eq=False)
class ScoredColumn:
    """One column's cells and their scores.

    Attributes:
        name: of the contract column.
        edges: inner edges of a number's cells (c - 1,), or None for a category.
        cells: the reference's rows per cell, (c,).
        missing: the reference's rows without a value.
        ticks: score of each cell and, last, of a missing value (0), (c + 1,).
        missing_ticks: score of being there and of being missing, (2,); None where the reference has
            no missing values (or no others), so that missingness is no coordinate of its own.
    """

    name: str
    edges: FloatArray | None
    cells: FloatArray
    missing: float
    ticks: IntArray
    missing_ticks: IntArray | None

    @property
    def num_cells(self) -> int:
        return len(self.cells)

    @property
    def shares(self) -> FloatArray:
        """The reference's share of rows per cell, among rows with a value, (c,)."""
        return cell_shares(self.cells)

    @property
    def missing_fraction(self) -> float:
        """The reference's share of rows without a value (0-1)."""
        num_rows = float(self.cells.sum()) + self.missing
        return self.missing / num_rows if num_rows else 0.0


def scored_column(
    name: str, edges: FloatArray | None, cells: FloatArray, missing: float
) -> ScoredColumn:
    """Scores of a column whose reference has ``cells`` (c,) and ``missing`` rows."""
    known = _middle_ticks(cells)
    both = np.array([float(cells.sum()), missing])
    indicator = _middle_ticks(both) if both.all() else None
    return ScoredColumn(name, edges, cells, missing, np.append(known, 0), indicator)


def cell_shares(cells: FloatArray) -> FloatArray:
    """Rows per cell as shares, (c,); zeros without rows."""
    num_rows = float(cells.sum())
    return cells / num_rows if num_rows else np.zeros(len(cells))


def _middle_ticks(cells: FloatArray) -> IntArray:
    """Inverse normal at the middle of each cell; cells without rows at the ends stay finite."""
    num_rows, shares = float(cells.sum()), cell_shares(cells)
    if not num_rows:
        return np.zeros(len(cells), dtype=np.int64)
    end = 0.5 / (num_rows + 1)
    middles = (np.cumsum(shares) - shares / 2).clip(end, 1 - end)
    return np.rint(inverse_normal(middles) * TICKS_PER_UNIT).astype(np.int64)


def inverse_normal(shares: FloatArray) -> FloatArray:
    """Standard normal quantiles of shares from 0 to 1 (minus and plus infinity at the ends)."""
    found = [
        _NORMAL.inv_cdf(share) if 0 < share < 1 else np.copysign(np.inf, share - 0.5)
        for share in shares.tolist()
    ]
    return np.array(found, dtype=np.float64)


def thresholds(shares: FloatArray) -> FloatArray:
    """Where a standard normal value changes its cell, (c - 1,), if cells have these shares (c,)."""
    return inverse_normal(np.cumsum(shares)[:-1].clip(0, 1))


def cell_places(
    values: NDArray[np.float64] | NDArray[np.int32], edges: FloatArray | None, num_cells: int
) -> NDArray[np.intp]:
    """Cell of each value of a canonical column (n,); ``num_cells`` stands for a missing one."""
    if edges is None:
        codes = values.astype(np.intp)
        absent = np.where(codes == UNKNOWN, num_cells - 1, num_cells)
        return np.where(codes < 0, absent, codes)
    places = np.searchsorted(edges, values, side="right")
    return np.where(np.isnan(values), num_cells, places)


def places_of(scored: Sequence[ScoredColumn], columns: Columns) -> list[NDArray[np.intp]]:
    """Cells per column of n canonical rows; see ``cell_places``."""
    return [cell_places(columns[one.name], one.edges, one.num_cells) for one in scored]


def coordinates(scored: Sequence[ScoredColumn], places: Sequence[NDArray[np.intp]]) -> IntArray:
    """Scores of n rows in ticks, (n, q): values of all columns, then missingness where it counts.

    Args:
        scored: the columns.
        places: cells per column, (n,) each, the last one for a missing value.
    """
    values = [one.ticks[at] for one, at in zip(scored, places, strict=True)]
    return np.stack([*values, *missing_flags(scored, places)], axis=1)


def missing_flags(
    scored: Sequence[ScoredColumn], places: Sequence[NDArray[np.intp]]
) -> list[IntArray]:
    """Ticks of missingness, (n,) each, of the columns in which it counts."""
    return [
        one.missing_ticks[(at == one.num_cells).astype(np.intp)]
        for one, at in zip(scored, places, strict=True)
        if one.missing_ticks is not None
    ]


def read_scored_columns(stored: Mapping[str, Any], names: Sequence[str]) -> list[ScoredColumn]:
    """Columns of a ``reference.json``, scored by all clients' training rows together."""
    found = []
    for name in names:
        if name in stored["edges"]:
            part = stored["pooled"]["numbers"][name]
            edges = np.asarray(stored["edges"][name], dtype=np.float64)
            cells = np.zeros(len(edges) + 1)
            for place, rows in part["cells"]:
                cells[int(place)] = rows
        else:
            part = stored["pooled"]["categories"][name]
            edges = None
            cells = np.asarray([*part["cells"], part["unknown"]], dtype=np.float64)
        found.append(scored_column(name, edges, cells, float(part["missing"])))
    return found

"""Rows of one column counted per cell: what a window or a reference is reduced to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Histogram:
    """One column of some rows; ``a + b`` is that of both sets of rows.

    Attributes:
        cells: rows per cell (c,); of a category one per label and one for unknown labels, of a
            number one below the first edge, one between each two, one above the last. Whole
            numbers, as float64.
        missing: rows without a value.
    """

    cells: NDArray[np.float64]
    missing: float

    @property
    def num_present(self) -> float:
        return float(self.cells.sum())

    @property
    def num_rows(self) -> float:
        return self.num_present + self.missing

    @property
    def missing_fraction(self) -> float:
        """Share of rows without a value (0-1); 0 when there are no rows."""
        return self.missing / self.num_rows if self.num_rows else 0.0

    def __add__(self, other: Histogram) -> Histogram:
        return Histogram(self.cells + other.cells, self.missing + other.missing)

    def scaled(self, factor: float) -> Histogram:
        """The same shares of ``factor`` times as many rows, to the nearest row."""
        if factor == 1.0:
            return self
        return Histogram(whole_numbers(self.cells * factor), float(round(self.missing * factor)))

    def with_missing(self) -> NDArray[np.float64]:
        """Cells, then missing rows, (c + 1,)."""
        return np.append(self.cells, self.missing)


def whole_numbers(estimates: NDArray[np.float64]) -> NDArray[np.float64]:
    """Whole numbers with the same running sums, to the nearest row."""
    return np.diff(np.rint(np.cumsum(estimates)), prepend=0.0)


def histograms_to_dict(histograms: Mapping[str, Histogram]) -> dict[str, Any]:
    """JSON-ready histograms by column: number of cells, pairs (place, rows), missing rows."""
    return {
        name: {
            "num_cells": len(one.cells),
            "cells": [[int(place), float(one.cells[place])] for place in np.flatnonzero(one.cells)],
            "missing": float(one.missing),
        }
        for name, one in histograms.items()
    }


def histograms_from_dict(stored: Mapping[str, Any]) -> dict[str, Histogram]:
    """The histograms behind ``histograms_to_dict``.

    Raises:
        KeyError, TypeError, ValueError, IndexError: they are not such histograms.
    """
    found = {}
    for name, one in stored.items():
        cells = np.zeros(int(one["num_cells"]))
        for place, rows in one["cells"]:
            cells[int(place)] = float(rows)
        found[str(name)] = Histogram(cells, float(one["missing"]))
    return found


def add_histograms(parts: Sequence[Mapping[str, Histogram]]) -> dict[str, Histogram]:
    """Sums by column; columns that some part lacks are left out."""
    total = dict(parts[0]) if parts else {}
    for part in parts[1:]:
        total = {name: one + part[name] for name, one in total.items() if name in part}
    return total

"""What a window is compared with: the histograms that training left in the release."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedchurn.contract.columns import UNKNOWN, Columns
from fedchurn.contract.schema import Contract
from fedchurn.drift.verdict import ColumnTest
from fedchurn.errors import IntegrityError

_FORMAT = 1


@dataclass(frozen=True)
class Histogram:
    """One column of some rows.

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
    def missing_fraction(self) -> float:
        """Share of rows without a value (0-1); 0 when there are no rows."""
        num_rows = self.num_present + self.missing
        return self.missing / num_rows if num_rows else 0.0

    def scaled(self, factor: float) -> Histogram:
        """The same shares of ``factor`` times as many rows, to the nearest row."""
        if factor == 1.0:
            return self
        return Histogram(_whole(self.cells * factor), float(round(self.missing * factor)))


@dataclass(frozen=True)
class ReferenceColumn:
    """One tested column: its histogram, how it is tested, and where its cells begin.

    Attributes:
        name: of the contract column.
        test: how its cells are compared.
        edges: inner edges of a number (c - 1,), or None for a category.
        histogram: of the reference's rows.
    """

    name: str
    test: ColumnTest
    edges: NDArray[np.float64] | None
    histogram: Histogram

    def histogram_of(self, values: NDArray[np.float64] | NDArray[np.int32]) -> Histogram:
        """The same cells for other rows.

        Args:
            values: canonical column (n,), see ``fedchurn.contract.columns``.
        """
        num_cells = len(self.histogram.cells)
        if self.edges is None:
            present = values[(values >= 0) | (values == UNKNOWN)].astype(np.int64)
            places = np.where(present == UNKNOWN, num_cells - 1, present)
        else:
            present = values[~np.isnan(values)]
            places = np.searchsorted(self.edges, present, side="right")
        cells = np.bincount(places, minlength=num_cells).astype(np.float64)
        return Histogram(cells, float(len(values) - len(present)))


@dataclass(frozen=True)
class DriftReference:
    """The tested columns of a release, in contract order.

    Attributes:
        num_rows: rows behind the histograms.
        num_effective_rows: how many rows of different customers tell as much. Where customers stand
            there m times, it is the square of the sum of m by the sum of squares (Kish 1965), and
            without it a table full of copies would count as better known than it is. Equal to
            ``num_rows`` if the file does not say.
        columns: columns for which the contract names a drift test.
    """

    num_rows: int
    num_effective_rows: float
    columns: tuple[ReferenceColumn, ...]

    def histograms_of(self, columns: Columns) -> dict[str, Histogram]:
        """Histograms of other rows, by column."""
        return {one.name: one.histogram_of(columns[one.name]) for one in self.columns}


def read_reference(
    stored: Mapping[str, Any], contract: Contract, *, client: str | None = None
) -> DriftReference:
    """The reference in a release's ``reference.json``.

    Cells there are estimates (below k rows they were merged, and spread evenly), so they are made
    whole again without changing their order or their sum.

    Args:
        stored: the file's content.
        contract: the release's contract.
        client: read this client's histograms; those of all clients together by default.

    Raises:
        IntegrityError: the content is of another format, or lacks a column.
    """
    try:
        if stored["format"] != _FORMAT:
            raise ValueError(f"format {stored['format']!r}")
        part = stored["pooled"] if client is None else stored["clients"][client]
        tests = {name: column.drift for name, column in contract.columns.items() if column.drift}
        columns = tuple(_column(n, ColumnTest(test), stored, part) for n, test in tests.items())
        num_rows = int(part["num_rows"])
        return DriftReference(num_rows, float(part.get("num_effective_rows", num_rows)), columns)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise IntegrityError(
            f"no reference for drift in it: {type(error).__name__} {error}",
            where="reference.json",
            next_step="train again with this version of Fedchurn; predictions do not need it",
        ) from error


def _column(
    name: str, test: ColumnTest, stored: Mapping[str, Any], part: Mapping[str, Any]
) -> ReferenceColumn:
    if name in stored["edges"]:
        found = part["numbers"][name]
        edges = np.asarray(stored["edges"][name], dtype=np.float64)
        estimates = np.zeros(len(edges) + 1)
        for place, rows in found["cells"]:
            estimates[int(place)] = rows
    else:
        found = part["categories"][name]
        edges = None
        estimates = np.asarray([*found["cells"], found["unknown"]], dtype=np.float64)
    return ReferenceColumn(name, test, edges, Histogram(_whole(estimates), round(found["missing"])))


def _whole(estimates: NDArray[np.float64]) -> NDArray[np.float64]:
    """Whole numbers with the same running sums, to the nearest row."""
    return np.diff(np.rint(np.cumsum(estimates)), prepend=0.0)

"""What a window is compared with: the histograms that training left in the release."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedchurn.contract.columns import UNKNOWN, Columns
from fedchurn.contract.schema import Contract
from fedchurn.drift.histogram import Histogram, whole_numbers
from fedchurn.drift.promise.calibration import Calibration, read_calibration
from fedchurn.drift.relation.dependence import Dependence, read_dependence
from fedchurn.drift.verdict import (
    RELATION_COLUMN,
    SCORE_COLUMN,
    ColumnTest,
    DriftRule,
    Subject,
)
from fedchurn.errors import IntegrityError

_FORMATS = (1, 2)
_OWN = {SCORE_COLUMN: Subject.SCORE, RELATION_COLUMN: Subject.RELATION}


@dataclass(frozen=True)
class ReferenceColumn:
    """One tested column: its histogram, how it is tested, and where its cells begin.

    Attributes:
        name: of the contract column, or ``SCORE_COLUMN`` or ``RELATION_COLUMN``.
        subject: what it says something about.
        test: how its cells are compared.
        edges: inner edges of a number (c - 1,), or None for a category.
        histogram: of the reference's rows.
        effective_fraction: rows of different customers that tell as much, by rows. Where customers
            stand there m times, it is the square of the sum of m by the sum of squares (Kish 1965),
            by the number of rows; without it a table full of copies would count as better known
            than it is. 1 if the file does not say.
        max_hidden_rows: rows that may have stood in a cell, or a run of cells, in which the
            histogram has none: below k of each client were counted elsewhere.
    """

    name: str
    subject: Subject
    test: ColumnTest
    edges: NDArray[np.float64] | None
    histogram: Histogram
    effective_fraction: float = 1.0
    max_hidden_rows: int = 0

    @property
    def known(self) -> Histogram:
        """The histogram with as many rows as it is worth."""
        return self.histogram.scaled(self.effective_fraction)

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
    """The tested columns of a release, in contract order, then score and relation.

    Attributes:
        num_rows: training rows behind the histograms.
        columns: columns for which the contract names a drift test, and the release's own.
        dependence: how the contract's columns go together, or None in older releases.
        calibration: thresholds that keep the promised number of false alarms, or None.
    """

    num_rows: int
    columns: tuple[ReferenceColumn, ...]
    dependence: Dependence | None = None
    calibration: Calibration | None = None

    def rule(self, num_rows: int) -> DriftRule:
        """The rule for a window of ``num_rows`` customers: calibrated, or the default one."""
        return self.calibration.rule(num_rows) if self.calibration else DriftRule()

    def with_errors(self, columns: Columns) -> Columns:
        """``columns``, and the reconstruction error of each row as one more where it can be told;
        so that ``histograms_of`` need not work it out again for parts of these rows."""
        if self._relation is None or not self._relation.covers(columns):
            return columns
        return {**columns, RELATION_COLUMN: self._relation.errors(columns)}

    def histograms_of(
        self, columns: Columns, probabilities: NDArray[np.float64] | None = None
    ) -> dict[str, Histogram]:
        """Histograms of other rows, by column; histograms of parts of a window add up.

        Args:
            columns: canonical columns, n values each; columns that are not in it are left out.
            probabilities: churn probabilities of rows that the released model scored (any number).
        """
        found = {}
        for one in self.columns:
            values = self._values(one, columns, probabilities)
            if values is not None:
                found[one.name] = one.histogram_of(values)
        return found

    def _values(
        self, one: ReferenceColumn, columns: Columns, probabilities: NDArray[np.float64] | None
    ) -> NDArray[np.float64] | NDArray[np.int32] | None:
        if one.subject is Subject.SCORE:
            return probabilities
        if one.subject is Subject.RELATION and one.name not in columns:
            return self.with_errors(columns).get(one.name)
        return columns.get(one.name)

    @property
    def _relation(self) -> Dependence | None:
        is_tested = any(one.subject is Subject.RELATION for one in self.columns)
        return self.dependence if is_tested else None


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
        if stored["format"] not in _FORMATS:
            raise ValueError(f"format {stored['format']!r}")
        part = stored["pooled"] if client is None else stored["clients"][client]
        if not part["num_rows"]:
            return DriftReference(0, ())  # of a private training: nothing was told, none is judged
        tests = {name: column.drift for name, column in contract.columns.items() if column.drift}
        hidden = _max_hidden_rows(stored) if client is None else 0  # clients.py sees to theirs
        columns = [_column(n, ColumnTest(test), stored, part, hidden) for n, test in tests.items()]
        # A column of the contract that is called so is tested instead.
        own = [name for name in _OWN if name in _owned(part) and name not in contract.columns]
        columns += [_own(name, stored, part["own"][name]) for name in own]
        return DriftReference(
            int(part["num_rows"]),
            tuple(columns),
            read_dependence(stored),
            read_calibration(stored.get("calibration")),
        )
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise IntegrityError(
            f"no reference for drift in it: {type(error).__name__} {error}",
            where="reference.json",
            next_step="train again with this version of Fedchurn; predictions do not need it",
        ) from error


def _owned(part: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = part.get("own") or {}
    return found


def _column(
    name: str,
    test: ColumnTest,
    stored: Mapping[str, Any],
    part: Mapping[str, Any],
    max_hidden_rows: int,
) -> ReferenceColumn:
    if name in stored["edges"]:
        found = part["numbers"][name]
        edges = np.asarray(stored["edges"][name], dtype=np.float64)
        estimates = _dense(found["cells"], len(edges) + 1)
    else:
        found = part["categories"][name]
        edges = None
        estimates = np.asarray([*found["cells"], found["unknown"]], dtype=np.float64)
    histogram = Histogram(whole_numbers(estimates), round(found["missing"]))
    facts = (edges, histogram, _fraction(part), max_hidden_rows)
    return ReferenceColumn(name, Subject.COVARIATE, test, *facts)


def _own(name: str, stored: Mapping[str, Any], found: Mapping[str, Any]) -> ReferenceColumn:
    edges = np.asarray(stored["own_edges"][name], dtype=np.float64)
    histogram = Histogram(whole_numbers(_dense(found["cells"], len(edges) + 1)), 0.0)
    subject = _OWN[name]
    return ReferenceColumn(name, subject, ColumnTest.KS, edges, histogram, _fraction(found))


def _max_hidden_rows(stored: Mapping[str, Any]) -> int:
    return (int(stored.get("min_cell_rows", 1)) - 1) * len(stored.get("clients", ()))


def _fraction(part: Mapping[str, Any]) -> float:
    num_rows = float(part["num_rows"])
    return float(part.get("num_effective_rows", num_rows)) / num_rows if num_rows else 1.0


def _dense(pairs: Any, num_cells: int) -> NDArray[np.float64]:
    cells = np.zeros(num_cells)
    for place, rows in pairs:
        cells[int(place)] = rows
    return cells

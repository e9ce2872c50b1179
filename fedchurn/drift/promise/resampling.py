"""Windows without drift, many of them: what the statistics of a release do when nothing happens.

A synthetic population with the reference's distributions and dependence between columns is dealt
again and again into a reference and a window of the sizes that a check has. Dealing whole rows
keeps columns together, so thresholds know how much of the evidence of two columns is the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedchurn.drift.comparing.deals import bounded
from fedchurn.drift.comparing.statistics import PARTS, group_cells
from fedchurn.drift.reference import DriftReference, ReferenceColumn
from fedchurn.drift.relation.synthetic_rows import sample_cells
from fedchurn.drift.verdict import Subject

FloatArray = NDArray[np.float64]

_MAX_RATIO = 20  # a reference of more windows is as good as one of infinitely many
_BLOCK_ROWS = 1000  # resampled windows at a time
_TIE = 1e-9  # as in ``fedchurn.drift.comparing.deals``


@dataclass(frozen=True)
class ColumnNull:
    """One column without drift.

    Attributes:
        column: of the reference.
        groups: group of every cell, (c,).
        both: rows per group of reference and window together, missing ones last, (g + 1,).
        largest: strongest part of each resampled window, (w,).
    """

    column: ReferenceColumn
    groups: NDArray[np.intp]
    both: FloatArray
    largest: FloatArray

    @property
    def p_values(self) -> FloatArray:
        """Mid-p-value of each window among all, (w,), 0-1: ties count half, as they do in a check
        (``fedchurn.drift.comparing.deals``), or a check would flag more than was counted here."""
        ordered = np.sort(self.largest)
        below = np.searchsorted(ordered, self.largest - _TIE, side="left")
        not_above = np.searchsorted(ordered, self.largest + _TIE, side="right")
        return (len(ordered) - (below + not_above) / 2) / len(ordered)


def resample(
    reference: DriftReference, num_rows: int, num_resampled: int, seed: int
) -> tuple[ColumnNull, ...]:
    """Statistics of windows of ``num_rows`` customers without drift, by column.

    Windows of score and relation are dealt apart from the others: as if independent, which can only
    make more false alarms.

    Args:
        reference: of a release.
        num_rows: customers in a window.
        num_resampled: windows.
        seed: of all draws.
    """
    generator = np.random.default_rng([seed, num_rows])
    together = [c for c in reference.columns if c.subject is Subject.COVARIATE]
    apart = [c for c in reference.columns if c.subject is not Subject.COVARIATE]
    found = _dealt_together(reference, together, num_rows, num_resampled, generator)
    found += [_dealt_apart(one, num_rows, num_resampled, generator) for one in apart]
    return tuple(found)


def _num_reference(column: ReferenceColumn, num_rows: int) -> int:
    return max(1, min(round(column.known.num_rows), _MAX_RATIO * num_rows))


def _dealt_together(
    reference: DriftReference,
    columns: Sequence[ReferenceColumn],
    num_rows: int,
    num_resampled: int,
    generator: np.random.Generator,
) -> list[ColumnNull]:
    if not columns:
        return []
    population = num_rows + _num_reference(columns[0], num_rows)
    rows = sample_cells(reference, reference.dependence, population, generator)
    coded = [
        _Coded.of(one, rows[:, place].astype(np.int64), num_rows)
        for place, one in enumerate(columns)
    ]
    starts = np.cumsum([0, *(len(one.both) for one in coded)])
    codes = np.stack([one.codes for one in coded], axis=1) + starts[:-1]
    counted = np.empty((num_resampled, starts[-1]))
    for number in range(num_resampled):
        dealt = codes[generator.choice(population, num_rows, replace=False, shuffle=False)]
        counted[number] = np.bincount(dealt.ravel(), minlength=starts[-1])
    return [
        one.null(counted[:, begin:end])
        for one, begin, end in zip(coded, starts[:-1], starts[1:], strict=True)
    ]


@dataclass(frozen=True)
class _Coded:
    """One column of the population: group of each row, and what is needed to test windows."""

    column: ReferenceColumn
    groups: NDArray[np.intp]
    both: FloatArray
    codes: NDArray[np.intp]

    @classmethod
    def of(cls, column: ReferenceColumn, cells: NDArray[np.int64], num_rows: int) -> _Coded:
        num_cells = len(column.histogram.cells)
        counts = np.bincount(cells, minlength=num_cells + 1).astype(np.float64)
        groups = _groups(column, counts[:-1], num_rows * counts[:-1].sum() / len(cells))
        codes = np.append(groups, groups.max(initial=-1) + 1)[cells]
        both = np.bincount(codes, minlength=groups.max(initial=-1) + 2).astype(np.float64)
        return cls(column, groups, both, codes)

    def null(self, counted: FloatArray) -> ColumnNull:
        largest = np.concatenate(
            [
                strongest_part(self.column, counted[begin : begin + _BLOCK_ROWS], self.both)
                for begin in range(0, len(counted), _BLOCK_ROWS)
            ]
        )
        return ColumnNull(self.column, self.groups, self.both, largest)


def _groups(column: ReferenceColumn, both: FloatArray, num_window: float) -> NDArray[np.intp]:
    if not both.any():
        return np.zeros(len(both), dtype=np.intp)
    return group_cells(both, column.test, num_window)


def _dealt_apart(
    column: ReferenceColumn, num_rows: int, num_resampled: int, generator: np.random.Generator
) -> ColumnNull:
    population = num_rows + _num_reference(column, num_rows)
    cells = column.histogram.with_missing()
    shares = cells / max(cells.sum(), 1.0)
    both = np.rint(bounded(shares * population))
    groups = _groups(column, both[:-1], float(num_rows))
    codes = np.append(groups, groups.max() + 1)
    grouped = np.bincount(codes, both, minlength=groups.max() + 2).astype(np.float64)
    num_dealt = min(num_rows, int(grouped.sum()))
    windows = generator.multivariate_hypergeometric(
        grouped.astype(np.int64), num_dealt, size=num_resampled, method="marginals"
    ).astype(np.float64)
    return ColumnNull(column, groups, grouped, strongest_part(column, windows, grouped))


def strongest_part(column: ReferenceColumn, windows: FloatArray, both: FloatArray) -> FloatArray:
    """The strongest part of each window, (w,); see ``fedchurn.drift.comparing.statistics``."""
    parts = PARTS[column.test](windows, both)
    largest: FloatArray = np.max(list(parts.values()), axis=0)
    return largest

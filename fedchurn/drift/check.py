"""One drift check: a window of rows against the reference of a release."""

from __future__ import annotations

import math
import zlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedchurn.contract.columns import Columns
from fedchurn.drift.adjustment import benjamini_hochberg
from fedchurn.drift.permutation import (
    EFFECTS,
    STATISTICS,
    Statistic,
    bounded,
    chi_squared,
    group_cells,
    p_value,
)
from fedchurn.drift.reference import DriftReference, Histogram, ReferenceColumn
from fedchurn.drift.verdict import ColumnDrift, DriftRule, DriftVerdict, Verdict

_SUSPICIOUS = 0.1  # first p-values above this are final
_RANK = (Verdict.TOO_FEW_ROWS, Verdict.NONE, Verdict.WARNING, Verdict.DRIFT)


def check_rows(
    reference: DriftReference,
    columns: Columns,
    rule: DriftRule | None = None,
    *,
    left_out: Collection[str] = (),
) -> DriftVerdict:
    """Compare n canonical rows with the reference; see ``check_histograms``.

    Args:
        reference: of the release that answers.
        columns: at least the tested columns, n values each.
        rule: when a difference is called drift.
        left_out: columns whose values were not kept, so that nothing can be said about them.
    """
    num_rows = len(next(iter(columns.values()))) if columns else 0
    kept = {one.name: one for one in reference.columns if one.name not in left_out}
    histograms = {name: one.histogram_of(columns[name]) for name, one in kept.items()}
    return check_histograms(reference, histograms, num_rows, rule)


def check_histograms(
    reference: DriftReference,
    window: Mapping[str, Histogram],
    num_rows: int,
    rule: DriftRule | None = None,
) -> DriftVerdict:
    """Compare the histograms of a window with the reference, column by column.

    Values are compared where they are present, missing shares by themselves; a column's p-value is
    the smaller of the two, doubled. Benjamini-Hochberg then adjusts for the number of columns, and
    a column is called out only if its effect, too, is worth a word.

    Args:
        reference: of the release that answers.
        window: histogram per tested column, over the reference's cells; columns that are not in
            it are left out.
        num_rows: rows of the window.
        rule: when a difference is called drift.
    """
    rule = rule or DriftRule()
    tested = [one for one in reference.columns if one.name in window]
    left_out = tuple(one.name for one in reference.columns if one.name not in window)
    facts = (reference.num_rows, num_rows, rule)
    if num_rows < rule.min_rows:
        return DriftVerdict(Verdict.TOO_FEW_ROWS, *facts, left_out=left_out)
    num_draws = max(rule.num_first_draws, math.ceil(2 * len(tested) / rule.level))
    known_rows = reference.num_effective_rows / reference.num_rows if reference.num_rows else 1.0
    sides = [(one, one.histogram.scaled(known_rows), window[one.name]) for one in tested]
    compared = [_compare(*side, rule, num_draws) for side in sides]
    adjusted = benjamini_hochberg([one.p_value for one in compared])
    columns = tuple(_judge(one, p, rule) for one, p in zip(compared, adjusted, strict=True))
    worst = max((c.verdict for c in columns), key=_RANK.index, default=Verdict.TOO_FEW_ROWS)
    return DriftVerdict(worst, *facts, columns, left_out)


@dataclass(frozen=True)
class _Compared:
    column: ReferenceColumn
    statistic: float | None
    effect: float
    values_p: float
    missing_effect: float
    missing_p: float | None

    @property
    def p_value(self) -> float:
        """Of the column: one test's, or the smaller of two, doubled (Bonferroni)."""
        if self.missing_p is None:
            return self.values_p
        if self.statistic is None:
            return self.missing_p
        return min(1.0, 2 * self.values_p, 2 * self.missing_p)


def _compare(
    column: ReferenceColumn,
    reference: Histogram,
    window: Histogram,
    rule: DriftRule,
    num_draws: int,
) -> _Compared:
    # Of its own for every column: the verdict on one does not depend on which others there are.
    generator = np.random.default_rng([rule.seed, zlib.crc32(column.name.encode())])
    missing_effect = window.missing_fraction - reference.missing_fraction
    missing_p = None
    if window.missing or reference.missing:
        sides = [np.array([one.num_present, one.missing]) for one in (window, reference)]
        missing_p = _resampled(sides[0], sides[1], chi_squared, rule, num_draws, generator)
    if not window.num_present or not reference.num_present:
        return _Compared(column, None, 0.0, 1.0, missing_effect, missing_p)
    both = window.cells + reference.cells
    groups = group_cells(both, column.test, window.num_present)
    ours, theirs = (np.bincount(groups, h.cells).astype(np.float64) for h in (window, reference))
    asked = (ours[np.newaxis], ours + theirs, window.num_present)
    return _Compared(
        column,
        float(STATISTICS[column.test](*asked)[0]),
        float(EFFECTS[column.test](*asked)[0]),
        _resampled(ours, theirs, STATISTICS[column.test], rule, num_draws, generator),
        missing_effect,
        missing_p,
    )


def _resampled(
    window: NDArray[np.float64],
    reference: NDArray[np.float64],
    statistic: Statistic,
    rule: DriftRule,
    num_draws: int,
    generator: np.random.Generator,
) -> float:
    """A p-value by few deals; where that is suspicious, by many others.

    At a level up to 0.1 a column must pass both, so the chance of a false finding stays below it.
    """
    both = window + bounded(reference)
    first = p_value(window, both, statistic, rule.num_first_draws, generator)
    if first > _SUSPICIOUS:
        return first
    return p_value(window, both, statistic, num_draws, generator)


def _judge(compared: _Compared, adjusted: float, rule: DriftRule) -> ColumnDrift:
    return ColumnDrift(
        column=compared.column.name,
        verdict=_verdict(compared, adjusted, rule),
        test=compared.column.test,
        statistic=compared.statistic,
        effect=compared.effect,
        p_value=compared.values_p,
        missing_effect=compared.missing_effect,
        missing_p_value=compared.missing_p,
        adjusted_p_value=adjusted,
    )


def _verdict(compared: _Compared, adjusted: float, rule: DriftRule) -> Verdict:
    if compared.statistic is None and compared.missing_p is None:
        return Verdict.TOO_FEW_ROWS
    # An effect counts if its own test saw it: noise in the one must not speak for the other.
    large_values = compared.effect >= rule.min_effect and compared.values_p <= rule.warning_level
    large_missing = (
        compared.missing_p is not None
        and abs(compared.missing_effect) >= rule.min_missing_effect
        and compared.missing_p <= rule.warning_level
    )
    if not (large_values or large_missing) or adjusted > rule.warning_level:
        return Verdict.NONE
    return Verdict.DRIFT if adjusted <= rule.level else Verdict.WARNING

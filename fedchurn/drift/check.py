"""One drift check: a window of rows against the reference of a release."""

from __future__ import annotations

import zlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from fedchurn.contract.columns import Columns
from fedchurn.drift.clients.hidden_counts import likely_reference
from fedchurn.drift.comparing.adjustment import benjamini_hochberg
from fedchurn.drift.comparing.deals import bounded, sequential_p_value, tail_bound
from fedchurn.drift.comparing.effects import effects_between
from fedchurn.drift.comparing.statistics import PARTS, Parts, chi_squared, exponent, group_cells
from fedchurn.drift.histogram import Histogram, add_histograms
from fedchurn.drift.reference import DriftReference, ReferenceColumn
from fedchurn.drift.verdict import (
    ColumnDrift,
    ColumnTest,
    DriftRule,
    DriftVerdict,
    Effects,
    Verdict,
)

FloatArray = NDArray[np.float64]
Window = TypeVar("Window")
Flags = Sequence[Collection[str]]  # columns that windows flagged, oldest window first

# Of this window alone: the last windows together say nothing of today where it looks calm.
_LEANING = 0.2
_RANK = (Verdict.TOO_FEW_ROWS, Verdict.NONE, Verdict.WARNING, Verdict.DRIFT)


@dataclass(frozen=True)
class EarlierWindow:
    """What a check needs to know of one before it, of the same release and of other rows.

    Attributes:
        flagged: columns that it warned of by itself.
        num_rows: customers in it.
        histograms: of its columns, over the reference's cells.
    """

    flagged: Collection[str]
    num_rows: int
    histograms: Mapping[str, Histogram]


Earlier = Sequence[EarlierWindow]


def check_rows(
    reference: DriftReference,
    columns: Columns,
    rule: DriftRule | None = None,
    *,
    probabilities: FloatArray | None = None,
    left_out: Collection[str] = (),
    earlier: Earlier = (),
) -> DriftVerdict:
    """Compare n canonical rows of different customers with the reference; see ``check_histograms``.

    Args:
        reference: of the release that answers.
        columns: the tested columns, n values each.
        rule: when a difference is called drift.
        probabilities: churn probabilities of those rows that the released model scored.
        left_out: columns whose values were not kept, so that nothing can be said about them.
        earlier: see ``check_histograms``.
    """
    num_rows = len(next(iter(columns.values()))) if columns else 0
    kept = {name: values for name, values in columns.items() if name not in left_out}
    window = reference.histograms_of(kept, probabilities)
    return check_histograms(reference, window, num_rows, rule, earlier=earlier)


def check_histograms(
    reference: DriftReference,
    window: Mapping[str, Histogram],
    num_rows: int,
    rule: DriftRule | None = None,
    *,
    earlier: Earlier = (),
) -> DriftVerdict:
    """Compare the histograms of a window with the reference, column by column.

    A column has one p-value: of its strongest part (``comparing.statistics``), by dealing rows
    anew. Benjamini-Hochberg then adjusts for the number of columns, and a column is called out only
    if its effect, too, is worth a word.

    Args:
        reference: of the release that answers.
        window: histogram per tested column, over the reference's cells; columns that are not in
            it are left out.
        num_rows: rows of the window, each of another customer.
        rule: when a difference is called drift; by default the reference's own for such a window.
        earlier: windows before this one, oldest first; of the same release, and without rows of
            this one.
    """
    rule = rule or reference.rule(num_rows)
    tested = [one for one in reference.columns if one.name in window]
    left_out = tuple(one.name for one in reference.columns if one.name not in window)
    facts = (reference.num_rows, num_rows, rule)
    if num_rows < rule.min_rows:
        return DriftVerdict(Verdict.TOO_FEW_ROWS, *facts, left_out=left_out)
    recent = last_windows(earlier, rule)
    flags = [one.flagged for one in recent]
    together = _together(tested, window, rule, recent)
    columns = tuple(
        judge(one, p_value, rule, flags, together.get(one.column.name))
        for one, p_value in adjusted([compare(one, window[one.name], rule) for one in tested])
    )
    worst = max((c.verdict for c in columns), key=_RANK.index, default=Verdict.TOO_FEW_ROWS)
    return DriftVerdict(worst, *facts, columns, left_out)


def last_windows(earlier: Sequence[Window], rule: DriftRule) -> Sequence[Window]:
    """Those of the windows before that persistence looks at; oldest first."""
    return earlier[-(rule.num_windows - 1) :] if rule.num_windows > 1 else ()


def _together(
    tested: Sequence[ReferenceColumn],
    window: Mapping[str, Histogram],
    rule: DriftRule,
    recent: Earlier,
) -> dict[str, tuple[Compared, float]]:
    """The last windows taken as one: slow drift adds up in them."""
    if not recent:
        return {}
    rows = add_histograms([*(one.histograms for one in recent), window])
    found = adjusted([compare(one, rows[one.name], rule) for one in tested if one.name in rows])
    return {one.column.name: (one, p_value) for one, p_value in found}


@dataclass(frozen=True)
class Compared:
    """A column before it is judged among the others; fields as in ``ColumnDrift``."""

    column: ReferenceColumn
    statistic: float | None
    strongest: str
    effects: Effects
    p_value: float


def compare(column: ReferenceColumn, window: Histogram, rule: DriftRule) -> Compared:
    """Test one column of a window, without regard to others."""
    effects = effects_between(window, column.histogram, column.test, column.edges)
    reference = likely_reference(column, window, column.max_hidden_rows + 1).known
    if not window.num_rows or not reference.num_rows:
        return Compared(column, None, "", effects, 1.0)
    ours, both = _grouped(window, reference, column.test)
    parts_of = PARTS[column.test]

    def largest(windows: FloatArray) -> FloatArray:
        values: FloatArray = np.max(list(parts_of(windows, both).values()), axis=0)
        return values

    parts = parts_of(ours[np.newaxis], both)
    # Of its own for every column: the verdict on one does not depend on which others there are. And
    # for every window: by the same deals, the same wrong p-values would come again and again.
    name, content = column.name.encode(), ours.tobytes()
    generator = np.random.default_rng([rule.seed, zlib.crc32(name), zlib.crc32(content)])
    bound = tail_bound(exponent(ours, both, column.test))
    p_value = sequential_p_value(ours, both, largest, bound, rule.max_deals, generator)
    has_values = bool(window.num_present and reference.num_present)
    statistic = _statistic(column.test, effects, ours, both) if has_values else None
    return Compared(column, statistic, _strongest(parts), effects, p_value)


def _grouped(
    window: Histogram, reference: Histogram, test: ColumnTest
) -> tuple[FloatArray, FloatArray]:
    """Rows per group of cells, missing ones last: of the window, and of both."""
    theirs = bounded(reference.cells)
    both = window.cells + theirs
    missing = float(round(reference.missing * theirs.sum() / max(reference.num_present, 1.0)))
    if not reference.num_present:
        missing = reference.missing
    if not both.any():
        return window.with_missing(), np.append(both, window.missing + missing)
    # From both sides alone, or a deal with fewer missing values would be grouped otherwise.
    present_fraction = both.sum() / (both.sum() + window.missing + missing)
    groups = group_cells(both, test, window.num_rows * present_fraction)
    ours, all_rows = (
        np.bincount(groups, cells).astype(np.float64) for cells in (window.cells, both)
    )
    return np.append(ours, window.missing), np.append(all_rows, window.missing + missing)


def _statistic(test: ColumnTest, effects: Effects, ours: FloatArray, both: FloatArray) -> float:
    if test is ColumnTest.KS:
        return effects.distance
    return float(chi_squared(ours[np.newaxis, :-1], both[:-1])[0])


def _strongest(parts: Parts) -> str:
    return max(parts, key=lambda name: float(parts[name][0]))


def adjusted(compared: Sequence[Compared]) -> list[tuple[Compared, float]]:
    """Each with its p-value among all."""
    p_values = benjamini_hochberg([one.p_value for one in compared])
    return list(zip(compared, p_values, strict=True))


def judge(
    compared: Compared,
    p_value: float,
    rule: DriftRule,
    flags: Flags = (),
    together: tuple[Compared, float] | None = None,
) -> ColumnDrift:
    """What is said about a column.

    Args:
        compared: in this window.
        p_value: adjusted for all that was tested with it.
        rule: when a difference is called drift.
        flags: of the windows that persistence looks at, this one left out.
        together: the same column in the last windows taken as one, with its adjusted p-value.
    """
    name = compared.column.name
    flagged = _is_called_out(compared, p_value, rule.warning_level, rule)
    num_flagged = flagged + sum(name in window for window in flags)
    reasons = {
        "one_window": _is_called_out(compared, p_value, rule.level, rule),
        "together": together is not None
        and compared.p_value <= _LEANING
        and _is_called_out(*together, rule.level, rule),
        "k_of_n": flagged and bool(flags) and num_flagged >= rule.num_flagged,
    }
    because = tuple(reason for reason, holds in reasons.items() if holds)
    return ColumnDrift(
        column=name,
        subject=compared.column.subject,
        verdict=_verdict(compared, flagged, because),
        flagged=flagged,
        num_flagged=num_flagged,
        test=compared.column.test,
        statistic=compared.statistic,
        strongest=compared.strongest,
        effects=compared.effects,
        p_value=compared.p_value,
        adjusted_p_value=p_value,
        together_p_value=together[1] if together else None,
        because=because,
    )


def _is_called_out(compared: Compared, p_value: float, level: float, rule: DriftRule) -> bool:
    """Whether it passes the level with an effect worth a word."""
    effects = compared.effects
    is_large = (
        effects.distance >= rule.min_effect or abs(effects.missing) >= rule.min_missing_effect
    )
    return p_value <= level and is_large


def _verdict(compared: Compared, flagged: bool, because: tuple[str, ...]) -> Verdict:
    if not compared.strongest:
        return Verdict.TOO_FEW_ROWS
    if because:
        return Verdict.DRIFT
    return Verdict.WARNING if flagged else Verdict.NONE

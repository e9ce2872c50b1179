"""The rows under check, and which of them break a rule."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fedchurn.contract.rules import Condition, CrossRule
from fedchurn.contract.schema import Contract
from fedchurn.data.frames import CanonicalTable
from fedchurn.quality.checks import Check
from fedchurn.quality.copies import CopyGroups

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Subject:
    """Canonical rows of one client with what is known about their copies.

    Attributes:
        table: n canonical rows.
        contract: their contract.
        is_repeat: bool (n,), rows equal to an earlier row in every contract column, id aside.
        copies: the customers behind the rows; None where they were not looked for.
    """

    table: CanonicalTable
    contract: Contract
    is_repeat: Mask
    copies: CopyGroups | None = None

    @property
    def num_rows(self) -> int:
        return len(self.table.row_numbers)

    @property
    def target(self) -> NDArray[np.float64]:
        """1 churn, 0 none, NaN for anything else; (n,)."""
        return self.table.frame[self.contract.target.column].to_numpy(np.float64)

    def unreadable_rows(self, column: str) -> Mask:
        """Rows whose cell in a number column holds something else."""
        numbers = [u.row_number for u in self.table.unreadable if u.column == column]
        return np.isin(self.table.row_numbers, numbers)


def take_rows(table: CanonicalTable, rows: NDArray[np.intp] | Mask) -> CanonicalTable:
    """The given rows of a canonical table, in order."""
    numbers = table.row_numbers[rows]
    kept = set(numbers.tolist()) if table.unreadable else set()
    return replace(
        table,
        frame=table.frame.iloc[np.flatnonzero(rows) if rows.dtype == bool else rows].reset_index(
            drop=True
        ),
        row_numbers=numbers,
        unreadable=tuple(u for u in table.unreadable if u.row_number in kept),
    )


def failing_rows(check: Check, subject: Subject) -> Mask:
    """Rows (n,) that break a check; all False for checks of the table as a whole."""
    frame, column = subject.table.frame, check.column
    match check.rule:
        case "readable":
            return subject.unreadable_rows(column)
        case "whole_numbers":
            return not_whole(_numbers(frame, column))
        case "hard_range" | "usual_range":
            return _outside(_numbers(frame, column), check)
        case "categories":
            return _not_among(frame[column], check.labels)
        case "not_null" | "null_share" | "id_present" | "target_labels":
            return frame[column].isna().to_numpy(bool)
        case "id_unique":
            given = frame[column].notna().to_numpy(bool)
            return given & frame[column].duplicated(keep=False).to_numpy(bool)
        case "id_pattern":
            return _not_matching(frame[column], check.pattern or "")
        case "cross_rule" if check.cross_rule:
            return broken_rows(check.cross_rule, frame)
        case "duplicates":
            return subject.is_repeat
        case "near_copies":
            return later_copies(subject)
    return np.zeros(subject.num_rows, dtype=bool)


def not_whole(values: NDArray[np.float64]) -> Mask:
    """Where a number is known and not a whole one."""
    return np.isfinite(values) & (values != np.rint(values))


def later_copies(subject: Subject) -> Mask:
    """Rows whose customer appeared in an earlier row without being an exact repeat of it."""
    if subject.copies is None:
        return np.zeros(subject.num_rows, dtype=bool)
    _, first = np.unique(subject.copies.groups, return_index=True)
    later = np.ones(subject.num_rows, dtype=bool)
    later[first] = False
    return later & ~subject.is_repeat


def first_rows_of_customers(subject: Subject, positive: bool) -> Mask:
    """The first row of every customer that has a row of the given class."""
    marked = np.zeros(subject.num_rows, dtype=bool)
    if subject.copies is not None:
        rows = np.flatnonzero(subject.target == float(positive))
        _, first = np.unique(subject.copies.groups[rows], return_index=True)
        marked[rows[first]] = True
    return marked


def broken_rows(rule: CrossRule, frame: pd.DataFrame) -> Mask:
    """Rows that break a cross-column rule; missing numbers pass (as in ``contract.conditions``)."""
    match rule.op:
        case "implies":
            when, then = _all_hold(rule.when, frame), _all_hold(rule.then, frame)
            return (when != then) if rule.both_ways else when & ~then
        case "not_above":
            return _numbers(frame, rule.low) > _numbers(frame, rule.high)
        case "near_product":
            product = np.prod([_numbers(frame, c) for c in rule.factors], axis=0)
            far = np.abs(_numbers(frame, rule.column) - product)
            return np.asarray(far > rule.relative * np.abs(product))


def _all_hold(conditions: Sequence[Condition], frame: pd.DataFrame) -> Mask:
    return np.asarray(np.logical_and.reduce([_holds(c, frame) for c in conditions]))


def _holds(condition: Condition, frame: pd.DataFrame) -> Mask:
    values = frame[condition.column]
    if condition.is_null is not None:
        return values.isna().to_numpy(bool) == condition.is_null
    if condition.equals is not None or condition.is_in is not None:
        labels = condition.is_in or (condition.equals or "",)
        return values.notna().to_numpy(bool) & ~_not_among(values, labels)
    numbers = _numbers(frame, condition.column)
    if condition.at_least is not None:
        return numbers >= condition.at_least
    if condition.at_most is not None:
        return numbers <= condition.at_most
    if condition.above is not None:
        return numbers > condition.above
    return numbers < (np.nan if condition.below is None else condition.below)


def _numbers(frame: pd.DataFrame, column: str) -> NDArray[np.float64]:
    return frame[column].to_numpy(np.float64)


def _outside(values: NDArray[np.float64], check: Check) -> Mask:
    low = -np.inf if check.low is None else check.low
    high = np.inf if check.high is None else check.high
    return (values < low) | (values > high)


def _not_among(values: pd.Series[str], labels: Sequence[str]) -> Mask:
    codes, found = pd.factorize(values)
    bad = [text not in labels for text in found]
    return np.asarray([*bad, False], dtype=bool)[codes]


def _not_matching(values: pd.Series[str], pattern: str) -> Mask:
    matches = re.compile(pattern).fullmatch
    return np.asarray([v is not None and matches(v) is None for v in values], dtype=bool)

"""What a drift check says: one record for each column and one over all, with the evidence."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class Verdict(StrEnum):
    """What is said about a column, or about all."""

    NONE = "none"
    WARNING = "warning"
    DRIFT = "drift"
    TOO_FEW_ROWS = "too_few_rows"


class ColumnTest(StrEnum):
    """How the cells of a column are compared; the contract names one per column."""

    KS = "ks"
    CHI_SQUARED = "chi_squared"


@dataclass(frozen=True)
class DriftRule:
    """When a difference is called drift.

    Attributes:
        level: share of checks without any drift that may be called drift in some column (0-1).
        warning_level: the same for warnings.
        min_effect: smallest distance of distributions worth a word (0-1): for numbers the KS
            distance, for labels the share of rows that would have to change theirs.
        min_missing_effect: the same for the difference of missing shares (0-1).
        min_rows: a smaller window gets no verdict.
        num_first_draws: resampled windows per column; suspicious columns get as many more as
            ``level`` asks for.
        seed: of the resampling; the same window gets the same verdict.
    """

    level: float = 0.01
    warning_level: float = 0.05
    min_effect: float = 0.05
    min_missing_effect: float = 0.02
    min_rows: int = 30
    num_first_draws: int = 499
    seed: int = 0


@dataclass(frozen=True)
class ColumnDrift:
    """What was found in one column.

    Attributes:
        column: its name.
        verdict: what is said.
        test: how values were compared.
        statistic: KS distance, or chi-squared; None when there were no values to compare.
        effect: distance of the two distributions of values (0-1).
        p_value: of the values, by resampling; 1 when there were none.
        missing_effect: share of missing values in the window minus that in the reference.
        missing_p_value: of that difference; None when nothing was missing on either side.
        adjusted_p_value: smallest level of a whole check (all columns) at which this column would
            be called out.
    """

    column: str
    verdict: Verdict
    test: ColumnTest
    statistic: float | None
    effect: float
    p_value: float
    missing_effect: float
    missing_p_value: float | None
    adjusted_p_value: float

    @property
    def score(self) -> float:
        """The larger of both effects (0-1), for gauges and rankings."""
        return max(self.effect, abs(self.missing_effect))


@dataclass(frozen=True)
class DriftVerdict:
    """The result of one check.

    Attributes:
        verdict: the worst of the columns.
        num_reference_rows: rows behind the reference.
        num_window_rows: rows that were looked at.
        rule: when a difference is called drift.
        columns: one record per tested column, in contract order; empty with too few rows.
        left_out: columns that could not be tested, because their values were not kept.
    """

    verdict: Verdict
    num_reference_rows: int
    num_window_rows: int
    rule: DriftRule
    columns: tuple[ColumnDrift, ...] = ()
    left_out: tuple[str, ...] = ()

    @property
    def drifted(self) -> tuple[ColumnDrift, ...]:
        """Columns that drifted, the largest distance first."""
        found = [column for column in self.columns if column.verdict is Verdict.DRIFT]
        return tuple(sorted(found, key=lambda column: -column.score))

    def to_dict(self) -> dict[str, Any]:
        """The whole record, JSON-ready."""
        return asdict(self)

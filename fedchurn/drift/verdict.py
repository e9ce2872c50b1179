"""What a drift check finds: one record per column and one over all, with the evidence."""

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


class Subject(StrEnum):
    """What a tested column says something about."""

    COVARIATE = "covariate"  # a column of the contract
    SCORE = "score"  # the model's churn probability
    RELATION = "relation"  # how columns go together: the reconstruction error of a row
    LABEL = "label"  # what happened to customers


SCORE_COLUMN = "churn_probability"
RELATION_COLUMN = "reconstruction_error"
LABEL_COLUMN = "churned"


@dataclass(frozen=True)
class DriftRule:
    """When a difference is called drift.

    A column is *flagged* in a window when its adjusted p-value is at most ``warning_level`` and its
    effect is worth a word: the column's verdict is then a warning. It is drift when one of these
    holds (``because``), again with an effect worth a word:

    - ``one_window``: the adjusted p-value is at most ``level``;
    - ``together``: that of the last ``num_windows`` windows taken as one is at most ``level``, and
      this window leans that way (its own p-value, not adjusted, is at most 0.2);
    - ``k_of_n``: it was flagged in ``num_flagged`` of the last ``num_windows`` windows, this one
      included.

    Attributes:
        level: share of checks without any drift in which one window alone may be called drift in
            some column (0-1); the same again for the last windows together.
        warning_level: the same for flags.
        num_flagged, num_windows: persistence; windows must not share rows.
        min_effect: smallest distance of distributions worth a word (0-1): for numbers the KS
            distance, for labels the share of rows that would have to change theirs.
        min_missing_effect: the same for the difference of missing shares (0-1).
        min_rows: a smaller window gets no verdict.
        max_deals: resampled windows per column at most.
        seed: of the resampling; the same window gets the same verdict.
        name: what the rule is called: ``default``, ``calibrated`` (from the release) or ``online``.
    """

    level: float = 0.01
    warning_level: float = 0.05
    num_flagged: int = 2
    num_windows: int = 3
    min_effect: float = 0.02
    min_missing_effect: float = 0.01
    min_rows: int = 30
    max_deals: int = 4999
    seed: int = 0
    name: str = "default"


@dataclass(frozen=True)
class Effects:
    """How far window and reference are apart, in the measures that people know.

    Attributes:
        distance: for numbers the KS distance, for labels total variation (0-1).
        jensen_shannon: square root of the divergence with base 2 (0-1).
        psi: population stability index, natural logarithm, over at most 10 cells.
        wasserstein: earth mover's distance in the column's unit; None for labels.
        missing: share of missing values in the window minus that in the reference (-1 to 1).
    """

    distance: float
    jensen_shannon: float
    psi: float
    wasserstein: float | None
    missing: float


@dataclass(frozen=True)
class ColumnDrift:
    """What was found in one column.

    Attributes:
        column: its name.
        subject: what the column is.
        verdict: what is said, persistence included.
        flagged: whether this window alone deserves a warning.
        num_flagged: of the last windows, this one included, those in which it was flagged.
        test: how values were compared.
        statistic: KS distance, or chi-squared; None when there were no values to compare.
        strongest: which part of the test spoke loudest: ``ks``, ``cuts``, ``chi_squared``,
            ``one_label`` or ``missing``; empty when there was nothing to compare.
        effects: how far apart the two are.
        p_value: of the column, by resampling.
        adjusted_p_value: smallest level of a whole check (all columns) at which this column would
            be called out.
        together_p_value: the adjusted p-value of the last windows taken as one; None when there
            was no window before this one.
        because: why it is drift: ``one_window``, ``together``, ``k_of_n``; empty when it is not.
    """

    column: str
    subject: Subject
    verdict: Verdict
    flagged: bool
    num_flagged: int
    test: ColumnTest
    statistic: float | None
    strongest: str
    effects: Effects
    p_value: float
    adjusted_p_value: float
    together_p_value: float | None = None
    because: tuple[str, ...] = ()

    @property
    def score(self) -> float:
        """The larger of both effects (0-1), for gauges and rankings."""
        return max(self.effects.distance, abs(self.effects.missing))


@dataclass(frozen=True)
class DriftVerdict:
    """The result of one check.

    Attributes:
        verdict: the worst of the columns.
        num_reference_rows: rows behind the reference.
        num_window_rows: rows that were looked at.
        rule: when a difference is called drift.
        columns: one record per tested column, in contract order, then score and relation; empty
            with too few rows.
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
        return self._with(Verdict.DRIFT)

    @property
    def warned(self) -> tuple[ColumnDrift, ...]:
        """Columns with a warning, the largest distance first."""
        return self._with(Verdict.WARNING)

    @property
    def flagged(self) -> tuple[str, ...]:
        """Columns that this window alone warns of: what later checks need to know of this one."""
        return tuple(column.column for column in self.columns if column.flagged)

    def _with(self, verdict: Verdict) -> tuple[ColumnDrift, ...]:
        found = [column for column in self.columns if column.verdict is verdict]
        return tuple(sorted(found, key=lambda column: -column.score))

    def to_dict(self) -> dict[str, Any]:
        """The whole record, JSON-ready."""
        return {**asdict(self), "flagged": list(self.flagged)}

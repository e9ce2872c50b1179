"""What leaves a client about its rows: counts, row numbers and verdicts.

No row leaves. Values of number columns are never shown; of a label or text that made a check fail
the first few distinct spellings are, because a message without them is of no use; values of the id
and of columns marked ``sensitive`` are never shown.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fedchurn.contract.rules import Severity
from fedchurn.errors import ValidationFailed

MAX_ROW_NUMBERS = 10
_SHOWN_ROW_NUMBERS = 5


@dataclass(frozen=True)
class CheckResult:
    """The outcome of one check.

    Attributes:
        rule: kind of check, or the contract's id of a cross-column rule.
        column: the column it is about, "" for the whole table.
        severity: ``error`` stops the flow, ``warning`` does not.
        passed: the recorded verdict of the Great Expectations suite.
        num_failed: rows that break the rule; 0 for a failed check of the table as a whole.
        fraction_failed: the same as a share of the checked rows (0-1).
        first_rows: up to 10 offending rows, 1-based data rows of the source.
        detail: what is wrong, in words.
        next_step: what the data owner can do.
    """

    rule: str
    column: str
    severity: Severity
    passed: bool
    num_failed: int = 0
    fraction_failed: float = 0.0
    first_rows: tuple[int, ...] = ()
    detail: str = ""
    next_step: str = ""

    @property
    def is_error(self) -> bool:
        return not self.passed and self.severity == "error"


@dataclass(frozen=True)
class CopiesSummary:
    """Customers behind the rows that were kept; ``patterns`` says in words what was found."""

    num_customers: int = 0
    num_exact_duplicates: int = 0
    num_rows_in_copies: int = 0
    patterns: tuple[str, ...] = ()


@dataclass(frozen=True)
class QualityReport:
    """One client's verdict on its own rows.

    Attributes:
        client: the client's name.
        contract: name of the contract.
        source: where the rows came from, in words.
        sha256: digest of the source.
        is_sample: whether the rows are generated, so that their figures are not real.
        mode: ``block`` or ``quarantine``.
        rows_in: rows of the source = used + quarantined + dropped duplicates, asserted here.
        rows_used: rows that go on (that would go on, if the report has not passed).
        rows_quarantined: rows set aside for breaking an error-level check.
        rows_dropped_duplicates: rows equal to an earlier one in every column, id included.
        results: one per check, in the order of the contract; about the rows that go on.
        set_aside: in quarantine mode, the failed checks for which rows were set aside.
        copies: customers behind the rows.
        aliased: rows per column whose spelling was replaced by an alias of the contract.
    """

    client: str
    contract: str
    source: str
    sha256: str
    is_sample: bool
    mode: str
    rows_in: int
    rows_used: int
    rows_quarantined: int
    rows_dropped_duplicates: int
    results: tuple[CheckResult, ...]
    set_aside: tuple[CheckResult, ...] = ()
    copies: CopiesSummary = CopiesSummary()
    aliased: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        accounted = self.rows_used + self.rows_quarantined + self.rows_dropped_duplicates
        if accounted != self.rows_in:
            raise AssertionError(
                f"client {self.client}: {self.rows_in} rows in, but {self.rows_used} used + "
                f"{self.rows_quarantined} quarantined + {self.rows_dropped_duplicates} dropped"
            )

    @property
    def passed(self) -> bool:
        """Whether no error-level check failed; warnings do not count."""
        return not any(result.is_error for result in self.results)

    def failures(self) -> tuple[CheckResult, ...]:
        """Failed checks, errors first."""
        failed = [result for result in self.results if not result.passed]
        return tuple(sorted(failed, key=lambda result: result.severity != "error"))

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form; ``from_dict`` is its inverse."""
        return {**dataclasses.asdict(self), "passed": self.passed}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> QualityReport:
        """The report that ``to_dict`` wrote, also after a trip through JSON."""
        known = {k: v for k, v in data.items() if k != "passed"}
        known["results"] = tuple(_result(r) for r in data["results"])
        known["set_aside"] = tuple(_result(r) for r in data["set_aside"])
        copies = dict(data["copies"])
        known["copies"] = CopiesSummary(**{**copies, "patterns": tuple(copies["patterns"])})
        return cls(**known)


def _result(data: Mapping[str, Any]) -> CheckResult:
    return CheckResult(**{**data, "first_rows": tuple(data["first_rows"])})


def row_words(result: CheckResult) -> str:
    """``2, 7, 9, ...``: the first offending rows."""
    shown = ", ".join(str(row) for row in result.first_rows[:_SHOWN_ROW_NUMBERS])
    return shown + (", ..." if result.num_failed > _SHOWN_ROW_NUMBERS else "")


def failure_table(reports: Sequence[QualityReport], *, warnings: bool = True) -> str:
    """Failed checks of all clients as a text table: client, column, rule, count, rows, words."""
    lines: list[tuple[str, ...]] = [
        ("client", "column", "rule", "rows", "first rows", "what is wrong")
    ]
    for report in reports:
        for result in report.failures():
            if result.is_error or warnings:
                lines.append(_line(report.client, result))
    widths = [max(len(line[i]) for line in lines) for i in range(5)]
    return "\n".join(
        "  ".join([*(cell.ljust(w) for cell, w in zip(line, widths, strict=False)), line[5]])
        for line in lines
    )


def _line(client: str, result: CheckResult) -> tuple[str, ...]:
    count = str(result.num_failed) if result.num_failed else "-"
    mark = "" if result.severity == "error" else " (warning)"
    column = result.column or "(table)"
    return (client, column, result.rule + mark, count, row_words(result) or "-", result.detail)


def report_text(report: QualityReport) -> str:
    """One client's report as text: verdict, accounting, copies, failed checks."""
    verdict = "passed" if report.passed else "FAILED"
    lines = [f"client {report.client or '-'}: {verdict} ({report.source})"]
    if report.is_sample:
        lines.append(SAMPLE_BANNER)
    lines.append(accounting_words(report))
    lines.extend(f"copies: {pattern}" for pattern in report.copies.patterns)
    if report.failures():
        lines.append(failure_table([report]))
    return "\n".join(lines)


SAMPLE_BANNER = "generated sample: figures are not real"


def accounting_words(report: QualityReport) -> str:
    """The equation of the rows, in words."""
    return (
        f"{report.rows_in} rows in = {report.rows_used} used + {report.rows_quarantined} "
        f"quarantined + {report.rows_dropped_duplicates} dropped duplicates"
    )


def raise_if_failed(reports: Sequence[QualityReport]) -> None:
    """Stop where any client's report has a failed error-level check.

    Raises:
        ValidationFailed: its message is the table of failures over all clients.
    """
    failed = [report for report in reports if not report.passed]
    if not failed:
        return
    errors = [result for report in failed for result in report.failures() if result.is_error]
    steps = list(dict.fromkeys(result.next_step for result in errors if result.next_step))
    if any(r.num_failed and r.severity == "error" for r in errors) and failed[0].mode == "block":
        steps.append("or run with quality.mode=quarantine, which sets offending rows aside")
    num_checks = f"{len(errors)} error-level check" + ("s" if len(errors) > 1 else "")
    raise ValidationFailed(
        f"{num_checks} failed\n{failure_table(failed, warnings=False)}",
        where=", ".join(f"client {r.client or '-'} ({r.source})" for r in failed[:3])
        + (f" and {len(failed) - 3} more" if len(failed) > 3 else ""),
        next_step="; ".join(steps[:4]),
    )

"""The quality gate: a client's raw rows in, checked rows and a report out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fedchurn.contract.columns import Columns
from fedchurn.contract.schema import Contract
from fedchurn.data.client_table import ClientTable
from fedchurn.data.frames import CanonicalTable, canonical_table, frame_columns
from fedchurn.data.sources import RawTable
from fedchurn.quality.checks import NEED_COPIES, Check, contract_checks
from fedchurn.quality.content import hash_columns
from fedchurn.quality.copies import CopyGroups, copy_groups, given_groups, group_keys
from fedchurn.quality.findings import failed_result, passed_result
from fedchurn.quality.gx import suite_verdicts
from fedchurn.quality.report import CheckResult, CopiesSummary, QualityReport
from fedchurn.quality.subject import Mask, Subject, failing_rows, take_rows

Mode = Literal["block", "quarantine"]
REASON = "reason"
ROW_NUMBER = "row_number"


@dataclass(frozen=True)
class Validated:
    """What the gate lets through.

    Attributes:
        table: the rows that go on, not split yet; no rows at all where the report has not passed.
        report: the only part that may leave the client. quarantined: rows set aside, as they stand
        in the source, with ``row_number`` and ``reason``;
            empty in block mode.
    """

    table: ClientTable
    report: QualityReport
    quarantined: pd.DataFrame


@dataclass(frozen=True)
class _Sorted:
    """Rows on their way through the gate; ``places`` = position in the raw table."""

    places: NDArray[np.intp]
    num_dropped: int
    quarantined: NDArray[np.intp]
    reasons: tuple[str, ...]
    set_aside: tuple[CheckResult, ...]


def validate_client(
    raw: RawTable,
    contract: Contract,
    *,
    mode: Mode = "block",
    drop_exact_duplicates: bool = True,
    groups: NDArray[np.int64] | None = None,
) -> Validated:
    """Check one client's rows by the contract and make them ready to split.

    In block mode any failed error-level check makes the report fail, and no row goes on. In
    quarantine mode rows that break an error-level check of rows are set aside and the rest is
    checked again; checks of the table as a whole (columns, number of rows, classes) block all the
    same.

    Args:
        raw: rows as read.
        contract: says what is checked.
        mode: what happens to rows that break an error-level check.
        drop_exact_duplicates: drop rows that equal an earlier one in every column, id included.
            Rows that differ in the id alone are kept: they count as copies of one customer.
        groups: int64, customer of each raw row, where it is known from a larger table; found here
            otherwise.

    Returns:
        The checked rows, the report, and the rows set aside. Nothing is raised for bad rows; see
        ``fedchurn.quality.report.raise_if_failed``.
    """
    table = canonical_table(raw, contract)
    columns = frame_columns(table.frame, contract)
    sorted_rows = _sort_rows(table, columns, contract, mode, drop_exact_duplicates)
    kept = sorted_rows.places
    columns = _take(columns, kept)
    subject = _subject(take_rows(table, kept), contract, columns)
    copies = _copies(subject, columns, None if groups is None else groups[kept])
    subject = replace(subject, copies=copies)
    results = _results(contract_checks(contract), subject)
    report = _report(raw, contract, mode, table, sorted_rows, results, copies)
    usable = kept if report.passed else kept[:0]
    return Validated(
        table=_client_table(subject, _take(columns, np.arange(len(usable))), copies, len(usable)),
        report=report,
        quarantined=_quarantined(raw, sorted_rows),
    )


def _sort_rows(
    table: CanonicalTable, columns: Columns, contract: Contract, mode: Mode, drop: bool
) -> _Sorted:
    is_repeat = _whole_repeats(table, columns, contract)
    places = np.flatnonzero(~is_repeat) if drop else np.arange(len(is_repeat))
    num_dropped = len(is_repeat) - len(places)
    nothing = _Sorted(places, num_dropped, places[:0], (), ())
    if mode == "block":
        return nothing
    subject = _subject(take_rows(table, places), contract, _take(columns, places))
    results = _results(contract_checks(contract), subject)
    if any(r.is_error and not c.is_row_level for c, r in results):
        return nothing  # setting rows aside cannot mend the table as a whole
    broken = [(c, r) for c, r in results if r.is_error]
    reasons = _reasons([c for c, _ in broken], subject)
    bad = np.asarray([bool(reason) for reason in reasons], dtype=bool)
    return _Sorted(
        places=places[~bad],
        num_dropped=num_dropped,
        quarantined=places[bad],
        reasons=tuple(reason for reason in reasons if reason),
        set_aside=tuple(r for _, r in broken),
    )


def _reasons(broken: Sequence[Check], subject: Subject) -> list[str]:
    """Per row the broken checks in words, "" for none."""
    reasons = [""] * subject.num_rows
    for check in broken:
        for row in np.flatnonzero(failing_rows(check, subject)).tolist():
            reasons[row] += ("; " if reasons[row] else "") + f"{check.column}: {check.name}"
    return reasons


def _results(checks: Sequence[Check], subject: Subject) -> list[tuple[Check, CheckResult]]:
    """Outcome of every check that can run on these rows, in the order of the contract."""
    possible = [check for check in checks if _can_run(check, subject)]
    verdicts = suite_verdicts(possible, subject, subject.contract.contract)
    return [
        (check, passed_result(check) if verdict else failed_result(check, subject))
        for check, verdict in zip(possible, verdicts, strict=True)
    ]


def _can_run(check: Check, subject: Subject) -> bool:
    """Missing columns and empty tables are told once, not by every check that needs them."""
    if check.rule in ("column_present", "no_extra_columns", "row_count"):
        return True
    if check.rule in NEED_COPIES and subject.copies is None:
        return False
    is_complete = not set(check.columns) & set(subject.table.missing_columns)
    return is_complete and subject.num_rows > 0


def _subject(table: CanonicalTable, contract: Contract, columns: Columns) -> Subject:
    return Subject(table, contract, _repeats(_contract_columns(columns, contract)))


def _contract_columns(columns: Columns, contract: Contract) -> Columns:
    return {name: columns[name] for name in contract.columns}


def _whole_repeats(table: CanonicalTable, columns: Columns, contract: Contract) -> Mask:
    """Rows equal to an earlier one, id and target included; none where rows have no id."""
    if contract.id is None or contract.id.column in table.missing_columns:
        return np.zeros(len(table.row_numbers), dtype=bool)
    every = _contract_columns(columns, contract)
    codes = pd.factorize(table.frame[contract.id.column])[0]
    every["id"] = codes.astype(np.float64)
    every["target"] = table.frame[contract.target.column].to_numpy(np.float64)
    return _repeats(every) & (codes >= 0)


def _repeats(columns: Columns) -> Mask:
    hashes = hash_columns(columns)
    repeat = np.ones(len(hashes), dtype=bool)
    repeat[np.unique(hashes, return_index=True)[1]] = False
    return repeat


def _copies(
    subject: Subject, columns: Columns, groups: NDArray[np.int64] | None
) -> CopyGroups | None:
    """Customers behind the rows; not looked for where columns or labels are missing."""
    if subject.table.missing_columns or subject.num_rows == 0:
        return None
    if groups is not None:
        return given_groups(groups, subject.is_repeat)
    labels = np.where(np.isnan(subject.target), -1, subject.target).astype(np.int8)
    return copy_groups(columns, labels, subject.contract)


def _take(columns: Columns, rows: NDArray[np.intp]) -> Columns:
    return {name: values[rows] for name, values in columns.items()}


def _client_table(
    subject: Subject, columns: Columns, copies: CopyGroups | None, num_rows: int
) -> ClientTable:
    groups = copies.groups[:num_rows] if copies else np.empty(0, dtype=np.int64)
    return ClientTable(
        client=subject.table.client,
        columns=columns,
        target=subject.target[:num_rows].astype(np.int8),
        customer_groups=groups,
        group_keys=group_keys(_contract_columns(columns, subject.contract), groups),
        row_numbers=subject.table.row_numbers[:num_rows],
        split=np.empty(0, dtype=np.int8),
    )


def _report(
    raw: RawTable,
    contract: Contract,
    mode: Mode,
    table: CanonicalTable,
    rows: _Sorted,
    results: Sequence[tuple[Check, CheckResult]],
    copies: CopyGroups | None,
) -> QualityReport:
    return QualityReport(
        client=raw.client,
        contract=contract.contract,
        source=raw.source,
        sha256=raw.sha256,
        is_sample=raw.is_sample,
        mode=mode,
        rows_in=raw.num_rows,
        rows_used=len(rows.places),
        rows_quarantined=len(rows.quarantined),
        rows_dropped_duplicates=rows.num_dropped,
        results=tuple(result for _, result in results),
        set_aside=rows.set_aside,
        copies=_summary(copies),
        aliased=table.aliased,
    )


def _summary(copies: CopyGroups | None) -> CopiesSummary:
    if copies is None:
        return CopiesSummary()
    return CopiesSummary(
        num_customers=copies.num_customers,
        num_exact_duplicates=copies.num_exact_duplicates,
        num_rows_in_copies=copies.num_rows_in_copies,
        patterns=copies.patterns,
    )


def _quarantined(raw: RawTable, rows: _Sorted) -> pd.DataFrame:
    """The rows set aside; a source column of one of the added names gets ``source_`` before it."""
    frame = raw.frame.iloc[rows.quarantined].reset_index(drop=True)
    frame = frame.rename(columns={name: f"source_{name}" for name in (ROW_NUMBER, REASON)})
    frame[ROW_NUMBER] = raw.row_numbers[rows.quarantined]
    frame[REASON] = list(rows.reasons)
    return frame

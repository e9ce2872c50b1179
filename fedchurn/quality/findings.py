"""What a failed check says: what is wrong, and what the data owner can do about it.

See ``fedchurn.quality.report`` for which values may be shown.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fedchurn.errors import nearest
from fedchurn.quality.checks import Check
from fedchurn.quality.copy_words import exact_words
from fedchurn.quality.report import MAX_ROW_NUMBERS, CheckResult
from fedchurn.quality.subject import Subject, failing_rows, first_rows_of_customers

_SHOWN_VALUES = 3
_MAX_VALUE_LETTERS = 40


def passed_result(check: Check) -> CheckResult:
    """The result of a check without failures."""
    return CheckResult(check.name, check.column, check.severity, passed=True)


def failed_result(check: Check, subject: Subject) -> CheckResult:
    """The result of a failed check: how many rows, the first of them, and words."""
    rows = failing_rows(check, subject)
    numbers = np.sort(subject.table.row_numbers[rows])[:MAX_ROW_NUMBERS]
    detail, next_step = _words(check, subject, rows)
    return CheckResult(
        rule=check.name,
        column=check.column,
        severity=check.severity,
        passed=False,
        num_failed=int(rows.sum()),
        fraction_failed=float(rows.mean()) if len(rows) else 0.0,
        first_rows=tuple(numbers.tolist()),
        detail=detail,
        next_step=next_step,
    )


def _words(check: Check, subject: Subject, rows: NDArray[np.bool_]) -> tuple[str, str]:
    match check.rule:
        case "column_present" | "no_extra_columns" | "row_count" | "some_values" | "type":
            return _table_words(check, subject)
        case "id_present" | "id_unique" | "id_pattern":
            return _id_words(check)
        case "target_labels" | "both_classes" | "positives" | "churn_rate":
            return _target_words(check, subject)
        case "duplicates" | "near_copies" | "customers":
            return _copy_words(check, subject, rows)
    return _cell_words(check, subject, rows)


def _table_words(check: Check, subject: Subject) -> tuple[str, str]:
    source = subject.table
    match check.rule:
        case "column_present":
            hint = nearest(check.column, source.extra_columns) if source.extra_columns else ""
            hint = hint if hint.startswith("did") else ""
            return (
                f"the source has no column {check.column!r}" + (f"; {hint}" if hint else ""),
                f"rename or add the column {check.column!r} in the source, or correct the contract",
            )
        case "no_extra_columns":
            names = _listed(source.extra_columns, 8)
            fate = "refused" if check.severity == "error" else "ignored"
            return (
                f"columns that the contract does not know are {fate}: {names}",
                f"drop {names} from the source, or add them to the contract",
            )
        case "row_count":
            return (
                f"{subject.num_rows} rows; at least {check.low:g} are needed",
                "give this client more rows, leave it out, or lower dataset.min_rows",
            )
        case "some_values":
            return (
                f"the column {check.column!r} is empty in all {subject.num_rows} rows",
                f"fill {check.column!r} in the source, or take it out of the contract",
            )
    return (
        f"the column {check.column!r} could not be read as numbers",
        f"store {check.column!r} as numbers in the source",
    )


def _id_words(check: Check) -> tuple[str, str]:
    match check.rule:
        case "id_present":
            return "rows without an id", f"fill {check.column!r} in the source"
        case "id_unique":
            return (
                "different rows share one id",
                f"keep one row per {check.column!r} in the source, or set id.unique: false",
            )
    return (
        f"ids that do not match the pattern {check.pattern}",
        f"correct {check.column!r} in the source, or id.pattern in the contract",
    )


def _target_words(check: Check, subject: Subject) -> tuple[str, str]:
    target = subject.contract.target
    accepted = f"{target.positive!r} (churn) and {target.negative!r}"
    known = subject.target[~np.isnan(subject.target)]
    match check.rule:
        case "target_labels":
            return _label_words(check, subject, accepted)
        case "both_classes":
            only = target.positive if known.sum() else target.negative
            have = f"only {only!r}" if len(known) else "no label at all"
            return (
                f"the target holds {have} in {len(known)} rows; {accepted} are needed",
                "leave this client out, deal rows by another silo column, or join it with another",
            )
        case "positives":
            return (
                f"{int(known.sum())} rows with {target.positive!r}; "
                f"at least {check.low:g} are needed",
                "give this client more rows, leave it out, or lower dataset.min_positives",
            )
    return (
        f"churn rate {float(known.mean()) if len(known) else 0.0:.3f} is outside "
        f"{check.low:g} to {check.high:g}",
        "check that the target means the same as in the reference",
    )


def _label_words(check: Check, subject: Subject, accepted: str) -> tuple[str, str]:
    found = subject.table.unknown_targets
    texts = [text for text in found if text]
    parts = []
    if texts and not _is_hidden(check.column, subject):
        parts.append(f"values other than {accepted}: {_quoted(texts)}")
    elif texts:
        parts.append(f"values other than {accepted}")
    if found.get("") or not texts:
        parts.append("rows without a label")
    return "; ".join(parts), (
        f"correct {check.column!r} in the source, or target.positive and target.negative in the "
        "contract"
    )


def _copy_words(check: Check, subject: Subject, rows: NDArray[np.bool_]) -> tuple[str, str]:
    count, share = int(rows.sum()), float(rows.mean()) if len(rows) else 0.0
    if check.rule == "duplicates":
        return (
            f"{count} rows ({share:.1%}) equal an earlier row in every column but the id",
            "nothing must be done: such rows stay in one part of every split",
        )
    if check.rule == "near_copies":
        exact = exact_words(subject.copies.num_exact_duplicates) if subject.copies else ()
        patterns = subject.copies.patterns if subject.copies else ()
        customers = subject.copies.num_customers if subject.copies else 0
        found = "; ".join(words for words in patterns if words not in exact)
        found = f": {found}" if found else ""
        return (
            f"{customers} customers stand behind {subject.num_rows} rows{found}",
            "nothing must be done: copies of one customer stay in one part of every split",
        )
    counts = [int(first_rows_of_customers(subject, positive).sum()) for positive in (True, False)]
    return (
        f"{counts[0]} different customers with churn and {counts[1]} without stand behind "
        f"{subject.num_rows} rows; {check.low:g} of each are needed, one for each of train, "
        "validation and test",
        "remove duplicated rows at the source and give this client more different customers",
    )


def _cell_words(check: Check, subject: Subject, rows: NDArray[np.bool_]) -> tuple[str, str]:
    column = check.column
    match check.rule:
        case "readable":
            texts = [u.value for u in subject.table.unreadable if u.column == column]
            shown = "" if _is_hidden(column, subject) else f": {_quoted(texts)}"
            return (
                f"cells of a number column that hold no number{shown}",
                f"correct {column!r} in the source, or list the text under null_tokens",
            )
        case "whole_numbers":
            return "numbers that are not whole", f"round {column!r}, or make it kind: number"
        case "hard_range":
            return (
                f"values outside the hard limits {_range(check)}{_unit(column, subject)}",
                f"correct {column!r} in the source, or its hard limits in the contract",
            )
        case "usual_range":
            return (
                f"values outside the usual range {_range(check)}{_unit(column, subject)}",
                f"check the unit of {column!r}; the rows are used",
            )
        case "categories":
            return _category_words(check, subject, rows)
        case "not_null":
            return _null_words(check, subject)
        case "null_share":
            return (
                f"missing in {rows.mean():.1%} of rows, more than {check.tolerated_fraction:.1%}",
                f"check the export of {column!r}; the rows are used",
            )
    rule = check.cross_rule
    description = (rule.description if rule else "") or f"rule {check.name} does not hold"
    return description, f"correct {column} in the source, or the rule in the contract"


def _category_words(check: Check, subject: Subject, rows: NDArray[np.bool_]) -> tuple[str, str]:
    column = check.column
    step = f"correct {column!r} in the source, or add a category or alias to the contract"
    if _is_hidden(column, subject):
        return "values that are no category of the contract", step
    texts = list(dict.fromkeys(subject.table.frame[column].to_numpy(object)[rows]))
    hint = nearest(texts[0], check.labels) if texts else ""
    return f"no category of the contract: {_quoted(texts)}; {hint}", step


def _null_words(check: Check, subject: Subject) -> tuple[str, str]:
    unreadable = int(subject.unreadable_rows(check.column).sum())
    reason = f" ({unreadable} because the cell holds no number)" if unreadable else ""
    return (
        f"missing values in a column that must be filled{reason}",
        f"fill {check.column!r} in the source, or make it nullable in the contract",
    )


def _is_hidden(column: str, subject: Subject) -> bool:
    """Values of the id and of sensitive columns are never shown."""
    contract = subject.contract
    if contract.id is not None and column == contract.id.column:
        return True
    return column in contract.columns and contract.columns[column].sensitive


def _quoted(texts: Sequence[str]) -> str:
    distinct = list(dict.fromkeys(texts))
    shown = [
        repr(t if len(t) <= _MAX_VALUE_LETTERS else t[:_MAX_VALUE_LETTERS] + "...")
        for t in distinct[:_SHOWN_VALUES]
    ]
    return ", ".join(shown) + _more(len(distinct) - _SHOWN_VALUES)


def _listed(names: Sequence[str], limit: int) -> str:
    return ", ".join(repr(n) for n in names[:limit]) + _more(len(names) - limit)


def _more(count: int) -> str:
    return f" and {count} more" if count > 0 else ""


def _range(check: Check) -> str:
    low = "-" if check.low is None else f"{check.low:g}"
    high = "-" if check.high is None else f"{check.high:g}"
    return f"{low} to {high}"


def _unit(column: str, subject: Subject) -> str:
    unit = subject.contract.columns[column].unit
    return f" ({unit})" if unit else ""

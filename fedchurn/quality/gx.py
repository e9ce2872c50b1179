"""The recorded gate: the contract's checks as a Great Expectations suite, run on canonical rows.

What no core expectation can say (whole numbers, readable cells, rules over several columns, copies)
is a boolean column ``check:...`` computed by ``fedchurn.quality.subject``, and an expectation that
all its values are true. Great Expectations is imported on use: that takes seconds.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from fedchurn.errors import DataError
from fedchurn.quality.checks import Check
from fedchurn.quality.subject import Subject, failing_rows, first_rows_of_customers

_EXTRA = "extra:"


def suite_verdicts(checks: Sequence[Check], subject: Subject, name: str) -> tuple[bool, ...]:
    """Whether each check holds, by one run of a Great Expectations suite in an ephemeral context.

    A million rows and a hundred checks take some seconds: the suite runs with BOOLEAN_ONLY results;
    offending rows are looked up afterwards, for failed checks alone.

    Raises:
        DataError: an expectation could not be evaluated.
    """
    with warnings.catch_warnings():
        # Great Expectations imports a module that Python 3.11 has deprecated (sre_constants).
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        result = _run(checks, subject, name)
    verdicts: dict[int, bool] = {}
    for outcome in result.results:
        place = int(outcome.expectation_config.meta["check"])
        _refuse_exception(outcome, checks[place])
        verdicts[place] = bool(outcome.success)
    return tuple(verdicts[place] for place in range(len(checks)))


def _run(checks: Sequence[Check], subject: Subject, name: str) -> Any:
    import great_expectations as gx

    for chatty in ("great_expectations", "great_expectations.data_context.types.base"):
        logging.getLogger(chatty).setLevel(logging.WARNING)  # set anew by its import
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False, "metric_calculations": False}
    frame = _gate_frame(checks, subject)
    own = [column for column in frame.columns if not column.startswith(_EXTRA)]
    # add_expectation would compare each with all before it.
    expectations = [_expectation(place, check, own) for place, check in enumerate(checks)]
    suite = gx.ExpectationSuite(name=name, expectations=expectations)
    asset = context.data_sources.add_pandas("rows").add_dataframe_asset("rows")
    batch = asset.add_batch_definition_whole_dataframe("rows")
    definition = gx.ValidationDefinition(name=name, data=batch, suite=context.suites.add(suite))
    return definition.run(
        batch_parameters={"dataframe": frame},
        result_format={"result_format": "BOOLEAN_ONLY"},
    )


def _refuse_exception(outcome: Any, check: Check) -> None:
    info = outcome.exception_info or {}
    raised = info if "raised_exception" in info else next(iter(info.values()), {})
    if raised.get("raised_exception"):
        raise DataError(
            f"the check {check.name} could not be evaluated: {raised.get('exception_message')}",
            where=f"column {check.column}" if check.column else "table",
            next_step="this is a fault of the program: report it with the contract",
        )


def _gate_frame(checks: Sequence[Check], subject: Subject) -> pd.DataFrame:
    """Canonical columns that the source has, its extra columns (empty), and indicator columns."""
    source = subject.table
    kept = [c for c in source.frame.columns if c not in source.missing_columns]
    columns: dict[str, Any] = {name: source.frame[name] for name in kept}
    columns |= {
        _EXTRA + name: pd.Series([None] * subject.num_rows, dtype=object)
        for name in source.extra_columns
    }
    for place, check in enumerate(checks):
        if check.rule in _INDICATED:
            columns[_indicator(place)] = ~failing_rows(check, subject)
        elif check.rule == "customers":
            columns[_indicator(place)] = _customers_of_rarer_class(subject)
    return pd.DataFrame(columns, index=pd.RangeIndex(subject.num_rows), copy=False)


def _customers_of_rarer_class(subject: Subject) -> np.ndarray[Any, np.dtype[np.int64]]:
    """1 in the first row of every customer of the class with fewer customers."""
    marks = [first_rows_of_customers(subject, positive) for positive in (True, False)]
    return min(marks, key=lambda mark: int(mark.sum())).astype(np.int64)


_INDICATED = frozenset({"readable", "whole_numbers", "cross_rule", "duplicates", "near_copies"})


def _indicator(place: int) -> str:
    return f"check:{place}"


def _expectation(place: int, check: Check, own_columns: Sequence[str]) -> Any:
    import great_expectations.expectations as gxe

    if check.rule in _INDICATED:
        expectation = gxe.ExpectColumnValuesToBeInSet(
            column=_indicator(place), value_set=[True], mostly=1.0 - check.tolerated_fraction
        )
    elif check.rule == "customers":
        expectation = gxe.ExpectColumnSumToBeBetween(column=_indicator(place), min_value=check.low)
    elif check.rule == "no_extra_columns":
        expectation = gxe.ExpectTableColumnsToMatchSet(
            column_set=list(own_columns), exact_match=True
        )
    else:
        expectation = _CORE[check.rule](check, gxe)
    expectation.meta = {"check": place, "rule": check.name, "severity": check.severity}
    return expectation


_CORE: dict[str, Callable[[Check, Any], Any]] = {
    "column_present": lambda c, gxe: gxe.ExpectColumnToExist(column=c.column),
    "row_count": lambda c, gxe: gxe.ExpectTableRowCountToBeBetween(min_value=c.low),
    "id_present": lambda c, gxe: gxe.ExpectColumnValuesToNotBeNull(column=c.column),
    "id_unique": lambda c, gxe: gxe.ExpectColumnValuesToBeUnique(column=c.column),
    "id_pattern": lambda c, gxe: gxe.ExpectColumnValuesToMatchRegex(
        column=c.column, regex=rf"\A(?:{c.pattern})\Z"
    ),
    "target_labels": lambda c, gxe: gxe.ExpectColumnValuesToNotBeNull(column=c.column),
    "both_classes": lambda c, gxe: gxe.ExpectColumnUniqueValueCountToBeBetween(
        column=c.column, min_value=c.low, max_value=c.high
    ),
    "positives": lambda c, gxe: gxe.ExpectColumnSumToBeBetween(column=c.column, min_value=c.low),
    "churn_rate": lambda c, gxe: gxe.ExpectColumnMeanToBeBetween(
        column=c.column, min_value=c.low, max_value=c.high
    ),
    "type": lambda c, gxe: gxe.ExpectColumnValuesToBeOfType(column=c.column, type_=c.labels[0]),
    "hard_range": lambda c, gxe: gxe.ExpectColumnValuesToBeBetween(
        column=c.column, min_value=c.low, max_value=c.high
    ),
    "usual_range": lambda c, gxe: gxe.ExpectColumnValuesToBeBetween(
        column=c.column, min_value=c.low, max_value=c.high
    ),
    "categories": lambda c, gxe: gxe.ExpectColumnValuesToBeInSet(
        column=c.column, value_set=list(c.labels)
    ),
    "not_null": lambda c, gxe: gxe.ExpectColumnValuesToNotBeNull(column=c.column),
    "null_share": lambda c, gxe: gxe.ExpectColumnValuesToNotBeNull(
        column=c.column, mostly=1.0 - c.tolerated_fraction
    ),
    "some_values": lambda c, gxe: gxe.ExpectColumnProportionOfNonNullValuesToBeBetween(
        column=c.column, min_value=c.low, strict_min=True
    ),
}

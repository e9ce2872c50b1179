"""The peer of ``benchmarks.validation``: core expectations with COMPLETE results."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import pandas as pd

from fedchurn.contract.schema import Column, Contract


def outcomes(frame: pd.DataFrame, contract: Contract) -> list[bool]:
    """Whether each expectation holds."""
    with warnings.catch_warnings():
        # Great Expectations imports a module that Python 3.11 has deprecated (sre_constants).
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        import great_expectations as gx

        context = gx.get_context(mode="ephemeral")
        context.variables.progress_bars = {"globally": False, "metric_calculations": False}
        suite = context.suites.add(gx.ExpectationSuite(name="stock"))
        for expectation in _expectations(contract):
            suite.add_expectation(expectation)
        asset = context.data_sources.add_pandas("rows").add_dataframe_asset("rows")
        batch = asset.add_batch_definition_whole_dataframe("rows")
        definition = gx.ValidationDefinition(name="stock", data=batch, suite=suite)
        result = definition.run(
            batch_parameters={"dataframe": frame}, result_format={"result_format": "COMPLETE"}
        )
    return [bool(outcome.success) for outcome in result.results]


def _expectations(contract: Contract) -> Iterator[Any]:
    import great_expectations.expectations as gxe

    target = contract.target.column
    yield gxe.ExpectTableRowCountToBeBetween(min_value=contract.dataset.min_rows)
    if contract.id is not None:
        yield gxe.ExpectColumnToExist(column=contract.id.column)
        yield gxe.ExpectColumnValuesToNotBeNull(column=contract.id.column)
        yield gxe.ExpectColumnValuesToBeUnique(column=contract.id.column)
        yield gxe.ExpectColumnValuesToMatchRegex(
            column=contract.id.column, regex=contract.id.pattern or ""
        )
    yield gxe.ExpectColumnToExist(column=target)
    yield gxe.ExpectColumnValuesToBeInSet(column=target, value_set=[0, 1])
    yield gxe.ExpectColumnValuesToNotBeNull(column=target)
    yield gxe.ExpectColumnUniqueValueCountToBeBetween(column=target, min_value=2, max_value=2)
    yield gxe.ExpectColumnSumToBeBetween(column=target, min_value=contract.dataset.min_positives)
    low, high = contract.target.rate_warn or (0.0, 1.0)
    yield gxe.ExpectColumnMeanToBeBetween(column=target, min_value=low, max_value=high)
    for name, column in contract.columns.items():
        yield from _column_expectations(name, column)


def _column_expectations(name: str, column: Column) -> Iterator[Any]:
    import great_expectations.expectations as gxe

    yield gxe.ExpectColumnToExist(column=name)
    if column.is_number:
        yield gxe.ExpectColumnValuesToBeOfType(column=name, type_="float64")
        for limits in filter(None, (column.hard, column.usual)):
            yield gxe.ExpectColumnValuesToBeBetween(
                column=name, min_value=limits[0], max_value=limits[1]
            )
    else:
        yield gxe.ExpectColumnValuesToBeInSet(column=name, value_set=list(column.categories or ()))
    known = 1.0 - (column.null_fraction_warn or 1.0) if column.nullable else 1.0
    yield gxe.ExpectColumnValuesToNotBeNull(column=name, mostly=known)

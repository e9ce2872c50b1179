"""Canonical values (numbers, labels, None) to canonical columns.

The values are clean already: aliases are applied and numbers are numbers. Reading what a person or
a file spells is the contract's business; this is the last step, shared by golden rows and the
registered model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedchurn.contract.columns import MISSING, UNKNOWN, Columns, add_derived, text_code
from fedchurn.contract.schema import Column, Contract
from fedchurn.errors import ValidationFailed

CanonicalValue = float | int | str | None
CanonicalRow = Mapping[str, CanonicalValue]


def rows_to_columns(rows: Sequence[CanonicalRow], contract: Contract) -> Columns:
    """Columns of n canonical rows, derived features included; see ``values_to_columns``."""
    return values_to_columns({n: [row.get(n) for row in rows] for n in contract.columns}, contract)


def values_to_columns(values: Mapping[str, Sequence[Any]], contract: Contract) -> Columns:
    """Columns of n rows given column by column, derived features included.

    Args:
        values: per contract column n numbers or labels; None and NaN are missing values.
        contract: says what the columns are.

    Raises:
        ValidationFailed: a column is absent, or a number column holds text.
    """
    columns: Columns = {}
    for name, column in contract.columns.items():
        if name not in values:
            raise ValidationFailed(
                f"column {name!r} is missing", next_step=f"give every column of {contract.contract}"
            )
        columns[name] = (
            _numbers(name, values[name]) if column.is_number else _codes(column, values[name])
        )
    return add_derived(columns, contract)


def _numbers(name: str, values: Sequence[Any]) -> NDArray[np.float64]:
    try:
        return np.asarray([np.nan if v is None else v for v in values], dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValidationFailed(
            f"column {name!r} holds numbers, but: {error}",
            next_step="give a number, or leave the value out",
        ) from error


def _codes(column: Column, values: Sequence[Any]) -> NDArray[np.int32]:
    known = {label: code for code, label in enumerate(column.categories or ())}
    return np.asarray([_code(column, known, value) for value in values], dtype=np.int32)


def _code(column: Column, known: Mapping[str, int], value: object) -> int:
    if value is None or value != value:  # NaN is the one value unequal to itself
        return MISSING
    if column.kind == "text":
        return text_code(str(value), column.buckets)
    return known.get(str(value), UNKNOWN)

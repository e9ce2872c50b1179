"""A typical customer: what explanations compare a customer with.

Per column the median of the release's federated histograms, or the commonest label. Every value is
one that a customer can have: integers are whole, limits are kept, and the row obeys the contract's
rules (``reference_customer_rules``).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from fedchurn.contract.columns import MISSING, column_labels
from fedchurn.contract.conditions import Value
from fedchurn.contract.schema import Column, Contract
from fedchurn.encoding.encoder import Encoder, NumberEncoding
from fedchurn.encoding.fit import histogram_quantiles
from fedchurn.errors import IntegrityError
from fedchurn.release.scorer import Scorer
from fedchurn.serving.explaining.reference_customer_rules import obeying


@dataclass(frozen=True)
class ReferenceCustomer:
    """A typical customer.

    Attributes:
        values: canonical values by column; of a text column the label of its commonest bucket.
        numbers: float64 per number column in contract order, missing = NaN.
        codes: int32 per other column in contract order.
    """

    values: Mapping[str, Value]
    numbers: np.ndarray[Any, np.dtype[np.float64]]
    codes: np.ndarray[Any, np.dtype[np.int32]]


def reference_customer(scorer: Scorer, reference: Mapping[str, Any]) -> ReferenceCustomer:
    """The typical customer of a release.

    Args:
        scorer: gives the contract, and medians (its encoder's ``fill``) that ``reference`` lacks.
        reference: the release's ``reference.json``; one without a column's histogram gives the
            first label of a category.

    Raises:
        IntegrityError: ``reference`` is of another format.
    """
    contract = scorer.contract
    try:
        values, others = _typical_values(scorer, reference)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise IntegrityError(
            f"no typical customer in it: {type(error).__name__} {error}",
            where="reference.json",
            next_step="train again with this version of Fedchurn",
        ) from error
    values = obeying(values, contract, others)
    numbers = [np.nan if values[n] is None else values[n] for n in contract.number_columns]
    codes = [_code(values[n], contract, n) for n in contract.coded_columns]
    return ReferenceCustomer(
        values, np.array(numbers, dtype=np.float64), np.array(codes, dtype=np.int32)
    )


def _typical_values(
    scorer: Scorer, reference: Mapping[str, Any]
) -> tuple[dict[str, Value], dict[str, tuple[Value, ...]]]:
    """The typical value of each column, and others that it may take, the likeliest first."""
    contract = scorer.contract
    values: dict[str, Value] = {}
    others: dict[str, tuple[Value, ...]] = {}
    for name, column in contract.columns.items():
        if column.is_number:
            values[name] = _median(name, column, reference, scorer.encoder)
            others[name] = (None,) if column.nullable else ()
        else:
            values[name], *rest = _commonest_first(name, contract, reference)
            others[name] = tuple(rest) if column.kind == "category" else ()
    return values, others


def _median(name: str, column: Column, reference: Mapping[str, Any], encoder: Encoder) -> Value:
    """The middle value; None where most customers have none."""
    sums = reference.get("pooled", {}).get("numbers", {}).get(name)
    if sums is not None and column.nullable and sums["missing"] > sums["count"]:
        return None
    if sums is None or not sums["cells"]:
        fills = {e.name: e.fill for e in encoder.encodings if isinstance(e, NumberEncoding)}
        return _possible(fills.get(name, 0.0), column)
    edges = np.asarray(reference["edges"][name], dtype=np.float64)
    cells = np.zeros(len(edges) + 1)
    for place, rows in sums["cells"]:
        cells[int(place)] = rows
    return _possible(float(histogram_quantiles(cells, edges, np.array([0.5]))[0]), column)


def _possible(value: float, column: Column) -> float:
    """The nearest value that the column's kind, decimals and limits allow."""
    low, high = column.hard or (-math.inf, math.inf)
    if column.kind == "integer":
        whole = round(value)
        return float(min(max(whole, math.ceil(low)), math.floor(high)) if column.hard else whole)
    rounded = value if column.decimals is None else round(value, column.decimals)
    return float(min(max(rounded, low), high))


def _commonest_first(name: str, contract: Contract, reference: Mapping[str, Any]) -> list[Value]:
    """Labels by falling number of rows; a missing value is one of them where it may be missing."""
    labels: list[Value] = list(column_labels(contract, name))
    counts = reference.get("pooled", {}).get("categories", {}).get(name)
    if counts is None:
        return labels
    rows = dict(zip(labels, counts["cells"], strict=True))
    if contract.columns[name].nullable:
        rows[None] = counts["missing"]
    return sorted(rows, key=lambda label: -rows[label])


def _code(label: Value, contract: Contract, name: str) -> int:
    return MISSING if label is None else column_labels(contract, name).index(str(label))

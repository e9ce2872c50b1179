"""Example customers, from the contract alone: no client's row is shown to anybody."""

from __future__ import annotations

from fedchurn.contract.customer_rows import canonical_row
from fedchurn.contract.schema import Column, Contract, SampleShape

Example = dict[str, object]


def example_customers(contract: Contract) -> dict[str, Example]:
    """Customers by name, each accepted by the contract.

    ``typical`` has every column at its centre. ``at_risk`` has each one spread (or label) towards
    churn, by the effects that the contract states for its sample, as far as cross rules permit.
    """
    typical: Example = {name: _value(column, 0.0) for name, column in contract.columns.items()}
    return {"typical": typical, "at_risk": _at_risk(typical, contract)}


def _at_risk(typical: Example, contract: Contract) -> Example:
    customer = dict(typical)
    for name, column in contract.columns.items():
        moved = {**customer, name: _value(column, 1.0)}
        if not canonical_row(moved, contract).warnings:
            customer = moved
    return customer


def _value(column: Column, towards_churn: float) -> object:
    shape = column.sample or SampleShape()
    if column.is_number:
        return _number(column, shape, towards_churn)
    if column.categories is None:
        return "example"
    label = _label(column.categories, shape, towards_churn)
    return int(label) if column.integer_categories else label


def _number(column: Column, shape: SampleShape, towards_churn: float) -> int | float:
    low, high = column.usual or column.hard or (0.0, 100.0)
    centre = (low + high) / 2 if shape.mean is None else shape.mean
    spread = (high - low) / 4 if shape.spread is None else shape.spread
    direction = (shape.effect > 0) - (shape.effect < 0)
    value = min(max(centre + towards_churn * direction * spread, low), high)
    if column.kind == "integer":
        return round(value)
    return round(value, 2 if column.decimals is None else column.decimals)


def _label(labels: tuple[str, ...], shape: SampleShape, towards_churn: float) -> str:
    if towards_churn and shape.effects:
        return max(labels, key=lambda label: shape.effects.get(label, 0.0))
    weights = shape.weights or (1.0,) * len(labels)
    return max(zip(labels, weights, strict=True), key=lambda pair: pair[1])[0]

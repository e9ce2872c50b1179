"""Customers of a drill: made from the contract's sample generator, with what they really did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fedchurn.contract.schema import Column, Contract, Scenario
from fedchurn.data.sample import generate_sample

DRIFTED = "drill"
BATCH_IDS = 100_000


@dataclass(frozen=True)
class Customer:
    """A row as a caller sends it, and whether the customer left (1) or stayed (0)."""

    row: Mapping[str, Any]
    label: int


def customers(
    contract: Contract, num_rows: int, batch: int, scenario: str | None = None
) -> tuple[Customer, ...]:
    """Made-up customers, in an order that follows nothing.

    Args:
        contract: what a customer is.
        num_rows: how many.
        batch: from 1; customers of two batches, and of the shipped sample, are different ones.
        scenario: a scenario of the contract, or None for customers as they always were.
    """
    frame = generate_sample(contract, rows=num_rows, seed=batch, scenario=scenario)
    frame = frame.sample(frac=1.0, random_state=batch)
    return tuple(_customer(record, contract, batch) for record in frame.to_dict("records"))


def _customer(record: Mapping[Any, str], contract: Contract, batch: int) -> Customer:
    row = {name: _value(record[name], column) for name, column in contract.columns.items()}
    if contract.id is not None:  # of the sample: digits, which start anew in every sample
        row[contract.id.column] = str(int(record[contract.id.column]) + batch * BATCH_IDS)
    return Customer(row, int(record[contract.target.column] == str(contract.target.positive)))


def _value(cell: str, column: Column) -> Any:
    if cell == "" or cell in column.null_tokens:
        return None
    return float(cell) if column.is_number else cell


def with_drift(contract: Contract, scenarios: Sequence[str]) -> Contract:
    """The contract with one more scenario, ``drill``: several of its own at once."""
    known = contract.sample.scenarios
    parts = [known[name] for name in scenarios]
    merged = Scenario(
        description=" and ".join(scenarios),
        ranges={k: v for part in parts for k, v in part.ranges.items()},
        scale={k: v for part in parts for k, v in part.scale.items()},
        weights={k: v for part in parts for k, v in part.weights.items()},
        null_fraction={k: v for part in parts for k, v in part.null_fraction.items()},
    )
    sample = contract.sample.model_copy(update={"scenarios": {**known, DRIFTED: merged}})
    return contract.model_copy(update={"sample": sample})

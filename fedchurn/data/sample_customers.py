"""Made-up customers as callers of a service send them, with what they really did."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fedchurn.contract.schema import Column, Contract
from fedchurn.data.sample import generate_sample
from fedchurn.data.sample_ids import sample_ids
from fedchurn.errors import SettingsError

BATCH_ROWS = 1000
# The sample copies customers under other ids, as the published file does, and copies in one window
# of a few hundred rows would make it look less like the others than it is. Of ten times as many
# rows, few copies come together, and all kinds of rows stay as common as in the sample.
POOL_FACTOR = 10


@dataclass(frozen=True)
class Customer:
    """A row as a caller sends it, and whether the customer left (1) or stayed (0)."""

    row: Mapping[str, Any]
    label: int


def sample_customers(
    contract: Contract, num_rows: int, batch: int, scenario: str | None = None
) -> tuple[Customer, ...]:
    """Made-up customers, in an order that follows nothing; copies of one customer are rare.

    Args:
        contract: what a customer is.
        num_rows: how many, up to ``BATCH_ROWS``.
        batch: from 1; customers of two batches, and of the shipped sample, are different ones.
        scenario: a scenario of the contract, or None for customers as they always were.

    Raises:
        SettingsError: unknown scenario, or too few or too many rows.
        ContractError: the id pattern has no room for so many batches.
    """
    if num_rows > BATCH_ROWS:
        raise SettingsError(
            f"a batch of {num_rows} customers", next_step=f"ask for at most {BATCH_ROWS} at once"
        )
    pool = generate_sample(contract, rows=POOL_FACTOR * num_rows, seed=batch, scenario=scenario)
    frame = pool.sample(n=num_rows, random_state=batch)
    if contract.id is not None:
        num_before = contract.sample.rows + (batch - 1) * BATCH_ROWS
        frame[contract.id.column] = sample_ids(contract, num_rows, num_before=num_before)
    return tuple(_customer(record, contract) for record in frame.to_dict("records"))


def _customer(record: Mapping[Any, str], contract: Contract) -> Customer:
    row = {name: _value(record[name], column) for name, column in contract.columns.items()}
    if contract.id is not None:
        row[contract.id.column] = record[contract.id.column]
    return Customer(row, int(record[contract.target.column] == str(contract.target.positive)))


def _value(cell: str, column: Column) -> Any:
    if cell == "" or cell in column.null_tokens:
        return None
    return float(cell) if column.is_number else cell

"""Made-up customers as callers send them: accepted, told apart, known as made up."""

from __future__ import annotations

import pytest

from fedchurn.contract.customer_rows import canonical_row
from fedchurn.contract.load import load_contract
from fedchurn.data.sample import generate_sample
from fedchurn.data.sample_customers import BATCH_ROWS, sample_customers
from fedchurn.data.sample_ids import are_sample_ids
from fedchurn.errors import SettingsError

SHIPPED = ("ecommerce", "telco", "telecom")


@pytest.mark.parametrize("name", SHIPPED)
def test_customers_are_accepted_by_their_contract(name: str) -> None:
    contract = load_contract(name)
    found = sample_customers(contract, 50, batch=1)
    assert not [p for customer in found for p in canonical_row(customer.row, contract).problems]
    assert {customer.label for customer in found} == {0, 1}
    assert found == sample_customers(contract, 50, batch=1)


@pytest.mark.parametrize("name", ["ecommerce", "telco"])
def test_batches_and_the_shipped_sample_share_no_customer(name: str) -> None:
    contract = load_contract(name)
    assert contract.id is not None
    key = contract.id.column
    batches = [sample_customers(contract, BATCH_ROWS, batch) for batch in (1, 2)]
    ids = [str(customer.row[key]) for batch in batches for customer in batch]
    ids += generate_sample(contract)[key].tolist()
    assert len(set(ids)) == 2 * BATCH_ROWS + contract.sample.rows
    assert are_sample_ids(ids[:1])
    assert are_sample_ids(ids[BATCH_ROWS : BATCH_ROWS + 1])


def test_a_scenario_changes_the_rows_of_the_same_batch() -> None:
    contract = load_contract("ecommerce")
    calm = sample_customers(contract, 200, batch=1)
    drifted = sample_customers(contract, 200, batch=1, scenario="missing_15")
    gaps = [sum(c.row["Tenure"] is None for c in found) for found in (calm, drifted)]
    assert gaps[0] < 20 < gaps[1], "some 5 and 15 percent of 200"


def test_a_batch_that_would_meet_the_next_one() -> None:
    with pytest.raises(SettingsError, match="1001"):
        sample_customers(load_contract("telecom"), BATCH_ROWS + 1, batch=1)


def test_copies_of_one_customer_seldom_come_together() -> None:
    """Of the sample's rows 8 percent repeat another one: 32 of 400."""
    found = sample_customers(load_contract("ecommerce"), 400, batch=1)
    people = {tuple(v for k, v in c.row.items() if k != "CustomerID") for c in found}
    assert len(people) > 390

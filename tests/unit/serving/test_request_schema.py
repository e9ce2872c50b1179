"""The schema of a customer and the reader of customers agree on every JSON value."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedchurn.contract.customer_rows import canonical_row
from fedchurn.contract.load import load_contract
from fedchurn.contract.schema import Column, Contract
from fedchurn.serving.examples import example_customers
from fedchurn.serving.request_schema import column_schema, customer_schema
from tests.unit.release.releases import CONTRACT

SHIPPED = [load_contract(name) for name in ("ecommerce", "telco", "telecom")]
ALL = [*SHIPPED, CONTRACT]


def named(contract: Contract) -> str:
    return contract.contract


def test_a_number_has_its_limits_and_unit() -> None:
    tenure = column_schema(SHIPPED[0].columns["Tenure"])
    assert tenure["type"] == ["integer", "null"]
    assert (tenure["minimum"], tenure["maximum"]) == (0, 240)
    assert tenure["x-unit"] == "months"
    assert tenure["x-usual-range"] == [0, 61]
    assert tenure["title"] == "Customer for"


def test_a_label_has_its_spellings() -> None:
    payment = column_schema(SHIPPED[0].columns["PreferredPaymentMode"])
    assert {"CC", "COD", "UPI", "Cash on Delivery"} <= set(payment["anyOf"][0]["enum"])
    assert column_schema(SHIPPED[0].columns["CityTier"])["anyOf"][0]["enum"] == [
        1,
        2,
        3,
        "1",
        "2",
        "3",
    ]


@pytest.mark.parametrize("contract", ALL, ids=named)
def test_columns_that_may_not_be_missing_are_required(contract: Contract) -> None:
    schema = customer_schema(contract)
    assert schema["required"] == [n for n, c in contract.columns.items() if not c.nullable]
    assert schema["additionalProperties"] is False


@pytest.mark.parametrize("contract", ALL, ids=named)
def test_examples_are_plain_customers(contract: Contract) -> None:
    for name, customer in example_customers(contract).items():
        row = canonical_row(customer, contract)
        assert (name, row.problems, row.warnings) == (name, (), ())
        jsonschema.Draft202012Validator(customer_schema(contract)).validate(customer)


def test_examples_differ_towards_churn() -> None:
    customers = example_customers(SHIPPED[0])
    assert customers["typical"]["Tenure"] == 10
    assert customers["at_risk"]["Tenure"] == 2  # mean 10.2 less a spread of 8.6
    assert (customers["typical"]["Complain"], customers["at_risk"]["Complain"]) == (0, 1)


_COLUMNS = [
    *CONTRACT.columns.values(),
    *SHIPPED[0].columns.values(),
    Column(kind="number"),
    Column(kind="integer", nullable=True),
    Column(kind="text", null_tokens=("?",)),
    Column(kind="category", categories=("a", "b"), nullable=True, null_tokens=("?",)),
    Column(kind="category", categories=("0", "1"), aliases={"no": "0"}, null_tokens=("-",)),
]
_LABELS = ["?", "-", "a", "no", "Phone", "1", "", " ", "\x1c", "\u2003"]
_NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
_SCALARS = st.none() | st.booleans() | _NUMBERS | st.text() | st.sampled_from(_LABELS)
_JSON = _SCALARS | st.lists(st.integers(), max_size=2) | st.dictionaries(st.text(), st.none())


@given(st.sampled_from(_COLUMNS), _JSON)
def test_what_the_schema_allows_is_read_and_the_rest_is_refused(column: Column, value: Any) -> None:
    contract = CONTRACT.model_copy(update={"columns": {"X": column}, "derived": {}})
    is_allowed = jsonschema.Draft202012Validator(column_schema(column)).is_valid(value)
    is_read = not canonical_row({"X": value}, contract).problems
    if is_allowed:
        assert is_read
    elif is_read:
        assert isinstance(value, str)  # text that reads as a number, or as missing


def test_blank_text_is_what_the_reader_takes_for_missing() -> None:
    schema = jsonschema.Draft202012Validator(column_schema(CONTRACT.columns["Device"]))
    characters = [chr(code) for code in range(0x11000) if not 0xD800 <= code < 0xE000]
    blank = {character for character in characters if not schema.is_valid(character)}
    assert blank == {character for character in characters if not character.strip()}
    assert schema.is_valid("\ufeff")  # a space to JavaScript, a character to Python

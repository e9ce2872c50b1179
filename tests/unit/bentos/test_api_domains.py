"""Every label, spelling and limit of the shipped contracts, one value at a time.

What the OpenAPI page allows is answered; what it does not allow is refused, or is text that reads
as an allowed value. Nothing is a fault of the service.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest

from fedchurn.contract.schema import Column
from fedchurn.serving.examples import example_customers
from fedchurn.serving.request_schema import customer_schema
from tests.unit.bentos.shipped import Api, shipped_api

CONTRACTS = ["ecommerce", "telco", "telecom"]
ODD: list[Any] = [None, True, False, "", " ", "never seen", [], {}, [1], 10**18, 10**400, -1, 0.5]


@pytest.fixture(scope="module", params=CONTRACTS)
def api(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    api = shipped_api(tmp_path_factory.mktemp(request.param), request.param)
    yield api
    api.close()


def values_of(column: Column) -> list[Any]:
    """Labels, spellings and both sides of every limit."""
    labels = [*(column.categories or ()), *column.aliases]
    values: list[Any] = [*labels, *(label.lower() for label in labels)]
    if column.integer_categories:
        values += [number(label) for label in labels for number in (int, float)]
    for limit in (*(column.hard or ()), *(column.usual or ())):
        steps = (0, 1) if column.kind == "integer" else (0, 1, 0.01)
        values += [limit + sign * step for step in steps for sign in (-1, 1)]
        values += [int(limit), math.nextafter(limit, math.inf), math.nextafter(limit, -math.inf)]
        values += [str(limit)]
    return [*values, *column.null_tokens, *ODD]


def test_every_value_of_every_column(api: Api) -> None:
    contract = api.served.contract
    typical = example_customers(contract)["typical"]
    schema = jsonschema.Draft202012Validator(customer_schema(contract))
    rows = [
        {**typical, name: value}
        for name, column in contract.columns.items()
        for value in values_of(column)
    ]
    for start in range(0, len(rows), 1000):
        some = rows[start : start + 1000]
        response = api.post("/predict/batch", json={"customers": some})
        assert response.status_code == 200
        answer = response.json()
        answered = {prediction["customer_index"] for prediction in answer["predictions"]}
        refused = {error["index"] for error in answer["errors"]}
        assert answered | refused == set(range(len(some)))
        assert not answered & refused
        for index, row in enumerate(some):
            changed = [name for name in row if row[name] is not typical[name]]
            if schema.is_valid(row):
                assert index in answered, row
            elif index in answered:
                assert all(isinstance(row[name], str) for name in changed), row


def test_every_required_column_alone_is_missed(api: Api) -> None:
    contract = api.served.contract
    typical = example_customers(contract)["typical"]
    for name, column in contract.columns.items():
        row = {field: value for field, value in typical.items() if field != name}
        answer = api.post("/predict", json=row)
        assert answer.status_code == (200 if column.nullable else 422)
        if not column.nullable:
            (error,) = answer.json()["errors"]
            assert (error["field"], error["rule"]) == (name, "missing")


def test_the_id_comes_back_and_the_target_is_not_looked_at(api: Api) -> None:
    contract = api.served.contract
    typical = example_customers(contract)["typical"]
    plain = api.post("/predict", json=typical).json()
    target = {contract.target.column: contract.target.positive}
    if contract.id:
        target[contract.id.column] = "50001"
    answer = api.post("/predict", json={**typical, **target}).json()
    assert answer["churn_probability"] == plain["churn_probability"]
    assert answer["customer_id"] == ("50001" if contract.id else None)

"""The fast lane's scorer: what it answers is what the long way answers, or nothing."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedchurn.contract.customer_rows import canonical_row
from fedchurn.contract.load import load_contract
from fedchurn.contract.schema import Contract
from fedchurn.encoding.encoder import CategoryEncoding, Encoder, NumberEncoding
from fedchurn.learning.spec import HiddenLayer, ModelSpec
from fedchurn.release.golden import choose_golden_rows
from fedchurn.release.scorer import Scorer
from fedchurn.serving.predictor import Predictor
from fedchurn.serving.quick_row import QuickScorer
from tests.unit.release import releases

PLAIN = {"Tenure": 3, "Cashback": 120.5, "Device": "Phone", "City": "Rome"}


def additive(contract: Contract, hidden: tuple[HiddenLayer, ...] = ()) -> Scorer:
    """A made-up model over all columns of a contract: knots, missing flags and labels."""
    encodings: list[NumberEncoding | CategoryEncoding] = []
    for name, column in contract.columns.items():
        if column.is_number:
            low, high = column.usual or (0.0, 100.0)
            knots = tuple(float(k) for k in np.linspace(low, high, 6)[1:-1])
            middle, scale = (low + high) / 2, max(high - low, 1.0) / 4
            encodings.append(NumberEncoding(name, middle, scale, middle, knots, column.nullable))
        else:
            labels = column.categories or tuple(f"bucket_{i}" for i in range(column.buckets))
            encodings.append(CategoryEncoding(name, labels, column.nullable))
    encoder = Encoder(tuple(encodings))
    spec = ModelSpec(encoder.num_inputs, hidden=hidden)
    generator = np.random.default_rng(3)
    weights = tuple(
        generator.normal(scale=0.5, size=shape).astype(np.float32)
        for _, shape in spec.weight_shapes()
    )
    return Scorer(contract, encoder, spec, weights)


def body(row: dict[str, Any]) -> bytes:
    return json.dumps(row).encode()


@pytest.mark.parametrize("name", ["ecommerce", "telco", "telecom"])
@pytest.mark.parametrize("hidden", [(), (HiddenLayer(4),)])
def test_golden_rows_of_shipped_contracts_are_plain_and_scored_alike(
    name: str, hidden: tuple[HiddenLayer, ...]
) -> None:
    contract = load_contract(name)
    scorer = additive(contract, hidden)
    quick, model = QuickScorer(scorer), Predictor(scorer)
    plain = 0
    for row in choose_golden_rows(contract, seed=5, num_rows=60):
        judged = canonical_row(row, contract)
        answer = quick.score(body(dict(row)))
        assert quick.canonical(row) == (None if judged.problems or judged.warnings else judged)
        if judged.problems or judged.warnings:
            assert answer is None
            continue
        plain += 1
        assert answer is not None
        assert answer.values == tuple(judged.values.values())
        assert answer.probability == pytest.approx(model.one(judged.values), abs=1e-12)
    assert plain > 0


def test_numbers_are_kept_and_texts_are_not() -> None:
    quick = QuickScorer(releases.scorer())
    first = [quick.score(body(PLAIN | {"Cashback": cents / 100})) for cents in range(20_000)]
    again = [quick.score(body(PLAIN | {"Cashback": cents / 100})) for cents in range(20_000)]
    assert None not in first
    assert first == again
    tables = dict(zip(releases.CONTRACT.columns, quick._tables, strict=True))
    assert len(tables["Cashback"]) == 16_384
    assert quick.score(body(PLAIN | {"City": "x" * 1000})) is not None
    assert all(not isinstance(raw, str) for raw in tables["City"])


def test_the_values_are_canonical_and_the_id_is_found() -> None:
    contract = load_contract("ecommerce")
    row = dict(choose_golden_rows(contract, seed=5)[0])
    row |= {"PreferredLoginDevice": "Phone", "CityTier": 2, "CustomerID": 50001, "Churn": 1}
    answer = QuickScorer(additive(contract)).score(body(row))
    assert answer is not None
    assert answer.customer_id == 50001
    values = dict(zip(contract.columns, answer.values, strict=True))
    assert values["PreferredLoginDevice"] == "Mobile Phone"
    assert values["CityTier"] == "2"


@pytest.mark.parametrize(
    "change",
    [
        {"Tenure": "3"},
        {"Tenure": True},
        {"Tenure": 61},
        {"Tenure": 3.5},
        {"Tenure": [3]},
        {"Tenure": 10**30},
        {"Cashback": 320.01},
        {"Cashback": -1},
        {"Cashback": None},
        {"Device": "phone "},
        {"Device": {"a": 1}},
        {"Device": True},
        {"Unknown": 1},
    ],
)
def test_what_is_not_plain_is_left_alone(change: dict[str, Any]) -> None:
    quick = QuickScorer(releases.scorer())
    assert quick.score(body(PLAIN)) is not None
    assert quick.score(body(PLAIN | change)) is None


@pytest.mark.parametrize(
    "text",
    [b"", b"[]", b"null", b"{", b'{"Tenure": NaN}', b"\xff", b'"a"', b"[" * 100_000, b"1e999"],
)
def test_what_is_no_row_is_left_alone(text: bytes) -> None:
    assert QuickScorer(releases.scorer()).score(text) is None


def test_a_name_that_comes_twice_is_left_to_the_long_way() -> None:
    quick = QuickScorer(releases.scorer())
    text = body(PLAIN)
    assert quick.score(text[:-1] + b', "Tenure": 3}') is None
    assert quick.score(text[:-1] + b', "Churn": 1}') is not None


def test_a_missing_field_counts_as_missing_only_where_it_may() -> None:
    quick = QuickScorer(releases.scorer())
    without = {k: v for k, v in PLAIN.items() if k != "Tenure"}
    with_null = quick.score(body(PLAIN | {"Tenure": None}))
    assert with_null is not None
    assert quick.score(body(without)) == with_null
    assert quick.score(body({k: v for k, v in PLAIN.items() if k != "Device"})) is None


def test_a_broken_rule_is_left_to_the_long_way() -> None:
    rule = {
        "id": "new_customers_have_no_cashback",
        "op": "implies",
        "when": [{"column": "Tenure", "at_most": 0}],
        "then": [{"column": "Cashback", "at_most": 0}],
    }
    document = releases.CONTRACT.model_dump(mode="json", exclude_none=True) | {"rules": [rule]}
    contract = Contract.model_validate(document)
    model = releases.scorer()
    quick = QuickScorer(Scorer(contract, model.encoder, model.spec, model.weights))
    assert quick.score(body(PLAIN | {"Tenure": 1})) is not None
    assert quick.score(body(PLAIN | {"Tenure": 0})) is None


odd = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.just("Phone")
)


@given(
    st.dictionaries(st.sampled_from([*PLAIN, "Churn", "Other"]), odd).map(lambda d: {**PLAIN, **d})
)
def test_any_row_gets_the_long_ways_answer_or_none(row: dict[str, Any]) -> None:
    scorer = releases.scorer(hidden=(HiddenLayer(4),))
    answer = QuickScorer(scorer).score(body(row))
    judged = canonical_row(row, scorer.contract)
    canonical = QuickScorer(scorer).canonical(row)
    assert canonical in (None, judged)
    if answer is None:
        return
    assert not judged.problems
    assert not judged.warnings
    assert answer.values == tuple(judged.values.values())
    assert answer.probability == pytest.approx(Predictor(scorer).one(judged.values), abs=1e-12)

"""Properties that hold for any value."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedchurn.contract.columns import add_derived, features, text_code
from fedchurn.contract.customer_rows import canonical_row, row_columns
from fedchurn.contract.load import contract_digest, dump_contract, load_contract, parse_contract
from fedchurn.contract.schema import Column, Contract, Target

ECOMMERCE = load_contract("ecommerce")
DERIVING = parse_contract(
    """
contract: deriving
version: 1.0.0
target: {column: left, positive: 1, negative: 0}
columns:
  months: {kind: integer, nullable: true}
  paid: {kind: number, nullable: true}
  plan: {kind: category, categories: [a, b], nullable: true}
  flag: {kind: category, categories: [0, 1], nullable: true}
  city: {kind: text, buckets: 16, nullable: true}
derived:
  per_month: {op: ratio, numerator: paid, denominator: months, floor: 1, decimals: 3}
  total: {op: product, columns: [paid, months], decimals: 2}
  old: {op: threshold, column: months, at_least: 12}
  age: {op: bins, column: months, edges: [0, 12, 24], labels: [none, new, mid, old]}
  hits: {op: count, columns: [plan, flag], labels: [b, 1]}
  pair: {op: cross, columns: [plan, flag]}
  mixed: {op: hash, columns: [plan, city], buckets: 8}
  dear_and_old: {op: ratio, numerator: total, denominator: per_month, plus: 1}
""",
    "deriving",
)

labels = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=12).filter(
    lambda text: text == text.strip() and not text[0].isdigit() and text[0] != "-"
)
ranges = st.tuples(
    st.floats(-1e9, 1e9, allow_nan=False), st.floats(1e-3, 1e9, allow_nan=False)
).map(lambda pair: (pair[0], pair[0] + pair[1]))
numbers = st.builds(
    lambda hard, decimals, nullable: Column(
        kind="number", hard=hard, decimals=decimals, nullable=nullable, drift="ks"
    ),
    ranges.filter(lambda r: r[0] < r[1]),
    st.none() | st.integers(0, 9),
    st.booleans(),
)
categories = st.builds(
    lambda names, nullable: Column(kind="category", categories=tuple(names), nullable=nullable),
    st.lists(labels, min_size=1, max_size=6, unique=True),
    st.booleans(),
)
texts = st.builds(lambda buckets: Column(kind="text", buckets=buckets), st.integers(2, 4096))
contracts = st.builds(
    lambda columns, description: Contract(
        contract="any",
        version="0.0.1",
        description=description,
        target=Target(column="t\x00", positive="Yes", negative="No"),
        columns=columns,
    ),
    st.dictionaries(labels, numbers | categories | texts, min_size=1, max_size=5),
    st.text(st.characters(exclude_categories=("Cs",)), max_size=40),
)


@given(contracts)
def test_dump_and_parse_are_inverse(contract: Contract):
    again = parse_contract(dump_contract(contract), "dump")
    assert again == contract
    assert contract_digest(again) == contract_digest(contract)


@given(
    st.sampled_from(["PreferredLoginDevice", "PreferredPaymentMode", "PreferedOrderCat"]), st.data()
)
def test_aliases_are_idempotent(name: str, data: st.DataObject):
    column = ECOMMERCE.columns[name]
    spelling = data.draw(st.sampled_from([*(column.categories or ()), *column.aliases]))
    once = canonical_row({name: spelling}, ECOMMERCE).values[name]
    assert once in (column.categories or ())
    assert canonical_row({name: once}, ECOMMERCE).values[name] == once


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=3,
)


@given(st.dictionaries(st.sampled_from([*ECOMMERCE.columns, "other"]), anything))
def test_no_row_makes_the_judge_raise(row: dict[str, object]):
    judged = canonical_row(row, ECOMMERCE)
    assert list(judged.values) == list(ECOMMERCE.columns)
    for name, value in judged.values.items():
        assert value is None or isinstance(
            value, float if ECOMMERCE.columns[name].is_number else str
        )
        assert not isinstance(value, float) or math.isfinite(value)
    row_columns(judged.values, ECOMMERCE)


@given(st.dictionaries(st.sampled_from([*ECOMMERCE.columns]), anything))
def test_judging_a_canonical_row_changes_nothing(row: dict[str, object]):
    values = canonical_row(row, ECOMMERCE).values
    assert canonical_row(values, ECOMMERCE).values == values


@given(st.floats())
def test_a_number_is_refused_exactly_outside_hard(value: float):
    judged = canonical_row({"CashbackAmount": value}, ECOMMERCE)
    low, high = ECOMMERCE.columns["CashbackAmount"].hard or (0, 0)
    refused = any(p.field == "CashbackAmount" for p in judged.problems)
    assert refused == (not low <= value <= high)


def test_text_codes_are_the_same_everywhere():
    # 0xCBF43926 is the published check value of CRC-32; the others pin UTF-8.
    assert text_code("123456789", 4096) == 0xCBF43926 % 4096
    assert [text_code(text, 32) for text in ("", "Bonn", "Köln", "東京")] == [0, 1, 27, 15]


@given(st.text(st.characters(exclude_categories=("Cs",))), st.integers(2, 4096))
def test_text_codes_stay_in_their_buckets(text: str, buckets: int):
    assert 0 <= text_code(text, buckets) < buckets


rows = st.fixed_dictionaries(
    {
        "months": st.none() | st.integers(-5, 40),
        "paid": st.none() | st.floats(-1e4, 1e4),
        "plan": st.none() | st.sampled_from(["a", "b", "unheard"]),
        "flag": st.none() | st.sampled_from(["0", "1"]),
        "city": st.none() | st.sampled_from(["Bonn", "Rome", "Lima", "Oslo"]),
    }
)


@settings(max_examples=50)
@given(st.lists(rows, min_size=1, max_size=8))
def test_derived_features_of_a_table_are_those_of_its_rows(table: list[dict[str, object]]):
    singles = [row_columns(canonical_row(row, DERIVING).values, DERIVING) for row in table]
    stacked = {
        name: np.concatenate([single[name] for single in singles]) for name in DERIVING.columns
    }
    together = add_derived(stacked, DERIVING)
    for feature in features(DERIVING):
        by_row = np.concatenate([single[feature.name] for single in singles])
        assert together[feature.name].dtype == by_row.dtype
        np.testing.assert_array_equal(together[feature.name], by_row)
        if feature.labels is not None:
            assert by_row.max() < len(feature.labels)
            assert by_row.min() >= -2


def test_derived_features_by_hand():
    row = {"months": 24, "paid": 10.0, "plan": "b", "flag": "1", "city": "Bonn"}
    columns = row_columns(canonical_row(row, DERIVING).values, DERIVING)
    found = {name: columns[name][0] for name in DERIVING.derived}
    mixed = found.pop("mixed")
    assert mixed == text_code(f"b\x1fbucket_{text_code('Bonn', 16)}", 8)
    assert found == {
        "per_month": 0.417,
        "total": 240.0,
        "old": 1,
        "age": 2,
        "hits": 2.0,
        "pair": 3,
        "dear_and_old": pytest.approx(240 / 1.417),
    }


def test_a_bin_holds_its_upper_edge_and_nothing_falls_outside():
    codes = [
        row_columns({"months": float(m)}, DERIVING)["age"][0] for m in (-5, 0, 1, 12, 13, 24, 25)
    ]
    assert codes == [0, 0, 1, 1, 2, 2, 3]

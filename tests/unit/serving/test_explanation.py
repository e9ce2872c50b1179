"""Explanations: additive, repeatable, about possible customers only."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedchurn.contract.columns import Columns, text_code
from fedchurn.learning.spec import HiddenLayer
from fedchurn.serving.explaining.explanation import Explainer
from fedchurn.serving.predictor import Predictor
from tests.unit.release.releases import CONTRACT, scorer
from tests.unit.serving.explained_shop import REFERENCE, Watched, shop_contract

HIDDEN = (HiddenLayer(8, 0.1), HiddenLayer(4))

ROWS = st.fixed_dictionaries(
    {
        "Tenure": st.none() | st.integers(0, 240).map(float),
        "Cashback": st.floats(0, 320).map(lambda v: round(v, 2)),
        "Device": st.sampled_from(["Phone", "Computer", "Tablet"]),
        "City": st.text(max_size=3),
    }
)
MODELS = {
    "logistic": Predictor(scorer()),
    "network": Predictor(scorer(hidden=HIDDEN)),
    "other network": Predictor(scorer(hidden=HIDDEN[:1], seed=3)),
}


@pytest.mark.parametrize("name", MODELS)
@given(row=ROWS)
def test_base_and_contributions_add_up_to_the_answer(name: str, row: dict[str, Any]) -> None:
    model = MODELS[name]
    explanation = Explainer(model, REFERENCE).explain(row)
    total = explanation.base_probability + sum(c.contribution for c in explanation.contributions)
    assert total == pytest.approx(model.one(row), abs=1e-9)


@given(row=ROWS)
def test_the_strongest_come_first_and_each_field_once(row: dict[str, Any]) -> None:
    found = Explainer(MODELS["network"], REFERENCE).explain(row).contributions
    strengths = [abs(c.contribution) for c in found]
    assert strengths == sorted(strengths, reverse=True)
    fields = [c.field for c in found]
    assert len(fields) == len(set(fields))
    assert set(fields) <= set(CONTRACT.columns)
    assert all(c.value == row[c.field] for c in found)


def test_the_reference_itself_needs_no_explanation() -> None:
    explainer = Explainer(MODELS["network"], REFERENCE)
    typical = {**explainer.typical_customer, "City": _text_in_bucket(2)}
    explanation = explainer.explain(typical)
    assert explanation.contributions == ()
    assert explanation.base_probability == pytest.approx(MODELS["network"].one(typical), abs=1e-12)


def test_only_fields_that_differ_contribute() -> None:
    explainer = Explainer(MODELS["network"], REFERENCE)
    row = {**explainer.typical_customer, "City": _text_in_bucket(2), "Tenure": 1.0}
    (only,) = explainer.explain(row).contributions
    assert (only.field, only.value, only.reference) == ("Tenure", 1.0, 12.0)
    difference = MODELS["network"].one(row) - MODELS["network"].one({**row, "Tenure": 12.0})
    assert only.contribution == pytest.approx(difference, abs=1e-9)


def test_a_missing_value_is_a_value() -> None:
    explainer = Explainer(MODELS["logistic"], REFERENCE)
    row = {**explainer.typical_customer, "City": _text_in_bucket(2), "Tenure": None}
    (only,) = explainer.explain(row).contributions
    assert (only.field, only.value) == ("Tenure", None)
    assert only.contribution != 0


def test_equal_rows_have_equal_explanations() -> None:
    row = {"Tenure": 3.0, "Cashback": 20.5, "Device": "Phone", "City": "Rome"}
    first = Explainer(MODELS["network"], REFERENCE).explain(row)
    assert first == Explainer(MODELS["network"], REFERENCE).explain(dict(row))


@given(row=ROWS)
def test_the_model_is_never_asked_about_impossible_customers(row: dict[str, Any]) -> None:
    watched = Watched(scorer().encoder.encodings)
    model = Predictor(dataclasses.replace(scorer(hidden=HIDDEN), encoder=watched))
    Explainer(model, REFERENCE).explain(row)
    assert watched.asked
    for columns in watched.asked:
        _assert_possible(columns, row)


def _assert_possible(columns: Columns, row: dict[str, Any]) -> None:
    """Every cell is the customer's or the reference's; derived features fit the row."""
    tenure, cashback = columns["Tenure"], columns["Cashback"]
    own_tenure = np.nan if row["Tenure"] is None else row["Tenure"]
    assert all(t in (own_tenure, 12.0) or (np.isnan(t) and np.isnan(own_tenure)) for t in tenure)
    assert set(cashback) <= {row["Cashback"], 150.31}
    assert set(columns["Device"].tolist()) <= {-2, 0, 1}
    assert columns["PerMonth"] == pytest.approx(cashback / np.maximum(tenure, 1), nan_ok=True)


def test_what_a_rule_ties_is_replaced_together() -> None:
    # Cashback without tenure, or tenure without cashback, cannot be.
    contract = shop_contract()
    model = Predictor(dataclasses.replace(scorer(), contract=contract))
    row = {"Tenure": None, "Cashback": 0.0, "Device": "Computer", "City": _text_in_bucket(2)}
    found = Explainer(model, REFERENCE).explain(row).contributions
    assert [(c.field, c.together_with) for c in found] == [("Tenure", ("Cashback",))]
    assert "together with cashback" in found[0].reason


def _text_in_bucket(bucket: int) -> str:
    return next(t for t in map(str, range(100)) if text_code(t, 4) == bucket)

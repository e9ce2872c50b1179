"""Rules and base rates of the contracts, with numbers worked out by hand."""

from __future__ import annotations

from typing import Any

import pytest

from fedchurn.contract.conditions import Value
from fedchurn.contract.load import load_contract
from fedchurn.contract.schema import Contract
from fedchurn.serving.fallback.rules import base_rate, rule_probability, rules_that_hold

CALM_TELCO: dict[str, Value] = {
    "tenure": 40.0,
    "Contract": "Two year",
    "MonthlyCharges": 50.0,
    "TechSupport": "Yes",
    "InternetService": "DSL",
    "OnlineSecurity": "Yes",
    "PaymentMethod": "Mailed check",
}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, 0.27),
        ({"tenure": 5.0}, 0.52),
        ({"tenure": 6.0}, 0.27),
        ({"Contract": "Month-to-month"}, 0.47),
        ({"MonthlyCharges": 70.01}, 0.42),
        ({"MonthlyCharges": 70.0}, 0.27),
        ({"TechSupport": "No"}, 0.37),
        ({"InternetService": "Fiber optic", "OnlineSecurity": "No"}, 0.42),
        ({"InternetService": "Fiber optic"}, 0.27),
        ({"OnlineSecurity": "No"}, 0.27),
        ({"PaymentMethod": "Electronic check"}, 0.37),
        ({"tenure": 5.0, "Contract": "Month-to-month", "TechSupport": "No"}, 0.82),
        ({"tenure": 1.0, "Contract": "Month-to-month", "MonthlyCharges": 99.0}, 0.87),
        # 0.27 + 0.25 + 0.20 + 0.15 + 0.10 = 0.97 is above the limit
        (
            {"tenure": 1.0, "Contract": "Month-to-month", "MonthlyCharges": 99.0}
            | {"TechSupport": "No"},
            0.95,
        ),
    ],
)
def test_the_six_telco_rules(changes: dict[str, Value], expected: float) -> None:
    found = rule_probability(load_contract("telco"), CALM_TELCO | changes)
    assert found == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"Tenure": 5.0}, 0.168),
        ({"Tenure": 1.0}, 0.468),
        ({"Tenure": None}, 0.308),
        ({"Tenure": 12.0}, 0.068),
        ({"Tenure": 0.0, "Complain": "1", "MaritalStatus": "Single"}, 0.718),
        ({"Tenure": 5.0, "NumberOfDeviceRegistered": 5.0}, 0.228),
        ({"Tenure": 20.0, "PreferedOrderCat": "Mobile Phone"}, 0.118),
    ],
)
def test_ecommerce_rules(row: dict[str, Value], expected: float) -> None:
    assert rule_probability(load_contract("ecommerce"), row) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"tenure_months": 24.0, "contract_type": "1"}, 0.347),
        ({"tenure_months": 3.0, "contract_type": "0"}, 0.767),
        ({"tenure_months": 60.0, "contract_type": "2"}, 0.077),
        ({"tenure_months": 3.0, "contract_type": "0", "num_tickets": 4.0}, 0.887),
        ({"internet_service": "2", "online_security": "0"}, 0.447),
    ],
)
def test_telecom_rules(row: dict[str, Value], expected: float) -> None:
    assert rule_probability(load_contract("telecom"), row) == pytest.approx(expected, abs=1e-12)


def small(**changes: Any) -> Contract:
    return Contract.model_validate(
        {
            "contract": "small",
            "version": "1.0.0",
            "target": {"column": "Churn", "positive": 1, "negative": 0},
            "columns": {"Tenure": {"kind": "integer"}},
        }
        | changes
    )


def test_rules_may_subtract_but_not_below_zero() -> None:
    rules = [
        {"when": [{"column": "Tenure", "above": above}], "add": -0.4, "reason": "Loyal"}
        for above in (5, 10)
    ]
    contract = small(fallback={"base_rate": 0.5, "rules": rules})
    assert rule_probability(contract, {"Tenure": 6.0}) == pytest.approx(0.1)
    assert rule_probability(contract, {"Tenure": 11.0}) == 0.0


def test_rules_that_hold_come_in_the_order_of_the_contract() -> None:
    row = CALM_TELCO | {"PaymentMethod": "Electronic check", "tenure": 2.0}
    reasons = [rule.reason for rule in rules_that_hold(load_contract("telco"), row)]
    assert reasons == ["Customer for less than six months", "Pays by electronic check"]


def test_no_rules_no_probability() -> None:
    assert rule_probability(small(), {"Tenure": 1.0}) is None
    assert rule_probability(small(fallback={"base_rate": 0.2}), {"Tenure": 1.0}) is None


def test_base_rate_is_the_best_that_the_contract_knows() -> None:
    target = {"column": "Churn", "positive": 1, "negative": 0, "rate": 0.3}
    assert base_rate(small(target=target, fallback={"base_rate": 0.2})) == 0.2
    assert base_rate(small(target=target)) == 0.3
    assert base_rate(small()) == 0.5

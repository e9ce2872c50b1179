"""Which fields are replaced together."""

from __future__ import annotations

from typing import Any

from fedchurn.contract.load import load_contract
from fedchurn.serving.explaining.shapley_players import find_players

TELCO = load_contract("telco")
ECOMMERCE = load_contract("ecommerce")
NEEDS_INTERNET = (
    "OnlineSecurity", "OnlineBackup", "DeviceProtection", "TechSupport", "StreamingTV",
    "StreamingMovies",
)  # fmt: skip


def row(**changes: Any) -> dict[str, Any]:
    plain = {"PhoneService": "Yes", "MultipleLines": "No", "InternetService": "DSL"}
    charges = {"tenure": 29.0, "MonthlyCharges": 70.0, "TotalCharges": 1400.0}
    return {**plain, **dict.fromkeys(NEEDS_INTERNET, "No"), **charges, **changes}


def players(customer: dict[str, Any], reference: dict[str, Any]) -> tuple[tuple[str, ...], ...]:
    differing = [n for n in TELCO.columns if customer.get(n) != reference.get(n)]
    return find_players(customer, reference, differing, TELCO)


def test_fields_without_rules_play_alone() -> None:
    customer = {"Tenure": 1.0, "Gender": "Male", "Complain": "1"}
    found = find_players(customer, {}, ["Tenure", "Gender", "Complain"], ECOMMERCE)
    assert found == (("Tenure",), ("Gender",), ("Complain",))


def test_no_internet_is_one_fact() -> None:
    without = dict.fromkeys(NEEDS_INTERNET, "No internet service")
    found = players(row(InternetService="No", **without, tenure=30.0), row())
    assert found == (("tenure",), ("InternetService", *NEEDS_INTERNET))


def test_the_field_that_most_rules_name_leads() -> None:
    without = dict.fromkeys(NEEDS_INTERNET, "No internet service")
    customer, reference = row(InternetService="No", **without), row()
    ((leader, *_),) = find_players(
        customer, reference, ["StreamingTV", "InternetService", *NEEDS_INTERNET[:4]], TELCO
    )
    assert leader == "InternetService"


def test_another_internet_line_leaves_its_services_alone() -> None:
    found = players(row(InternetService="Fiber optic", OnlineSecurity="Yes"), row())
    assert found == (("InternetService",), ("OnlineSecurity",))


def test_a_first_month_has_no_total_yet() -> None:
    assert players(row(tenure=0.0, TotalCharges=None), row()) == (("tenure", "TotalCharges"),)


def test_a_rule_of_warnings_ties_nothing() -> None:
    # 2 x 70 is far from 1400, but unlikely is not impossible.
    found = players(row(tenure=2.0, TotalCharges=140.0), row())
    assert found == (("tenure",), ("TotalCharges",))


def test_a_customer_who_breaks_the_rule_is_taken_field_by_field() -> None:
    found = players(row(PhoneService="No", MultipleLines="Yes"), row())
    assert found == (("PhoneService",), ("MultipleLines",))

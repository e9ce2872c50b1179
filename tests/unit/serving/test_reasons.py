"""Contributions in words."""

from __future__ import annotations

import pytest

from fedchurn.contract.conditions import Value
from fedchurn.contract.load import load_contract
from fedchurn.contract.schema import Column
from fedchurn.serving.explaining.reasons import Reasons, code_words, effect_words, number_words

SHOP = Reasons(load_contract("ecommerce"))
TELECOM = Reasons(load_contract("telecom"))
TELCO = Reasons(load_contract("telco"))


@pytest.mark.parametrize(
    ("name", "value", "typical", "contribution", "words"),
    [
        ("Tenure", 1.0, 9.0, 0.12,
         "Customer for 1 month (typical: 9 months) raises the churn risk by 12 points"),
        ("Tenure", None, 9.0, 0.05,
         "Customer for: not known (typical: 9 months) raises the churn risk by 5 points"),
        ("WarehouseToHome", 30.0, 14.0, 0.0123,
         "Warehouse to home: 30 km (typical: 14 km) raises the churn risk by 1.2 points"),
        ("DaySinceLastOrder", 3.0, None, -0.01,
         "Days since the last order: 3 (typical: not known) lowers the churn risk by 1 point"),
        ("OrderAmountHikeFromlastYear", 11.0, 15.0, 0.0,
         "Order amount hike: 11% (typical: 15%) hardly changes the churn risk"),
        ("CashbackAmount", 120.5, 164.0, 0.3,
         "Average cashback: 120.50 (typical: 164.00) raises the churn risk by 30 points"),
        ("Complain", "1", "0", 0.2,
         "Complained last month: yes (typical: no) raises the churn risk by 20 points"),
        ("CityTier", "3", "1", 0.2,
         "City tier: 3 (typical: 1) raises the churn risk by 20 points"),
        ("PreferredLoginDevice", "Fridge", "Computer", -0.2,
         "Preferred login device: Fridge (typical: Computer) lowers the churn risk by 20 points"),
    ],
)  # fmt: skip
def test_one_field(
    name: str, value: Value, typical: Value, contribution: float, words: str
) -> None:
    assert SHOP.of((name,), value, typical, contribution) == words


def test_codes_are_said_in_the_words_of_the_contract() -> None:
    assert TELECOM.value("contract_type", "2") == "two years"
    assert TELECOM.value("internet_service", "2") == "fibre"
    assert TELECOM.value("paperless_billing", "0") == "no"
    assert TELECOM.value("gender", "0") == "0"  # the source does not say which is which
    assert TELECOM.value("payment_method", "2") == "2"  # the source names one of four
    assert TELECOM.value("contract_type", "7") == "7"


def test_tied_fields_are_listed() -> None:
    names = ("InternetService", "OnlineSecurity", "OnlineBackup", "StreamingTV")
    assert TELCO.of(names, "No", "Fiber optic", -0.25) == (
        "Internet service: No (typical: Fiber optic), together with online security, online backup "
        "and streaming TV, lowers the churn risk by 25 points"
    )


@pytest.mark.parametrize(
    ("contribution", "words"),
    [
        (0.0004, "hardly changes the churn risk"),
        (0.0005, "raises the churn risk by 0.1 points"),
        (0.01, "raises the churn risk by 1 point"),
        (-0.0994, "lowers the churn risk by 9.9 points"),
        (0.0996, "raises the churn risk by 10 points"),
        (0.496, "raises the churn risk by 50 points"),
    ],
)
def test_points_are_rounded_as_people_read_them(contribution: float, words: str) -> None:
    assert effect_words(contribution) == words


@pytest.mark.parametrize(
    ("unit", "one", "two"),
    [
        ("months", "1 month", "2 months"),
        ("deliveries", "1 delivery", "2 deliveries"),
        ("branches", "1 branch", "2 branches"),
        ("km", "1 km", "2 km"),
        ("USD", "1 USD", "2 USD"),
        ("percent", "1%", "2%"),
        (None, "1", "2"),
    ],
)
def test_units_agree_with_their_number(unit: str | None, one: str, two: str) -> None:
    column = Column(kind="integer", unit=unit)
    assert [number_words(v, column, "Size") for v in (1.0, 2.0)] == [one, two]


def test_decimals_are_the_contracts() -> None:
    assert number_words(1 / 3, Column(kind="number"), "x") == "0.333333"
    assert number_words(1 / 3, Column(kind="number", decimals=1), "x") == "0.3"


def test_a_description_that_names_no_codes_gives_no_words() -> None:
    labels = ("0", "1")
    for text in ("0 or 1, while every other flag is No or Yes.", "", "Says nothing about churn."):
        assert code_words(Column(kind="category", categories=labels, description=text)) == {}

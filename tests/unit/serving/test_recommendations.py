"""Recommendations: drivers that can be acted on, then the band's."""

from __future__ import annotations

import pytest

from fedchurn.contract.conditions import Value
from fedchurn.contract.load import load_contract
from fedchurn.contract.schema import Contract
from fedchurn.serving.explaining.explanation import Contribution, Explanation
from fedchurn.serving.explaining.recommendations import MAX_DRIVERS, MIN_CONTRIBUTION, Advisor

SHOP = load_contract("ecommerce")
ADVICE = SHOP.driver_recommendations
BANDS = {band.name: band.recommendations for band in SHOP.risk_bands}


def explained(*drivers: tuple[str, Value, Value, float]) -> Explanation:
    return Explanation(0.1, tuple(Contribution(*driver, "because") for driver in drivers))


def first_advice(*drivers: tuple[str, Value, Value, float]) -> tuple[str, ...]:
    """What the drivers add to the band's advice."""
    found = Advisor(SHOP).recommend(0.1, explained(*drivers))
    assert found[len(found) - len(BANDS["Low"]) :] == BANDS["Low"]
    return found[: len(found) - len(BANDS["Low"])]


@pytest.mark.parametrize(
    ("probability", "band"),
    [(0.0, "Low"), (0.39, "Low"), (0.4, "Medium"), (0.69, "Medium"), (0.7, "High"), (1.0, "High")],
)
def test_without_explanation_the_band_alone_advises(probability: float, band: str) -> None:
    assert Advisor(SHOP).recommend(probability, None) == BANDS[band]


def test_drivers_come_first_strongest_first() -> None:
    found = first_advice(("Complain", "1", "0", 0.2), ("OrderCount", 1.0, 2.0, 0.1))
    assert found == (ADVICE["Complain"], ADVICE["OrderCount"])


def test_trifles_and_what_keeps_the_customer_give_no_advice() -> None:
    assert not first_advice(
        ("Complain", "1", "0", MIN_CONTRIBUTION - 1e-9), ("OrderCount", 1.0, 2.0, -0.5)
    )
    assert first_advice(("Complain", "1", "0", MIN_CONTRIBUTION))


def test_a_few_drivers_are_enough() -> None:
    names = ("Complain", "OrderCount", "CityTier", "CouponUsed", "NumberOfAddress")
    assert len(first_advice(*((name, "x", "y", 0.1) for name in names))) == MAX_DRIVERS


def test_sensitive_fields_are_nothing_to_act_on() -> None:
    advice = {**ADVICE, "Gender": "Treat women differently"}
    contract = SHOP.model_copy(update={"driver_recommendations": advice})
    explanation = explained(("Gender", "Female", "Male", 0.4))
    assert Advisor(contract).recommend(0.1, explanation) == BANDS["Low"]


def test_unknown_values_are_nothing_to_act_on() -> None:
    assert not first_advice(("Tenure", None, 9.0, 0.4))


def test_advice_is_for_the_side_where_the_contract_sees_the_risk() -> None:
    # Rules of the shop: a tenure of 1 month adds risk, one of 12 takes some away.
    assert first_advice(("Tenure", 1.0, 9.0, 0.4)) == (ADVICE["Tenure"],)
    assert not first_advice(("Tenure", 30.0, 9.0, 0.4))
    assert first_advice(("WarehouseToHome", 3.0, 9.0, 0.4))  # no rule says anything about it


def test_equal_advice_is_given_once() -> None:
    telco: Contract = load_contract("telco")
    streams = explained(("StreamingTV", "Yes", "No", 0.2), ("StreamingMovies", "Yes", "No", 0.1))
    found = Advisor(telco).recommend(0.9, streams)
    assert found.count("Review the streaming package with the customer") == 1
    assert len(found) == len(set(found))

"""The typical customer: medians and modes that a customer can have."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from fedchurn.contract.load import load_contract
from fedchurn.contract.schema import Contract
from fedchurn.errors import IntegrityError
from fedchurn.release.scorer import Scorer
from fedchurn.serving.explaining.reference_customer import reference_customer
from fedchurn.serving.explaining.reference_customer_rules import obeying
from tests.unit.release.releases import CONTRACT, ENCODER, scorer
from tests.unit.serving.explained_shop import REFERENCE, cells, shop_contract


def with_pooled(kind: str, name: str, sums: dict[str, Any]) -> dict[str, Any]:
    pooled = {**REFERENCE["pooled"], kind: {**REFERENCE["pooled"][kind], name: sums}}
    return {**REFERENCE, "pooled": pooled}


def with_column(name: str, **changes: Any) -> Scorer:
    column = CONTRACT.columns[name].model_copy(update=changes)
    contract = CONTRACT.model_copy(update={"columns": {**CONTRACT.columns, name: column}})
    return dataclasses.replace(scorer(), contract=contract)


def test_medians_and_modes_of_the_federated_histograms() -> None:
    found = reference_customer(scorer(), REFERENCE)
    assert dict(found.values) == {
        "Tenure": 12.0, "Cashback": 150.31, "Device": "Computer", "City": "bucket_2",
    }  # fmt: skip
    assert found.numbers.tolist() == [12.0, 150.31]
    assert found.codes.tolist() == [1, 2]


def test_without_histograms_the_encoder_knows_the_median() -> None:
    found = reference_customer(scorer(), {"Tenure": {"edges": [0, 30, 60], "counts": [5, 7]}})
    assert (found.values["Tenure"], found.values["Cashback"]) == (20.0, 150.0)
    assert found.values["Device"] == "Phone"


def test_integers_stay_whole_and_within_limits() -> None:
    # The encoder's 20.0 as something else: 20.5 is no number of months, 300 no possible one.
    for fill, expected in ((20.6, 21.0), (300.0, 240.0), (-3.0, 0.0)):
        tenure, *others = ENCODER.encodings
        encoder = dataclasses.replace(
            ENCODER, encodings=(dataclasses.replace(tenure, fill=fill), *others)
        )
        found = reference_customer(dataclasses.replace(scorer(), encoder=encoder), {})
        assert found.values["Tenure"] == expected


def test_a_column_that_most_customers_lack_is_missing() -> None:
    lacking = {**cells("Tenure", [3, 4]), "missing": 5}
    found = reference_customer(scorer(), with_pooled("numbers", "Tenure", lacking))
    assert found.values["Tenure"] is None
    assert np.isnan(found.numbers[0])


def test_a_column_that_must_be_there_is_there() -> None:
    lacking = {**cells("Tenure", [3, 3]), "missing": 5}
    found = reference_customer(
        with_column("Tenure", nullable=False), with_pooled("numbers", "Tenure", lacking)
    )
    assert found.values["Tenure"] == 3.0


@pytest.mark.parametrize(("nullable", "expected"), [(True, None), (False, "Phone")])
def test_missing_is_a_label_where_it_may_be(nullable: bool, expected: str | None) -> None:
    counts = {"cells": [4, 3], "missing": 9, "unknown": 20}
    found = reference_customer(
        with_column("Device", nullable=nullable), with_pooled("categories", "Device", counts)
    )
    assert found.values["Device"] == expected
    assert found.codes[0] == (-1 if nullable else 0)


def test_a_typical_row_that_breaks_a_rule_is_mended() -> None:
    # Most have no tenure, and most have some cashback: together impossible.
    lacking = {**cells("Tenure", [3, 4]), "missing": 5}
    shop = dataclasses.replace(scorer(), contract=shop_contract())
    found = reference_customer(shop, with_pooled("numbers", "Tenure", lacking))
    assert found.values["Tenure"] is None
    assert found.values["Cashback"] == 0.0


TELCO = load_contract("telco")


def telco_row(**changes: Any) -> dict[str, Any]:
    add_ons = ("OnlineSecurity", "OnlineBackup", "DeviceProtection", "TechSupport")
    streams = ("StreamingTV", "StreamingMovies")
    return {
        "PhoneService": "Yes", "MultipleLines": "No", "InternetService": "DSL", "tenure": 9.0,
        "MonthlyCharges": 50.0, "TotalCharges": 450.0,
        **dict.fromkeys((*add_ons, *streams), "No"), **changes,
    }  # fmt: skip


def others(contract: Contract, **values: tuple[Any, ...]) -> dict[str, tuple[Any, ...]]:
    return {**dict.fromkeys(contract.columns, ()), **values}


@pytest.mark.parametrize(
    "odd",
    [
        {"pooled": []},
        {"pooled": {"numbers": {"Tenure": {"missing": 0, "cells": [[0, 1]]}}}},  # no count
        with_pooled("categories", "Device", {"cells": [1], "missing": 0}),  # two labels
    ],
)
def test_a_reference_of_another_format_names_its_file(odd: dict[str, Any]) -> None:
    with pytest.raises(IntegrityError, match=r"reference\.json"):
        reference_customer(scorer(), odd)


def test_an_obedient_row_stays() -> None:
    assert obeying(telco_row(), TELCO, others(TELCO)) == telco_row()


def test_the_label_that_gives_way_is_the_one_that_follows() -> None:
    lines = ("Yes", "No phone service")
    row = telco_row(PhoneService="No")
    mended = obeying(row, TELCO, others(TELCO, MultipleLines=lines, PhoneService=("Yes",)))
    assert mended == {**row, "MultipleLines": "No phone service"}


def test_a_product_is_put_right() -> None:
    mended = obeying(telco_row(TotalCharges=5000.0), TELCO, others(TELCO))
    assert mended["TotalCharges"] == 450.0


def test_what_cannot_be_mended_stays() -> None:
    row = telco_row(PhoneService="No")
    assert obeying(row, TELCO, others(TELCO)) == row

"""What ``POST /predict`` and ``GET /release`` answer, asked of the service in this process."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedchurn.contract.schema import RiskBand
from fedchurn.release.load import Release, load_release
from fedchurn.release.write import write_release
from tests.unit.bentos.in_process import Client, running_service
from tests.unit.release.releases import parts

# BentoML 1.4 overrides what pydantic 2.11 deprecated; it warns while it is imported.
pytestmark = pytest.mark.filterwarnings(
    "ignore:.*__get_pydantic_core_schema__.*:pydantic.warnings.PydanticDeprecatedSince211"
)
CUSTOMER = {"Tenure": 4, "Cashback": 20.5, "Device": "Phone", "City": "Turin"}


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Release:
    return load_release(write_release(parts(), tmp_path_factory.mktemp("releases")))


@pytest.fixture(scope="module")
def client(release: Release, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FEDCHURN_RELEASE", str(release.folder))
        patch.setenv("BENTOML_HOME", str(tmp_path_factory.mktemp("bentoml")))
        with running_service() as client:
            yield client


def test_golden_rows_get_their_probabilities(client: Client, release: Release) -> None:
    for row, expected in zip(release.golden.rows, release.golden.probabilities, strict=True):
        answer = client.post("/predict", json=dict(row)).json()
        assert answer["churn_probability"] == pytest.approx(expected, abs=1e-6)
        assert answer["churn_prediction"] == int(expected >= release.card.threshold)
        assert answer["release"] == release.release_id
        assert answer["model_version"] is None  # a folder was named, not a registry version
        assert answer["warnings"] == []


def test_impossible_and_mistyped_fields_are_all_named(client: Client) -> None:
    row = {**CUSTOMER, "Tenure": 999, "Devise": "Phone"}
    answer = client.post("/predict", json=row)
    assert answer.status_code == 422
    assert answer.json()["errors"] == [
        {
            "field": "Tenure",
            "value": 999,
            "limit": "0 to 240",
            "message": "Tenure is 999, which is impossible; accepted: 0 to 240",
            "rule": "hard_limit",
        },
        {
            "field": "Devise",
            "value": "Phone",
            "limit": "did you mean 'Device'?",
            "message": "'Devise' is not a field of contract 'shop'; did you mean 'Device'?",
            "rule": "unknown_field",
        },
    ]


def test_unusual_values_are_served_and_named(client: Client) -> None:
    answer = client.post("/predict", json={**CUSTOMER, "Cashback": 5000, "Device": "Toaster"})
    assert answer.status_code == 200
    assert [(w["field"], w["rule"]) for w in answer.json()["warnings"]] == [
        ("Cashback", "usual_range"),
        ("Device", "unknown_category"),
    ]


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"\xff",
        b"[]",
        b"3",
        b'{"Tenure": NaN}',
        b'{"Tenure": 1e999}',
        b'{"City": "\\ud800"}',
        b"[" * 100_000,
        b'{"Tenure": ' + b"9" * 5000 + b"}",
    ],
    ids=lambda body: repr(body[:20]),
)
def test_a_body_that_is_no_customer_has_the_same_shape(client: Client, body: bytes) -> None:
    answer = client.post("/predict", content=body)
    assert answer.status_code == 422
    (error,) = answer.json()["errors"]
    assert error.keys() == {"field", "value", "limit", "message", "rule"}
    assert error["field"] is None
    assert error["rule"] == "unreadable_body"


def test_long_and_nested_values_are_not_sent_back_whole(client: Client) -> None:
    row = {**CUSTOMER, "Tenure": [[[[[[[[1] * 1000]]]]]]], "Cashback": "x" * 10_000}
    errors = client.post("/predict", json=row).json()["errors"]
    assert [len(error["value"]) < 300 for error in errors] == [True, True]


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from([*CUSTOMER, "Churn", "Odd"]), _VALUES) | _VALUES)
def test_whatever_is_sent_is_answered_or_refused(client: Client, sent: object) -> None:
    answer = client.post("/predict", content=json.dumps(sent).encode())
    assert answer.status_code in (200, 422)
    if answer.status_code == 200:
        assert 0 <= answer.json()["churn_probability"] <= 1
    else:
        assert all(error["message"] for error in answer.json()["errors"])


def test_the_card_says_where_the_release_comes_from(client: Client, release: Release) -> None:
    page = client.get("/release").json()
    assert page["release"] == release.release_id
    assert page["metrics"]["roc_auc"] == 0.899
    assert page["is_sample"] is True


def test_the_page_of_the_service_names_the_answer(client: Client) -> None:
    page = client.get("/docs.json").json()
    assert "churn_probability" in json.dumps(page["components"]["schemas"])
    assert "/predict" in page["paths"]


def test_a_band_reaches_up_to_its_limit() -> None:
    from bentos.churn.service import risk_level

    bands = (RiskBand(name="Low", below=0.4), RiskBand(name="Medium", below=0.7))
    assert risk_level(0.39, bands) == "Low"
    assert risk_level(0.4, bands) == "Medium"
    assert risk_level(0.99, bands) == "Medium"  # the last band reaches to the top

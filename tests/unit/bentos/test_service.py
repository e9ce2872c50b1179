"""The whole service in this process, from the environment's release to answers of both lanes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedchurn.release.load import Release, load_release
from fedchurn.release.write import write_release
from fedchurn.serving.log.log_reader import read_predictions
from tests.unit.bentos.in_process import Client, running_service
from tests.unit.release.releases import parts

# BentoML 1.4 overrides what pydantic 2.11 deprecated; it warns while it is imported.
pytestmark = pytest.mark.filterwarnings(
    "ignore:.*__get_pydantic_core_schema__.*:pydantic.warnings.PydanticDeprecatedSince211"
)
CUSTOMER = {"Tenure": 4, "Cashback": 20.5, "Device": "Phone", "City": "Turin"}
CHANGING = {"prediction_id", "latency_ms", "timestamp"}


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Release:
    return load_release(write_release(parts(), tmp_path_factory.mktemp("releases")))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def client(release: Release, home: Path) -> Iterator[Client]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FEDCHURN_HOME", str(home))
        patch.setenv("FEDCHURN_CONTRACT", "shop")
        patch.setenv("FEDCHURN_RELEASE", str(release.folder))
        patch.setenv("BENTOML_HOME", str(home / "bentoml"))
        with running_service() as client:
            yield client


def steady(answer: dict[str, Any]) -> dict[str, Any]:
    """What two answers to the same question have in common."""
    return {name: value for name, value in answer.items() if name not in CHANGING}


def test_golden_rows_get_their_probabilities_on_both_lanes(
    client: Client, release: Release
) -> None:
    for row, expected in zip(release.golden.rows, release.golden.probabilities, strict=True):
        answer = client.post("/predict", json=dict(row)).json()
        assert answer["churn_probability"] == pytest.approx(expected, abs=1e-6)
        assert answer["churn_prediction"] == int(expected >= release.card.threshold)
        assert answer["release"] == release.release_id
        assert answer["model_version"] is None  # a folder was named, not a registry version
        assert answer["model_used"] == "champion"
        assert answer["warnings"] == []
        wrapped = client.post("/predict", json={"features": dict(row)}).json()
        assert wrapped["churn_probability"] == pytest.approx(expected, abs=1e-6)


@given(st.fixed_dictionaries({}, optional={name: st.just(v) for name, v in CUSTOMER.items()}))
def test_a_row_with_fields_left_out_is_answered_or_every_gap_is_named(
    client: Client, row: dict[str, Any]
) -> None:
    answer = client.post("/predict", json=row)
    gaps = [name for name in CUSTOMER if name not in row and name != "Tenure"]  # that is nullable
    if gaps:
        assert answer.status_code == 422
        assert [error["field"] for error in answer.json()["errors"]] == gaps
    else:
        assert answer.status_code == 200


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
_ROWS = st.dictionaries(st.sampled_from([*CUSTOMER, "Churn", "Odd"]), _VALUES)
_LIKELY = st.fixed_dictionaries(
    {
        "Tenure": st.none() | st.integers(-1, 241),
        "Cashback": st.floats(0, 400) | st.integers(0, 400),
        "Device": st.sampled_from(["Phone", "Computer", " phone", "Toaster"]),
        "City": st.text(max_size=3) | st.integers(0, 9),
    }
)


@given(_ROWS | _LIKELY | _VALUES)
def test_whatever_is_sent_is_answered_or_refused(client: Client, sent: object) -> None:
    answer = client.post("/predict", content=json.dumps(sent).encode())
    assert answer.status_code in (200, 422)
    if answer.status_code == 200:
        assert 0 <= answer.json()["churn_probability"] <= 1
    else:
        assert all(error["message"] for error in answer.json()["errors"])


@given(_ROWS.map(lambda row: {**CUSTOMER, **row}) | _LIKELY)
def test_both_lanes_say_the_same_of_any_row(client: Client, row: dict[str, Any]) -> None:
    flat = client.post("/predict", content=json.dumps(row).encode())
    wrapped = client.post("/predict", content=json.dumps({"features": row}).encode())
    assert flat.status_code == wrapped.status_code
    if flat.status_code == 200:
        quick, slow = steady(flat.json()), steady(wrapped.json())
        for name in ("churn_probability", "confidence"):
            assert quick.pop(name) == pytest.approx(slow.pop(name), abs=1.1e-6)
        assert quick == slow
    elif "is not JSON" not in flat.text:
        assert flat.json() == wrapped.json()


def test_what_was_answered_is_in_the_log_with_its_canonical_values(
    client: Client, home: Path
) -> None:
    sent = {**CUSTOMER, "Tenure": "4", "Device": "Phone"}
    answers = [client.post("/predict", json=row).json() for row in (CUSTOMER, sent)]
    # The page counts what it was asked about, so it writes down first what waits.
    assert client.get("/fallback-stats").json()["total_predictions"] >= 2
    logged = {p.prediction_id: p for p in read_predictions(home / "service/shop/predictions")}
    first, second = (logged[answer["prediction_id"]] for answer in answers)
    assert first.values == second.values
    assert first.probability == pytest.approx(answers[0]["churn_probability"], abs=1e-6)


def test_the_card_says_where_the_release_comes_from(client: Client, release: Release) -> None:
    page = client.get("/release").json()
    assert page["release"] == release.release_id
    assert page["metrics"]["roc_auc"] == 0.899
    assert page["is_sample"] is True


def test_a_caller_cannot_choose_the_address_that_is_limited() -> None:
    from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

    from bentos.churn.service import Churn

    clients: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        clients.append(scope["client"])

    environ = {variable.name: variable.value for variable in Churn.envs}
    served: Any = ProxyHeadersMiddleware(app, trusted_hosts=environ["FORWARDED_ALLOW_IPS"])
    headers = [(b"x-forwarded-for", b"10.0.0.7")]
    for peer in ("127.0.0.1", "::1"):
        scope = {"type": "http", "client": (peer, 1), "headers": headers}
        asyncio.run(served(scope, None, None))
    assert clients == [("127.0.0.1", 1), ("::1", 1)]

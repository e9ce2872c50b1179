"""Whatever goes wrong has one shape, a fitting status, and never a traceback."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedchurn.errors import ReleaseError
from fedchurn.serving.reload.reloader import Reloader
from tests.unit.bentos.shipped import Api, Drift
from tests.unit.release.releases import parts

ROW = {"Tenure": 4, "Cashback": 20.5, "Device": "Phone", "City": "Turin"}
JSON = {"content-type": "application/json"}
SHAPE = ["field", "limit", "message", "nearest", "rule", "value"]
POSTS = (
    "/predict",
    "/predict/single",
    "/predict/batch",
    "/feedback",
    "/webhook/drift-alert",
    "/reload-model",
)


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    api = Api(tmp_path_factory.mktemp("home"), parts(), max_body_bytes=100_000)
    yield api
    api.close()


def only_error(response: httpx.Response, status: int) -> dict[str, Any]:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    (error,) = response.json()["errors"]
    assert sorted(error) == SHAPE
    assert error["message"]
    return error


UNREADABLE = [
    b"{",
    b"\xff",
    b"[]",
    b"3",
    b"null",
    b'"text"',
    b" ",
    b'{"Tenure": NaN}',
    b'{"Tenure": Infinity}',
    b'{"Tenure": 1e999}',
    b'{"City": "\\ud800"}',
    b'{"\\ud800": 1}',
    b"[" * 50_000,
    b'{"a":' * 10_000,
    b'{"Tenure": ' + b"9" * 5000 + b"}",
    b'{"Tenure": 1, "Tenure": 2}',
    b'{"Tenure": 1} {"Tenure": 2}',
    b'{"Tenure": 1,}',
    '{"Tenure": 1}'.encode("utf-16"),
]


@pytest.mark.parametrize("path", POSTS)
@pytest.mark.parametrize("body", UNREADABLE, ids=lambda body: repr(body[:20]))
def test_a_body_that_is_no_json_object(api: Api, path: str, body: bytes) -> None:
    if path == "/reload-model" and not body.strip():
        return  # there the body may be left out
    error = only_error(api.post(path, content=body, headers=JSON), 422)
    assert (error["rule"], error["field"]) == ("unreadable_body", None)


@pytest.mark.parametrize("path", POSTS)
def test_a_body_beyond_the_limit(api: Api, path: str) -> None:
    error = only_error(api.post(path, content=b" " * 100_001, headers=JSON), 413)
    assert (error["rule"], error["limit"]) == ("too_large", "100000 bytes")


@pytest.mark.parametrize("path", POSTS)
@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "x", "é"])
def test_a_body_of_another_type(api: Api, path: str, kind: str) -> None:
    headers = [(b"content-type", kind.encode())]
    error = only_error(api.post(path, content=b"{}", headers=headers), 415)
    assert (error["rule"], error["field"]) == ("unreadable_body", "content-type")


def test_a_compressed_body(api: Api) -> None:
    headers = {**JSON, "content-encoding": "gzip"}
    only_error(api.post("/predict", content=b"{}", headers=headers), 415)


@pytest.mark.parametrize("kind", ["application/json; charset=utf-8", "application/ld+json", ""])
def test_json_by_its_other_names(api: Api, kind: str) -> None:
    body = json.dumps(ROW).encode()
    assert api.post("/predict", content=body, headers={"content-type": kind}).status_code == 200


@pytest.mark.parametrize(
    "form",
    [b"", b"--x", b"--x--", b'--x\r\ncontent-disposition: form-data; name="a"\r\n\r\n1\r\n--x--'],
)
@pytest.mark.parametrize("boundary", ["", "; boundary=x", "; boundary=\xff"])
def test_a_form_without_a_file(api: Api, form: bytes, boundary: str) -> None:
    headers = [(b"content-type", b"multipart/form-data" + boundary.encode("latin-1"))]
    only_error(api.post("/predict/batch", content=form, headers=headers), 422)


def test_paths_that_do_not_exist(api: Api) -> None:
    for path in ("/nope", "/predict/", "/predict/batch/1", "/%ff"):
        assert only_error(api.post(path, json=ROW), 404)["rule"] == "not_found"


def test_methods_that_a_path_does_not_take(api: Api) -> None:
    for method, path in (("GET", "/predict"), ("POST", "/health"), ("DELETE", "/release")):
        response = api.request(method, path)
        error = only_error(response, 405)
        assert error["rule"] == "method_not_allowed"
        assert response.headers["allow"] == error["limit"]


@pytest.mark.parametrize(
    ("body", "field", "rule"),
    [
        ({"features": 3}, "features", "not_an_object"),
        ({"features": ROW, "x": 1}, "x", "unknown_field"),
        ({"features": ROW, "customers": [ROW]}, "customers", "unknown_field"),
        ({"customers": 3}, "customers", "not_a_list"),
        ({"customers": {}}, "customers", "not_a_list"),
        ({"customers": []}, "customers", "too_few"),
        ({"customers": [ROW], "x": 1}, "x", "unknown_field"),
        (
            {"customers": [ROW], "include_probabilities": "no"},
            "include_probabilities",
            "not_a_flag",
        ),
        ({"customers": [ROW], "include_explanations": 1}, "include_explanations", "not_a_flag"),
    ],
)
def test_other_shapes_of_a_body(api: Api, body: Any, field: str, rule: str) -> None:
    error = only_error(api.post("/predict", json=body), 422)
    assert (error["field"], error["rule"]) == (field, rule)


def test_a_list_where_one_customer_is_meant(api: Api) -> None:
    only_error(api.post("/predict/single", json={"customers": [ROW]}), 422)
    assert only_error(api.post("/predict/batch", json=ROW), 422)["field"] == "customers"


@pytest.mark.parametrize("query", ["explain=maybe", "explain=", "format=xml"])
def test_query_parameters_of_no_sense(api: Api, query: str) -> None:
    error = only_error(api.post(f"/predict/batch?{query}", json={"customers": [ROW]}), 422)
    assert error["field"] == query.partition("=")[0]


def test_all_impossible_and_missing_fields_are_named_at_once(api: Api) -> None:
    errors = api.post("/predict", json={"Tenure": 999, "Devise": "Phone"}).json()["errors"]
    assert [(e["field"], e["rule"]) for e in errors] == [
        ("Tenure", "hard_limit"),
        ("Cashback", "missing"),
        ("Device", "missing"),
        ("City", "missing"),
        ("Devise", "unknown_field"),
    ]
    assert errors[0] == {
        "field": "Tenure",
        "value": 999,
        "limit": "0 to 240",
        "message": "Tenure is 999, which is impossible; accepted: 0 to 240",
        "rule": "hard_limit",
        "nearest": None,
    }
    assert errors[4]["nearest"] == "Device"


def test_long_names_and_values_are_not_sent_back_whole(api: Api) -> None:
    row = {**ROW, "Tenure": [[[[1] * 1000]]], "Cashback": "x" * 10_000, "n" * 10_000: 10**300}
    response = api.post("/predict", json=row)
    assert response.status_code == 422
    assert len(response.text) < 3000


def test_thousands_of_unknown_fields_cost_one_error(api: Api) -> None:
    row = {**ROW, **{f"f{i}": 1 for i in range(5000)}}
    assert only_error(api.post("/predict", json=row), 422)["value"] == 5000
    spread = [{**ROW, f"f{i}": 1} for i in range(201)]
    assert only_error(api.post("/predict", json={"customers": spread}), 422)["value"] == 201


def test_a_fault_of_ours_is_told_without_its_words(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken:
        def one(self, row: Any, _: Any) -> Any:
            raise RuntimeError(f"cannot bear {row}")

    before = api.parts
    api.change(answering=Broken())
    with caplog.at_level(logging.ERROR):
        error = only_error(api.post("/predict", json={**ROW, "City": "secret"}), 500)
    api.parts = before
    assert error["rule"] == "unexpected"
    assert "RuntimeError" in caplog.text
    assert "secret" not in caplog.text + error["message"]


def test_a_disk_that_takes_nothing_is_503(api: Api) -> None:
    class Full:
        num_received = 0
        newest_decision = None

        def take(self, _: Any) -> None:
            raise ReleaseError("the alert cannot be kept: disk full", next_step="make room")

    before = api.parts
    api.change(alerts=Full())
    error = only_error(api.post("/webhook/drift-alert", json={"alerts": []}), 503)
    api.parts = before
    assert (error["rule"], error["limit"]) == ("unavailable", "make room")


def test_what_is_not_at_work_is_409(api: Api) -> None:
    before = api.parts
    api.change(reloader=None, drift=None, performance=None, feedback=None)
    for method, path in (
        ("POST", "/reload-model"),
        ("POST", "/check-drift"),
        ("GET", "/monitoring/performance"),
        ("POST", "/monitoring/feedback?customer_id=1&label=1"),
    ):
        assert only_error(api.request(method, path), 409)["rule"] == "unavailable"
    api.parts = before


def test_too_few_rows_for_a_drift_check(api: Api) -> None:
    before = api.parts
    api.change(drift=Drift(num_rows=12))
    error = only_error(api.post("/check-drift"), 409)
    api.parts = before
    assert (error["rule"], error["limit"]) == ("too_few", "wait for 30")


@pytest.mark.parametrize(
    ("sent", "status", "rule"),
    [
        ({"release": "shop-9.9.9-000000000000"}, 409, "unknown_release"),
        ({"release": 3}, 422, "not_a_label"),
        ({"release": ""}, 422, "not_a_label"),
        ({"release": "x" * 301}, 422, "not_a_label"),
        ({"version": "3"}, 422, "unknown_field"),
    ],
)
def test_reloads_that_cannot_be(api: Api, sent: Any, status: int, rule: str) -> None:
    assert only_error(api.post("/reload-model", json=sent), status)["rule"] == rule


@pytest.mark.parametrize(
    ("sent", "field", "rule"),
    [
        ({}, "label", "missing"),
        ({"customer_id": "7"}, "label", "missing"),
        ({"label": 1, "actual_churn": 1, "customer_id": "7"}, "actual_churn", "repeated_field"),
        ({"label": 1, "customer_id": "7", "note": "x"}, "note", "unknown_field"),
        ({"actual_churn": "maybe", "customer_id": "7"}, "actual_churn", "not_a_label"),
        (
            {"actual_churn": 1, "customer_id": "7", "feedback_date": 3},
            "feedback_date",
            "not_a_time",
        ),
    ],
)
def test_feedback_that_says_too_little_or_too_much(
    api: Api, sent: Any, field: str, rule: str
) -> None:
    error = only_error(api.post("/feedback", json=sent), 422)
    assert (error["field"], error["rule"]) == (field, rule)


def test_mistyped_fields_of_feedback_name_the_nearest(api: Api) -> None:
    error = only_error(api.post("/feedback", json={"customer_id": "7", "lable": 1}), 422)
    assert (error["field"], error["nearest"]) == ("lable", "label")


@pytest.mark.parametrize("alerts", [None, 3, {}, [3], [{}] * 1001])
def test_alerts_that_are_none(api: Api, alerts: Any) -> None:
    only_error(api.post("/webhook/drift-alert", json={"alerts": alerts}), 422)


def test_a_refused_reload_says_what_was_asked_for_and_what_to_do(tmp_path: Any) -> None:
    api = Api(tmp_path, parts())
    api.change(reloader=Reloader(api.settings, api.served))
    error = only_error(api.post("/reload-model", json={"release": "nope"}), 409)
    assert (error["field"], error["value"], error["rule"]) == ("release", "nope", "unknown_release")
    assert error["message"].endswith("there is no release 'nope'")
    assert error["limit"] == f"accepted: {api.served.release_id}"
    api.close()


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
_NAMES = st.sampled_from([*ROW, "Churn", "Odd", "features", "customers", "label", "alerts"])


@given(st.sampled_from(POSTS), st.dictionaries(_NAMES, _VALUES) | _VALUES)
def test_whatever_is_sent_is_answered_or_refused(api: Api, path: str, sent: object) -> None:
    answer = api.post(path, content=json.dumps(sent).encode(), headers=JSON)
    assert answer.status_code in (200, 409, 422)
    if answer.status_code != 200:
        errors = answer.json()["errors"]
        assert errors
        assert all(error["message"] and error["rule"] for error in errors)


@given(st.binary(max_size=200))
def test_any_bytes_as_a_file(api: Api, content: bytes) -> None:
    answer = api.post("/predict/batch", content=content, headers={"content-type": "text/csv"})
    assert answer.status_code in (200, 422)

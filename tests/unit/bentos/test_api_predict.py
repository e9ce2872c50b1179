"""One customer, many customers, files of customers: what is answered about them."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from typing import Any

import pytest

from fedchurn.serving.examples import example_customers
from tests.unit.bentos.shipped import Api, shipped_api
from tests.unit.release.releases import parts

ROW = {"Tenure": 4, "Cashback": 20.5, "Device": "Phone", "City": "Turin"}
BAD = {**ROW, "Tenure": 999}
CSV = {"content-type": "text/csv"}


@pytest.fixture
def api(tmp_path: Any) -> Iterator[Api]:
    api = Api(tmp_path, parts())
    yield api
    api.close()


def test_golden_rows_get_their_probabilities_however_they_are_sent(api: Api) -> None:
    golden = api.served.release.golden
    batch = api.post("/predict/batch", json={"customers": list(golden.rows)}).json()["predictions"]
    for row, expected, in_batch in zip(golden.rows, golden.probabilities, batch, strict=True):
        flat = api.post("/predict", json=row).json()
        wrapped = api.post("/predict/single", json={"features": row}).json()
        for answer in (flat, wrapped, in_batch):
            assert answer["churn_probability"] == pytest.approx(expected, abs=2e-6)
            assert answer["churn_prediction"] == int(expected >= api.served.threshold)
            assert answer["release"] == api.served.release_id
            assert answer["model_version"] == "7"


def test_a_plain_answer_has_its_fields_in_this_order(api: Api) -> None:
    answer = api.post("/predict", json=ROW).json()
    assert list(answer) == [
        "prediction_id",
        "customer_id",
        "churn_probability",
        "churn_prediction",
        "will_churn",
        "risk_level",
        "confidence",
        "model_used",
        "is_fallback",
        "fallback_reason",
        "model_version",
        "release",
        "churn_rate_baseline",
        "latency_ms",
        "timestamp",
        "warnings",
    ]


def test_probabilities_have_six_decimals(api: Api) -> None:
    answer = api.post("/predict", json=ROW).json()
    for name in ("churn_probability", "confidence"):
        assert answer[name] == round(answer[name], 6)
    assert answer["confidence"] == pytest.approx(
        max(answer["churn_probability"], 1 - answer["churn_probability"])
    )


def test_explanations_are_given_when_asked_for(api: Api) -> None:
    assert "feature_contributions" not in api.post("/predict", json=ROW).json()
    answer = api.post("/predict?explain=true", json=ROW).json()
    total = sum(one["contribution"] for one in answer["feature_contributions"])
    assert answer["base_probability"] + total == pytest.approx(
        answer["churn_probability"], abs=1e-5
    )
    assert isinstance(answer["recommendations"], list)


def test_the_setting_explains_unless_the_caller_says_no(tmp_path: Any) -> None:
    api = Api(tmp_path, parts(), explain=True)
    assert "feature_contributions" in api.post("/predict", json=ROW).json()
    assert "feature_contributions" not in api.post("/predict?explain=0", json=ROW).json()
    api.close()


def test_good_rows_are_answered_and_bad_ones_told_by_index(api: Api) -> None:
    sent = {"customers": [ROW, BAD, 3, ROW, {}]}
    response = api.post("/predict", json=sent)
    assert response.status_code == 200
    answer = response.json()
    assert [p["customer_index"] for p in answer["predictions"]] == [0, 3]
    assert [(e["index"], e["rule"]) for e in answer["errors"]] == [
        (1, "hard_limit"),
        (2, "not_an_object"),
        (4, "missing"),
        (4, "missing"),
        (4, "missing"),
    ]
    assert (answer["total_customers"], answer["num_answered"], answer["num_refused"]) == (5, 2, 3)
    assert ("Tenure", "hard_limit") in api.metrics.refusals


def test_a_batch_without_a_good_row_is_refused(api: Api) -> None:
    response = api.post("/predict/batch", json={"customers": [BAD, BAD]})
    assert response.status_code == 422
    assert [error["index"] for error in response.json()["errors"]] == [0, 1]


def test_flags_of_a_batch_are_honoured(api: Api) -> None:
    body = {"customers": [ROW], "include_probabilities": False, "include_explanations": True}
    (answer,) = api.post("/predict/batch", json=body).json()["predictions"]
    assert "churn_probability" not in answer
    assert "confidence" not in answer
    assert "feature_contributions" in answer
    assert answer["risk_level"]


@pytest.mark.parametrize("num_rows", [1, 1000])
def test_largest_and_smallest_batch(api: Api, num_rows: int) -> None:
    answer = api.post("/predict/batch", json={"customers": [ROW] * num_rows}).json()
    assert answer["num_answered"] == num_rows
    assert len({p["prediction_id"] for p in answer["predictions"]}) == num_rows


@pytest.mark.parametrize("num_rows", [0, 1001])
def test_batches_of_another_size_are_refused(api: Api, num_rows: int) -> None:
    answer = api.post("/predict/batch", json={"customers": [ROW] * num_rows})
    assert answer.status_code == 422
    (error,) = answer.json()["errors"]
    assert (error["value"], error["limit"]) == (num_rows, "1 to 1000 rows")


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_file_gets_the_answers_of_its_rows(api: Api, delimiter: str) -> None:
    cells = [["Device", "City", "Tenure", "Cashback"], ["Phone", "Turin", "4", "20.5"]]
    text = "\ufeff" + "\r\n".join(delimiter.join(line) for line in cells) + "\r\n"
    (answer,) = api.post("/predict/batch", content=text.encode(), headers=CSV).json()["predictions"]
    assert answer["churn_probability"] == api.post("/predict", json=ROW).json()["churn_probability"]


def test_a_file_in_a_form(api: Api) -> None:
    files = {"file": ("customers.csv", b"Tenure,Cashback,Device,City\n4,20.5,Phone,Turin\n")}
    answer = api.post("/predict/batch", files=files)
    assert answer.json()["num_answered"] == 1


def test_empty_cells_are_missing_values(api: Api) -> None:
    text = b"Tenure,Cashback,Device,City\n,20.5,Phone,Turin\n4,,Phone,Turin\n"
    answer = api.post("/predict/batch", content=text, headers=CSV).json()
    assert [p["customer_index"] for p in answer["predictions"]] == [0]
    assert [(e["index"], e["field"], e["rule"]) for e in answer["errors"]] == [
        (1, "Cashback", "missing")
    ]


def test_feedback_at_once_is_about_the_prediction_just_made(tmp_path: Any) -> None:
    api = shipped_api(tmp_path, "ecommerce")
    named = {**example_customers(api.served.contract)["typical"], "CustomerID": 50001}
    for _ in range(2):
        made = api.post("/predict", json=named).json()["prediction_id"]
        receipt = api.post("/feedback", json={"customer_id": 50001, "label": 1}).json()
        assert (receipt["is_known"], receipt["entry"]["prediction_id"]) == (True, made)
    api.close()


def test_a_mistyped_id_is_told_as_such(tmp_path: Any) -> None:
    api = shipped_api(tmp_path, "ecommerce")
    named = {**example_customers(api.served.contract)["typical"], "customer_id": "7"}
    (error,) = api.post("/predict", json=named).json()["errors"]
    assert error["nearest"] == "CustomerID"
    assert error["limit"].split(", ") == ["CustomerID", *api.served.contract.columns]
    header, row = api.get("/predict/template.csv").text.splitlines()
    text = f"{header.replace('CustomerID', 'customer_id')}\n7{row}\n"
    (error,) = api.post("/predict/batch", content=text, headers=CSV).json()["errors"]
    assert (error["field"], error["nearest"]) == ("customer_id", "CustomerID")
    api.close()


@pytest.mark.parametrize("text", ["", "  "])
def test_a_blank_id_names_no_customer(tmp_path: Any, text: str) -> None:
    api = shipped_api(tmp_path, "ecommerce")
    named = {**example_customers(api.served.contract)["typical"], "CustomerID": text}
    assert api.post("/predict", json=named).json()["customer_id"] is None
    template = api.get("/predict/template.csv").content
    (answer,) = api.post("/predict/batch", content=template, headers=CSV).json()["predictions"]
    assert answer["customer_id"] is None
    api.close()


@pytest.mark.parametrize(
    "how", [{"params": {"format": "csv"}}, {"headers": {"accept": "text/csv"}}]
)
def test_answers_as_a_file(api: Api, how: dict[str, Any]) -> None:
    body = {"customers": [ROW, BAD]}
    answer = api.post("/predict/batch", json=body, **how)
    assert answer.headers["content-type"].startswith("text/csv")
    assert "attachment" in answer.headers["content-disposition"]
    good, bad = csv.DictReader(io.StringIO(answer.text))
    assert float(good["churn_probability"]) == pytest.approx(0.0, abs=1)
    assert (good["Tenure"], good["errors"]) == ("4", "")
    assert (bad["Tenure"], bad["churn_probability"]) == ("999", "")
    assert "impossible" in bad["errors"]


def test_a_file_says_why_and_what_to_do_when_asked(api: Api) -> None:
    body = {"customers": [ROW, BAD]}
    (told,) = api.post("/predict/batch?explain=true", json=body).json()["predictions"]
    answer = api.post("/predict/batch?explain=true&format=csv", json=body)
    good, bad = csv.DictReader(io.StringIO(answer.text))
    strongest = [one["reason"] for one in told["feature_contributions"][:3]]
    assert good["reasons"] == "; ".join(strongest) != ""
    assert good["recommendations"] == "; ".join(told["recommendations"])
    assert (bad["reasons"], bad["recommendations"]) == ("", "")
    (plain, _) = csv.DictReader(io.StringIO(api.post("/predict/batch?format=csv", json=body).text))
    assert plain["reasons"] == ""


def test_no_cell_of_an_answer_is_a_formula(api: Api) -> None:
    risky = ["=1+1", "+1+1", "-1+1", "@SUM(A1)", "\t=1", " =1"]
    body = {"customers": [{**ROW, "City": text} for text in risky]}
    answer = api.post("/predict/batch?format=csv", json=body)
    rows = list(csv.DictReader(io.StringIO(answer.text, newline="")))
    assert [row["City"] for row in rows] == ["'" + text for text in risky]


def test_numbers_below_zero_stay_numbers(api: Api) -> None:
    body = {"customers": [{**ROW, "Cashback": -5.25}]}
    answer = api.post("/predict/batch?format=csv", json=body)
    assert next(csv.DictReader(io.StringIO(answer.text)))["Cashback"] == "-5.25"


def test_the_template_is_a_file_that_is_answered(api: Api) -> None:
    template = api.get("/predict/template.csv")
    assert template.headers["content-type"].startswith("text/csv")
    answer = api.post("/predict/batch", content=template.content, headers=CSV).json()
    assert (answer["num_answered"], answer["errors"]) == (1, [])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "it is empty"),
        (b"Tenure,Cashback,Device,City\n", "0 customers"),
        (b"Tenure,Cashback,Device,City\n" + b"4,20.5,Phone,x\n" * 1001, "more than 1000"),
        (b"\xff\xfe", "not UTF-8"),
        (b'Tenure,Cashback,Device,City\n"4,2', "line 2"),
        (b"Tenure,Tenure\n1,2\n", "two columns"),
        (b"Tenure,\n1,2\n", "has no name"),
        (b",".join(b"c%d" % i for i in range(1001)) + b"\n1\n", "1001 columns"),
        (b"Tenur,Cashback,Device,City\n4,20.5,Phone,x\n", "did you mean 'Tenure'"),
    ],
)
def test_files_that_are_no_tables(api: Api, content: bytes, said: str) -> None:
    answer = api.post("/predict/batch", content=content, headers=CSV)
    assert answer.status_code == 422
    (error,) = answer.json()["errors"]
    assert said in error["message"]


def test_other_columns_of_a_file_are_ignored_and_named(api: Api) -> None:
    text = b"Surname,Tenure,Cashback,Device,City\nBianchi,4,20.5,Phone,Turin\n"
    answer = api.post("/predict/batch", content=text, headers=CSV).json()
    assert answer["ignored_columns"] == ["Surname"]
    assert answer["num_answered"] == 1


def test_rows_with_missing_cells_are_told(api: Api) -> None:
    text = b"Tenure,Cashback,Device,City\n4,20.5\n\n4,20.5,Phone,Turin\n4,20.5,Phone,Turin,x\n"
    answer = api.post("/predict/batch", content=text, headers=CSV).json()
    assert [(e["index"], e["rule"]) for e in answer["errors"]] == [
        (0, "ragged_row"),
        (2, "ragged_row"),
    ]


def test_what_was_answered_is_in_the_log(api: Api) -> None:
    answer = api.post("/predict", json=ROW).json()
    api.recorder.flush()
    (line,) = [
        text
        for path in api.settings.predictions_folder.rglob("*")
        if path.is_file()
        for text in path.read_text().splitlines()
        if answer["prediction_id"] in text
    ]
    assert "Turin" in line


def test_warnings_name_the_nearest_label(api: Api) -> None:
    (warning,) = api.post("/predict", json={**ROW, "Device": "Phon"}).json()["warnings"]
    assert (warning["rule"], warning["nearest"]) == ("unknown_category", "Phone")


def test_mistyped_fields_name_the_nearest(api: Api) -> None:
    answer = api.post("/predict", content=json.dumps({**ROW, "Tenur": 1}).encode())
    (error,) = answer.json()["errors"]
    assert (error["rule"], error["nearest"]) == ("unknown_field", "Tenure")

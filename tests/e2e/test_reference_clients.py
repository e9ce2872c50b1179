"""Clients of the reference systems call a real service: their payloads as they stand, by urllib.

One service per contract that they used. Every documented field of an answer is there, of the kind
that was documented.
"""

from __future__ import annotations

import dataclasses
import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import datetime
from typing import Any

import pytest

from fedchurn.contract.load import load_contract
from fedchurn.contract.schema import Contract
from fedchurn.release.load import load_release
from fedchurn.release.write import write_release
from tests.e2e.served import service_environ, serving
from tests.unit.bentos.shipped import release_parts
from tests.unit.bentos.test_api_reference_shapes import ALERTMANAGER, SHOP, TELCO, TELECOM

pytestmark = pytest.mark.e2e
CUSTOMERS = {"ecommerce": SHOP, "telco": TELCO, "telecom": TELECOM}
NUM_CHECKED = 40  # predictions before drift is checked; fewer than 30 are too few


def drift_reference(contract: Contract) -> dict[str, Any]:
    """A made-up reference of 1000 customers for every column that is watched."""
    edges: dict[str, Any] = {}
    numbers: dict[str, Any] = {}
    categories: dict[str, Any] = {}
    for name, column in contract.columns.items():
        if not column.drift:
            continue
        if column.categories:
            share = 1000 / len(column.categories)
            cells = [share] * len(column.categories)
            categories[name] = {"cells": cells, "missing": 0, "unknown": 0}
        else:
            low, high = column.usual or (0, 1)
            edges[name] = [(low + high) / 2]
            numbers[name] = {"count": 1000, "missing": 0, "cells": [[0, 500], [1, 500]]}
    pooled = {"num_rows": 1000, "numbers": numbers, "categories": categories}
    return {"format": 1, "edges": edges, "pooled": pooled}


@pytest.fixture(scope="module")
def urls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Address of a service per contract, each with some predictions made."""
    with ExitStack() as running:
        found = {}
        for name in CUSTOMERS:
            folder = tmp_path_factory.mktemp(name)
            contract = load_contract(name)
            made = release_parts(contract)
            made = dataclasses.replace(made, reference=drift_reference(contract))
            release = load_release(write_release(made, folder / "releases"))
            environ = service_environ(folder / "home", release)
            found[name] = running.enter_context(serving(environ, folder / "server.log"))
            customers = [_named(contract, CUSTOMERS[name], i) for i in range(NUM_CHECKED)]
            assert post(found[name], "/predict/batch", {"customers": customers})[0] == 200
        yield found


def _named(contract: Contract, customer: dict[str, Any], number: int) -> dict[str, Any]:
    """A customer counts once in a drift check, so each gets an id where the contract has one."""
    return {**customer, contract.id.column: str(number)} if contract.id else customer


def get(url: str, path: str) -> tuple[int, Any]:
    return _asked(urllib.request.Request(url + path))


def post(url: str, path: str, content: object = None) -> tuple[int, Any]:
    """A JSON body, or none at all."""
    if content is None:
        return _asked(urllib.request.Request(url + path, method="POST"))
    body = json.dumps(content).encode()
    return _asked(urllib.request.Request(url + path, body, {"Content-Type": "application/json"}))


def _asked(request: urllib.request.Request) -> tuple[int, Any]:
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def is_probability(value: object) -> bool:
    return isinstance(value, float | int) and not isinstance(value, bool) and 0 <= value <= 1


def is_label(value: object) -> bool:
    return value in (0, 1) and not isinstance(value, bool)


def is_band(value: object) -> bool:
    return value in ("Low", "Medium", "High")


def is_text(value: object) -> bool:
    return isinstance(value, str) and value != ""


def is_time(value: object) -> bool:
    return isinstance(value, str) and datetime.fromisoformat(value).tzinfo is not None


def is_flag(value: object) -> bool:
    return isinstance(value, bool)


def is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def is_number(value: object) -> bool:
    return isinstance(value, float | int) and not isinstance(value, bool)


def is_list(value: object) -> bool:
    return isinstance(value, list)


def is_object(value: object) -> bool:
    return isinstance(value, dict)


def is_nothing(value: object) -> bool:
    return value is None


Kind = Callable[[object], bool]


def maybe(kind: Kind) -> Kind:
    """The kind, or null where this service has none."""
    return lambda value: value is None or kind(value)


Fields = dict[str, Kind]
PREDICTION: dict[str, tuple[str, dict[str, Any], Fields]] = {
    "system 0": (
        "ecommerce",
        SHOP,
        {
            "churn_probability": is_probability,
            "churn_prediction": is_label,
            "risk_level": is_band,
            "latency_ms": is_number,
            "model_version": maybe(is_text),
        },
    ),
    "system 1": (
        "telco",
        {"features": TELCO},
        {
            "churn_prediction": is_label,
            "churn_probability": is_probability,
            "model_used": is_text,
            "is_fallback": is_flag,
            "fallback_reason": is_nothing,
        },
    ),
    "system 2": (
        "telco",
        {"customerID": "7590-VHVEG", **TELCO},
        {
            "customer_id": is_text,
            "churn_prediction": is_label,
            "churn_probability": is_probability,
            "risk_level": is_band,
            "confidence": is_probability,
            "timestamp": is_time,
            "model_version": maybe(is_text),
        },
    ),
    "system 4": (
        "telecom",
        TELECOM,
        {
            "churn_prediction": is_label,
            "churn_probability": is_probability,
            "feature_contributions": is_list,
            "churn_rate_baseline": is_probability,
        },
    ),
}

# Call, contract, body (None: no body), fields.
CALLS: dict[str, tuple[str, str, object, Fields]] = {
    "0 index": (
        "GET /",
        "ecommerce",
        None,
        {
            "message": is_text,
            "version": is_text,
            "model_version": maybe(is_text),
            "mlflow_tracking_uri": maybe(is_text),
            "endpoints": is_object,
        },
    ),
    "0 health": (
        "GET /health",
        "ecommerce",
        None,
        {
            "status": is_text,
            "model_loaded": is_flag,
            "preprocessor_loaded": is_flag,
            "model_version": maybe(is_text),
            "drift_monitoring_active": is_flag,
            "reference_data_size": is_count,
            "monitoring_data_size": is_count,
        },
    ),
    "0 model-info": (
        "GET /model-info",
        "ecommerce",
        None,
        {
            "model_registry_name": is_text,
            "current_version": maybe(is_text),
            "accuracy": is_probability,
            "input_shape": is_list,
            "output_shape": is_list,
            "model_type": is_text,
            "preprocessor_path": is_text,
            "mlflow_tracking_uri": maybe(is_text),
            "model_name": is_text,
            "version": maybe(is_text),
            "stage": is_text,
            "run_id": is_text,
            "f1_score": is_probability,
            "created_at": is_time,
            "mlflow_uri": maybe(is_text),
        },
    ),
    "0 reload-model": (
        "POST /reload-model",
        "ecommerce",
        None,
        {
            "status": is_text,
            "new_version": maybe(is_text),
            "accuracy": is_probability,
            "message": is_text,
            "previous_version": maybe(is_text),
        },
    ),
    "0 check-drift": (
        "POST /check-drift",
        "ecommerce",
        None,
        {
            "drift_detected": is_flag,
            "features_with_drift": is_object,
            "total_features_checked": is_count,
            "status": is_text,
            "drifted_features": is_list,
            "timestamp": is_time,
        },
    ),
    "0 drift-status": (
        "GET /drift-status",
        "ecommerce",
        None,
        {
            "reference_samples": is_count,
            "monitoring_samples": is_count,
            "drift_threshold": is_number,
            "monitoring_active": is_flag,
            "drift_detected": maybe(is_flag),
            "reference_size": is_count,
            "monitoring_size": is_count,
            "drift_scores": is_object,
            "features_with_drift": is_list,
        },
    ),
    "0 webhook": ("POST /webhook/drift-alert", "ecommerce", ALERTMANAGER, {"status": is_text}),
    "1 index": (
        "GET /",
        "telco",
        None,
        {
            "service": is_text,
            "version": is_text,
            "docs": is_text,
            "health": is_text,
            "metrics": is_text,
            "fallback_enabled": is_flag,
        },
    ),
    "1 health": (
        "GET /health",
        "telco",
        None,
        {"status": is_text, "model_loaded": is_flag, "timestamp": is_time},
    ),
    "1 ready": ("GET /ready", "telco", None, {"status": is_text}),
    "1 fallback-stats": (
        "GET /fallback-stats",
        "telco",
        None,
        {
            "total_predictions": is_count,
            "fallback_count": is_count,
            "fallback_rate": is_probability,
            "fallback_reasons": is_object,
        },
    ),
    "1 model-info": (
        "GET /model-info",
        "telco",
        None,
        {
            "model_loaded": is_flag,
            "model_path": is_text,
            "loaded_at": is_time,
            "predictions_made": is_count,
        },
    ),
    "2 health": (
        "GET /health",
        "telco",
        None,
        {
            "status": is_text,
            "model_loaded": is_flag,
            "model_version": maybe(is_text),
            "uptime_seconds": is_number,
            "predictions_made": is_count,
        },
    ),
    "2 model info": (
        "GET /model/info",
        "telco",
        None,
        {
            "model_name": is_text,
            "features": is_list,
            "metrics": is_object,
            "preprocessing": is_text,
            "total_predictions": is_count,
        },
    ),
    "2 drift": (
        "GET /monitoring/drift",
        "telco",
        None,
        {
            "drift_detected": maybe(is_flag),
            "report_path": maybe(is_text),
            "analyzed_samples": is_count,
            "timestamp": is_time,
        },
    ),
    "2 performance": (
        "GET /monitoring/performance",
        "telco",
        None,
        {
            "recent_predictions": is_count,
            "risk_distribution": is_object,
            "average_confidence": is_probability,
            "timestamp": is_time,
        },
    ),
    "3 index": ("GET /", "telco", None, {"message": is_text, "version": is_text, "docs": is_text}),
    "3 health": (
        "GET /health",
        "telco",
        None,
        {"status": is_text, "model_loaded": is_flag, "timestamp": is_time, "version": is_text},
    ),
    "3 ready": ("GET /ready", "telco", None, {"status": is_text, "timestamp": is_time}),
    "3 single": (
        "POST /predict/single",
        "telco",
        TELCO,
        {
            "will_churn": is_flag,
            "churn_probability": is_probability,
            "risk_level": is_band,
            "timestamp": is_time,
        },
    ),
    "4 health": (
        "GET /health",
        "telecom",
        None,
        {"status": is_text, "model_loaded": is_flag, "model_version": maybe(is_text)},
    ),
    "4 model-info": (
        "GET /model-info",
        "telecom",
        None,
        {
            "churn_rate": is_probability,
            "best_params": is_object,
            "raw_feature_cols": is_list,
            "feature_cols": is_list,
            "random_state": is_count,
            "data_hash": is_text,
            "val_f1": is_probability,
            "mlflow_run_id": is_text,
        },
    ),
}


def assert_fields(answer: dict[str, Any], fields: Fields) -> None:
    assert [name for name in fields if name not in answer] == []
    wrong = {name: answer[name] for name, is_so in fields.items() if not is_so(answer[name])}
    assert wrong == {}


@pytest.mark.parametrize("system", PREDICTION)
def test_a_prediction(urls: dict[str, str], system: str) -> None:
    contract, body, fields = PREDICTION[system]
    status, answer = post(urls[contract], "/predict", body)
    assert status == 200
    assert_fields(answer, fields)
    assert answer["warnings"] == []
    assert answer["model_used"] == "champion"


@pytest.mark.parametrize("name", CALLS)
def test_a_call(urls: dict[str, str], name: str) -> None:
    call, contract, body, fields = CALLS[name]
    method, path = call.split()
    url = urls[contract]
    status, answer = get(url, path) if method == "GET" else post(url, path, body)
    assert status == 200
    assert_fields(answer, fields)


def test_system_0_finds_drift_feature_by_feature(urls: dict[str, str]) -> None:
    status, checked = post(urls["ecommerce"], "/check-drift", {})
    assert status == 200
    assert checked["drift_detected"] is True  # forty times the same customer
    assert checked["drifted_features"]
    statistics = checked["features_with_drift"].values()
    assert all({"ks_statistic", "p_value"} <= found.keys() for found in statistics)
    shown = get(urls["ecommerce"], "/drift-status")[1]
    assert shown["drift_detected"] is True
    assert sorted(shown["features_with_drift"]) == sorted(checked["drifted_features"])
    assert shown["monitoring_samples"] >= NUM_CHECKED


def test_system_2_sends_a_batch(urls: dict[str, str]) -> None:
    customers = [{"customerID": str(number), **TELCO} for number in range(3)]
    body = {"customers": customers, "include_probabilities": True, "include_explanations": False}
    status, answer = post(urls["telco"], "/predict/batch", body)
    assert status == 200
    fields = {"predictions": is_list, "processing_time_ms": is_number, "total_customers": is_count}
    assert_fields(answer, fields)
    assert answer["total_customers"] == 3
    assert [one["customer_id"] for one in answer["predictions"]] == ["0", "1", "2"]
    for one in answer["predictions"]:
        assert_fields(one, PREDICTION["system 2"][2])


def test_system_2_sends_feedback_as_query_parameters(urls: dict[str, str]) -> None:
    sent = {
        "customer_id": "7590-VHVEG",
        "predicted_churn": 1,
        "actual_churn": 0,
        "feedback_date": "2026-03-01",
    }
    path = f"/monitoring/feedback?{urllib.parse.urlencode(sent)}"
    status, answer = post(urls["telco"], path)
    assert status == 200
    assert_fields(answer, {"message": is_text, "entry": is_object})
    entry = answer["entry"]
    assert entry["customer_id"] == "7590-VHVEG"
    assert (entry["predicted_churn"], entry["actual_churn"]) == (1, 0)
    assert is_text(entry["feedback_date"])
    assert is_time(entry["timestamp"])


def test_feedback_about_somebody_elses_prediction_is_a_conflict(urls: dict[str, str]) -> None:
    _, answer = post(urls["telco"], "/predict", {"customerID": "7590-VHVEG", **TELCO})
    claimed = {"prediction_id": answer["prediction_id"], "customer_id": "5575-GNVDE", "label": 1}
    status, refused = post(urls["telco"], "/feedback", claimed)
    assert (status, refused["errors"][0]["rule"]) == (409, "another_customer")


def test_system_3_sends_lists_to_predict(urls: dict[str, str]) -> None:
    status, answer = post(urls["telco"], "/predict", {"customers": [TELCO] * 1000})
    assert status == 200
    fields = {"predictions": is_list, "model_version": maybe(is_text), "timestamp": is_time}
    assert_fields(answer, fields)
    wanted: Fields = {
        "customer_index": is_count,
        "will_churn": is_flag,
        "churn_probability": is_probability,
        "risk_level": is_band,
    }
    for one in answer["predictions"]:
        assert_fields(one, wanted)
    assert [one["customer_index"] for one in answer["predictions"]] == list(range(1000))


def test_system_4_is_told_what_every_field_contributes(urls: dict[str, str]) -> None:
    _, answer = post(urls["telecom"], "/predict", TELECOM)
    for one in answer["feature_contributions"]:
        assert one["value"] == TELECOM[one["feature"]]
        assert is_number(one["contribution"])
    total = answer["base_probability"] + sum(
        one["contribution"] for one in answer["feature_contributions"]
    )
    assert total == pytest.approx(answer["churn_probability"], abs=2e-5)


def test_metrics_and_docs_are_where_they_were(urls: dict[str, str]) -> None:
    for url in urls.values():
        for path, content in (("/metrics", b"predictions_total"), ("/docs", b"<html")):
            with urllib.request.urlopen(url + path, timeout=20) as page:
                assert content in page.read()


def test_what_a_reference_sent_wrongly_is_named(urls: dict[str, str]) -> None:
    """The load tests of system 2 sent rows that lack required fields; that is a 422, not a 500."""
    for contract, customer in CUSTOMERS.items():
        name = next(n for n, c in load_contract(contract).columns.items() if not c.nullable)
        status, answer = post(
            urls[contract], "/predict", {k: v for k, v in customer.items() if k != name}
        )
        assert status == 422
        assert [(e["field"], e["rule"]) for e in answer["errors"]] == [(name, "missing")]

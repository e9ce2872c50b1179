"""The payloads that the reference systems document, sent as they stand, for their contracts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from fedchurn.settings import Settings, TrackingSettings
from tests.unit.bentos.shipped import Api, shipped_api

SHOP = {
    "Tenure": 12.0,
    "PreferredLoginDevice": "Mobile Phone",
    "CityTier": 1,
    "WarehouseToHome": 15.0,
    "PreferredPaymentMode": "Debit Card",
    "Gender": "Male",
    "HourSpendOnApp": 3.0,
    "NumberOfDeviceRegistered": 4,
    "PreferedOrderCat": "Laptop & Accessory",
    "SatisfactionScore": 3,
    "MaritalStatus": "Single",
    "NumberOfAddress": 2,
    "Complain": 0,
    "OrderAmountHikeFromlastYear": 15.0,
    "CouponUsed": 1.0,
    "OrderCount": 2.0,
    "DaySinceLastOrder": 5.0,
    "CashbackAmount": 150.0,
}
TELCO = {
    "gender": "Female",
    "SeniorCitizen": 0,
    "Partner": "Yes",
    "Dependents": "No",
    "tenure": 12,
    "PhoneService": "Yes",
    "MultipleLines": "No",
    "InternetService": "Fiber optic",
    "OnlineSecurity": "No",
    "OnlineBackup": "Yes",
    "DeviceProtection": "No",
    "TechSupport": "No",
    "StreamingTV": "Yes",
    "StreamingMovies": "No",
    "Contract": "Month-to-month",
    "PaperlessBilling": "Yes",
    "PaymentMethod": "Electronic check",
    "MonthlyCharges": 79.85,
    "TotalCharges": 958.2,
}
TELECOM = {
    "gender": 0,
    "age": 45.0,
    "partner": 1,
    "dependents": 0,
    "tenure_months": 24.0,
    "monthly_charges": 70.5,
    "contract_type": 0,
    "payment_method": 2,
    "paperless_billing": 1,
    "internet_service": 2,
    "online_security": 0,
    "tech_support": 0,
    "num_tickets": 2.0,
}
ALERTMANAGER: dict[str, Any] = {
    "version": "4",
    "groupKey": '{}:{alertname="DataDriftDetected"}',
    "status": "firing",
    "alerts": [{"status": "firing", "labels": {"alertname": "DataDriftDetected"}}],
}

_WHOLE_NAMES = {
    "GET /": "message version model_version mlflow_tracking_uri endpoints service docs health "
    "metrics fallback_enabled",
    "GET /health": "status model_loaded preprocessor_loaded model_version timestamp version "
    "uptime_seconds predictions_made drift_monitoring_active reference_data_size "
    "monitoring_data_size",
    "GET /ready": "status timestamp",
    "GET /model-info": "model_registry_name current_version accuracy input_shape output_shape "
    "model_type preprocessor_path mlflow_tracking_uri model_name version stage run_id f1_score "
    "created_at mlflow_uri model_loaded model_path loaded_at predictions_made model_version "
    "best_params data_hash random_state val_f1 val_accuracy val_precision val_recall val_roc_auc "
    "feature_cols raw_feature_cols churn_rate mlflow_run_id",
    "GET /model/info": "model_name features metrics preprocessing total_predictions",
    "GET /drift-status": "reference_samples monitoring_samples drift_threshold monitoring_active "
    "drift_detected reference_size monitoring_size drift_scores features_with_drift",
    "GET /monitoring/drift": "drift_detected report_path analyzed_samples timestamp",
    "POST /check-drift": "drift_detected features_with_drift total_features_checked status "
    "drifted_features timestamp",
    "POST /reload-model": "status new_version accuracy message previous_version",
    "GET /fallback-stats": "total_predictions fallback_count fallback_rate fallback_reasons",
    "GET /monitoring/performance": "recent_predictions risk_distribution average_confidence "
    "timestamp",
}
PREDICTIONS = [
    (
        "0",
        "ecommerce",
        SHOP,
        "churn_probability churn_prediction risk_level latency_ms model_version",
    ),
    (
        "1",
        "telco",
        {"features": TELCO},
        "churn_prediction churn_probability model_used is_fallback fallback_reason",
    ),
    (
        "2",
        "telco",
        TELCO,
        "customer_id churn_prediction churn_probability risk_level confidence timestamp "
        "model_version",
    ),
    (
        "4",
        "telecom",
        TELECOM,
        "churn_prediction churn_probability feature_contributions churn_rate_baseline",
    ),
]


@pytest.fixture(scope="module")
def apis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Api]]:
    names = ("ecommerce", "telco", "telecom")
    made = {name: shipped_api(tmp_path_factory.mktemp(name), name) for name in names}
    yield made
    for api in made.values():
        api.close()


@pytest.mark.parametrize(
    ("system", "contract", "body", "fields"),
    PREDICTIONS,
    ids=[f"system {p[0]}" for p in PREDICTIONS],
)
def test_predictions(
    apis: dict[str, Api], system: str, contract: str, body: dict[str, Any], fields: str
) -> None:
    response = apis[contract].post("/predict", json=body)
    assert response.status_code == 200
    answer = response.json()
    assert set(fields.split()) <= answer.keys()
    assert 0 <= answer["churn_probability"] <= 1
    assert answer["churn_prediction"] in (0, 1)
    assert answer["warnings"] == []


@pytest.mark.parametrize(("call", "fields"), _WHOLE_NAMES.items())
@pytest.mark.parametrize("contract", ["ecommerce", "telco", "telecom"])
def test_pages_about_the_service(
    apis: dict[str, Api], contract: str, call: str, fields: str
) -> None:
    method, path = call.split()
    response = apis[contract].request(method, path)
    assert response.status_code == 200
    assert set(fields.split()) <= response.json().keys()


def test_system_2_batch(apis: dict[str, Api]) -> None:
    body = {
        "customers": [TELCO, TELCO],
        "include_probabilities": True,
        "include_explanations": False,
    }
    answer = apis["telco"].post("/predict/batch", json=body).json()
    assert {"predictions", "processing_time_ms", "total_customers"} <= answer.keys()
    assert answer["total_customers"] == 2
    assert all("customer_id" in prediction for prediction in answer["predictions"])


def test_system_2_feedback_by_query(apis: dict[str, Api]) -> None:
    sent = {
        "customer_id": "7590-VHVEG",
        "predicted_churn": "1",
        "actual_churn": "0",
        "feedback_date": "2026-03-01",
    }
    response = apis["telco"].post("/monitoring/feedback", params=sent)
    assert response.status_code == 200
    answer = response.json()
    assert answer["message"]
    entry = answer["entry"]
    assert entry["customer_id"] == "7590-VHVEG"
    assert (entry["predicted_churn"], entry["actual_churn"]) == (1, 0)
    assert {"feedback_date", "timestamp"} <= entry.keys()


def test_system_3_lists_on_predict(apis: dict[str, Api]) -> None:
    answer = apis["telco"].post("/predict", json={"customers": [TELCO, TELCO]}).json()
    assert {"predictions", "model_version", "timestamp"} <= answer.keys()
    wanted = {"customer_index", "will_churn", "churn_probability", "risk_level"}
    assert all(wanted <= prediction.keys() for prediction in answer["predictions"])
    assert [prediction["customer_index"] for prediction in answer["predictions"]] == [0, 1]


def test_system_3_single(apis: dict[str, Api]) -> None:
    answer = apis["telco"].post("/predict/single", json=TELCO).json()
    assert {"will_churn", "churn_probability", "risk_level", "timestamp"} <= answer.keys()
    assert answer["will_churn"] is (answer["churn_prediction"] == 1)


def test_system_4_contributions_unasked(apis: dict[str, Api]) -> None:
    answer = apis["telecom"].post("/predict", json=TELECOM).json()
    contributions = answer["feature_contributions"]
    assert contributions
    assert all({"feature", "value", "contribution"} <= one.keys() for one in contributions)
    for one in contributions:
        assert one["value"] == TELECOM[one["feature"]]
    total = answer["base_probability"] + sum(one["contribution"] for one in contributions)
    assert total == pytest.approx(answer["churn_probability"], abs=2e-5)
    assert answer["churn_rate_baseline"] == 0.347


def test_alertmanager(apis: dict[str, Api]) -> None:
    answer = apis["ecommerce"].post("/webhook/drift-alert", json=ALERTMANAGER)
    assert answer.status_code == 200
    assert answer.json()["status"] == "received"


def test_bands_are_those_of_the_contract(apis: dict[str, Api]) -> None:
    for contract, customer in (("ecommerce", SHOP), ("telco", TELCO), ("telecom", TELECOM)):
        answer = apis[contract].post("/predict", json=customer).json()
        bands = {"ecommerce": (0.4, 0.7), "telco": (0.3, 0.6), "telecom": (0.35, 0.6)}[contract]
        probability = answer["churn_probability"]
        wanted = "Low" if probability < bands[0] else "Medium" if probability < bands[1] else "High"
        assert answer["risk_level"] == wanted


@pytest.mark.parametrize("contract", ["ecommerce", "telco", "telecom"])
def test_the_registered_model_is_named_as_the_registry_names_it(
    apis: dict[str, Api], contract: str
) -> None:
    settings = Settings.model_construct(tracking=TrackingSettings())
    found = apis[contract].get("/model-info").json()
    assert found["model_name"] == found["model_registry_name"] == settings.model_name(contract)

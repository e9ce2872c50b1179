"""What the dashboards of earlier churn services ask, panel by panel.

The first has two panels that never showed anything, because they ask for ``churn_predictions``
while the client library exposes ``churn_predictions_total``; here they are as they were, and
corrected. The telecom dashboard's error rate divides by successes; it, too, is as it was.
"""

from __future__ import annotations

_LATENCY = "rate(prediction_latency_seconds_{}[5m])"
_MODEL = "rate(predict_latency_seconds_bucket[5m])"
_HTTP = "sum(rate(http_request_duration_seconds_bucket[5m])) by (le, {})"

FEDERATED = {
    "Predictions per Second": ["rate(predictions_total[5m])"],
    "Total Predictions": ["predictions_total"],
    "Average Latency": [f"{_LATENCY.format('sum')} / {_LATENCY.format('count')} * 1000"],
    "Total Errors": ["prediction_errors_total"],
    "Prediction Rate Over Time": ["rate(predictions_total[1m])"],
    "Prediction Latency Percentiles": [
        f"histogram_quantile({q}, {_LATENCY.format('bucket')}) * 1000" for q in (0.5, 0.95, 0.99)
    ],
    "Data Drift Detection Status": ["data_drift_score"],
    "Active Alerts": ['ALERTS{alertstate="firing"}'],
    "Drift Detection Events": ["increase(data_drift_detected_total[5m])"],
    "Churn Predictions Distribution": [
        "churn_predictions",
        "sum by (label) (churn_predictions_total)",
    ],
    "Churn Prediction Rates Over Time": [
        "rate(churn_predictions[5m])",
        'rate(churn_predictions_total{label="1"}[5m])',
    ],
    "model version": ["model_version"],
}

FEDERATED_ALERTS = {
    "DataDriftDetected": ["increase(data_drift_detected_total[5m]) > 0"],
    "HighDriftScore": ["data_drift_score > 0.3"],
    "HighErrorRate": ["rate(prediction_errors_total[5m]) > 0.05"],
    "HighPredictionLatency": [f"histogram_quantile(0.95, {_LATENCY.format('bucket')}) > 0.5"],
    "LowPredictionRate": ["rate(predictions_total[5m]) < 1000000"],  # the limit was 0.01
    "APIDown": ['up{job="fedchurn"} == 1'],  # 0 when it is down
}

INSTRUMENTED = {
    "Requests": ["sum by (handler, method, status) (rate(http_requests_total[5m]))"],
    "Latency by handler": [f"histogram_quantile(0.95, {_HTTP.format('handler')})"],
    "Latency, all": [
        "histogram_quantile(0.99, rate(http_request_duration_highr_seconds_bucket[5m]))"
    ],
    "Sizes": [
        "rate(http_request_size_bytes_sum[5m]) / rate(http_request_size_bytes_count[5m])",
        "sum by (handler) (http_response_size_bytes_sum)",
    ],
    "In progress": ["http_requests_in_progress"],
    "Process": ["process_resident_memory_bytes", "rate(process_cpu_seconds_total[1m])"],
}

TELECOM = {
    "API Status": ["up"],
    "Uptime": ["time() - app_start_time_seconds"],
    "Total Requests": ["sum(http_requests_total)"],
    "Churn Predicted": ["predict_churn_total"],
    "No Churn": ["predict_no_churn_total"],
    "Errors": ["predict_errors_total"],
    "Churn Rate": ["predict_churn_total / predict_total"],
    "Model Version": ["model_info", "model_loaded"],
    "Request Rate": ["rate(predict_total[1m])", "sum(rate(http_requests_total[1m])) by (endpoint)"],
    "HTTP Status Codes": ["sum(rate(http_requests_total[5m])) by (status)"],
    "Error Rate": ["rate(predict_errors_total[5m]) / rate(predict_total[5m]) * 100"],
    "Model Inference Latency": [f"histogram_quantile({q}, {_MODEL})" for q in (0.5, 0.95, 0.99)],
    "HTTP Latency by Endpoint": [f"histogram_quantile(0.95, {_HTTP.format('endpoint')})"],
    "Churn Rate Over Time": ["rate(predict_churn_total[5m]) / rate(predict_total[5m]) * 100"],
    "Avg Churn Probability": [
        "rate(predict_probability_sum[5m]) / rate(predict_probability_count[5m])"
    ],
    "Predictions": ["predict_churn_total", "predict_no_churn_total"],
    "Age": ["increase(feature_age_bucket[30m])"],
    "Tenure": ["increase(feature_tenure_months_bucket[30m])"],
    "Monthly Charges": ["increase(feature_monthly_charges_bucket[30m])"],
    "Tickets": ["increase(feature_num_tickets_bucket[30m])"],
    "Contract Type Split": ["sum by (contract_type) (feature_contract_type_total)"],
    "Internet service": ["sum by (internet_service) (feature_internet_service_total)"],
}

PANELS = {
    "federated": FEDERATED,
    "federated, alerts": FEDERATED_ALERTS,
    "instrumented": INSTRUMENTED,
    "telecom": TELECOM,
}


def expressions() -> list[tuple[str, str]]:
    """Pairs (dashboard and panel, PromQL)."""
    return [
        (f"{name}: {panel}", expression)
        for name, panels in PANELS.items()
        for panel, asked in panels.items()
        for expression in asked
    ]

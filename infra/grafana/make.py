"""Writes the dashboards: ``python -m infra.grafana.make`` (a test compares).

One dashboard is about the service and the same for every contract; one per shipped contract shows
its customers, since panels there are named by its columns.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fedchurn.contract.load import load_contract
from fedchurn.contract.schema import Column, Contract
from fedchurn.serving.metrics.prometheus_features import feature_names, label_name
from infra.grafana.panels import Panel, Query, dashboard, stat

FOLDER = Path(__file__).parent / "dashboards"
CONTRACTS = Path(__file__).parents[2] / "configs" / "contracts"

_RATE = "rate(fedchurn_predictions_total[5m])"
_PREDICTED = f"sum({_RATE})"
_CHURNING = 'sum(rate(fedchurn_predictions_total{prediction="1"}[5m]))'
_ASKED = 'sum(rate(http_requests_total{endpoint=~"/predict.*"}[5m]))'
_FAILED = 'sum(rate(http_requests_total{endpoint=~"/predict.*",status=~"5.."}[5m]))'
_QUANTILES = (0.5, 0.95, 0.99)


def dashboards() -> dict[str, dict[str, Any]]:
    """Every dashboard by the name of its file."""
    contracts = [load_contract(path) for path in sorted(CONTRACTS.glob("*.yaml"))]
    customers = {f"fedchurn-{c.contract}.json": customers_dashboard(c) for c in contracts}
    return {"fedchurn-service.json": service_dashboard(), **customers}


def service_dashboard() -> dict[str, Any]:
    """Health, traffic, latency, predictions, trust, drift, live performance and retraining."""
    rows = [
        ("Status", _status()),
        ("Traffic", _traffic()),
        ("Predictions", _predictions()),
        ("Trust", _trust()),
        ("Drift", _drift()),
        ("How good the answers were", _performance()),
        ("Alerts and retraining", _retraining()),
        ("Reloads and experiments", _change()),
    ]
    about = "The churn service: docs/metrics.md explains every series"
    return dashboard("fedchurn-service", "Fedchurn service", about, rows)


def customers_dashboard(contract: Contract) -> dict[str, Any]:
    """What customers are sent: one panel per column of a contract."""
    names = feature_names(contract)
    closed = {n: c for n, c in contract.columns.items() if c.kind != "text"}
    panels = [_column(name, column, names[name]) for name, column in closed.items()]
    missing = Panel(
        "Missing values in the last 30 minutes",
        [Query("sum by (feature) (increase(fedchurn_feature_missing_total[30m]))", "{{feature}}")],
    )
    title = f"Fedchurn customers: {contract.title or contract.contract}"
    about = f"Rows that were answered, by column of contract {contract.contract}"
    rows = [("Columns", panels), ("Gaps", [missing])]
    return dashboard(f"fedchurn-{contract.contract}", title, about, rows)


def _share(part: str, whole: str) -> str:
    """A share of something that may be nothing: 0 then, never NaN."""
    return f"{part} / ({whole} > 0) or vector(0)"


def _quantiles(bucket: str) -> list[Query]:
    return [
        Query(f"histogram_quantile({q}, sum by (le) (rate({bucket}[5m])))", f"p{q * 100:g}")
        for q in _QUANTILES
    ]


def _status() -> list[Panel]:
    return [
        stat("Reachable", 'min(up{job=~"churn-prediction-api|fedchurn"})'),
        stat("Uptime", "time() - app_start_time_seconds", "s"),
        stat("Model loaded", "model_loaded"),
        stat("Golden rows right", "fedchurn_golden_rows_ok"),
        stat("Last reload failed", "fedchurn_reload_failing", steps=(0.5, 1)),
        stat("Records dropped (1 h)", "sum(increase(fedchurn_dropped_records_total[1h]))"),
        stat("Predictions per second", _PREDICTED, "reqps"),
        stat("Predictions", "sum(fedchurn_predictions_total)"),
        stat("Errors", _share(_FAILED, _ASKED), "percentunit", (0.01, 0.05)),
        stat(
            "Fallbacks",
            _share("sum(rate(fedchurn_fallbacks_total[5m]))", _PREDICTED),
            "percentunit",
            (0.01, 0.05),
        ),
        stat("Churn share", _share(_CHURNING, _PREDICTED), "percentunit", (0.3, 0.6)),
        stat("Resident memory", "sum(process_resident_memory_bytes)", "bytes"),
        Panel(
            "Releases at work",
            [Query("fedchurn_release_info == 1", "{{role}}: {{release}} (version {{version}})")],
            "stat",
            width=24,
            height=4,
        ),
    ]


def _traffic() -> list[Panel]:
    requests = "rate(http_requests_total[5m])"
    by_endpoint = "sum by (le, endpoint) (rate(http_request_duration_seconds_bucket[5m]))"
    return [
        Panel("Requests by endpoint", [Query(f"sum by (endpoint) ({requests})", "{{endpoint}}")]),
        Panel("Requests by status", [Query(f"sum by (status) ({requests})", "{{status}}")]),
        Panel("Requests that wait", [Query("http_requests_in_progress", "waiting")]),
        Panel(
            "Time to answer, all requests",
            _quantiles("http_request_duration_highr_seconds_bucket"),
            unit="s",
        ),
        Panel(
            "Time to answer by endpoint, p95",
            [Query(f"histogram_quantile(0.95, {by_endpoint})", "{{endpoint}}")],
            unit="s",
        ),
        Panel(
            "Bytes per second",
            [
                Query("sum(rate(http_request_size_bytes_sum[5m]))", "received"),
                Query("sum(rate(http_response_size_bytes_sum[5m]))", "sent"),
            ],
            unit="Bps",
        ),
        Panel(
            "Processor time used",
            [Query("sum(rate(process_cpu_seconds_total[5m]))", "cores")],
        ),
        Panel(
            "Memory of workers",
            [Query("process_resident_memory_bytes", "worker {{pid}}")],
            unit="bytes",
        ),
    ]


def _predictions() -> list[Panel]:
    probability = "rate(fedchurn_churn_probability_{}[5m])"
    mean = f"sum({probability.format('sum')}) / (sum({probability.format('count')}) > 0)"
    return [
        Panel(
            "Predictions by risk level",
            [Query(f"sum by (risk_level) ({_RATE})", "{{risk_level}}")],
            unit="reqps",
        ),
        Panel(
            "Predictions in the last 30 minutes",
            [Query("sum by (prediction) (increase(fedchurn_predictions_total[30m]))", "")],
            "piechart",
        ),
        Panel(
            "Share and mean probability of churn",
            [Query(_share(_CHURNING, _PREDICTED), "share"), Query(mean, "mean probability")],
            unit="percentunit",
        ),
        Panel(
            "Time to predict",
            _quantiles("fedchurn_prediction_latency_seconds_bucket"),
            unit="s",
            steps=(0.1, 0.5),
        ),
        Panel(
            "Probabilities, quartiles",
            [
                Query(
                    f"histogram_quantile({q}, sum by (le) ({probability.format('bucket')}))",
                    f"{q * 100:g} %",
                )
                for q in (0.25, 0.5, 0.75)
            ],
            unit="percentunit",
        ),
    ]


def _trust() -> list[Panel]:
    right = "fedchurn_feedback_total{predicted=~'0|1'}"
    agreeing = (
        "sum(increase(fedchurn_feedback_total{predicted='0',actual='0'}[1d])) + "
        "sum(increase(fedchurn_feedback_total{predicted='1',actual='1'}[1d]))"
    )
    return [
        Panel(
            "Fallbacks by step and reason",
            [
                Query(
                    "sum by (model_used, reason) (rate(fedchurn_fallbacks_total[5m]))",
                    "{{model_used}}: {{reason}}",
                )
            ],
        ),
        Panel(
            "Odd values, most frequent",
            [
                Query(
                    "topk(10, sum by (field, rule) (increase(fedchurn_row_warnings_total[30m])))",
                    "{{field}}: {{rule}}",
                )
            ],
        ),
        Panel(
            "Refused rows by rule",
            [Query("sum by (rule) (increase(fedchurn_row_problems_total[30m]))", "{{rule}}")],
        ),
        Panel(
            "Right predictions, of those whose truth came back in a day",
            [Query(_share(f"({agreeing})", f"sum(increase({right}[1d]))"), "share")],
            unit="percentunit",
        ),
        Panel(
            "Records dropped",
            [Query("sum by (stage) (rate(fedchurn_dropped_records_total[5m]))", "{{stage}}")],
        ),
        Panel(
            "Golden rows recomputed",
            [Query("sum by (result) (increase(fedchurn_golden_checks_total[30m]))", "{{result}}")],
        ),
    ]


def _drift() -> list[Panel]:
    found = "sum by (feature) (increase(fedchurn_drift_detected_total[1h]))"
    return [
        stat("Verdict: 0 none, 1 warning, 2 drift", "max(fedchurn_drift_verdict)", steps=(1, 2)),
        stat(
            "Since somebody looked",
            _since("fedchurn_drift_last_check_timestamp_seconds"),
            "s",
            (7200, 10_800),
        ),
        Panel(
            "Drift score by column",
            [Query("fedchurn_drift_score", "{{feature}}")],
            steps=(0.2, 0.3),
        ),
        Panel("Drift found, last hour", [Query(found, "{{feature}}")]),
    ]


def _performance() -> list[Panel]:
    """Figures are NaN, and their panels empty, until there are labels enough."""
    figures = ("accuracy", "f1", "roc_auc")
    live = [Query(f"fedchurn_live_{figure}", f"{figure} by labels") for figure in figures]
    estimated = [Query(f"fedchurn_estimated_{figure}", f"{figure} estimated") for figure in figures]
    money = ("at_risk", "lost", "saved")
    return [
        stat("Worse than on held-out rows", "max(fedchurn_performance_decayed)", steps=(0.5, 1)),
        stat("Customers with a mature label", "max(fedchurn_mature_labels)"),
        Panel("Figures by labels, and estimated without", [*live, *estimated]),
        Panel("Brier score by labels", [Query("fedchurn_live_brier", "Brier score")]),
        Panel(
            "Customers whose outcome is known",
            [Query("fedchurn_label_coverage_fraction", "share")],
            unit="percentunit",
        ),
        Panel("Revenue", [Query(f"fedchurn_revenue_{what}", what) for what in money]),
    ]


def _retraining() -> list[Panel]:
    firing = 'sum by (alertname) (ALERTS{alertstate="firing"}) or vector(0)'
    return [
        stat("Triggers that wait", "max(fedchurn_retraining_triggers_waiting)", steps=(1, 10)),
        stat(
            "Since the last decision",
            _since("fedchurn_retraining_last_decision_timestamp_seconds"),
            "s",
        ),
        Panel("Alerts that fire", [Query(firing, "{{alertname}}")]),
        Panel(
            "Alerts that came to the webhook, last hour",
            [Query("sum by (outcome) (increase(fedchurn_alerts_total[1h]))", "{{outcome}}")],
        ),
        Panel(
            "Decisions about retrains",
            [Query("max by (outcome) (fedchurn_retraining_decisions)", "{{outcome}}")],
        ),
        Panel(
            "Retrains that ended",
            [Query("max by (outcome) (fedchurn_retraining_runs)", "{{outcome}}")],
        ),
    ]


def _since(timestamp: str) -> str:
    """Seconds since a time that is 0 before its first event: 0 then."""
    return f"time() - (max({timestamp}) > 0) or vector(0)"


def _change() -> list[Panel]:
    disagreeing = "sum(rate(fedchurn_shadow_disagreements_total[5m]))"
    return [
        Panel(
            "Reloads, last hour",
            [Query("sum by (outcome) (increase(fedchurn_reloads_total[1h]))", "{{outcome}}")],
        ),
        Panel(
            "Since the last swap",
            [Query("time() - (fedchurn_last_swap_timestamp_seconds > 0) or vector(0)", "seconds")],
            unit="s",
        ),
        Panel(
            "Churn share by arm",
            [
                Query(
                    'sum by (arm) (rate(fedchurn_predictions_total{prediction="1"}[5m])) '
                    "/ (sum by (arm) (rate(fedchurn_predictions_total[5m])) > 0)",
                    "{{arm}}",
                )
            ],
            unit="percentunit",
        ),
        Panel(
            "Challenger in the shadow disagrees",
            [
                Query(
                    _share(disagreeing, "sum(rate(fedchurn_shadow_rows_total[5m]))"),
                    "share of rows",
                )
            ],
            unit="percentunit",
        ),
    ]


def _column(name: str, column: Column, family: str) -> Panel:
    title = column.label or name
    if column.is_number:
        return Panel(
            f"{title}{f', {column.unit}' if column.unit else ''}",
            [Query(f"sum by (le) (increase({family}_bucket[30m]))", "{{le}}")],
            "bargauge",
            width=6,
        )
    label = label_name(name)
    expression = f"sum by ({label}) (increase({family}_total[30m]))"
    return Panel(title, [Query(expression, f"{{{{{label}}}}}")], "piechart", width=6)


def main() -> None:
    """Write every dashboard."""
    for name, model in dashboards().items():
        text = json.dumps(model, indent=1, ensure_ascii=False) + "\n"
        (FOLDER / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()

"""What becomes of records and events in the metrics of one process."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from prometheus_client import CollectorRegistry

from fedchurn.contract.schema import Column
from fedchurn.serving.drift_watch import DriftSeen
from fedchurn.serving.metrics.prometheus_features import feature_names
from fedchurn.serving.metrics.prometheus_service import ServiceMetrics, service_metrics
from fedchurn.serving.served_release import ServedRelease
from tests.unit.release.releases import CONTRACT
from tests.unit.serving.predictions import record, served

ROUTES = (("POST", "/predict"), ("GET", "/health"))


@pytest.fixture(scope="module")
def champion(tmp_path_factory: pytest.TempPathFactory) -> ServedRelease:
    return served(tmp_path_factory.mktemp("releases"))


@pytest.fixture(scope="module")
def challenger(tmp_path_factory: pytest.TempPathFactory) -> ServedRelease:
    return served(tmp_path_factory.mktemp("releases"), role="challenger", version="8", seed=9)


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def metrics(registry: CollectorRegistry) -> ServiceMetrics:
    return service_metrics(CONTRACT, routes=ROUTES, registry=registry)


def _sum(registry: CollectorRegistry, name: str, **labels: str) -> float:
    """Sum of the series of ``name`` that have ``labels``; there is at least one."""
    found = [
        sample.value
        for family in registry.collect()
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    ]
    assert found, f"no series {name} {labels}"
    return sum(found)


def test_answered_rows_count_by_who_answered_and_what(
    metrics: ServiceMetrics, registry: CollectorRegistry, champion: ServedRelease
) -> None:
    stays = record(champion)
    churns = record(champion, probability=0.75, prediction=1, risk_level="High")
    metrics.take([stays, churns, stays])
    metrics.take([stays])
    name = "fedchurn_predictions_total"
    one = {"arm": "champion", "model_used": "champion"}
    assert _sum(registry, name, **one, prediction="0", risk_level="Low") == 3
    assert _sum(registry, name, **one, prediction="1", risk_level="High") == 1
    assert _sum(registry, "fedchurn_churn_probability_sum", arm="champion") == 1.125
    assert _sum(registry, "fedchurn_prediction_latency_seconds_sum") == 1.0
    assert _sum(registry, "fedchurn_prediction_latency_seconds_bucket", le="0.1") == 0
    assert _sum(registry, "fedchurn_prediction_latency_seconds_bucket", le="0.25") == 4


def test_the_same_counts_have_their_second_names(
    metrics: ServiceMetrics, registry: CollectorRegistry, champion: ServedRelease
) -> None:
    stays = record(champion)
    churns = record(champion, probability=0.75, prediction=1, risk_level="High")
    metrics.take([stays, churns, stays])
    assert _sum(registry, "predictions_total") == 3
    assert _sum(registry, "churn_predictions_total", label="0") == 2
    assert _sum(registry, "churn_predictions_total", label="1") == 1
    assert _sum(registry, "prediction_latency_seconds_sum") == 0.75
    assert _sum(registry, "predict_total") == 3
    assert _sum(registry, "predict_churn_total") == 1
    assert _sum(registry, "predict_no_churn_total") == 2
    assert _sum(registry, "predict_latency_seconds_count") == 3
    assert _sum(registry, "predict_probability_count") == 3
    assert _sum(registry, "predict_probability_sum") == 1.0


def test_every_series_is_there_before_its_first_event(
    metrics: ServiceMetrics, registry: CollectorRegistry
) -> None:
    metrics.take([])
    assert _sum(registry, "fedchurn_fallbacks_total", model_used="rules", reason="timeout") == 0
    assert _sum(registry, "fedchurn_predictions_total", model_used="base_rate") == 0
    assert _sum(registry, "data_drift_detected_total", feature="Tenure") == 0
    assert _sum(registry, "data_drift_score", feature="Tenure") == 0
    assert _sum(registry, "fedchurn_row_warnings_total", field="Tenure", rule="usual_range") == 0
    assert _sum(registry, "fedchurn_row_problems_total", field="Device", rule="not_a_label") == 0
    assert _sum(registry, "feature_device_total", device="Computer") == 0
    assert _sum(registry, "churn_predictions_total", label="1") == 0
    assert _sum(registry, "prediction_errors_total") == 0


def test_fallbacks_count_by_step_and_reason(
    metrics: ServiceMetrics, registry: CollectorRegistry, champion: ServedRelease
) -> None:
    late = record(champion, model_used="rules", fallback_reason="timeout")
    broken = record(champion, model_used="fallback_model", fallback_reason="error")
    metrics.take([record(champion), late, broken, late])
    name = "fedchurn_fallbacks_total"
    assert _sum(registry, name, model_used="rules", reason="timeout") == 2
    counts = metrics.fallback_counts()
    assert (counts.total_predictions, counts.fallback_count, counts.fallback_rate) == (4, 3, 0.75)
    assert counts.fallback_reasons["timeout"] == 2
    assert counts.fallback_reasons["golden_rows"] == 0
    assert counts.by_model_used["rules"] == 2
    assert counts.by_model_used["champion"] == 1


def test_no_predictions_have_no_fallback_rate_but_zero(metrics: ServiceMetrics) -> None:
    counts = metrics.fallback_counts()
    assert (counts.total_predictions, counts.fallback_rate) == (0, 0.0)


def test_arms_of_an_experiment_are_told_apart(
    metrics: ServiceMetrics,
    registry: CollectorRegistry,
    champion: ServedRelease,
    challenger: ServedRelease,
) -> None:
    metrics.take([record(champion), record(challenger, probability=0.5), record(challenger)])
    assert _sum(registry, "fedchurn_predictions_total", arm="challenger") == 2
    assert _sum(registry, "fedchurn_churn_probability_sum", arm="challenger") == 0.625
    assert _sum(registry, "fedchurn_predictions_total", arm="champion") == 1


def test_features_are_named_and_bucketed_by_the_contract(
    metrics: ServiceMetrics, registry: CollectorRegistry, champion: ServedRelease
) -> None:
    metrics.take(
        [
            record(champion, values=(12.0, 10.0, "Phone", None)),
            record(champion, values=(None, 20.0, "Fridge", "Oslo")),
            record(champion, values=(61.0, 30.0, "Phone", "Rome")),
        ]
    )
    assert _sum(registry, "feature_tenure_count") == 2
    assert _sum(registry, "feature_tenure_sum") == 73
    assert _sum(registry, "feature_tenure_bucket", le="15.0") == 1
    assert _sum(registry, "feature_cashback_sum") == 60
    assert _sum(registry, "feature_device_total", device="Phone") == 2
    assert _sum(registry, "feature_device_total", device="other") == 1
    assert _sum(registry, "fedchurn_feature_missing_total", feature="Tenure") == 1
    assert _sum(registry, "fedchurn_feature_missing_total", feature="City") == 1
    assert _sum(registry, "fedchurn_feature_missing_total", feature="Device") == 0


def test_a_release_with_other_columns_is_counted_where_names_agree(
    metrics: ServiceMetrics, registry: CollectorRegistry
) -> None:
    columns = {name: CONTRACT.columns[name] for name in ("Device", "Tenure")}
    new = {"Colour": CONTRACT.columns["Device"]}
    contract = CONTRACT.model_copy(update={"columns": {**new, **columns}})
    other = SimpleNamespace(role="champion", contract=contract)
    metrics.take([record(other, values=("Phone", "Computer", 24.0))])  # type: ignore[arg-type]
    assert _sum(registry, "feature_tenure_sum") == 24
    assert _sum(registry, "feature_device_total", device="Computer") == 1
    assert _sum(registry, "feature_device_total", device="Phone") == 0


def test_a_release_with_a_column_of_another_kind_is_counted_but_for_that_column(
    metrics: ServiceMetrics, registry: CollectorRegistry, champion: ServedRelease
) -> None:
    labels = Column(kind="category", categories=("new", "old"))
    columns = {**CONTRACT.columns, "Tenure": labels, "Device": CONTRACT.columns["Cashback"]}
    later = SimpleNamespace(
        role="champion", contract=CONTRACT.model_copy(update={"columns": columns})
    )
    metrics.take([record(champion, served=later, values=("new", 99.5, 1.0, None))])
    assert _sum(registry, "predictions_total") == 1
    assert _sum(registry, "feature_tenure_count") == 0
    assert _sum(registry, "feature_device_total") == 0
    assert _sum(registry, "feature_cashback_count") == 1
    assert _sum(registry, "fedchurn_feature_missing_total", feature="City") == 1


def test_warnings_and_problems_count_by_field_and_rule(
    metrics: ServiceMetrics, registry: CollectorRegistry, champion: ServedRelease
) -> None:
    odd = record(champion, warnings=(("Tenure", "usual_range"), ("Device", "unknown_category")))
    metrics.take([odd, odd])
    name = "fedchurn_row_warnings_total"
    assert _sum(registry, name, field="Tenure", rule="usual_range") == 2
    assert _sum(registry, name, field="Device", rule="unknown_category") == 2
    too_long = SimpleNamespace(field="Tenure", rule="hard_limit")
    metrics.refused([too_long, too_long])
    assert _sum(registry, "fedchurn_row_problems_total", field="Tenure", rule="hard_limit") == 2


def test_what_callers_send_becomes_no_label(
    metrics: ServiceMetrics, registry: CollectorRegistry, champion: ServedRelease
) -> None:
    for number in range(20):
        name = f"field{number}"
        metrics.refused([SimpleNamespace(field=name, rule="unknown_field")])
        metrics.take(
            [
                record(
                    champion,
                    values=(1.0, 1.0, name, name),
                    warnings=((name, name),),
                    risk_level=name,
                    model_used=name,
                    fallback_reason=name,
                )
            ]
        )
    texts = {v for f in registry.collect() for s in f.samples for v in s.labels.values()}
    assert not [text for text in texts if text.startswith("field")]
    problems = "fedchurn_row_problems_total"
    assert _sum(registry, problems, field="other", rule="unknown_field") == 20
    assert _sum(registry, "feature_device_total", device="other") == 20


def test_errors_are_predictions_that_could_not_be_given(
    metrics: ServiceMetrics, registry: CollectorRegistry
) -> None:
    metrics.http.observe("/predict", 500, 0.1)
    metrics.http.observe("/predict", 422, 0.1)
    metrics.http.observe("/health", 503, 0.1, method="GET")
    metrics.refresh()
    assert _sum(registry, "fedchurn_prediction_errors_total") == 1
    assert _sum(registry, "prediction_errors_total") == 1
    assert _sum(registry, "predict_errors_total") == 1


def test_the_release_at_work_is_told_and_the_old_one_is_not(
    metrics: ServiceMetrics,
    registry: CollectorRegistry,
    champion: ServedRelease,
    tmp_path: Path,
) -> None:
    assert _sum(registry, "model_loaded") == 0
    assert _sum(registry, "fedchurn_golden_rows_ok") == 0
    metrics.release(champion)
    assert _sum(registry, "fedchurn_golden_rows_ok") == 1
    name = "fedchurn_release_info"
    assert _sum(registry, name, release=champion.release_id, version="7", role="champion") == 1
    assert _sum(registry, "model_version") == 7
    assert _sum(registry, "model_info", version="7", type="additive", f1="0.6300") == 1
    assert _sum(registry, "model_loaded") == 1
    newer = served(tmp_path, version="8", seed=9)
    metrics.release(newer)
    assert _sum(registry, name, release=champion.release_id) == 0
    assert _sum(registry, name, release=newer.release_id) == 1
    assert _sum(registry, "model_info", version="7") == 0
    assert _sum(registry, "model_info", version="8") == 1
    metrics.release(newer)
    assert _sum(registry, name) == 1


def test_a_challenger_comes_and_goes_without_a_word_about_the_champion(
    metrics: ServiceMetrics,
    registry: CollectorRegistry,
    champion: ServedRelease,
    challenger: ServedRelease,
) -> None:
    metrics.release(champion)
    metrics.release(challenger)
    assert _sum(registry, "fedchurn_release_info", role="challenger") == 1
    assert _sum(registry, "fedchurn_release_info", role="champion") == 1
    assert _sum(registry, "model_version") == 7
    metrics.without_challenger()
    assert _sum(registry, "fedchurn_release_info", role="challenger") == 0


def test_a_version_that_is_no_number_is_zero(
    metrics: ServiceMetrics, registry: CollectorRegistry, tmp_path: Path
) -> None:
    metrics.release(served(tmp_path, version=None))
    assert _sum(registry, "model_version") == 0
    assert _sum(registry, "model_info", version="unknown") == 1


def test_drift_of_a_column(metrics: ServiceMetrics, registry: CollectorRegistry) -> None:
    for feature in ("Tenure", "churn_probability", "reconstruction_error"):
        assert _sum(registry, "data_drift_detected_total", feature=feature) == 0
    metrics.drift.scores({"Tenure": 0.5, "churn_probability": 0.125})
    metrics.drift.scores({"Tenure": 0.25, "no such column": 1.0})
    metrics.drift.detected(["Tenure", "churn_probability", "no such column"])
    for score, detected in (
        ("fedchurn_drift_score", "fedchurn_drift_detected_total"),
        ("data_drift_score", "data_drift_detected_total"),
    ):
        assert _sum(registry, score, feature="Tenure") == 0.25
        assert _sum(registry, score, feature="churn_probability") == 0.125
        assert _sum(registry, detected) == 2


def test_drift_that_somebody_else_has_found(
    metrics: ServiceMetrics, registry: CollectorRegistry
) -> None:
    seen = [
        DriftSeen(),
        DriftSeen({"Tenure": 0.5}, 2, 1e9, ("Tenure",)),
        DriftSeen({"Tenure": 0.5}, 2, 1e9),
        DriftSeen({}, 0, 2e9),  # another release answers
    ]
    expected = [(0.0, 0, 0.0, 0), (0.5, 2, 1e9, 1), (0.5, 2, 1e9, 1), (0.0, 0, 2e9, 1)]
    for found, values in zip(seen, expected, strict=True):
        metrics.drift.watch(lambda found=found: found)  # type: ignore[misc]
        metrics.refresh()
        assert values == (
            _sum(registry, "data_drift_score", feature="Tenure"),
            _sum(registry, "fedchurn_drift_verdict"),
            _sum(registry, "fedchurn_drift_last_check_timestamp_seconds"),
            _sum(registry, "fedchurn_drift_detected_total", feature="Tenure"),
        )


def test_reloads_and_golden_rows(metrics: ServiceMetrics, registry: CollectorRegistry) -> None:
    metrics.golden(True)
    metrics.reload("reloaded")
    assert _sum(registry, "fedchurn_last_swap_timestamp_seconds") > 1e9
    metrics.reload("failed")
    metrics.golden(False)
    assert _sum(registry, "fedchurn_reloads_total", outcome="reloaded") == 1
    assert _sum(registry, "fedchurn_reloads_total", outcome="failed") == 1
    assert _sum(registry, "fedchurn_reload_failing") == 1
    assert _sum(registry, "fedchurn_golden_rows_ok") == 0
    assert _sum(registry, "fedchurn_golden_checks_total", result="ok") == 1
    metrics.reload("unchanged")
    assert _sum(registry, "fedchurn_reload_failing") == 0
    assert _sum(registry, "fedchurn_golden_rows_ok") == 0
    metrics.reload("reloaded")
    assert _sum(registry, "fedchurn_golden_rows_ok") == 1


def test_drops_are_told_as_totals_and_counted_as_they_grow(
    metrics: ServiceMetrics, registry: CollectorRegistry
) -> None:
    dropped = [0]
    metrics.watch_drops("recorder", lambda: dropped[0])
    for dropped[0] in (3, 3, 5):
        metrics.refresh()
    metrics.watch_drops("log", lambda: 2)
    metrics.refresh()
    metrics.refresh()
    assert _sum(registry, "fedchurn_dropped_records_total", stage="recorder") == 5
    assert _sum(registry, "fedchurn_dropped_records_total", stage="log") == 2


def test_feedback_and_shadow(metrics: ServiceMetrics, registry: CollectorRegistry) -> None:
    metrics.feedback(1, 0)
    metrics.feedback(None, 1)
    assert _sum(registry, "fedchurn_feedback_total", predicted="1", actual="0") == 1
    assert _sum(registry, "fedchurn_feedback_total", predicted="unknown", actual="1") == 1
    metrics.shadow([0.0, 0.5, 0.25], 1)
    metrics.shadow([], 0)
    metrics.shadow_failed(4)
    assert _sum(registry, "fedchurn_shadow_failed_rows_total") == 4
    assert _sum(registry, "fedchurn_shadow_rows_total") == 3
    assert _sum(registry, "fedchurn_shadow_disagreements_total") == 1
    assert _sum(registry, "fedchurn_shadow_difference_sum") == 0.75


def test_the_worker_is_measured(metrics: ServiceMetrics, registry: CollectorRegistry) -> None:
    metrics.close()
    assert _sum(registry, "process_resident_memory_bytes") > 2**20
    assert _sum(registry, "process_cpu_seconds_total") > 0
    assert _sum(registry, "app_start_time_seconds") > 1e9


def test_a_second_service_in_the_same_process_is_no_clash() -> None:
    service_metrics(CONTRACT)
    service_metrics(CONTRACT)


def test_columns_that_look_alike_get_names_of_their_own() -> None:
    column = CONTRACT.columns["Tenure"]
    odd = ("Order Count", "OrderCount", "Order", "Order total", "2nd", "Größe", "__x")
    contract = CONTRACT.model_copy(update={"columns": dict.fromkeys(odd, column)})
    names = feature_names(contract)
    assert len(set(names.values())) == len(odd)
    assert names["Order Count"] == "feature_order_count"
    service_metrics(contract)


def test_a_label_named_like_a_reserved_one_does_no_harm() -> None:
    column = CONTRACT.columns["Device"]
    contract = CONTRACT.model_copy(
        update={"columns": {"__name": column, "le": column, "1": column}}
    )
    service_metrics(contract)

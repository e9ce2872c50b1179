"""Alert rules and configurations, checked by the programs that read them."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from bentos.churn.api.routes_alerts import MAX_ALERTS
from fedchurn.retraining.trigger import RETRAIN_ACTION
from fedchurn.serving.metrics.prometheus_service import service_metrics
from infra.monitoring.programs import QUICK, Monitoring, Service, write_configuration
from tests.integration.monitoring.alert_rules import (
    MONITORING,
    PROJECT,
    RULES,
    alerts,
    asked_metrics,
    metric_names,
    program,
)
from tests.unit.release.releases import CONTRACT

TESTS = sorted(RULES.glob("*_test.yml"))
# The six of a reference system, by the names that its users know.
REFERENCE = {
    "DataDriftDetected",
    "HighDriftScore",
    "HighErrorRate",
    "HighPredictionLatency",
    "LowPredictionRate",
    "APIDown",
}


def _run(command: Sequence[str | Path], folder: Path) -> str:
    done = subprocess.run(
        list(map(str, command)), cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """A configuration for two services with keys, as the platform writes it."""
    (tmp_path / "key").write_text("secret")
    services = (Service("ecommerce", "127.0.0.1:3000"), Service("telco", "127.0.0.1:3001"))
    folder = tmp_path / "monitoring"
    write_configuration(Monitoring(folder, services, 9090, 9093, QUICK, tmp_path / "key"))
    return folder


def test_prometheus_takes_what_is_shipped_and_what_is_written(written: Path) -> None:
    promtool = program("promtool")
    for folder in (MONITORING, written):
        _run([promtool, "check", "config", "--lint=all", "prometheus.yml"], folder)
        _run([promtool, "check", "rules", "--lint=all", "rules/fedchurn.yml"], folder)


def test_alertmanager_takes_what_is_shipped_and_what_is_written(written: Path) -> None:
    amtool = program("amtool")
    for folder in (MONITORING, written):
        _run([amtool, "check-config", "alertmanager.yml"], folder)


@pytest.mark.parametrize(
    ("labels", "shipped", "ours"),
    [
        (["action=retrain", "contract=ecommerce"], "drift-webhook", "drift-webhook"),
        (["action=retrain", "contract=telco"], "drift-webhook", "drift-webhook-telco"),
        (["severity=critical", "contract=telco"], "record", "record-telco"),
        (["severity=critical"], "record", "record"),
    ],
    ids=["asks", "asks of another", "another", "of no contract"],
)
def test_alerts_reach_the_service_of_their_contract(
    written: Path, labels: list[str], shipped: str, ours: str
) -> None:
    amtool = program("amtool")
    for folder, expected in ((MONITORING, shipped), (written, ours)):
        command = [amtool, "config", "routes", "test", "--config.file=alertmanager.yml", *labels]
        assert _run(command, folder).split() == [expected]
    receivers = yaml.safe_load((written / "alertmanager.yml").read_text())["receivers"]
    (webhook,) = next(r for r in receivers if r["name"] == ours)["webhook_configs"]
    port = 3001 if ours.endswith("telco") else 3000
    assert webhook["url"] == f"http://127.0.0.1:{port}/webhook/drift-alert"


def test_the_shipped_pace_is_that_of_the_reference_system() -> None:
    settings = yaml.safe_load((MONITORING / "alertmanager.yml").read_text())
    route = settings["route"]
    found = {name: route[name] for name in ("group_by", "group_wait", "group_interval")}
    expected = {"group_by": ["alertname", "feature"], "group_wait": "10s", "group_interval": "10s"}
    assert found == expected
    assert (route["repeat_interval"], settings["global"]["resolve_timeout"]) == ("12h", "5m")
    for receiver in settings["receivers"]:
        (webhook,) = receiver["webhook_configs"]
        assert webhook["send_resolved"] is True
        assert webhook["max_alerts"] == MAX_ALERTS  # what is refused is not sent again
    prometheus = yaml.safe_load((MONITORING / "prometheus.yml").read_text())
    assert prometheus["global"]["scrape_interval"] == "15s"
    assert [job["job_name"] for job in prometheus["scrape_configs"]] == ["churn-prediction-api"]


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.stem)
def test_rules_do_what_their_own_tests_say(path: Path) -> None:
    _run([program("promtool"), "test", "rules", path.name], RULES)


def _cases(alert: str) -> list[list[dict[str, Any]]]:
    """What is expected of an alert, in each test that speaks of it."""
    tests = [test for path in TESTS for test in yaml.safe_load(path.read_text())["tests"]]
    found = [
        [case for case in test.get("alert_rule_test", ()) if case["alertname"] == alert]
        for test in tests
    ]
    return [cases for cases in found if cases]


@pytest.mark.parametrize("alert", sorted({rule["alert"] for rule in alerts()}))
def test_every_alert_is_seen_firing_ending_and_staying_quiet(alert: str) -> None:
    fires = [[bool(case["exp_alerts"]) for case in cases] for cases in _cases(alert)]
    assert any(True in seen and not all(seen[seen.index(True) :]) for seen in fires), "it ends"
    assert any(not any(seen) for seen in fires), "it stays quiet"
    severities = {rule["labels"]["severity"] for rule in alerts() if rule["alert"] == alert}
    expected = {
        fired["exp_labels"]["severity"]
        for cases in _cases(alert)
        for case in cases
        for fired in case["exp_alerts"]
    }
    assert expected == severities


def test_the_names_of_the_reference_system_are_there() -> None:
    assert {rule["alert"] for rule in alerts()} >= REFERENCE


def test_only_what_a_retrain_can_help_asks_for_one() -> None:
    asking = {rule["alert"] for rule in alerts() if "action" in rule["labels"]}
    assert asking == {"DataDriftDetected", "PerformanceDecay"}
    actions = {rule["labels"].get("action") for rule in alerts()} - {None}
    assert actions == {RETRAIN_ACTION}


def test_every_metric_in_the_rules_is_one_of_the_service() -> None:
    facts = service_metrics(CONTRACT).families.facts
    known = {f.name + "_bucket" if f.kind == "histogram" else f.name for f in facts}
    assert asked_metrics() <= known
    assert len(asked_metrics()) > 10


def test_names_are_found_in_expressions() -> None:
    expression = 'sum by (le) (rate(a_total{b="c"}[5m] offset 1w)) > 2.5 and on (d) up == 0 or x:y'
    assert metric_names(expression) == {"a_total", "up", "x:y"}


def test_every_alert_says_what_to_do() -> None:
    runbook = (PROJECT / "docs" / "runbook.md").read_text(encoding="utf-8")
    metrics = (PROJECT / "docs" / "metrics.md").read_text(encoding="utf-8")
    assert "\n## Alerts\n" in runbook
    assert "\n## Alerts\n" in metrics
    for rule in alerts():
        notes = rule["annotations"]
        assert set(notes) == {"summary", "description", "runbook_url"}
        assert notes["runbook_url"] == "docs/runbook.md#alerts"
        assert f"\n| `{rule['alert']}` |" in runbook
        severity, action = rule["labels"]["severity"], rule["labels"].get("action", "")
        row = (
            rf"\n\| `{rule['alert']}` \| {severity} \| {rule.get('for', 'at once')} \| {action} ?\|"
        )
        assert re.search(row, metrics), f"docs/metrics.md should have a row like {row}"

"""Drift becomes a metric, an alert, a message and one trigger, with real programs all the way."""

from __future__ import annotations

import json
import os
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from fedchurn.drift.documented_fields import documented_fields
from fedchurn.drift.verdict import (
    ColumnDrift,
    ColumnTest,
    DriftRule,
    DriftVerdict,
    Effects,
    Subject,
    Verdict,
)
from fedchurn.release.load import Release, load_release
from fedchurn.release.write import write_release
from fedchurn.retraining.inbox import TriggerInbox
from fedchurn.retraining.places import inbox_folder
from fedchurn.retraining.trigger import Source
from fedchurn.serving.access.api_keys import ADMIN, PREDICT, new_api_key
from fedchurn.serving.drift_file import write_newest
from fedchurn.serving.time_text import time_text
from infra import processes
from infra.monitoring import programs
from infra.monitoring.programs import QUICK, Monitoring, Service
from tests.e2e.prometheus_server import Prometheus
from tests.e2e.served import get, post, service_environ, serving, wait_until
from tests.integration.monitoring.alert_rules import asked_metrics, program
from tests.unit.bentos.prefect_stub import Prefect
from tests.unit.release.releases import parts

pytestmark = pytest.mark.e2e
ALERT = {"status": "firing", "labels": {"alertname": "Made", "action": "retrain"}}


@dataclass
class Site:
    """A service with two workers and keys, watched by Prometheus and Alertmanager."""

    home: Path
    url: str
    release: Release
    monitoring: Monitoring
    prefect: Prefect
    admin: dict[str, str]
    caller: dict[str, str]

    @property
    def contract(self) -> str:
        return self.release.contract.contract

    @property
    def service_folder(self) -> Path:
        return self.home / "service" / self.contract

    @property
    def prometheus(self) -> Prometheus:
        return Prometheus(self.monitoring.prometheus_url)

    @property
    def inbox(self) -> TriggerInbox:
        return TriggerInbox(inbox_folder(self.home, self.contract))

    def told(self) -> list[tuple[str, str]]:
        """Name and status of the alerts that the service has kept."""
        path = self.service_folder / "alerts" / "drift-alerts.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        alerts = [json.loads(line)["alert"] for line in lines]
        return [(alert["labels"]["alertname"], alert["status"]) for alert in alerts]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    program("prometheus")
    program("prometheus-alertmanager", "alertmanager")
    home = tmp_path / "home"
    release = load_release(write_release(parts(), home / "releases"))
    admin, admin_entry = new_api_key("alerts", [ADMIN])
    caller, caller_entry = new_api_key("shop", [PREDICT])
    key_file = tmp_path / "key"
    key_file.write_text(admin)
    prefect = Prefect()
    environ = service_environ(
        home,
        release,
        BENTOML_CONFIG_OPTIONS="services.churn.workers=2",
        FEDCHURN_SERVE_API_KEYS=f"{admin_entry},{caller_entry}",
        PREFECT_API_URL=prefect.url,
    )
    try:
        with serving(environ, tmp_path / "server.log") as url:
            address = url.removeprefix("http://")
            ports = processes.free_ports(2)
            services = (Service(release.contract.contract, address),)
            monitoring = Monitoring(tmp_path / "monitoring", services, *ports, QUICK, key_file)
            with programs.running(monitoring, os.environ):
                keys = ({"authorization": f"Bearer {key}"} for key in (admin, caller))
                yield Site(home, url, release, monitoring, prefect, *keys)
    finally:
        prefect.close()


def _tell(site: Site, verdict: Verdict) -> None:
    """What the drift runner tells, as it tells it."""
    column = ColumnDrift(
        column=next(iter(site.release.contract.columns)),
        subject=Subject.COVARIATE,
        verdict=verdict,
        flagged=verdict is Verdict.DRIFT,
        num_flagged=int(verdict is Verdict.DRIFT),
        test=ColumnTest.KS,
        statistic=0.5,
        strongest="ks",
        effects=Effects(0.5, 0.4, 1.0, 9.0, 0.0),
        p_value=0.0001,
        adjusted_p_value=0.001,
    )
    found = DriftVerdict(verdict, 5000, 1000, DriftRule(), (column,))
    facts = {"release": site.release.release_id, "timestamp": time_text(time.time())}
    told = {**documented_fields(found), **facts, "window_id": "0123456789abcdef"}
    write_newest(site.service_folder, told, durable=True)


def test_drift_becomes_one_trigger_and_ends(site: Site) -> None:
    refused, _ = post(site.url, "/webhook/drift-alert", {"alerts": [ALERT]})
    forbidden, _ = post(site.url, "/webhook/drift-alert", {"alerts": [ALERT]}, **site.caller)
    assert (refused, forbidden) == (401, 403)
    wait_until(lambda: site.prometheus.ask("fedchurn_drift_verdict == 0"), what="a first scrape")

    _tell(site, Verdict.DRIFT)
    wait_until(lambda: site.inbox.num_waiting, what="a trigger")
    (trigger,) = site.inbox.pending()
    assert trigger.source is Source.ALERT
    assert trigger.evidence["alert"] == "DataDriftDetected"
    assert trigger.evidence["labels"]["contract"] == site.contract
    _, status = get(site.url, "/drift-status", **site.admin)
    assert status["num_alerts_received"] == 1
    wait_until(lambda: len(site.prefect.asked) == 2, what="the question to Prefect")

    _tell(site, Verdict.NONE)
    wait_until(lambda: len(site.told()) == 2, what="the end of the alert")
    assert site.told() == [("DataDriftDetected", "firing"), ("DataDriftDetected", "resolved")]
    assert site.inbox.num_waiting == 1
    assert len(site.prefect.asked) == 2  # the deployment, and one run of it
    _rules_work(site)


def _rules_work(site: Site) -> None:
    """No rule fails, and every series that they ask for is on the service's page."""
    with urllib.request.urlopen(f"{site.monitoring.prometheus_url}/api/v1/rules") as answer:
        groups = json.load(answer)["data"]["groups"]
    assert {rule["health"] for group in groups for rule in group["rules"]} == {"ok"}
    names = sorted(asked_metrics())
    unknown = [name for name in names if not site.prometheus.ask(f"count({name})")]
    assert unknown == []

"""Prometheus and Alertmanager of a drill, and what they say."""

from __future__ import annotations

import json
import urllib.parse
from collections.abc import Mapping
from typing import Any

from infra import processes
from infra.drill.site import CONTRACT, Site
from infra.monitoring import programs
from infra.monitoring.programs import Monitoring

RETRAIN = "retrain"  # label ``action`` of alerts that ask for a retrain


class Watchers:
    """Asks both programs over HTTP."""

    def __init__(self, monitoring: Monitoring) -> None:
        self._monitoring = monitoring

    def query(self, expression: str) -> list[tuple[Mapping[str, str], float]]:
        """Labels and value of every series of an instant query."""
        query = urllib.parse.urlencode({"query": expression})
        told = _read(f"{self._monitoring.prometheus_url}/api/v1/query?{query}")
        return [(one["metric"], float(one["value"][1])) for one in told["data"]["result"]]

    def firing(self) -> list[Mapping[str, str]]:
        """Labels of alerts that ask for a retrain and fire, by Prometheus."""
        told = _read(f"{self._monitoring.prometheus_url}/api/v1/alerts")
        alerts = told["data"]["alerts"]
        return [
            alert["labels"]
            for alert in alerts
            if alert["state"] == "firing" and alert["labels"].get("action") == RETRAIN
        ]

    def handed_over(self) -> list[Mapping[str, str]]:
        """Labels of those that Alertmanager has."""
        told = _read(f"{self._monitoring.alertmanager_url}/api/v2/alerts")
        return [a["labels"] for a in told if a["labels"].get("action") == RETRAIN]


def start_watchers(site: Site, address: str, key: str) -> Watchers:
    """Start both programs for a service that may come later; ready on return.

    Args:
        site: where they run.
        address: ``HOST:PORT`` of the service.
        key: of scope admin.
    """
    folder = site.home / "monitoring"
    folder.mkdir(exist_ok=True)
    key_file = folder / "fedchurn.key"
    key_file.write_text(key, encoding="utf-8")
    key_file.chmod(0o600)
    monitoring = Monitoring(
        folder=folder,
        services=(programs.Service(CONTRACT, address),),
        prometheus_port=processes.free_port(),
        alertmanager_port=processes.free_port(),
        pace=programs.QUICK,
        key_file=key_file,
    )
    site.keep(programs.start(monitoring, site.environ))
    return Watchers(monitoring)


def _read(url: str) -> Any:
    answer = processes.read_url(url)
    if answer is None:
        raise OSError(f"no good answer from {url}")
    return json.loads(answer)

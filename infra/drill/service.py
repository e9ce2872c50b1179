"""The service of a drill: ``bentoml serve`` as a user runs it, with two workers and keys."""

from __future__ import annotations

import http.client
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedchurn.serving.access.api_keys import new_api_key
from infra import processes
from infra.drill.site import CONTRACT, Site
from infra.drill.timeline import Step
from infra.processes import Started

NUM_WORKERS = 2
ANSWER_SECONDS = 20.0
NUM_ASKED = 24  # answers on new connections that are taken for "all workers were asked"


@dataclass(frozen=True)
class Keys:
    """Who may call: the shop predicts; Prometheus, Alertmanager and who tells truths are admins."""

    shop: str
    admin: str
    entries: str


def make_keys() -> Keys:
    """Fresh keys, and their entries for the service."""
    shop, shop_entry = new_api_key("shop", ["predict"])
    admin, admin_entry = new_api_key("admin", ["admin"])
    return Keys(shop, admin, f"{shop_entry},{admin_entry}")


class Service:
    """Asks the service, and looks at what its workers say of themselves."""

    def __init__(self, site: Site, port: int, keys: Keys, started: Started) -> None:
        self.address = f"127.0.0.1:{port}"
        self.keys = keys
        self.started = started
        self.log = Path(started.log)
        self._workers = site.home / "service" / CONTRACT / "workers"

    def ask(
        self, method: str, path: str, content: object = None, *, key: str | None = None
    ) -> tuple[int, Any]:
        """Status and JSON (or text) of an answer, on a connection of its own."""
        connection = http.client.HTTPConnection(self.address, timeout=ANSWER_SECONDS)
        body = None if content is None else json.dumps(content)
        headers = {"Content-Type": "application/json", "X-API-Key": key or self.keys.admin}
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            text = answer.read().decode()
        finally:
            connection.close()
        try:
            return answer.status, json.loads(text)
        except ValueError:
            return answer.status, text

    def predict(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """The answer about one customer.

        Raises:
            ValueError: the service did not answer with 200.
        """
        status, answer = self.ask("POST", "/predict", row, key=self.keys.shop)
        if status != 200:
            raise ValueError(f"/predict answered {status}: {answer}")
        found: dict[str, Any] = answer
        return found

    def releases_answering(self, row: Mapping[str, Any]) -> set[str]:
        """The releases behind many answers, each asked on a connection of its own."""
        return {str(self.predict(row)["release"]) for _ in range(NUM_ASKED)}

    def workers(self) -> list[dict[str, Any]]:
        """What each worker serves, from the files that they keep for each other."""
        found = []
        for path in sorted(self._workers.glob("*.worker.json")):
            try:
                found.append(json.loads(path.read_text(encoding="utf-8")))
            except (OSError, ValueError):  # replaced just now
                continue
        return found

    def all_serve(self, release_id: str) -> bool:
        """Whether every worker has said that it serves a release."""
        told = [worker["release"] for worker in self.workers()]
        return len(told) == NUM_WORKERS and set(told) == {release_id}

    def status(self) -> str:
        """``healthy``, ``degraded`` or ``unhealthy``, by the worker that happens to answer."""
        return str(self.ask("GET", "/health")[1]["status"])


def start_service(site: Site, keys: Keys, port: int, more: Mapping[str, str]) -> Service:
    """Start the service, as ``make serve`` does, without waiting for it."""
    environ = site.environ | {
        "BENTOML_HOME": str(site.home / "service" / "bentoml"),
        "BENTOML_CONFIG_OPTIONS": f"services.churn.workers={NUM_WORKERS}",
        "FEDCHURN_CONTRACT": CONTRACT,
        "FEDCHURN_SERVE_API_KEYS": keys.entries,
        "FEDCHURN_SERVE_RELOAD_INTERVAL_SECONDS": "0.5",
        **more,
    }
    command = [sys.executable, "-m", "bentoml", "serve", "--host", "127.0.0.1"]
    started = site.start("service", [*command, "--port", str(port)], environ)
    return Service(site, port, keys, started)


def await_service(service: Service, step: Step) -> None:
    """Wait until every worker has a release that has proven itself."""

    def is_ready() -> bool:
        step.check(processes.is_alive(service.started), "the service has ended")
        url = f"http://{service.address}/readyz"
        return processes.read_url(url) is not None and len(service.workers()) == NUM_WORKERS

    step.wait_for(is_ready, "the service is ready")

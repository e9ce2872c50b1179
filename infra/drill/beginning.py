"""How a drill begins: platform, first model, service."""

from __future__ import annotations

import sys
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from pathlib import Path

from fedchurn.contract.load import load_contract
from fedchurn.contract.schema import Contract
from fedchurn.errors import FedchurnError
from infra import processes
from infra.drill.monitoring import Watchers, start_watchers
from infra.drill.prefect_runs import PrefectRuns
from infra.drill.service import Keys, Service, await_service, make_keys, start_service
from infra.drill.site import CONTRACT, Deployment, Site, write_project
from infra.drill.timeline import Timeline
from infra.monitoring import programs

FEDCHURN = str(Path(sys.executable).with_name("fedchurn"))
MONITORED = ("metric at Prometheus", "alert fired", "webhook")
NOT_INSTALLED = "NOT SHOWN: prometheus or prometheus-alertmanager is not installed"
TRAINING = (
    # Neither is what is drilled here, and both take seconds of every training.
    "evaluation.baselines=false",
    "packaging.after_promotion=false",
    # The sample's smallest client has some 30 test rows: there, 0.02 of ROC-AUC are chance.
    "promotion.client_margin=0.1",
)
# Labels count at once: nobody can wait a month here. The table's first lines say so.
MATURE = ("feedback.maturity_days=0",)
CHANGES = (
    Deployment("flows.train.train", {"assignments": list(TRAINING)}),
    Deployment("flows.check_drift.check_drift", {"assignments": list(MATURE)}),
    Deployment("flows.retrain.retrain", {"assignments": [*TRAINING, *MATURE]}),
)


@dataclass
class Drill:
    """What the steps share.

    Attributes:
        site: where everything runs.
        timeline: what was seen.
        contract: of the customers.
        prefect: the Prefect server.
        service: the service.
        watchers: Prometheus and Alertmanager, None where they are not installed.
        first_release: the release that was trained first.
    """

    site: Site
    timeline: Timeline
    contract: Contract
    prefect: PrefectRuns
    service: Service
    watchers: Watchers | None
    first_release: str


def begin(site: Site, timeline: Timeline, beside: Executor) -> Drill:
    """Start everything that answers, with a first model in production.

    Raises:
        StepFailed: a part did not start; nothing else can be tried.
    """
    write_project(site.settings.project, CHANGES)
    platform = beside.submit(_platform_up, site, timeline, site.start_platform(beside))
    first_release = _train_first(site, timeline)
    platform.result()
    keys, port = make_keys(), processes.free_port()
    watchers = _watchers(site, timeline, keys, port)
    with timeline.step("service up", 90, [site.log("service")]) as step:
        service = start_service(site, keys, port, {})
        await_service(service, step)
        step.check(service.all_serve(first_release), f"workers serve {service.workers()}")
        step.saw(f"2 workers answer with {first_release}; keys are asked for")
    prefect = PrefectRuns(site.settings.prefect_api_url)
    contract = load_contract(CONTRACT)
    return Drill(site, timeline, contract, prefect, service, watchers, first_release)


def _platform_up(site: Site, timeline: Timeline, platform: Future[tuple[str, ...]]) -> None:
    with timeline.step("platform up", 240) as step:
        try:
            names = platform.result(step.remaining_seconds)
        except FedchurnError:
            site.commands.close()  # the servers are gone, so nobody trains on
            raise
        step.saw(f"{', '.join(names)} healthy; Prefect at {site.settings.prefect_url}")


def _train_first(site: Site, timeline: Timeline) -> str:
    """A first model, as soon as the servers answer; the worker is not needed for it."""
    with timeline.step("servers answer", 180) as step:
        step.wait_for(site.servers_answer, "Prefect and MLflow answer")
        step.saw("Prefect server and MLflow server")
    options = [option for text in TRAINING for option in ("--set", text)]
    with timeline.step("first model", 180, [site.log("first-model")]) as step:
        ended = site.commands.run(
            "first-model",
            [FEDCHURN, "train", "--contract", CONTRACT, *options, "--json"],
            timeout_seconds=step.remaining_seconds,
        )
        step.check(ended.code == 0, f"exit code {ended.code}")
        told = ended.last_object
        step.check(told["outcome"] == "promoted", f"outcome {told['outcome']}")
        release_id = str(told["release_id"])
        auc = told["metrics"]["roc_auc"]
        step.saw(f"{release_id} promoted, ROC-AUC {auc:.3f}", **told_facts(told))
    return release_id


def _watchers(site: Site, timeline: Timeline, keys: Keys, port: int) -> Watchers | None:
    """Prometheus and Alertmanager, or None with a loud word where they are not installed."""
    if not programs.are_installed():
        for name in MONITORED:
            timeline.not_run(name, NOT_INSTALLED)
        return None
    with timeline.step("monitoring up", 60) as step:
        watchers = start_watchers(site, f"127.0.0.1:{port}", keys.admin)
        step.saw("Prometheus scrapes every second; Alertmanager tells the webhook")
    return watchers


def told_facts(told: dict[str, object]) -> dict[str, object]:
    """What of a training's outcome is worth keeping."""
    return {name: told[name] for name in ("release_id", "version", "mlflow_run_id", "clients")}

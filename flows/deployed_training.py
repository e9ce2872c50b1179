"""Trainings by the deployment ``train/CONTRACT``: asked for once per key, then waited for."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas import FlowRun
from prefect.deployments import run_deployment
from prefect.exceptions import ObjectNotFound

from fedchurn.loop.retraining.trainer import OnStarted, Order, Trained
from fedchurn.retraining.checks import FAILED

POLL_SECONDS = 2.0
POLLED_SECONDS = 60.0  # Prefect itself calls a deployment not ready from then on
_TOLD = re.compile(r"(?P<release>\S+) \(version (?P<version>\S+)\): (?P<summary>.*)", re.DOTALL)


class DeploymentTrainer:
    """Trains by ``run_deployment``; the server makes one run per idempotency key.

    Args:
        contract: name of the deployment of flow ``train``.
        start_minutes: how long to wait for a run to begin. A worker with one place cannot begin it
            while we hold that place; when we give up, it can.
    """

    def __init__(self, contract: str, *, start_minutes: float) -> None:
        self._name = f"train/{contract}"
        self._start_seconds = start_minutes * 60.0

    @property
    def place(self) -> str:
        return f"deployment {self._name}"

    def train(self, order: Order, on_started: OnStarted) -> Trained | None:
        """See ``Trainer``."""
        run = run_deployment(
            self._name,
            parameters=_parameters(order),
            idempotency_key=order.run_key,
            flow_run_name=f"train-{order.contract}",
            tags=[order.run_key],
            timeout=0,
        )
        on_started(str(run.id), str(run.name))
        with get_client(sync_client=True) as client:
            ended = self._await(client, run)
        return _trained(ended) if ended is not None else None

    def _await(self, client: SyncPrefectClient, run: FlowRun) -> FlowRun | None:
        """The run when it is over; None when it does not begin."""
        end = time.monotonic() + self._start_seconds
        while True:
            run = client.read_flow_run(run.id)
            if run.state is not None and run.state.is_final():
                return run
            waits = run.state is None or run.state.is_scheduled() or run.state.is_pending()
            if waits and time.monotonic() >= end:
                return None
            time.sleep(POLL_SECONDS)


def train_parameters(contract: str) -> dict[str, Any]:
    """Parameters of the deployment ``train/CONTRACT``, so that data is named in one place only.

    Empty when the server of this process knows no such deployment.
    """
    deployment = _deployment(contract)
    return dict(deployment.parameters) if deployment is not None else {}


def is_deployed(contract: str) -> bool:
    """Whether the server of this process knows the deployment ``train/CONTRACT``."""
    return _deployment(contract) is not None


def has_worker(contract: str) -> bool:
    """Whether somebody who would begin a run of ``train/CONTRACT`` asked for work lately."""
    deployment = _deployment(contract)
    if deployment is None or deployment.last_polled is None:
        return False
    age: timedelta = datetime.now(UTC) - deployment.last_polled
    return age.total_seconds() < POLLED_SECONDS


def _deployment(contract: str) -> Any:
    with get_client(sync_client=True) as client:
        try:
            return client.read_deployment_by_name(f"train/{contract}")
        except ObjectNotFound:
            return None


def _parameters(order: Order) -> dict[str, Any]:
    return {
        "contract": order.resolved.contract,
        "config": order.config,
        "assignments": list(order.assignments),
    }


def _trained(run: FlowRun) -> Trained:
    """What a finished run of flow ``train`` says of itself; see ``flows.train.ended``."""
    state = run.state
    name, message = (state.name, state.message or "") if state else ("", "")
    found = _TOLD.match(message)
    if state is None or not state.is_completed() or found is None:
        return Trained(FAILED, "", "", f"{run.name} ended as {name}: {message}")
    return Trained(str(name).lower(), found["release"], found["version"], found["summary"])

"""Tasks: windows of the prediction log against the release in production."""

from __future__ import annotations

import logging
from typing import Any
from uuid import UUID

from prefect import task
from prefect.deployments import run_deployment
from prefect.events import emit_event
from prefect.exceptions import ObjectNotFound

from fedchurn.loop.watching import runner
from fedchurn.retraining.asking import claim_asking, forget_asking
from fedchurn.retraining.inbox import TriggerInbox
from fedchurn.retraining.places import inbox_folder, retraining_folder
from fedchurn.settings import Settings
from tasks.artifacts import publish_drift
from tasks.retrying import is_passing

logger = logging.getLogger(__name__)

EVENT = "fedchurn.drift"
_PREDICTIONS_SECONDS = 1800  # a window of a million rows, on a busy machine


@task(
    name="judge labels",
    retries=2,
    retry_delay_seconds=[1, 3],
    retry_condition_fn=is_passing,
    timeout_seconds=_PREDICTIONS_SECONDS,
    persist_result=False,
)
def judge_mature_labels(settings: dict[str, Any]) -> dict[str, Any]:
    """What mature labels say; see ``runner.judge_labels``."""
    return runner.judge_labels(Settings.model_validate(settings))


@task(
    name="judge window",
    retries=2,
    retry_delay_seconds=[1, 3],
    retry_condition_fn=is_passing,
    timeout_seconds=_PREDICTIONS_SECONDS,
    persist_result=False,
)
def judge_next_window(settings: dict[str, Any], by_labels: dict[str, Any]) -> dict[str, Any] | None:
    """The next window's record, or None; see ``runner.judge_window``."""
    return runner.judge_window(Settings.model_validate(settings), by_labels)


@task(
    name="publish window",
    retries=2,
    retry_delay_seconds=[1, 3],
    retry_condition_fn=is_passing,
    timeout_seconds=300,
    persist_result=False,
)
def publish_window(window: dict[str, Any]) -> None:
    """An artifact, and an event where something has drifted; the event's id is the window's."""
    publish_drift(window["contract"], window)
    if window["verdict"] == "drift":
        _emit(window["contract"], window, UUID(window["window_id"] * 2))


@task(
    name="finish window",
    retries=2,
    retry_delay_seconds=[1, 3],
    retry_condition_fn=is_passing,
    timeout_seconds=300,
    persist_result=False,
)
def finish_judged_window(settings: dict[str, Any], window: dict[str, Any]) -> None:
    """Go on behind it; see ``runner.finish_window``."""
    runner.finish_window(Settings.model_validate(settings), window)


@task(
    name="publish run",
    retries=2,
    retry_delay_seconds=[1, 3],
    retry_condition_fn=is_passing,
    timeout_seconds=300,
    persist_result=False,
)
def publish_run(
    settings: dict[str, Any], windows: list[dict[str, Any]], by_labels: dict[str, Any]
) -> dict[str, Any]:
    """What the run has found; decay without a window gets its event here."""
    result = runner.run_result(Settings.model_validate(settings), windows, by_labels)
    if result["outcome"] == "drift" and not windows:
        _emit(result["contract"], {**result, "verdict": "drift"}, None)
    return result


@task(
    name="ask for retrain",
    retries=2,
    retry_delay_seconds=[1, 3],
    retry_condition_fn=is_passing,
    timeout_seconds=300,
    persist_result=False,
)
def ask_for_retrain(settings: dict[str, Any]) -> str | None:
    """Have ``retrain`` run soon, where triggers wait and a server has its deployment.

    Returns:
        id of the flow run; None when nothing waits, somebody has asked, or nobody can be asked:
        then triggers wait.
    """
    site = runner.site_of(Settings.model_validate(settings))
    home, contract = site.serving.home, site.contract
    folder = retraining_folder(home, contract)
    if not TriggerInbox(inbox_folder(home, contract)).num_waiting or not claim_asking(folder):
        return None
    try:
        run = run_deployment(f"retrain/{contract}", timeout=0, as_subflow=False)
    except ObjectNotFound:
        forget_asking(folder)
        return None
    except BaseException:
        forget_asking(folder)
        raise
    return str(run.id)


def _emit(contract: str, told: dict[str, Any], event_id: UUID | None) -> None:
    emit_event(
        EVENT,
        resource={
            "prefect.resource.id": f"fedchurn.contract.{contract}",
            "prefect.resource.name": contract,
        },
        payload={
            "verdict": told["verdict"],
            "evidence": told.get("evidence", ["performance"]),
            "columns": told.get("drifted", []),
            "clients": told.get("clients", []),
            "window_id": told.get("window_id"),
            "release": told["release"],
            "summary": told["summary"],
        },
        id=event_id,
    )

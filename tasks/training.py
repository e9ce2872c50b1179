"""Tasks: federated training and its evaluation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from prefect import task

from fedchurn.contract.load import load_contract
from fedchurn.loop.evaluate import evaluate_stage
from fedchurn.loop.tracked_training import federate_tracked
from fedchurn.settings import Settings
from tasks.artifacts import publish_evaluation, publish_rounds
from tasks.progress import RoundProgress
from tasks.retrying import is_passing


@task(
    name="check tracking",
    retries=2,
    retry_delay_seconds=[1, 3],
    retry_condition_fn=is_passing,
    timeout_seconds=60,
    persist_result=False,
)
def check_tracking(settings: dict[str, Any]) -> str:
    """The tracking URI, when MLflow answers; asked before training, never after."""
    from fedchurn.registry.mlflow_reach import check_reachable

    resolved = Settings.model_validate(settings)
    check_reachable(resolved.tracking_uri)
    return resolved.tracking_uri


@task(
    name="train federated",
    retries=1,
    retry_delay_seconds=2,
    retry_condition_fn=is_passing,
    timeout_seconds=24 * 3600,
    persist_result=False,
)
def train_federated(settings: dict[str, Any], validated: dict[str, Any]) -> dict[str, Any]:
    """Statistics, rounds and score sums; see ``federate_stage``."""
    resolved = Settings.model_validate(settings)
    contract = load_contract(resolved.contract)
    progress = RoundProgress(contract.contract)
    result = federate_tracked(resolved, contract, validated, progress.begin)
    progress.end()
    rounds = json.loads((Path(result["folder"]) / "rounds.json").read_text(encoding="utf-8"))
    publish_rounds(contract.contract, rounds["records"])
    return result


@task(
    name="evaluate model",
    retries=1,
    retry_delay_seconds=2,
    retry_condition_fn=is_passing,
    timeout_seconds=4 * 3600,
    persist_result=False,
)
def evaluate_model(
    settings: dict[str, Any], validated: dict[str, Any], trained: dict[str, Any]
) -> dict[str, Any]:
    """Threshold, metrics, baselines and plots; see ``evaluate_stage``."""
    resolved = Settings.model_validate(settings)
    contract = load_contract(resolved.contract)
    result = evaluate_stage(resolved, contract, validated, trained)
    publish_evaluation(contract.contract, result, bool(validated["is_sample"]))
    return result

"""Federated training with an MLflow run beside it, so that rounds show while they happen."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from fedchurn.contract.schema import Contract
from fedchurn.data.client_table import TEST, TRAIN, VALIDATION
from fedchurn.federation.state import RoundRecord
from fedchurn.loop.federate import OnRound, federate_key, federate_stage
from fedchurn.loop.provenance import git_commit, library_versions, now
from fedchurn.loop.stage import StageResult, finished_stage, forget_stage
from fedchurn.loop.validate import stage_tables
from fedchurn.registry.mlflow_tracking import (
    TrackedRun,
    ensure_experiment,
    run_exists,
    tracked_run,
)
from fedchurn.settings import Settings


def experiment(settings: Settings) -> str:
    """Id of the settings' experiment; artifacts of an embedded store live under home.

    Raises:
        TrackingError: MLflow is away or refuses.
    """
    artifacts = None if settings.tracking.uri else settings.home.resolve() / "mlartifacts"
    return ensure_experiment(settings.tracking_uri, settings.tracking.experiment, artifacts)


def federate_tracked(
    settings: Settings,
    contract: Contract,
    validated: dict[str, Any],
    reporter: Callable[[], OnRound] = lambda: lambda _record, _total: None,
) -> StageResult:
    """``federate_stage`` with params, tags, data lineage and step metrics in a new MLflow run.

    A stage that is complete already is read back and starts no run.

    Args:
        settings: of the run.
        contract: what the rows mean.
        validated: result of ``validate_stage``.
        reporter: makes another listener of rounds, when there will be rounds.

    Returns:
        the stage's result with ``mlflow_run_id``.

    Raises:
        TrackingError: MLflow is away or refuses.
    """
    uri = settings.tracking_uri
    key = federate_key(settings, contract, validated)
    done = finished_stage(settings.home, "federate", key)
    if done is not None:
        if run_exists(uri, str(done["mlflow_run_id"])):
            return done
        forget_stage(settings.home, "federate", key)  # its run is gone from MLflow
    made = {"created_at": now(), "git_commit": git_commit(), "versions": library_versions()}
    tags = {
        "contract": contract.contract,
        "contract_version": contract.version,
        "recipe": settings.recipe,
        "is_sample": str(validated["is_sample"]).lower(),
        "git_commit": made["git_commit"],
        **{f"version.{name}": number for name, number in library_versions().items()},
    }
    name = f"{contract.contract}-{settings.recipe}"
    with tracked_run(uri, experiment(settings), name=name, tags=tags) as run:
        run.log_params({**settings.published(), "sources": ", ".join(validated["sources"])})
        _log_data(run, validated)
        report = reporter()

        def on_round(record: RoundRecord, total: int) -> None:
            run.log_metrics(_step_metrics(record), record.round_num)
            report(record, total)

        return federate_stage(
            settings, contract, validated, on_round, facts={**made, "mlflow_run_id": run.run_id}
        )


def _log_data(run: TrackedRun, validated: dict[str, Any]) -> None:
    names = {TRAIN: "training", VALIDATION: "validation", TEST: "test"}
    for client, table in stage_tables(validated).items():
        for part, context in names.items():
            rows = table.part(part)
            run.log_dataset(client, rows.digest(), context=context, num_rows=rows.num_rows)


def _step_metrics(record: RoundRecord) -> dict[str, float | None]:
    """Train and validation metrics of a round, pooled and per client."""
    train = {f"train_{name}": value for name, value in record.train.items()}
    validation = {f"eval_{name}": value for name, value in record.validation.items()}
    clients = {
        f"client/{_metric_name(client)}/{name}": value
        for client, numbers in record.per_client.items()
        for name, value in numbers.items()
    }
    merged = {**train, **validation, **clients}
    return {name: value if math.isfinite(value) else None for name, value in merged.items()}


def _metric_name(client: str) -> str:
    """A client's name in letters that MLflow accepts in metric names."""
    return "".join(c if c.isalnum() or c in "_-. /" else "_" for c in client)

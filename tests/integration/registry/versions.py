"""Model versions without a model, for tests that only move aliases."""

from __future__ import annotations

from fedchurn.registry.mlflow_registry import MlflowRegistry
from fedchurn.registry.mlflow_tracking import TrackedRun, ensure_experiment


def add_version(registry: MlflowRegistry, release_id: str) -> str:
    experiment = ensure_experiment(registry.uri, "churn")
    run = TrackedRun(registry.uri, "").client().create_run(experiment)
    return registry.create_version(
        f"runs:/{run.info.run_id}/model",
        run_id=run.info.run_id,
        model_id=None,
        tags={"release_id": release_id},
    )

"""Register a release: the scoring model, the Keras model, the folder, and the version's tags."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from fedchurn.registry.mlflow_errors import mlflow_errors
from fedchurn.registry.mlflow_global import global_store
from fedchurn.registry.mlflow_keras import log_keras_model
from fedchurn.registry.mlflow_registry import RELEASES, MlflowRegistry
from fedchurn.registry.mlflow_scoring import log_scoring_model
from fedchurn.registry.mlflow_tracking import TrackedRun
from fedchurn.registry.port import RELEASE_TAG
from fedchurn.release.load import Release, check_golden, load_release
from fedchurn.release.weights import weights_digest

MODEL_NAME = "churn_prediction_model"
_KNOWN_WARNINGS = (
    ".*Any type hint is inferred as AnyType",  # mlflow/types/type_hints.py, about its own types
    "Operation with range is deprecated",  # mlflow/models/utils.py, pandas 4
    "__array__ implementation doesn't accept a copy",  # keras/src/backend/tensorflow/core.py
)
_METRIC_TAGS = ("accuracy", "f1", "roc_auc")


def register_release(
    run: TrackedRun,
    folder: Path,
    *,
    model_name: str = MODEL_NAME,
    tags: Mapping[str, str] | None = None,
    keras: bool = True,
) -> str:
    """Log a release to a run and register it; registering it again gives the same version.

    Logged: the release folder, the scoring model (rows in, probabilities out) with signature and
    input example, and the Keras model with signature and its input example as an artifact.

    Args:
        run: the run that made the release.
        folder: the release folder.
        model_name: the registered model, made when absent.
        tags: further tags of the version.
        keras: also log the Keras model (imports TensorFlow).

    Returns:
        the version's number.

    Raises:
        IntegrityError: the folder is not a whole release, or its golden rows disagree.
        TrackingError: MLflow is away or refuses.
    """
    release = load_release(folder)
    check_golden(release)
    registry = MlflowRegistry(run.uri, model_name)
    for known in registry.versions():
        if (known.release_id, known.run_id) == (release.release_id, run.run_id):
            return known.version
    run.log_folder(folder, f"{RELEASES}/{release.release_id}")
    with _active_run(run):
        if keras:
            log_keras_model(run, release)
        logged = log_scoring_model(release)
    return registry.create_version(
        logged.model_uri,
        run_id=run.run_id,
        model_id=logged.model_id,
        tags=version_tags(release) | dict(tags or {}),
    )


def version_tags(release: Release) -> dict[str, str]:
    """What a version says of itself in the registry."""
    card = release.card
    figures = {n: f"{v:.6f}" for n in _METRIC_TAGS if (v := card.metrics.get(n)) is not None}
    return {
        RELEASE_TAG: release.release_id,
        "contract": card.contract,
        "contract_version": card.contract_version,
        "contract_digest": card.contract_digest,
        "data_digest": card.data_digest,
        "weights_digest": weights_digest(release.model.weights),
        "participants": ", ".join(card.participants),
        "is_sample": str(card.is_sample).lower(),
        **figures,
    }


@contextmanager
def _active_run(run: TrackedRun) -> Iterator[None]:
    """MLflow logs models only to its global active run; all that is global is put back."""
    import mlflow

    path = list(sys.path)
    try:
        with mlflow_errors(run.uri, "logging the model"), global_store(run.uri):
            with _known_warnings_off(), mlflow.start_run(run_id=run.run_id, nested=True):
                yield
            run.client().update_run(run.run_id, status="RUNNING")  # leaving the block ended it
    finally:
        sys.path = path  # validating the example put the model's own code in front


@contextmanager
def _known_warnings_off() -> Iterator[None]:
    """Leave out what MLflow 3.17 and Keras 3.15 say about their own insides."""
    with warnings.catch_warnings():
        for message in _KNOWN_WARNINGS:
            warnings.filterwarnings("ignore", message=message)
        yield

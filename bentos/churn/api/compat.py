"""The release that answers, in the words of the reference systems.

System 0 asks for ``current_version`` and ``input_shape``, its README for ``stage`` and ``run_id``,
system 1 for ``model_path`` and ``loaded_at``, system 2 for ``features`` and ``total_predictions``,
system 4 for ``val_f1`` and ``raw_feature_cols``. docs/api.md has the whole table.
"""

from __future__ import annotations

from bentos.churn.api.answers import churn_rate_baseline
from bentos.churn.api.answers_status import ModelInfo
from fedchurn.release.card import Metrics
from fedchurn.serving.served_release import ServedRelease
from fedchurn.serving.time_text import time_text

_MODEL, _UNSUFFIXED = "churn_prediction_model", "ecommerce"  # as fedchurn.settings names models
_PREPROCESSING = "encoder of the release: missing flags, truncated lines, one input per label"
_SAME_METRIC = {"f1_score": "f1", "avg_precision": "pr_auc", "cohen_kappa": "kappa"}


def model_info(served: ServedRelease, num_predictions: int) -> ModelInfo:
    """Facts about a release that answers; ``num_predictions`` is how often it did."""
    release = served.release
    card = release.card
    found = card.metrics
    run_id = card.mlflow_run_id or None
    name = model_name(card.contract)
    return ModelInfo(
        model_name=name,
        model_registry_name=name,
        model_version=served.version,
        current_version=served.version,
        version=served.version,
        stage="Production" if served.version else "None",
        release=served.release_id,
        contract=card.contract,
        contract_version=card.contract_version,
        recipe=card.recipe,
        model_type=model_type(served),
        model_loaded=True,
        model_path=release.folder.name,
        preprocessor_path=f"{release.folder.name}/encoder.json",
        loaded_at=time_text(served.loaded_seconds),
        created_at=card.created_at,
        run_id=run_id,
        mlflow_run_id=run_id,
        mlflow_uri=None,
        mlflow_tracking_uri=None,
        is_sample=card.is_sample,
        metrics=dict(found),
        accuracy=metric(found, "accuracy"),
        f1_score=metric(found, "f1_score"),
        val_accuracy=metric(found, "accuracy"),
        val_f1=metric(found, "f1_score"),
        val_precision=metric(found, "precision"),
        val_recall=metric(found, "recall"),
        val_roc_auc=metric(found, "roc_auc"),
        val_avg_precision=metric(found, "avg_precision"),
        val_balanced_accuracy=metric(found, "balanced_accuracy"),
        val_mcc=metric(found, "mcc"),
        val_cohen_kappa=metric(found, "cohen_kappa"),
        val_brier_score=metric(found, "brier"),
        val_log_loss=metric(found, "log_loss"),
        threshold=card.threshold,
        objective=card.objective,
        churn_rate=churn_rate_baseline(release.contract),
        features=list(release.contract.columns),
        raw_feature_cols=list(release.contract.columns),
        feature_cols=[*release.contract.columns, *release.contract.derived],
        input_shape=[None, release.model.spec.inputs],
        output_shape=[None, 1],
        preprocessing=_PREPROCESSING,
        best_params=dict(card.settings),
        random_state=card.seed,
        data_hash=card.data_digest,
        predictions_made=num_predictions,
        total_predictions=num_predictions,
    )


def model_name(contract: str) -> str:
    """The registered model of a contract, as settings name it unless they say otherwise."""
    return _MODEL if contract == _UNSUFFIXED else f"{_MODEL}_{contract}"


def model_type(served: ServedRelease) -> str:
    """What kind of model answers, in words."""
    spec = served.release.model.spec
    layers = "-".join(str(layer.units) for layer in spec.hidden)
    if not layers:
        return "additive"
    return f"additive + network {layers}-1" if spec.linear else f"network {layers}-1"


def metric(found: Metrics, name: str) -> float | None:
    """A metric of a card under either of its names; None when it is not there."""
    value = found.get(name)
    return found.get(_SAME_METRIC.get(name, name)) if value is None else value

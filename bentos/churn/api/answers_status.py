"""What the service answers about itself. Fields that say the same twice are those that the
reference systems documented (docs/api.md has the table)."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from bentos.churn.api.answers import Time
from bentos.churn.api.findings import Finding

_Share = Annotated[float, Meta(ge=0, le=1)]
_Nowhere = Annotated[None, Meta(description="the service talks to no MLflow; always null")]


class Index(Struct, kw_only=True):
    """What this service is, and where to go on."""

    service: str
    message: str
    version: Annotated[str, Meta(description="of Fedchurn")]
    contract: str
    model_version: str | None
    release: str
    fallback_enabled: bool
    docs: str
    health: str
    metrics: str
    mlflow_tracking_uri: _Nowhere
    endpoints: dict[str, str]


class Health(Struct, kw_only=True):
    """Whether the service can answer. ``degraded`` answers, but not by its champion."""

    status: Literal["healthy", "degraded", "unhealthy"]
    timestamp: Time
    version: str
    contract: str
    release: str
    model_version: str | None
    model_loaded: bool
    preprocessor_loaded: bool
    champion_fault: Annotated[str | None, Meta(description="why fallbacks answer")]
    challenger_fault: Annotated[str | None, Meta(description="why no challenger is at work")]
    golden_rows: Annotated[
        bool | None, Meta(description="whether the last check of golden rows agreed")
    ]
    last_reload_failure: Annotated[
        str | None, Meta(description="why the wanted release does not answer")
    ]
    num_workers: int
    num_serving: Annotated[int, Meta(description="workers that answer with this release")]
    workers: Annotated[list[Any], Meta(description="what each worker answers with")]
    uptime_seconds: Annotated[float, Meta(ge=0)]
    predictions_made: Annotated[int, Meta(ge=0, description="by all workers since the start")]
    drift_monitoring_active: bool
    reference_data_size: int
    monitoring_data_size: int
    errors: Annotated[list[Finding], Meta(description="why it cannot answer")] | UnsetType = UNSET


class Ready(Struct):
    """The worker has its release, and its golden rows are right."""

    status: Literal["ready"]
    timestamp: Time


class ModelInfo(Struct, kw_only=True):
    """The release that answers, in the words of the reference systems; /release has the card."""

    model_name: str
    model_registry_name: str
    model_version: str | None
    current_version: str | None
    version: str | None
    stage: Annotated[Literal["Production", "None"], Meta(description="None: not of the registry")]
    release: str
    contract: str
    contract_version: str
    recipe: str
    model_type: str
    model_loaded: bool
    model_path: Annotated[str, Meta(description="name of the release's folder")]
    preprocessor_path: str
    loaded_at: Time
    created_at: str
    run_id: Annotated[str | None, Meta(description="MLflow run that made it")]
    mlflow_run_id: str | None
    mlflow_uri: _Nowhere
    mlflow_tracking_uri: _Nowhere
    is_sample: Annotated[bool, Meta(description="trained on generated rows")]
    metrics: Annotated[dict[str, float | None], Meta(description="on held-out rows")]
    accuracy: float | None
    f1_score: float | None
    val_accuracy: float | None
    val_f1: float | None
    val_precision: float | None
    val_recall: float | None
    val_roc_auc: float | None
    val_avg_precision: float | None
    val_balanced_accuracy: float | None
    val_mcc: float | None
    val_cohen_kappa: float | None
    val_brier_score: float | None
    val_log_loss: float | None
    threshold: _Share
    objective: str
    churn_rate: _Share | None
    features: Annotated[list[str], Meta(description="columns that a customer has")]
    raw_feature_cols: list[str]
    feature_cols: Annotated[list[str], Meta(description="with those that are derived")]
    input_shape: Annotated[list[int | None], Meta(description="of the encoded rows")]
    output_shape: list[int | None]
    preprocessing: Annotated[str, Meta(description="how rows become inputs")]
    best_params: dict[str, Any]
    random_state: int
    data_hash: str
    predictions_made: int
    total_predictions: int


class FallbackStats(Struct, kw_only=True):
    """Who answered, over all workers since the service started."""

    total_predictions: int
    fallback_count: int
    fallback_rate: _Share
    fallback_reasons: dict[str, int]
    handler_usage: Annotated[dict[str, int], Meta(description="answers by who gave them")]
    by_model_used: dict[str, int]


class Experiment(Struct, kw_only=True):
    """Shadow mode and A/B split."""

    is_active: bool
    champion: str
    challenger: str | None
    ab_fraction: _Share
    shadow_fraction: _Share
    challenger_fault: str | None
    report: Annotated[Any, Meta(description="what has been seen so far; null without challenger")]


class Reload(Struct, kw_only=True):
    """What answers after a reload."""

    status: Literal["reloaded", "unchanged"]
    message: str
    new_version: str | None
    previous_version: str | None
    new_release: str
    previous_release: str
    accuracy: float | None
    seconds: Annotated[float, Meta(ge=0)]
    timestamp: Time

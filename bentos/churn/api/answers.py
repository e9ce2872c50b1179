"""What the service answers about customers: fields, their order, and how numbers are rounded.

The fast lane and the long way both come through ``prediction_fields``, so their answers cannot
differ. The OpenAPI page takes its schemas from these records.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from bentos.churn.api.findings import Finding, finding
from fedchurn.contract.schema import Column, Contract
from fedchurn.serving.explaining.explanation import Explanation
from fedchurn.serving.fallback.rules import rules_that_hold
from fedchurn.serving.records import BASE_RATE, RULES, Answer, PredictionRecord
from fedchurn.serving.served_release import ServedRelease
from fedchurn.serving.time_text import time_text

_MILLIONTHS = 1e6  # probabilities are sent with six decimals

Probability = Annotated[float, Meta(ge=0, le=1)]
Share = Annotated[float, Meta(ge=-1, le=1)]
Time = Annotated[str, Meta(description="ISO 8601, UTC", examples=["2026-03-01T12:00:00.123Z"])]


class FeatureContribution(Struct, gc=False):
    """What one field adds to the churn probability; positive pushes towards churn."""

    feature: str
    value: Any
    contribution: Share
    reference: Annotated[Any, Meta(description="what it was compared with: a typical value")]
    reason: Annotated[str, Meta(description="the same in words")]
    together_with: Annotated[
        list[str], Meta(description="fields that were replaced together with this one")
    ]


class Prediction(Struct, kw_only=True, gc=False):
    """The answer about one customer. The last four fields are there when an explanation is."""

    prediction_id: Annotated[str, Meta(description="names the answer when its truth comes back")]
    customer_id: Annotated[str | None, Meta(description="the contract's id, where it was sent")]
    churn_probability: Probability | UnsetType = UNSET
    churn_prediction: Annotated[Literal[0, 1], Meta(description="1 from the threshold on")]
    will_churn: bool
    risk_level: Annotated[str, Meta(description="band of the contract")]
    confidence: (
        Annotated[float, Meta(ge=0.5, le=1, description="probability of the likelier class")]
        | UnsetType
    ) = UNSET
    model_used: Literal["champion", "challenger", "fallback_model", "rules", "base_rate"]
    is_fallback: bool
    fallback_reason: Literal["error", "timeout", "golden_rows", "not_finite"] | None
    model_version: Annotated[str | None, Meta(description="registry version, where known")]
    release: str
    churn_rate_baseline: Annotated[
        Probability | None, Meta(description="share of churners in the contract's reference")
    ]
    latency_ms: Annotated[float, Meta(ge=0, description="milliseconds until the answer was known")]
    timestamp: Time
    warnings: list[Finding]
    customer_index: (
        Annotated[int, Meta(ge=0, description="row of the batch, from 0")] | UnsetType
    ) = UNSET
    feature_contributions: (
        Annotated[
            list[FeatureContribution],
            Meta(description="strongest first; their sum plus base_probability is the answer"),
        ]
        | UnsetType
    ) = UNSET
    base_probability: (
        Annotated[Probability | None, Meta(description="answer about a typical customer")]
        | UnsetType
    ) = UNSET
    recommendations: list[str] | UnsetType = UNSET
    explanation_note: (
        Annotated[str, Meta(description="why there are no contributions")] | UnsetType
    ) = UNSET


class Batch(Struct, kw_only=True):
    """Answers about the good rows of a batch; bad rows are told by index, none is left out."""

    predictions: list[Prediction]
    errors: Annotated[list[Finding], Meta(description="why rows got no answer, by index")]
    total_customers: Annotated[int, Meta(description="rows that were sent")]
    num_answered: int
    num_refused: int
    processing_time_ms: Annotated[float, Meta(ge=0)]
    latency_ms: Annotated[float, Meta(ge=0)]
    model_version: str | None
    release: str
    timestamp: Time
    ignored_columns: (
        Annotated[list[str], Meta(description="columns of a CSV file that the contract ignores")]
        | UnsetType
    ) = UNSET


def prediction_fields(answer: Answer) -> Prediction:
    """The fields of one answer, in the order in which they are sent."""
    record = answer.record
    probability = record.probability
    version, release, churn_rate = _facts(record.served)
    return Prediction(
        prediction_id=record.prediction_id,
        customer_id=record.customer_id,
        churn_probability=rounded(probability),
        churn_prediction=record.prediction,  # type: ignore[arg-type]
        will_churn=record.prediction == 1,
        risk_level=record.risk_level,
        confidence=rounded(probability if probability >= 0.5 else 1.0 - probability),
        model_used=record.model_used,  # type: ignore[arg-type]
        is_fallback=record.fallback_reason is not None,
        fallback_reason=record.fallback_reason,  # type: ignore[arg-type]
        model_version=version,
        release=release,
        churn_rate_baseline=churn_rate,
        latency_ms=int(record.latency_seconds * 1e6 + 0.5) / 1e3,
        timestamp=time_text(record.time_seconds),
        warnings=[finding(warning) for warning in answer.warnings] if answer.warnings else [],
    )


def explained_fields(answer: Answer) -> Prediction:
    """``prediction_fields`` with contributions and recommendations.

    Rules and base rate look at no field of their own accord, so they have no contributions; then
    the list is empty and a note says why.
    """
    fields = prediction_fields(answer)
    explanation = answer.explanation
    fields.feature_contributions = _contributions(answer.record, explanation)
    fields.base_probability = rounded(explanation.base_probability) if explanation else None
    fields.recommendations = list(answer.recommendations)
    if explanation is None:
        fields.explanation_note = _why_unexplained(answer.record)
    return fields


def _why_unexplained(record: PredictionRecord) -> str:
    if record.model_used == BASE_RATE:
        return "base_rate answered, which looks at no field"
    if record.model_used != RULES:
        return "the answer could not be explained; the service's log says why"
    contract = record.served.contract
    values = dict(zip(contract.columns, record.values, strict=True))
    reasons = [rule.reason for rule in rules_that_hold(contract, values)]
    return f"rules answered: {', '.join(reasons) or 'none holds, so the base rate'}"


def rounded(probability: float) -> float:
    """A probability (0-1) to six decimals; three times as fast as ``round``.

    >>> rounded(0.12345678), rounded(1.0), rounded(4e-7)
    (0.123457, 1.0, 0.0)
    """
    return int(probability * _MILLIONTHS + 0.5) / _MILLIONTHS


def churn_rate_baseline(contract: Contract) -> float | None:
    """Share of churners that the contract states for its reference (0-1), where it does."""
    if contract.target.rate is not None:
        return contract.target.rate
    return contract.fallback.base_rate if contract.fallback else None


def json_bytes(content: object) -> bytes:
    """``content`` as JSON; there is no NaN in JSON, so NaN becomes null."""
    return msgspec.json.encode(content)


def _contributions(
    record: PredictionRecord, explanation: Explanation | None
) -> list[FeatureContribution]:
    if explanation is None:
        return []
    columns = record.served.release.contract.columns
    return [
        FeatureContribution(
            feature=one.field,
            value=_sent(one.value, columns.get(one.field)),
            contribution=round(one.contribution, 6),
            reference=_sent(one.reference, columns.get(one.field)),
            reason=one.reason,
            together_with=list(one.together_with),
        )
        for one in explanation.contributions
    ]


def _sent(value: object, column: Column | None) -> object:
    """A canonical value as callers send it: whole numbers, and labels that are such, as numbers."""
    if column is None or value is None:
        return value
    if column.kind == "integer" and isinstance(value, float):
        return int(value)
    coded = column.integer_categories and str(value).removeprefix("-").isdecimal()
    return int(str(value)) if coded else value


@lru_cache(maxsize=4)
def _facts(served: ServedRelease) -> tuple[str | None, str, float | None]:
    """Version, release id and churn rate; looking them up each time takes a microsecond."""
    return served.version, served.release_id, churn_rate_baseline(served.contract)

"""What one prediction leaves behind, and what a caller gets; all of serving shares these."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from fedchurn.contract.conditions import Value
from fedchurn.contract.customer_rows import RowProblem, RowWarning

if TYPE_CHECKING:
    from fedchurn.serving.explaining.explanation import Explanation
    from fedchurn.serving.served_release import ServedRelease

CHAMPION = "champion"
CHALLENGER = "challenger"
FALLBACK_MODEL = "fallback_model"
RULES = "rules"
BASE_RATE = "base_rate"
MODELS_USED = (CHAMPION, CHALLENGER, FALLBACK_MODEL, RULES, BASE_RATE)

ERROR = "error"
TIMEOUT = "timeout"
GOLDEN_ROWS = "golden_rows"
NOT_FINITE = "not_finite"
FALLBACK_REASONS = (ERROR, TIMEOUT, GOLDEN_ROWS, NOT_FINITE)


class PredictionRecord(NamedTuple):
    """One answered customer, as sinks see it; cheap to make, never changed.

    Attributes:
        time_seconds: Unix time of the answer.
        prediction_id: unique over workers and restarts.
        customer_id: what the caller sent as the contract's id, or None.
        values: canonical values in the order of the contract's columns; None is missing.
        probability: churn probability (0-1), not rounded.
        prediction: 1 for a churner by the release's threshold.
        risk_level: name of the contract's band.
        model_used: one of ``MODELS_USED``.
        fallback_reason: one of ``FALLBACK_REASONS``, or None when no fallback was needed.
        served: the release that was asked first.
        latency_seconds: from the request to the answer.
        warnings: pairs (field, rule) of what was odd about the row.
        endpoint: route that was called.
        quick: answered by the fast lane, so that the server's own HTTP series have not seen it.
    """

    time_seconds: float
    prediction_id: str
    customer_id: str | None
    values: tuple[Value, ...]
    probability: float
    prediction: int
    risk_level: str
    model_used: str
    fallback_reason: str | None
    served: ServedRelease
    latency_seconds: float
    warnings: tuple[tuple[str, str], ...]
    endpoint: str
    quick: bool


@dataclass(frozen=True, slots=True)
class Answer:
    """What is said about one customer.

    Attributes:
        record: what was recorded.
        warnings: why the answer deserves less trust.
        explanation: contributions of the fields, when asked for.
        recommendations: what to do, when an explanation was asked for.
    """

    record: PredictionRecord
    warnings: tuple[RowWarning, ...] = ()
    explanation: Explanation | None = None
    recommendations: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a row got no answer: at least one problem."""

    problems: tuple[RowProblem, ...] = field(default=())

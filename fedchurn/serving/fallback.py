"""Who answers when the model cannot: fallback model, then rules, then the base rate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from fedchurn.contract.conditions import Value
from fedchurn.contract.schema import Contract
from fedchurn.serving.predictor import Predictor


class Outcome(NamedTuple):
    """One score and who gave it.

    Attributes:
        probability: churn probability (0-1), finite.
        model_used: one of ``records.MODELS_USED``.
        reason: why a fallback answered (``records.FALLBACK_REASONS``), or None.
    """

    probability: float
    model_used: str
    reason: str | None


class FallbackChain:
    """Scores rows with the first step that can."""

    def __init__(
        self,
        contract: Contract,
        role: str,
        model: Predictor,
        fallback: Predictor | None,
        *,
        timeout_seconds: float,
    ) -> None:
        self._role = role
        self._model = model

    def answer(
        self, rows: Sequence[Mapping[str, Value]], fault: str | None = None
    ) -> list[Outcome]:
        """Scores of n canonical rows (n >= 1); ``fault`` is why the model may not be asked."""
        return [Outcome(float(p), self._role, fault) for p in self._model.many(rows)]

"""Why a model answered as it did: Shapley values of the fields, additive to the probability."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fedchurn.contract.conditions import Value
from fedchurn.serving.predictor import Predictor


@dataclass(frozen=True, slots=True)
class Contribution:
    """What one field adds to the churn probability.

    Attributes:
        field: contract column.
        value: the customer's canonical value.
        reference: what it was compared with: a typical customer's value.
        contribution: added probability (-1 to 1); positive pushes towards churn.
        reason: the same in words.
    """

    field: str
    value: Value
    reference: Value
    contribution: float
    reason: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """Contributions, strongest first; ``base_probability`` plus their sum is the answer.

    Attributes:
        base_probability: answer of the same model for a typical customer (0-1).
        contributions: one per contract column that differs from it.
    """

    base_probability: float
    contributions: tuple[Contribution, ...]


class Explainer:
    """Explains answers of one model."""

    def __init__(self, model: Predictor, reference: Mapping[str, Any]) -> None:
        self._model = model

    def explain(self, values: Mapping[str, Value]) -> Explanation:
        """The explanation of the model's answer about canonical ``values``."""
        raise NotImplementedError

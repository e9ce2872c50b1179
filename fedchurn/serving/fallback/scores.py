"""What a model says about rows, row by row: a probability, or why there is none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from fedchurn.contract.conditions import Value
from fedchurn.serving.records import ERROR, NOT_FINITE

Row = Mapping[str, Value]
Score = float | str  # a probability (0-1), or one of ``records.FALLBACK_REASONS``

MAX_ATTEMPTS = 100  # calls of a model for one batch; one bad row among 1000 takes some 20


class Model(Protocol):
    """What the chain asks of a model; ``Predictor`` is one."""

    def one(self, values: Row) -> float:
        """Churn probability of a canonical row."""

    def many(self, rows: Sequence[Row]) -> NDArray[np.float64]:
        """Churn probabilities of n canonical rows, float64 (n,)."""


@dataclass
class Attempt:
    """One batch on its way through one model.

    Attributes:
        error: the last error that the model raised, or None.
        num_calls: how often the model was asked.
    """

    error: Exception | None = None
    num_calls: int = field(default=0)

    def scores(self, model: Model, rows: Sequence[Row]) -> list[Score]:
        """One score per row (n >= 1).

        A batch that fails is halved and tried again, down to single rows, so that one row that the
        model cannot bear does not take the others with it. After ``MAX_ATTEMPTS`` calls it is the
        model rather than the rows: what is left fails.
        """
        if self.num_calls >= MAX_ATTEMPTS:
            return [ERROR] * len(rows)
        self.num_calls += 1
        try:
            # A number outside 0-1 is no probability, no more than NaN is.
            return [p if 0.0 <= p <= 1.0 else NOT_FINITE for p in _asked(model, rows)]
        except Exception as error:  # whatever a model does, a fallback answers
            self.error = error
        if len(rows) == 1:
            return [ERROR]
        half = len(rows) // 2
        return self.scores(model, rows[:half]) + self.scores(model, rows[half:])


def _asked(model: Model, rows: Sequence[Row]) -> list[float]:
    if len(rows) == 1:
        return [float(model.one(rows[0]))]
    found: list[float] = model.many(rows).tolist()
    if len(found) != len(rows):
        raise ValueError(f"{len(found)} answers for {len(rows)} rows")
    return found

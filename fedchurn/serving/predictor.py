"""A scorer made ready to answer: weights widened and lines of the encoder laid out once."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from fedchurn.contract.conditions import Value
from fedchurn.contract.customer_rows import row_columns
from fedchurn.encoding.row_encoder import RowEncoder
from fedchurn.learning.spec import sigmoid, wide_logit, widened
from fedchurn.release.canonical import rows_to_columns
from fedchurn.release.scorer import Scorer


class Predictor:
    """Churn probabilities of canonical rows, by one scorer.

    ``one`` and ``many`` agree to the last bits of float64, and with Keras to 1e-6.
    """

    def __init__(self, scorer: Scorer) -> None:
        self.scorer = scorer
        self._spec = scorer.spec
        self._weights = widened(scorer.weights)
        self._encoder = RowEncoder(scorer.encoder)

    def one(self, values: Mapping[str, Value]) -> float:
        """Churn probability (0-1) of canonical ``values``; some 30 microseconds."""
        columns = row_columns(values, self.scorer.contract)
        inputs = self._encoder.encode({name: column[0] for name, column in columns.items()})
        rows = inputs[np.newaxis].astype(np.float64)
        return probability(float(wide_logit(self._spec, self._weights, rows)[0]))

    def many(self, rows: Sequence[Mapping[str, Value]]) -> NDArray[np.float64]:
        """Churn probabilities of n canonical rows, float64 (n,)."""
        columns = rows_to_columns(rows, self.scorer.contract)
        inputs = self.scorer.encoder.encode(columns).astype(np.float64)
        return sigmoid(wide_logit(self._spec, self._weights, inputs))


def probability(logit: float) -> float:
    """``sigmoid`` of one number, in some tenths of a microsecond; NaN stays NaN.

    >>> probability(0.0)
    0.5
    """
    if logit >= 0:
        return 1.0 / (1.0 + math.exp(-logit))
    grown = math.exp(logit)  # at most 1, and 0 for the smallest
    return grown / (1.0 + grown)

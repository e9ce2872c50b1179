"""The stock BentoML API with the same weights as a Keras model, as a TensorFlow team serves it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import bentoml
import numpy as np

from benchmarks.serving.peer_model import Customer, Peer, PeerAnswer
from fedchurn.contract.customer_rows import row_columns
from fedchurn.encoding.row_encoder import RowEncoder
from fedchurn.learning.keras_model import build_keras
from fedchurn.release.load import load_release


class KerasPredictor:
    """``Predictor.one`` through Keras."""

    def __init__(self) -> None:
        self._scorer = load_release(Path(os.environ["FEDCHURN_RELEASE"])).model
        self._model = build_keras(self._scorer.spec, self._scorer.weights)
        self._encode = RowEncoder(self._scorer.encoder).encode

    def one(self, values: Mapping[str, Any]) -> float:
        """Churn probability (0-1) of canonical ``values``."""
        columns = row_columns(values, self._scorer.contract)
        inputs = self._encode({name: column[0] for name, column in columns.items()})
        return float(np.asarray(self._model(inputs[np.newaxis], training=False))[0, 0])


@bentoml.service(name="keras", workers=1)
class Keras:
    """Scores with Keras."""

    def __init__(self) -> None:
        self._peer = Peer(KerasPredictor())

    @bentoml.api(route="/predict")
    async def predict(self, customer: Customer, /) -> PeerAnswer:
        """The answer about one customer."""
        return self._peer.answer(customer)

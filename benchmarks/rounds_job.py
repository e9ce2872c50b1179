"""The job that both sides of ``benchmarks.rounds`` do: the reference recipe on generated rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedchurn.learning.keras_model import initial_weights
from fedchurn.learning.spec import HiddenLayer, ModelSpec, Weights, predict_probability

SPEC = ModelSpec(30, linear=False, hidden=(HiddenLayer(64, 0.3), HiddenLayer(32, 0.2)))
NUM_ROUNDS = 20
BATCH_SIZE = 8
LEARNING_RATE = 0.01
SEED = 42
CLIENT_ROWS = (1230, 1250, 1270)
TEST_ROWS = 2000


@dataclass(frozen=True)
class Rows:
    """inputs float32 (n, 30), target int8 (n,)."""

    inputs: NDArray[np.float32]
    target: NDArray[np.int8]


def client_rows(number: int) -> Rows:
    """Rows of client 0, 1 or 2."""
    return _generate(CLIENT_ROWS[number], number)


def first_weights() -> Weights:
    """What both sides start from."""
    return initial_weights(SPEC, SEED)


def log_loss(weights: Sequence[NDArray[np.floating]]) -> float:
    """Mean log loss on rows that nobody trained on: both sides should have learnt as much."""
    rows = _generate(TEST_ROWS, 99)
    chance = np.clip(predict_probability(SPEC, weights, rows.inputs), 1e-7, 1 - 1e-7)
    return float(-np.mean(np.where(rows.target == 1, np.log(chance), np.log(1 - chance))))


def _generate(num_rows: int, number: int) -> Rows:
    generator = np.random.default_rng([SEED, number])
    inputs = generator.random((num_rows, 30), dtype=np.float32)
    logit = 6 * (inputs[:, 0] - 0.8) + 8 * inputs[:, 1] * (inputs[:, 2] - 0.5) - 1
    target = generator.random(num_rows) < 1 / (1 + np.exp(-logit))
    return Rows(inputs, target.astype(np.int8))

"""Small models and rows for the tests of local training."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from fedchurn.learning.spec import HiddenLayer, ModelSpec

ADDITIVE = ModelSpec(5)
NETWORK = ModelSpec(5, linear=False, hidden=(HiddenLayer(8, 0.3), HiddenLayer(4, 0.2)))
RESIDUAL = ModelSpec(5, hidden=(HiddenLayer(6, 0.25),))
SPECS = pytest.mark.parametrize(
    "spec", [ADDITIVE, NETWORK, RESIDUAL], ids=["additive", "network", "residual"]
)


def without_dropout(spec: ModelSpec) -> ModelSpec:
    hidden = tuple(HiddenLayer(layer.units) for layer in spec.hidden)
    return ModelSpec(spec.inputs, spec.linear, hidden)


def random_weights(spec: ModelSpec, seed: int = 3) -> tuple[NDArray[np.float32], ...]:
    generator = np.random.default_rng(seed)
    shapes = [shape for _, shape in spec.weight_shapes()]
    return tuple(generator.normal(0, 0.5, shape).astype(np.float32) for shape in shapes)


def rows_of(num_rows: int, seed: int = 1) -> tuple[NDArray[np.float32], NDArray[np.int8]]:
    generator = np.random.default_rng(seed)
    inputs = generator.normal(size=(num_rows, 5)).astype(np.float32)
    return inputs, (inputs[:, 0] + generator.normal(size=num_rows) > 0).astype(np.int8)

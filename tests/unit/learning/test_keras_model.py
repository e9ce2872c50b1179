"""The Keras model means what the spec means in numpy."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from fedchurn.errors import SettingsError
from fedchurn.learning.keras_model import build_keras, initial_weights, keras_weights
from fedchurn.learning.spec import ModelSpec, predict_logit, predict_probability
from tests.unit.learning.small import ADDITIVE, NETWORK, RESIDUAL, SPECS, random_weights, rows_of


@SPECS
def test_keras_predicts_what_numpy_predicts(spec: ModelSpec) -> None:
    weights = random_weights(spec)
    inputs, _ = rows_of(40)
    model = build_keras(spec, weights)
    predicted = model(inputs, training=False).numpy()[:, 0]
    np.testing.assert_allclose(predicted, predict_probability(spec, weights, inputs), atol=1e-6)


@SPECS
def test_weights_come_back_in_the_order_of_the_spec(spec: ModelSpec) -> None:
    weights = random_weights(spec)
    for given, kept in zip(weights, keras_weights(build_keras(spec, weights), spec), strict=True):
        assert kept.dtype == np.float32
        np.testing.assert_array_equal(given, kept)


def test_initial_weights_are_glorot_uniform_with_zero_biases() -> None:
    weights = dict(
        zip([name for name, _ in NETWORK.weight_shapes()], initial_weights(NETWORK, 0), strict=True)
    )
    limit = np.sqrt(6 / (5 + 8))
    assert limit / 2 < np.abs(weights["hidden_1.kernel"]).max() <= limit
    assert not any(weights[name].any() for name in weights if name.endswith("bias"))


def test_residual_network_starts_as_the_additive_model() -> None:
    linear = random_weights(ADDITIVE)
    whole = (*linear, *initial_weights(RESIDUAL, 7)[2:])
    inputs, _ = rows_of(20)
    np.testing.assert_array_equal(
        predict_logit(RESIDUAL, whole, inputs), predict_logit(ADDITIVE, linear, inputs)
    )
    assert whole[2].any(), "hidden kernels are drawn, or nothing could ever be learnt"


def test_initial_weights_follow_the_seed() -> None:
    first, again, other = (initial_weights(NETWORK, seed)[0] for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_weights_of_another_shape_are_refused_by_name() -> None:
    weights = list(random_weights(NETWORK))
    weights[2] = weights[2].T
    with pytest.raises(SettingsError, match=r"hidden_2\.kernel: shape \(4, 8\).*\(8, 4\)"):
        build_keras(NETWORK, weights)


def test_initial_weights_need_no_tensorflow() -> None:
    code = (
        "import sys, fedchurn.learning.keras_epochs as e, fedchurn.learning.keras_model as k\n"
        "from fedchurn.learning.spec import ModelSpec\n"
        "k.initial_weights(ModelSpec(3), 0)\n"
        "assert not {'tensorflow', 'keras'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)

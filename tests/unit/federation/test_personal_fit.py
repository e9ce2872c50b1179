"""A client's last layer, held near the one of all."""

from __future__ import annotations

import numpy as np
import pytest

from fedchurn.federation.personal.fit import (
    chosen_strength,
    fitted_near,
    last_layer,
    paired_gain,
    row_losses,
    with_last_layer,
)
from fedchurn.learning.spec import HiddenLayer, ModelSpec, predict_logit, predict_probability

SPECS = [
    ModelSpec(3),
    ModelSpec(3, linear=False, hidden=(HiddenLayer(4, 0.3), HiddenLayer(2))),
    ModelSpec(3, hidden=(HiddenLayer(4),)),
]
EACH = pytest.mark.parametrize("spec", SPECS, ids=["additive", "network", "residual"])


def weights_of(spec: ModelSpec) -> tuple[np.ndarray, ...]:
    generator = np.random.default_rng(2)
    return tuple(generator.normal(size=s).astype(np.float32) for _, s in spec.weight_shapes())


def rows(num_rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    inputs = generator.normal(size=(num_rows, 3)).astype(np.float32)
    return inputs, (inputs[:, 0] + generator.normal(size=num_rows) > 0.5).astype(np.int8)


@EACH
def test_the_last_layer_is_the_model(spec: ModelSpec) -> None:
    weights, (inputs, _) = weights_of(spec), rows(9, 1)
    layer = last_layer(spec, weights, inputs)
    logit = layer.design @ layer.theta + layer.offset
    np.testing.assert_allclose(logit, predict_logit(spec, weights, inputs), atol=1e-6)
    same = with_last_layer(spec, weights, layer.theta)
    for mine, other in zip(same, weights, strict=True):
        np.testing.assert_array_equal(mine, other)


@EACH
def test_the_fit_is_the_minimum_and_lands_in_the_model(spec: ModelSpec) -> None:
    weights, (inputs, target) = weights_of(spec), rows(60, 1)
    layer = last_layer(spec, weights, inputs)
    theta = fitted_near(layer, target, 3.0)
    own = with_last_layer(spec, weights, theta)
    probability = predict_probability(spec, own, inputs)
    gradient = layer.design.T @ (probability - target) + 3.0 * (theta - layer.theta)
    np.testing.assert_allclose(gradient, 0, atol=1e-4)  # float32 weights


def test_strength_leads_from_the_model_of_all_to_the_client_alone() -> None:
    spec, (inputs, target) = SPECS[0], rows(80, 4)
    layer = last_layer(spec, weights_of(spec), inputs)
    away = [
        float(np.linalg.norm(fitted_near(layer, target, s) - layer.theta)) for s in (1e9, 10, 1e-3)
    ]
    assert away[0] < 1e-6 < away[1] < away[2]
    losses = [row_losses(layer, fitted_near(layer, target, s), target).sum() for s in (1e9, 1e-3)]
    assert losses[1] < losses[0]


def test_one_class_and_copied_columns_do_not_break_the_fit() -> None:
    spec, (inputs, _) = SPECS[0], rows(20, 4)
    inputs[:, 1] = inputs[:, 0]
    layer = last_layer(spec, weights_of(spec), inputs)
    assert np.isfinite(fitted_near(layer, np.zeros(20, np.int8), 3.0)).all()


def test_the_gain_and_its_error_by_hand() -> None:
    losses, other = np.array([1.0, 2.0, 3.0, 4.0]), np.array([0.0, 2.0, 2.0, 4.0])
    found = paired_gain(losses, other, np.arange(4))
    assert found.gain == 0.5
    assert found.error == pytest.approx(np.std([1, 0, 1, 0], ddof=1) / 2)
    # Two customers with two copies each: means 1/2 and 1/2, so nothing varies between them.
    assert paired_gain(losses, other, np.array([7, 7, 9, 9])).error == 0
    assert paired_gain(losses, other, np.zeros(4)).error == np.inf
    assert paired_gain(losses[:0], other[:0], np.zeros(0)).error == np.inf


def test_a_client_like_all_stays_and_one_unlike_them_moves() -> None:
    spec = SPECS[0]
    truth = (np.array([[2.0], [0.0], [0.0]], np.float32), np.zeros(1, np.float32))
    generator = np.random.default_rng(5)

    def client(kernel: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
        inputs, _ = rows(400, seed)
        chance = 1 / (1 + np.exp(-kernel * inputs[:, 0]))
        return inputs, (generator.random(400) < chance).astype(np.int8)

    chosen = []
    for kernel in (2.0, -2.0):
        (inputs, target), (held_out, held_target) = client(kernel, 6), client(kernel, 7)
        train, validation = (last_layer(spec, truth, one) for one in (inputs, held_out))
        chosen.append(
            chosen_strength(
                train, target, validation, held_target, np.arange(400), (1.0, 10.0, 100.0)
            )
        )
    assert chosen[0] is None
    assert chosen[1] in (1.0, 10.0)

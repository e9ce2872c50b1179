"""A client's own model near the one of all: its last layer, fitted with a ridge towards it.

The last layer is a logistic regression on what reaches it: the inputs themselves for an additive
model (so all of it is fitted), the last hidden layer of a network, both for a network with a linear
path. With theta the last layer and theta_0 that of all,

    J(theta) = sum over rows of log loss + s/2 |theta - theta_0|^2,

is convex, so a few damped Newton steps end at its minimum (Boyd and Vandenberghe 2004, section
9.5). The strength s leads from the client alone (0) to the model of all (infinity); theta is the
MAP estimate of a client whose weights are drawn around those of all with variance 1/s.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedchurn.learning.spec import ModelSpec, Weights, sigmoid, widened

FloatArray = NDArray[np.float64]

_MAX_STEPS = 50
_ENOUGH = 1e-10  # relative fall of J that ends the steps


@dataclass(frozen=True)
class LastLayer:
    """Rows as the last layer sees them.

    Attributes:
        design: float64 (n, p), what its p weights multiply; the last column is 1.
        offset: (n,), the part of the logit that is left as it is.
        theta: (p,), its weights in the model of all.
    """

    design: FloatArray
    offset: FloatArray
    theta: FloatArray


def last_layer(spec: ModelSpec, weights: Weights, inputs: NDArray[np.float32]) -> LastLayer:
    """The last layer's view of n encoded rows."""
    wide = list(widened(weights))
    rows = np.asarray(inputs, dtype=np.float32).astype(np.float64)
    ones = np.ones((len(rows), 1))
    if not spec.hidden:
        kernel, bias = wide
        return LastLayer(
            np.hstack([rows, ones]), np.zeros(len(rows)), np.append(kernel[:, 0], bias)
        )
    linear = [wide.pop(0), wide.pop(0)] if spec.linear else []
    *hidden, kernel, bias = wide
    seen = rows
    for layer_kernel, layer_bias in zip(hidden[::2], hidden[1::2], strict=True):
        seen = np.maximum(seen @ layer_kernel + layer_bias, 0)
    if not linear:
        return LastLayer(
            np.hstack([seen, ones]), np.zeros(len(rows)), np.append(kernel[:, 0], bias)
        )
    # Two biases would be one too many: the linear path's stays in the offset.
    theta = np.concatenate([linear[0][:, 0], kernel[:, 0], bias])
    return LastLayer(np.hstack([rows, seen, ones]), np.full(len(rows), linear[1][0]), theta)


def with_last_layer(spec: ModelSpec, weights: Weights, theta: FloatArray) -> Weights:
    """The model with another last layer, float32."""
    narrow = theta.astype(np.float32)
    if not spec.hidden:
        return (narrow[:-1, None], narrow[-1:])
    output = (narrow[:-1, None], narrow[-1:])
    if not spec.linear:
        return (*weights[:-2], *output)
    linear, output = narrow[: spec.inputs, None], (narrow[spec.inputs : -1, None], narrow[-1:])
    return (linear, *weights[1:-2], *output)


def fitted_near(layer: LastLayer, target: NDArray[np.integer], strength: float) -> FloatArray:
    """theta (p,) at the minimum of J; see the module docstring.

    Args:
        layer: the training rows.
        target: (n,), 1 = churn.
        strength: s, above 0, in units of the sum of log losses.
    """
    labels = np.asarray(target, dtype=np.float64)
    theta = layer.theta.copy()
    value = _objective(layer, labels, theta, strength)
    for _ in range(_MAX_STEPS):
        probability = sigmoid(layer.design @ theta + layer.offset)
        gradient = layer.design.T @ (probability - labels) + strength * (theta - layer.theta)
        curvature = probability * (1 - probability)
        hessian = (layer.design * curvature[:, None]).T @ layer.design
        hessian[np.diag_indices_from(hessian)] += strength
        direction: FloatArray = np.asarray(np.linalg.solve(hessian, gradient), dtype=np.float64)
        theta, fallen = _stepped(layer, labels, theta, direction, strength, value)
        if fallen <= _ENOUGH * max(abs(value), 1.0):
            break
        value -= fallen
    return theta


def _stepped(
    layer: LastLayer,
    labels: FloatArray,
    theta: FloatArray,
    direction: FloatArray,
    strength: float,
    value: float,
) -> tuple[FloatArray, float]:
    """A step that does not raise J, halved as often as needed; and how far J fell."""
    for halvings in range(30):
        moved = theta - direction / 2**halvings
        fallen = value - _objective(layer, labels, moved, strength)
        if fallen >= 0:
            return moved, fallen
    return theta, 0.0


def _objective(layer: LastLayer, labels: FloatArray, theta: FloatArray, strength: float) -> float:
    logit = layer.design @ theta + layer.offset
    loss = float(np.sum(np.logaddexp(0.0, logit) - labels * logit))
    away = theta - layer.theta
    return loss + 0.5 * strength * float(away @ away)


def row_losses(layer: LastLayer, theta: FloatArray, target: NDArray[np.integer]) -> FloatArray:
    """Log loss of every row (n,), natural logarithm."""
    logit = layer.design @ theta + layer.offset
    return np.asarray(np.logaddexp(0.0, logit) - np.asarray(target) * logit, dtype=np.float64)


@dataclass(frozen=True)
class PairedGain:
    """Mean fall of the log loss per row from one model to another, and its standard error.

    Attributes:
        gain: above 0 where the second model is better.
        error: copies of one customer count as one; infinite with fewer than two customers.
    """

    gain: float
    error: float


def paired_gain(
    losses: FloatArray, losses_of_other: FloatArray, customer_groups: NDArray[np.integer]
) -> PairedGain:
    """Both models' log losses on the same rows compared, row by row.

    Args:
        losses: (n,) of the first model.
        losses_of_other: (n,) of the second.
        customer_groups: (n,), rows that are copies of one customer share a number.
    """
    num_rows = len(losses)
    if not num_rows:
        return PairedGain(0.0, float("inf"))
    _, group = np.unique(customer_groups, return_inverse=True)
    num_groups = int(group.max()) + 1
    fall = losses - losses_of_other
    gain = float(fall.mean())
    if num_groups < 2:
        return PairedGain(gain, float("inf"))
    sums = np.bincount(group, weights=fall - gain)
    variance = float(sums @ sums) * num_groups / (num_groups - 1) / num_rows**2
    return PairedGain(gain, float(np.sqrt(variance)))


def chosen_strength(
    train: LastLayer,
    train_target: NDArray[np.integer],
    validation: LastLayer,
    validation_target: NDArray[np.integer],
    customer_groups: NDArray[np.integer],
    strengths: Sequence[float],
) -> float | None:
    """The strength that validation rows like best; None to stay with the model of all.

    A strength must gain more than one standard error on the validation rows: with few of them the
    model of all is kept.
    """
    losses = row_losses(validation, validation.theta, validation_target)
    best: tuple[float, float] | None = None
    for strength in sorted(strengths, reverse=True):
        theta = fitted_near(train, train_target, strength)
        own = row_losses(validation, theta, validation_target)
        found = paired_gain(losses, own, customer_groups)
        if found.gain > found.error and (best is None or found.gain > best[0]):
            best = (found.gain, strength)
    return best[1] if best else None

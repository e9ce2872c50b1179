"""Second-order sums of a logistic layer: what a client sends in a Newton round."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fedchurn.learning.spec import sigmoid

FloatArray = NDArray[np.float64]


def without_rare_inputs(inputs: NDArray[np.float32], min_cell_rows: int) -> NDArray[np.float32]:
    """The inputs, with those that fewer than k rows hold set to zero.

    At zero weights the Hessian is a quarter of x'x: an input that one row holds would show it.
    A zeroed input learns nothing from this client; other clients still teach it.
    """
    held = np.count_nonzero(inputs, axis=0)
    rare = (held > 0) & (held < min_cell_rows)
    return np.where(rare, np.float32(0), inputs) if rare.any() else inputs


def newton_sums(
    weights: FloatArray, inputs: NDArray[np.float32], target: NDArray[np.int8]
) -> dict[str, FloatArray]:
    """Loss, gradient and Hessian of the log loss, summed over rows, per candidate model.

    With p = sigmoid(x w): loss = sum log(1 + e^(x w)) - y x w, gradient = x' (p - y),
    Hessian = x' diag(p (1 - p)) x (McCullagh and Nelder 1989, section 4.4).

    Args:
        weights: (K, d + 1), one row per candidate, the bias last.
        inputs: (n, d).
        target: (n,), 1 = churn.

    Returns:
        ``newton.loss`` (K,), ``newton.gradient`` (K, d + 1), ``newton.hessian`` (K, d + 1, d + 1).
    """
    rows = np.concatenate([inputs.astype(np.float64), np.ones((len(inputs), 1))], axis=1)
    labels = target.astype(np.float64)
    losses, gradients, hessians = [], [], []
    for candidate in weights:
        logit = rows @ candidate
        probability = sigmoid(logit)
        curvature = probability * (1 - probability)
        losses.append(np.sum(np.logaddexp(0.0, logit) - labels * logit))
        gradients.append(rows.T @ (probability - labels))
        hessians.append((rows * curvature[:, None]).T @ rows)
    return {
        "newton.loss": np.array(losses),
        "newton.gradient": np.array(gradients).reshape(weights.shape),
        "newton.hessian": np.array(hessians).reshape(*weights.shape, weights.shape[1]),
    }

"""A model cut behind its first layer, where what columns add is still a plain sum."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fedchurn.learning.spec import ModelSpec, Weights, sigmoid, widened

Floats = NDArray[np.float64]


class FirstLayer:
    """Sums of the first layer, and the way on from them to probabilities.

    A row of sums is the linear path's logit (0 without one), then the units of the first hidden
    layer before their relu: (1 + units,).
    """

    def __init__(self, spec: ModelSpec, weights: Weights) -> None:
        remaining = list(widened(weights))
        kernels = [np.zeros((spec.inputs, 1))]
        biases = [np.zeros(1)]
        if spec.linear:
            kernels[0], biases[0], *remaining = remaining
        if spec.hidden:
            kernel, bias, *remaining = remaining
            kernels.append(kernel)
            biases.append(bias)
        self.is_additive = not spec.hidden
        self._kernel = np.concatenate(kernels, axis=1)
        self._bias = np.concatenate(biases)
        self._rest = remaining

    def sums(self, inputs: NDArray[np.float32]) -> Floats:
        """Sums of n encoded rows, float64 (n, 1 + units)."""
        return inputs.astype(np.float64) @ self._kernel + self._bias

    def logit(self, sums: Floats) -> Floats:
        """Logits behind n rows of sums, float64 (n,)."""
        logit = sums[:, 0]
        if self.is_additive:
            return logit
        rows = np.maximum(sums[:, 1:], 0)
        *hidden, kernel, bias = self._rest
        for layer_kernel, layer_bias in zip(hidden[::2], hidden[1::2], strict=True):
            rows = np.maximum(rows @ layer_kernel + layer_bias, 0)
        return np.asarray(logit + (rows @ kernel)[:, 0] + bias[0])

    def probability(self, sums: Floats) -> Floats:
        """Churn probabilities behind n rows of sums, float64 (n,)."""
        return sigmoid(self.logit(sums))

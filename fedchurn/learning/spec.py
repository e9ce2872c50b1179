"""The shape of a model as a record, and its exact meaning in numpy.

    probability = sigmoid( [linear path: x @ kernel + bias]
                         + [network: x -> Dense relu -> Dropout -> ... -> Dense(1)] )

``ModelSpec(inputs)`` is one logistic layer (the additive model, when x is a basis),
``linear=False`` with hidden layers is a plain network, both together is additive + residual.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

Weights = tuple[NDArray[np.float32], ...]

_CHUNK_ROWS = 8192  # bounds the float64 copy of the inputs


@dataclass(frozen=True)
class HiddenLayer:
    """A Dense relu layer followed by dropout.

    Attributes:
        units: number of outputs.
        dropout: fraction of outputs dropped while training (0-1).
    """

    units: int
    dropout: float = 0.0


@dataclass(frozen=True)
class ModelSpec:
    """Shape of a model.

    Attributes:
        inputs: number of encoded inputs.
        linear: whether inputs reach the output through one linear layer.
        hidden: layers of the network beside (or instead of) the linear path.
    """

    inputs: int
    linear: bool = True
    hidden: tuple[HiddenLayer, ...] = ()

    def weight_shapes(self) -> tuple[tuple[str, tuple[int, ...]], ...]:
        """Names and shapes of the weights, in the order in which they are always kept."""
        shapes: list[tuple[str, tuple[int, ...]]] = []
        if self.linear:
            shapes += [("linear.kernel", (self.inputs, 1)), ("linear.bias", (1,))]
        width = self.inputs
        for number, layer in enumerate(self.hidden, start=1):
            shapes += [
                (f"hidden_{number}.kernel", (width, layer.units)),
                (f"hidden_{number}.bias", (layer.units,)),
            ]
            width = layer.units
        if self.hidden:
            shapes += [("output.kernel", (width, 1)), ("output.bias", (1,))]
        return tuple(shapes)

    def to_dict(self) -> dict[str, object]:
        """JSON-ready form; ``from_dict`` reads it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, stored: dict[str, object]) -> ModelSpec:
        """The spec behind ``to_dict``."""
        hidden = stored["hidden"]
        assert isinstance(hidden, list | tuple)
        layers = tuple(HiddenLayer(int(h["units"]), float(h["dropout"])) for h in hidden)
        return cls(int(str(stored["inputs"])), bool(stored["linear"]), layers)


def predict_logit(
    spec: ModelSpec, weights: Sequence[NDArray[np.floating]], inputs: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Logits of n encoded rows.

    Weights and inputs are float32, sums are float64: large terms of a basis cancel, and in float32
    a row would score differently alone than among others.

    Args:
        spec: shape of the model.
        weights: arrays in the order of ``spec.weight_shapes()``.
        inputs: float32 (n, spec.inputs).

    Returns:
        float64 (n,).
    """
    wide = widened(weights)
    rows = np.asarray(inputs, dtype=np.float32)
    logit = np.empty(len(rows), dtype=np.float64)
    for start in range(0, len(rows), _CHUNK_ROWS):
        chunk = slice(start, start + _CHUNK_ROWS)
        logit[chunk] = wide_logit(spec, wide, rows[chunk].astype(np.float64))
    return logit


def widened(weights: Sequence[NDArray[np.floating]]) -> tuple[NDArray[np.float64], ...]:
    """The float32 weights as float64, for ``wide_logit``."""
    return tuple(np.asarray(w, dtype=np.float32).astype(np.float64) for w in weights)


def wide_logit(
    spec: ModelSpec, weights: Sequence[NDArray[np.float64]], rows: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Logits of n encoded rows that are float64 already; ``predict_logit`` without conversions."""
    remaining = list(weights)
    logit = np.zeros(len(rows))
    if spec.linear:
        kernel, bias, *remaining = remaining
        logit = logit + (rows @ kernel)[:, 0] + bias[0]
    if spec.hidden:
        logit = logit + _network_logit(remaining, rows)
    return logit


def _network_logit(
    weights: Sequence[NDArray[np.float64]], rows: NDArray[np.float64]
) -> NDArray[np.float64]:
    *hidden, kernel, bias = weights
    for layer_kernel, layer_bias in zip(hidden[::2], hidden[1::2], strict=True):
        rows = np.maximum(rows @ layer_kernel + layer_bias, 0)
    return np.asarray((rows @ kernel)[:, 0] + bias[0], dtype=np.float64)


def sigmoid(logit: NDArray[np.floating]) -> NDArray[np.float64]:
    """Numerically safe logistic function, in float64."""
    wide = np.asarray(logit, dtype=np.float64)
    positive = 1.0 / (1.0 + np.exp(-np.abs(wide)))
    return np.where(wide >= 0, positive, 1.0 - positive)


def predict_probability(
    spec: ModelSpec, weights: Sequence[NDArray[np.floating]], inputs: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Churn probabilities of n encoded rows; see ``predict_logit``. float64 (n,)."""
    return sigmoid(predict_logit(spec, weights, inputs))

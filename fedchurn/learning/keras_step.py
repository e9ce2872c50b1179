"""The compiled step behind ``local_epochs``: some batches of gradient descent as one XLA program.

Written in plain TensorFlow over the spec's weights: Keras's Dropout draws inside the loop, where
XLA spends many times as long on drawing as on training. Without dropout, ``stateless_call`` of the
Keras model is equally fast. Tests hold the step equal to Keras ``fit``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedchurn.learning.keras_model import configure_threads
from fedchurn.learning.spec import ModelSpec, Weights

CHUNK_BATCHES = 256  # batches per call: few calls for large clients, little copying for small ones
BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-7  # Keras's Adam

Tensor = Any
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Chunk:
    """Batches of rows in fixed shapes; only the first ``num_batches`` are real.

    Attributes:
        inputs: float32 (CHUNK_BATCHES, batch_size, spec.inputs).
        target: float32 (CHUNK_BATCHES, batch_size).
        row_weights: float32, same shape, 1 for a row and 0 for padding.
        masks: per hidden layer float32 (CHUNK_BATCHES, batch_size, units): 0, or 1 / (1 - dropout);
            nothing for a layer without dropout.
        num_batches: how many batches hold rows.
    """

    inputs: Floats
    target: Floats
    row_weights: Floats
    masks: tuple[Floats, ...]
    num_batches: int

    @classmethod
    def of(
        cls,
        spec: ModelSpec,
        inputs: Floats,
        target: NDArray[np.integer],
        batch_size: int,
        generator: np.random.Generator,
    ) -> Chunk:
        """Pad at most ``CHUNK_BATCHES * batch_size`` rows, kept in order, and draw their masks."""
        num_batches = -(-len(target) // batch_size)
        return cls(
            _padded(inputs, batch_size),
            _padded(target, batch_size),
            _padded(np.ones(len(target)), batch_size),
            tuple(
                _padded(_mask(generator, (len(target), layer.units), layer.dropout), batch_size)
                for layer in spec.hidden
                if layer.dropout
            ),
            num_batches,
        )


def _padded(rows: NDArray[np.generic], batch_size: int) -> Floats:
    whole = np.zeros((CHUNK_BATCHES * batch_size, *rows.shape[1:]), dtype=np.float32)
    whole[: len(rows)] = rows
    return whole.reshape(CHUNK_BATCHES, batch_size, *rows.shape[1:])


def _mask(generator: np.random.Generator, shape: tuple[int, int], dropout: float) -> Floats:
    keep = generator.random(shape, dtype=np.float32) >= dropout
    return keep * np.float32(1.0 / (1.0 - dropout))


@dataclass
class Training:
    """Weights and optimizer state of one client's training, kept as tensors between chunks.

    Attributes:
        loss_sum: sum of log losses (natural log) over rows since ``reset_sums``.
        num_right: rows on the right side of 0.5 since ``reset_sums``.
    """

    spec: ModelSpec
    step: Callable[..., Any]
    frozen: list[Tensor]
    start_weights: list[Tensor]
    state: tuple[Tensor, ...]
    rates: tuple[Tensor, Tensor]
    corrections: tuple[Tensor, ...] = ()
    loss_sum: float = 0.0
    num_right: float = 0.0

    @classmethod
    def start(
        cls,
        spec: ModelSpec,
        weights: Sequence[NDArray[np.floating]],
        *,
        optimizer: str,
        learning_rate: float,
        proximal: float,
        freeze_linear: bool,
        correction: NDArray[np.generic] | None = None,
    ) -> Training:
        """Begin at ``weights`` with a fresh optimizer.

        ``correction`` (size,) is added to every gradient; None adds nothing and costs nothing.
        """
        configure_threads()
        import tensorflow as tf

        tensors = [tf.constant(np.asarray(array, dtype=np.float32)) for array in weights]
        num_frozen = 2 if freeze_linear and spec.linear else 0
        frozen, trained = tensors[:num_frozen], tensors[num_frozen:]
        zeros = [tf.zeros_like(tensor) for tensor in trained]
        return cls(
            spec,
            _compiled_step(spec, optimizer),
            frozen,
            trained,
            (trained, zeros, zeros, tf.constant(0.0)),
            (tf.constant(learning_rate, tf.float32), tf.constant(proximal, tf.float32)),
            () if correction is None else _parts(correction, tensors)[num_frozen:],
        )

    def run(self, chunk: Chunk) -> None:
        """Train on the real batches of ``chunk``; padding takes no optimizer step."""
        import tensorflow as tf

        arrays = (chunk.inputs, chunk.target, chunk.row_weights)
        self.state, (loss_sum, num_right) = self.step(
            self.state,
            self.frozen,
            self.start_weights,
            self.corrections,
            *(tf.constant(array) for array in arrays),
            tuple(tf.constant(mask) for mask in chunk.masks),
            tf.constant(chunk.num_batches),
            *self.rates,
        )
        self.loss_sum += float(loss_sum)
        self.num_right += float(num_right)

    def reset_sums(self) -> None:
        """Forget the log losses and right answers counted so far."""
        self.loss_sum = self.num_right = 0.0

    def weights(self) -> Weights:
        """All weights in the order of the spec."""
        return tuple(np.array(tensor) for tensor in (*self.frozen, *self.state[0]))


def _parts(flat: NDArray[np.generic], like: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """A flat vector as tensors of the shapes of ``like``."""
    import tensorflow as tf

    ends = np.cumsum([int(np.prod(tensor.shape)) for tensor in like])[:-1]
    parts = np.split(np.asarray(flat, dtype=np.float32), ends)
    return tuple(
        tf.constant(part.reshape(tensor.shape)) for part, tensor in zip(parts, like, strict=True)
    )


@lru_cache(maxsize=16)
def _compiled_step(spec: ModelSpec, optimizer: str) -> Callable[..., Any]:
    """One trace per spec, optimizer, batch size, frozen and corrected part; rates are arguments."""
    import tensorflow as tf

    update = OPTIMIZER_STEPS[optimizer]

    def run_batches(
        state: Any,
        frozen: Any,
        start: Any,
        corrections: Any,
        inputs: Tensor,
        target: Tensor,
        row_weights: Tensor,
        masks: Any,
        num_batches: Tensor,
        learning_rate: Tensor,
        proximal: Tensor,
    ) -> Any:
        def body(index: Tensor, state: Any, sums: Any) -> Any:
            trained = state[0]
            counted = row_weights[index]
            with tf.GradientTape() as tape:
                tape.watch(trained)
                logit = _train_logit(
                    spec, [*frozen, *trained], inputs[index], [mask[index] for mask in masks]
                )
                losses = counted * tf.nn.sigmoid_cross_entropy_with_logits(target[index], logit)
                loss = tf.reduce_sum(losses) / tf.reduce_sum(counted)
            gradients = local_gradients(
                tape.gradient(loss, trained), trained, start, proximal, corrections
            )
            right = tf.cast(tf.equal(logit > 0, target[index] > 0.5), tf.float32)
            sums = (sums[0] + tf.reduce_sum(losses), sums[1] + tf.reduce_sum(counted * right))
            return index + 1, update(state, gradients, learning_rate), sums

        sums = (tf.constant(0.0), tf.constant(0.0))
        _, state, sums = tf.while_loop(
            lambda index, *_: index < num_batches, body, (tf.constant(0), state, sums)
        )
        return state, sums

    return tf.function(run_batches, jit_compile=True, autograph=False)


def local_gradients(
    gradients: Sequence[Tensor],
    trained: Sequence[Tensor],
    start: Sequence[Tensor],
    proximal: Tensor,
    corrections: Sequence[Tensor],
) -> list[Tensor]:
    """The loss's gradients with FedProx's pull back to ``start``, and SCAFFOLD's corrections."""
    pulled = [
        gradient + proximal * (weight - begun)
        for gradient, weight, begun in zip(gradients, trained, start, strict=True)
    ]
    if not corrections:
        return pulled
    return [g + c for g, c in zip(pulled, corrections, strict=True)]


def _train_logit(
    spec: ModelSpec, weights: list[Tensor], rows: Tensor, masks: list[Tensor]
) -> Tensor:
    import tensorflow as tf

    weights, masks = list(weights), list(masks)
    logit = 0.0
    if spec.linear:
        logit = (rows @ weights.pop(0) + weights.pop(0))[:, 0]
    for layer in spec.hidden:
        rows = tf.nn.relu(rows @ weights.pop(0) + weights.pop(0))
        if layer.dropout:
            rows = rows * masks.pop(0)
    if spec.hidden:
        logit = logit + (rows @ weights.pop(0) + weights.pop(0))[:, 0]
    return logit


def _adam(state: Any, gradients: list[Tensor], learning_rate: Tensor) -> Any:
    """Adam (Kingma and Ba 2015), with the bias correction folded into the rate as Keras does."""
    import tensorflow as tf

    weights, means, squares, num_steps = state
    num_steps = num_steps + 1.0
    rate = learning_rate * tf.sqrt(1.0 - BETA_2**num_steps) / (1.0 - BETA_1**num_steps)
    means = [m + (g - m) * (1.0 - BETA_1) for m, g in zip(means, gradients, strict=True)]
    squares = [s + (g * g - s) * (1.0 - BETA_2) for s, g in zip(squares, gradients, strict=True)]
    weights = [
        w - rate * m / (tf.sqrt(s) + EPSILON)
        for w, m, s in zip(weights, means, squares, strict=True)
    ]
    return weights, means, squares, num_steps


def _sgd(state: Any, gradients: list[Tensor], learning_rate: Tensor) -> Any:
    weights, means, squares, num_steps = state
    weights = [w - learning_rate * g for w, g in zip(weights, gradients, strict=True)]
    return weights, means, squares, num_steps + 1.0


OPTIMIZER_STEPS: dict[str, Callable[..., Any]] = {"adam": _adam, "sgd": _sgd}
"""Name -> (weights, means, squares, number of steps), gradients, rate -> the same four, moved."""

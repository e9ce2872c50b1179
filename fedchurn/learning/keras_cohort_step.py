"""The compiled step behind ``cohort_epochs``: one batch of each of many clients at once.

The model of keras_step.py with a leading axis of clients: matrix products become batched ones, and
the optimizer moves all clients' weights in one pass. Only elementwise maths is shared with
keras_step.py; tests hold both equal, client by client.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedchurn.learning.keras_model import configure_threads
from fedchurn.learning.keras_step import OPTIMIZER_STEPS, local_gradients
from fedchurn.learning.spec import ModelSpec

Tensor = Any
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class GroupBatch:
    """One batch of each of G clients.

    Attributes:
        inputs: float32 (G, batch_size, spec.inputs).
        target: float32 (G, batch_size).
        row_weights: float32, same shape, 1 for a row and 0 for padding.
        chances: per hidden layer with dropout float32 (G, batch_size, units), uniform in [0, 1);
            an output is dropped where its chance is below the layer's dropout.
        active: bool (G,), clients that have a batch left; the others' weights stay.
    """

    inputs: Floats
    target: Floats
    row_weights: Floats
    chances: tuple[Floats, ...]
    active: NDArray[np.bool_]


class GroupTraining:
    """Weights and optimizer state of G clients, kept as tensors between batches.

    Args:
        spec: shape of the model.
        weights: the weights that all clients start from.
        group_size: G.
        optimizer: ``adam`` or ``sgd``.
        learning_rate: of the optimizer.
        proximal: FedProx mu.
        freeze_linear: keep the linear path as it is.
    """

    def __init__(
        self,
        spec: ModelSpec,
        weights: Sequence[NDArray[np.floating]],
        group_size: int,
        *,
        optimizer: str,
        learning_rate: float,
        proximal: float,
        freeze_linear: bool,
    ) -> None:
        configure_threads()
        import tensorflow as tf

        num_frozen = 2 if freeze_linear and spec.linear else 0
        arrays = [np.asarray(array, dtype=np.float32) for array in weights]
        self._shapes = [array.shape for array in arrays]
        self._frozen = [tf.constant(array) for array in arrays[:num_frozen]]
        self._start = [
            tf.constant(np.broadcast_to(array, (group_size, *array.shape)))
            for array in arrays[num_frozen:]
        ]
        zeros = [tf.zeros_like(tensor) for tensor in self._start]
        self._begin = (self._start, zeros, zeros, tf.constant(0.0))
        self._rates = (tf.constant(learning_rate, tf.float32), tf.constant(proximal, tf.float32))
        self._step = _compiled_step(spec, optimizer)
        self._corrections: tuple[Tensor, ...] = ()
        self._state: Any = self._begin

    def restart(self, corrections: Floats | None = None) -> None:
        """Begin anew with other clients: first weights, fresh optimizer.

        Args:
            corrections: float32 (G, size), added to every gradient of each client, in the order of
                the flat weights; None adds nothing.
        """
        self._state = self._begin
        self._corrections = () if corrections is None else self._split(corrections)

    def run(self, batch: GroupBatch) -> tuple[Floats, Floats]:
        """One optimizer step of the active clients.

        Returns:
            (G,) log losses (natural log) summed over rows, and (G,) rows on the right side of 0.5.
        """
        import tensorflow as tf

        self._state, (loss_sums, num_right) = self._step(
            self._state,
            self._frozen,
            self._start,
            self._corrections,
            tf.constant(batch.inputs),
            tf.constant(batch.target),
            tf.constant(batch.row_weights),
            tuple(tf.constant(chance) for chance in batch.chances),
            tf.constant(batch.active),
            *self._rates,
        )
        return loss_sums.numpy(), num_right.numpy()

    def write_updates(self, into: Floats) -> None:
        """Weights now minus weights at the start, of the first ``len(into)`` clients.

        Args:
            into: float32 (at most G, size), in the order of the flat weights.
        """
        place = sum(int(np.prod(shape)) for shape in self._shapes[: len(self._frozen)])
        into[:, :place] = 0
        for now, start in zip(self._state[0], self._start, strict=True):
            moved = (now.numpy() - start.numpy())[: len(into)].reshape(len(into), -1)
            into[:, place : place + moved.shape[1]] = moved
            place += moved.shape[1]

    def _split(self, flat: Floats) -> tuple[Tensor, ...]:
        """The flat arrays of trained weights, each (G, *shape)."""
        import tensorflow as tf

        ends = np.cumsum([int(np.prod(shape)) for shape in self._shapes])[:-1]
        parts = np.split(flat, ends, axis=1)[len(self._frozen) :]
        shapes = self._shapes[len(self._frozen) :]
        return tuple(
            tf.constant(part.reshape(len(flat), *shape), tf.float32)
            for part, shape in zip(parts, shapes, strict=True)
        )


@lru_cache(maxsize=16)
def _compiled_step(spec: ModelSpec, optimizer: str) -> Callable[..., Any]:
    """One trace per spec, optimizer, batch size, group size, and frozen and corrected parts."""
    import tensorflow as tf

    update = OPTIMIZER_STEPS[optimizer]

    def run_batch(
        state: Any,
        frozen: Any,
        start: Any,
        corrections: Any,
        inputs: Tensor,
        target: Tensor,
        row_weights: Tensor,
        chances: Any,
        active: Tensor,
        learning_rate: Tensor,
        proximal: Tensor,
    ) -> Any:
        trained = list(state[0])
        with tf.GradientTape() as tape:
            tape.watch(trained)
            logit = _group_logit(spec, list(frozen), trained, inputs, list(chances))
            losses = row_weights * tf.nn.sigmoid_cross_entropy_with_logits(target, logit)
            num_rows = tf.maximum(tf.reduce_sum(row_weights, axis=1), 1.0)
            # Clients share no weights, so the gradient of the sum is each client's own gradient.
            loss = tf.reduce_sum(tf.reduce_sum(losses, axis=1) / num_rows)
        gradients = local_gradients(
            tape.gradient(loss, trained), trained, start, proximal, corrections
        )
        moved, *memory = update(state, gradients, learning_rate)
        kept = [_where(active, new, old) for new, old in zip(moved, trained, strict=True)]
        right = row_weights * tf.cast(tf.equal(logit > 0, target > 0.5), tf.float32)
        sums = (tf.reduce_sum(losses, axis=1), tf.reduce_sum(right, axis=1))
        return (kept, *memory), sums

    return tf.function(run_batch, jit_compile=True, autograph=False)


def _where(active: Tensor, new: Tensor, old: Tensor) -> Tensor:
    import tensorflow as tf

    return tf.where(tf.reshape(active, [-1] + [1] * (len(new.shape) - 1)), new, old)


def _group_logit(
    spec: ModelSpec,
    frozen: list[Tensor],
    trained: list[Tensor],
    rows: Tensor,
    chances: list[Tensor],
) -> Tensor:
    """(G, batch_size) logits; frozen weights are the same for all clients, trained ones are not."""
    import tensorflow as tf

    weights = [*frozen, *(_per_client(tensor) for tensor in trained)]
    logit = 0.0
    if spec.linear:
        logit = (tf.matmul(rows, weights.pop(0)) + weights.pop(0))[..., 0]
    for layer in spec.hidden:
        rows = tf.nn.relu(tf.matmul(rows, weights.pop(0)) + weights.pop(0))
        if layer.dropout:
            scale = np.float32(1.0 / (1.0 - layer.dropout))
            rows = rows * tf.where(chances.pop(0) >= layer.dropout, scale, np.float32(0))
    if spec.hidden:
        logit = logit + (tf.matmul(rows, weights.pop(0)) + weights.pop(0))[..., 0]
    return logit


def _per_client(tensor: Tensor) -> Tensor:
    """A bias (G, units) as (G, 1, units), beside the axis of rows; kernels are as they should."""
    return tensor[:, None, :] if len(tensor.shape) == 2 else tensor

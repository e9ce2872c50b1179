"""Local training on one client: whole epochs as one compiled TensorFlow step.

The step (keras_step.py) takes a fixed number of batches and is told how many of them are real, so
that clients of every size share one trace and one XLA program. Row order and dropout masks are
drawn in numpy from (seed, round, client, epoch): no state, hence byte-equal in any process and on
resume.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedchurn.errors import FederationError, SettingsError, nearest
from fedchurn.learning.keras_model import check_weights
from fedchurn.learning.keras_step import CHUNK_BATCHES, Chunk, Training
from fedchurn.learning.spec import ModelSpec, Weights

OPTIMIZERS = ("adam", "sgd")


@dataclass(frozen=True)
class EpochSettings:
    """How a client trains between two exchanges.

    Attributes:
        epochs: passes over the client's rows.
        batch_size: rows per step; the last batch of an epoch may be smaller.
        optimizer: ``adam`` (Keras's defaults: 0.9, 0.999, 1e-7) or ``sgd`` (no momentum).
        learning_rate: of the local optimizer.
        proximal: FedProx mu, the weight of |w - w_global|^2 / 2 (Li et al. 2020); 0 is FedAvg.
        freeze_linear: keep the linear path as it is and train the network beside it.
    """

    epochs: int = 1
    batch_size: int = 32
    optimizer: str = "adam"
    learning_rate: float = 0.01
    proximal: float = 0.0
    freeze_linear: bool = False

    def __post_init__(self) -> None:
        if self.optimizer not in OPTIMIZERS:
            raise SettingsError(
                f"no optimizer {self.optimizer!r}", next_step=nearest(self.optimizer, OPTIMIZERS)
            )
        for name in ("epochs", "batch_size"):
            if getattr(self, name) < 1:
                raise SettingsError(f"{name} is {getattr(self, name)}", next_step="give 1 or more")
        if not (self.learning_rate > 0 and self.proximal >= 0):
            raise SettingsError(
                f"learning_rate {self.learning_rate}, proximal {self.proximal}",
                next_step="give a positive learning rate and a proximal weight of 0 or more",
            )


@dataclass(frozen=True)
class LocalUpdate:
    """What a client has learnt.

    Attributes:
        weights: float32 arrays in the order of ``spec.weight_shapes()``.
        num_rows: rows trained on.
        loss: mean log loss (natural log) over the rows of the last epoch, as met while training:
            dropout on, weights still moving, proximal term left out.
        accuracy: fraction of rows of the last epoch on the right side of 0.5, met in the same way.
    """

    weights: Weights
    num_rows: int
    loss: float
    accuracy: float


def local_epochs(
    spec: ModelSpec,
    weights: Sequence[NDArray[np.floating]],
    inputs: NDArray[np.float32],
    target: NDArray[np.integer],
    settings: EpochSettings,
    *,
    seed: int,
    round_num: int,
    client: str,
    correction: NDArray[np.generic] | None = None,
) -> LocalUpdate:
    """Train ``settings.epochs`` epochs on one client's rows, starting from the global weights.

    The local optimizer starts anew at every call. Equal arguments give byte-equal weights in any
    process on the same kind of processor.

    Args:
        spec: shape of the model.
        weights: global weights, in the order of ``spec.weight_shapes()``.
        inputs: float32 (n, spec.inputs), encoded rows.
        target: (n,), 1 = churn.
        settings: how to train.
        seed: of the run, not negative.
        round_num: 1-based round.
        client: the client's name.
        correction: (size,), added to every gradient, arrays one after another in the order of the
            weights (SCAFFOLD's c - c_i, Karimireddy et al. 2020); None adds nothing.

    Raises:
        FederationError: the client has no rows, or rows or a correction that do not fit the model.
        SettingsError: the weights do not fit the spec, or there is nothing to train.
    """
    check_weights(spec, weights)
    check_rows(spec, inputs, target, client)
    check_trainable(spec, settings)
    if correction is not None:
        _check_correction(weights, correction, client)
    training = Training.start(
        spec,
        weights,
        optimizer=settings.optimizer,
        learning_rate=settings.learning_rate,
        proximal=settings.proximal,
        freeze_linear=settings.freeze_linear,
        correction=correction,
    )
    for epoch in range(settings.epochs):
        training.reset_sums()
        generator = epoch_generator(seed, round_num, client, epoch)
        for chunk in _chunks(spec, inputs, target, settings.batch_size, generator):
            training.run(chunk)
    num_rows = len(target)
    return LocalUpdate(
        training.weights(), num_rows, training.loss_sum / num_rows, training.num_right / num_rows
    )


def epoch_generator(seed: int, round_num: int, client: str, epoch: int) -> np.random.Generator:
    """The only source of chance of one epoch; its first draw is the row order, a permutation."""
    name = int.from_bytes(hashlib.sha256(client.encode()).digest()[:8], "little")
    return np.random.default_rng([seed, round_num, name, epoch])


def _chunks(
    spec: ModelSpec,
    inputs: NDArray[np.float32],
    target: NDArray[np.integer],
    batch_size: int,
    generator: np.random.Generator,
) -> Iterator[Chunk]:
    order = generator.permutation(len(target))
    chunk_rows = CHUNK_BATCHES * batch_size
    for start in range(0, len(order), chunk_rows):
        rows = order[start : start + chunk_rows]
        yield Chunk.of(spec, inputs[rows], target[rows], batch_size, generator)


def check_trainable(spec: ModelSpec, settings: EpochSettings) -> None:
    """Raise ``SettingsError`` if the settings leave nothing of the model to train."""
    if settings.freeze_linear and not spec.hidden:
        raise SettingsError(
            "the linear path is frozen and there is no network to train",
            next_step="give the model hidden layers, or freeze_linear=False",
        )


def _check_correction(
    weights: Sequence[NDArray[np.floating]], correction: NDArray[np.generic], client: str
) -> None:
    size = sum(array.size for array in weights)
    if correction.shape != (size,):
        raise FederationError(
            f"a correction of shape {correction.shape}, expected {(size,)}",
            where=f"client {client!r}",
            next_step="the server must run the recipe that it sent",
        )


def check_rows(
    spec: ModelSpec, inputs: NDArray[np.float32], target: NDArray[np.integer], client: str
) -> None:
    """Raise ``FederationError``, naming the client, unless its rows can be trained on."""
    if not len(target):
        raise FederationError(
            "no training rows", where=f"client {client!r}", next_step="leave this client out"
        )
    if inputs.shape != (len(target), spec.inputs):
        raise FederationError(
            f"inputs are {inputs.shape}, the model wants ({len(target)}, {spec.inputs})",
            where=f"client {client!r}",
            next_step="encode the rows with the encoder of this run",
        )

"""Local training of many simulated clients: the epochs of a group of clients in one compiled step.

``cohort_epochs`` gives every client the update that ``local_epochs`` would, to float32 rounding:
the same row order and dropout from ``epoch_generator``, the same optimizer. Clients are sorted by
their number of batches, so that a group ends together; one that has no batch left stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from fedchurn.errors import FederationError
from fedchurn.learning.keras_cohort_step import GroupBatch, GroupTraining
from fedchurn.learning.keras_epochs import (
    EpochSettings,
    check_rows,
    check_trainable,
    epoch_generator,
)
from fedchurn.learning.keras_model import check_weights
from fedchurn.learning.keras_step import CHUNK_BATCHES
from fedchurn.learning.spec import ModelSpec, Weights

GROUP_SIZE = 64  # clients per step: a call costs about as much as the training of 50 small clients

Floats = NDArray[np.float32]
Value = TypeVar("Value", bound=np.generic)


@dataclass(frozen=True)
class CohortRows:
    """Encoded rows of many clients, one client after another.

    Attributes:
        clients: their names.
        inputs: float32 (n, spec.inputs).
        target: (n,), 1 = churn.
        starts: intp (clients + 1,), where each client's rows begin, and n.
    """

    clients: tuple[str, ...]
    inputs: Floats
    target: NDArray[np.integer]
    starts: NDArray[np.intp]

    @classmethod
    def joined(
        cls, parts: Sequence[tuple[str, Floats, NDArray[np.integer]]], num_inputs: int
    ) -> CohortRows:
        """The rows of (client, inputs, target), in the given order."""
        starts = np.cumsum([0, *(len(target) for _, _, target in parts)]).astype(np.intp)
        inputs = np.empty((int(starts[-1]), num_inputs), dtype=np.float32)
        target = np.empty(int(starts[-1]), dtype=np.int8)
        for (client, own, labels), start, end in zip(parts, starts, starts[1:], strict=False):
            if own.shape != (len(labels), num_inputs):
                raise FederationError(
                    f"inputs are {own.shape}, the model wants ({len(labels)}, {num_inputs})",
                    where=f"client {client!r}",
                    next_step="encode the rows with the encoder of this run",
                )
            inputs[start:end] = own
            target[start:end] = labels
        return cls(tuple(client for client, _, _ in parts), inputs, target, starts)

    def num_rows(self) -> NDArray[np.intp]:
        """Rows per client."""
        return np.diff(self.starts)

    def only(self, places: NDArray[np.intp]) -> CohortRows:
        """The clients at these places, in this order."""
        if np.array_equal(places, np.arange(len(self.clients))):
            return self
        spans = [slice(self.starts[place], self.starts[place + 1]) for place in places]
        return CohortRows(
            tuple(self.clients[place] for place in places),
            np.concatenate([self.inputs[span] for span in spans] or [self.inputs[:0]]),
            np.concatenate([self.target[span] for span in spans] or [self.target[:0]]),
            np.cumsum([0, *self.num_rows()[places]]).astype(np.intp),
        )


@dataclass(frozen=True)
class CohortUpdates:
    """What each client of a cohort has learnt; in the order of the rows' clients.

    Attributes:
        updates: float32 (clients, size), weights after minus weights before, arrays one after
            another in the order of ``spec.weight_shapes()``.
        num_rows: (clients,) rows trained on.
        loss_sum: (clients,) log losses (natural log) summed over the rows of the last epoch, as met
            while training; see ``LocalUpdate.loss``.
        num_right: (clients,) rows of the last epoch on the right side of 0.5.
    """

    updates: Floats
    num_rows: NDArray[np.intp]
    loss_sum: NDArray[np.float64]
    num_right: NDArray[np.float64]


def cohort_epochs(
    spec: ModelSpec,
    weights: Weights,
    rows: CohortRows,
    settings: EpochSettings,
    *,
    seed: int,
    round_num: int,
    corrections: Floats | None = None,
    group_size: int = GROUP_SIZE,
) -> CohortUpdates:
    """Train ``settings.epochs`` epochs on each client's own rows, all from the global weights.

    Args:
        spec: shape of the model.
        weights: global weights, in the order of ``spec.weight_shapes()``.
        rows: of all clients of the cohort.
        settings: how to train.
        seed: of the run, not negative.
        round_num: 1-based round.
        corrections: float32 (clients, size), added to every gradient of a client (SCAFFOLD's
            control variates, Karimireddy et al. 2020); None adds nothing.
        group_size: clients per compiled step; each number is compiled for itself.

    Raises:
        FederationError: a client has no rows, or rows that do not fit the model.
        SettingsError: the weights do not fit the spec, or there is nothing to train.
    """
    check_weights(spec, weights)
    check_trainable(spec, settings)
    num_rows = rows.num_rows()
    for client, start, end in zip(rows.clients, rows.starts, rows.starts[1:], strict=False):
        check_rows(spec, rows.inputs[start:end], rows.target[start:end], client)
    size = sum(int(np.prod(shape)) for _, shape in spec.weight_shapes())
    result = CohortUpdates(
        np.empty((len(rows.clients), size), dtype=np.float32),
        num_rows,
        np.zeros(len(rows.clients)),
        np.zeros(len(rows.clients)),
    )
    training = GroupTraining(
        spec,
        weights,
        group_size,
        optimizer=settings.optimizer,
        learning_rate=settings.learning_rate,
        proximal=settings.proximal,
        freeze_linear=settings.freeze_linear,
    )
    order = np.argsort(-(-num_rows // settings.batch_size), kind="stable")
    for first in range(0, len(order), group_size):
        members = order[first : first + group_size]
        group = _Group(spec, rows, settings, members, group_size, seed, round_num)
        training.restart(None if corrections is None else group.padded(corrections[members]))
        _train(training, group, result)
    return result


def _train(training: GroupTraining, group: _Group, result: CohortUpdates) -> None:
    members = group.members
    for batch, in_last_epoch in group.batches():
        loss_sums, num_right = training.run(batch)
        counted = in_last_epoch[: len(members)]
        result.loss_sum[members] += counted * loss_sums[: len(members)]
        result.num_right[members] += counted * num_right[: len(members)]
    moved = np.empty((len(members), result.updates.shape[1]), dtype=np.float32)
    training.write_updates(moved)
    result.updates[members] = moved


class _Group:
    """Batches of at most ``group_size`` clients; the places behind the last client are padding."""

    def __init__(
        self,
        spec: ModelSpec,
        rows: CohortRows,
        settings: EpochSettings,
        members: NDArray[np.intp],
        group_size: int,
        seed: int,
        round_num: int,
    ) -> None:
        self.members = members
        self._rows = rows
        self._settings = settings
        self._size = group_size
        self._chance_of = (seed, round_num)
        self._width = _width(settings.batch_size, int(rows.num_rows().max(initial=1)))
        self._dropouts = [layer for layer in spec.hidden if layer.dropout]
        self._num_rows = self.padded(rows.num_rows()[members])
        self._num_batches = -(-self._num_rows // settings.batch_size)
        self._starts = np.cumsum(self._num_rows) - self._num_rows  # in the group's own arrays
        total = int(self._num_rows.sum())
        self._order = np.empty(total, dtype=np.intp)
        self._chances = [np.empty((total, layer.units), np.float32) for layer in self._dropouts]

    def padded(self, values: NDArray[Value]) -> NDArray[Value]:
        """One value per client, and zeros for padding."""
        whole = np.zeros((self._size, *values.shape[1:]), dtype=values.dtype)
        whole[: len(values)] = values
        return whole

    def batches(self) -> Iterator[tuple[GroupBatch, NDArray[np.bool_]]]:
        """Each step's batch, and which clients are in their last epoch."""
        num_steps = self._num_batches * self._settings.epochs
        for step in range(int(num_steps.max(initial=0))):
            active = step < num_steps
            epoch, batch = np.divmod(step, np.maximum(self._num_batches, 1))
            for place in np.flatnonzero(active & (batch == 0)):
                self._draw(int(place), int(epoch[place]))
            yield self._batch(batch, active), active & (epoch == self._settings.epochs - 1)

    def _draw(self, place: int, epoch: int) -> None:
        """Row order and dropout of one client's epoch; ``local_epochs`` draws the same."""
        member = self.members[place]
        generator = epoch_generator(*self._chance_of, self._rows.clients[member], epoch)
        start, count = int(self._starts[place]), int(self._num_rows[place])
        order = generator.permutation(count)
        self._order[start : start + count] = self._rows.starts[member] + order
        chunk_rows = CHUNK_BATCHES * self._settings.batch_size
        for first in range(start, start + count, chunk_rows):
            end = min(first + chunk_rows, start + count)
            for chances in self._chances:
                generator.random(out=chances[first:end], dtype=np.float32)

    def _batch(self, batch: NDArray[np.intp], active: NDArray[np.bool_]) -> GroupBatch:
        within = batch[:, None] * self._settings.batch_size + np.arange(self._width)
        real = active[:, None] & (within < self._num_rows[:, None])
        places = np.where(real, self._starts[:, None] + within, 0)
        rows = self._order[places]
        return GroupBatch(
            self._rows.inputs[rows],
            self._rows.target[rows].astype(np.float32),
            real.astype(np.float32),
            tuple(chances[places] for chances in self._chances),
            active,
        )


def _width(batch_size: int, most_rows: int) -> int:
    """Rows of a padded batch: a large batch size would be mostly padding for small clients."""
    enough = 1 << (max(most_rows, 32) - 1).bit_length()  # powers of two, so that traces are few
    return min(batch_size, enough)

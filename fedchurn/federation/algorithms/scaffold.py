"""SCAFFOLD (Karimireddy et al. 2020, arXiv 1910.06378): local epochs without client drift.

A client that takes many steps on its own rows drifts towards its own optimum. Each client has a
control variate c_i, its own mean gradient, and c is their mean; every step of a client adds
c - c_i to its gradient. All of them are kept by the server: c_i follows from the update that the
client sends anyway (option II of the paper), and clients need no memory between rounds.

Unlike the paper, a client that never took part has no c_i and gets no correction, rather than one
towards zero, and c is the mean over those that did take part, weighted as their updates are. With
all clients in every round, weighted alike, both are the same.

The server's memory, and every checkpoint, grows by one vector (float32) per client that ever took
part.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedchurn.federation.algorithms.algorithm import Memory
from fedchurn.federation.algorithms.local_training import LocalTraining
from fedchurn.federation.exchange import Arrays, Reply, Request
from fedchurn.federation.training.state import RoundState
from fedchurn.federation.updates import CORRECTION
from fedchurn.learning.spec import Weights

_CLIENTS, _CONTROLS, _SHARES = "scaffold.clients", "scaffold.controls", "scaffold.shares"


@dataclass(frozen=True)
class Controls:
    """Control variates of the clients that ever took part.

    Attributes:
        clients: their names, sorted.
        each: float32 (clients, size), one c_i per row.
        shares: float64 (clients,), what each counts in the mean.
    """

    clients: tuple[str, ...]
    each: NDArray[np.float32]
    shares: NDArray[np.float64]

    @classmethod
    def none(cls, size: int) -> Controls:
        """Before round 1."""
        return cls((), np.zeros((0, size), dtype=np.float32), np.zeros(0))

    @classmethod
    def of(cls, memory: Memory) -> Controls:
        """Those behind ``to_memory``."""
        return cls(
            tuple(str(name) for name in memory[_CLIENTS]),
            np.asarray(memory[_CONTROLS], dtype=np.float32),
            np.asarray(memory[_SHARES], dtype=np.float64),
        )

    def to_memory(self) -> Memory:
        """As named arrays, for a checkpoint."""
        names = np.array(self.clients, dtype=np.str_)
        return {_CLIENTS: names, _CONTROLS: self.each, _SHARES: self.shares}

    def mean(self) -> NDArray[np.float64]:
        """c (size,), zeros before round 1."""
        total = np.zeros(self.each.shape[1])
        for control, share in zip(self.each, self.shares, strict=True):
            total += share * control
        return np.asarray(total / max(float(self.shares.sum()), 1e-300), dtype=np.float64)

    def replaced(self, new: Mapping[str, tuple[NDArray[np.floating], float]]) -> Controls:
        """With the c_i and share of the clients in ``new``; others keep theirs."""
        clients = tuple(sorted({*self.clients, *new}))
        each = np.zeros((len(clients), self.each.shape[1]), dtype=np.float32)
        shares = np.zeros(len(clients))
        place_of = {client: place for place, client in enumerate(clients)}
        kept = [place_of[client] for client in self.clients]
        each[kept], shares[kept] = self.each, self.shares
        for client, (control, share) in new.items():
            each[place_of[client]], shares[place_of[client]] = control, share
        return Controls(clients, each, shares)


class _Corrections(Mapping[str, Arrays]):
    """c - c_i of each client, made when it is asked for: only a cohort's are."""

    def __init__(self, controls: Controls) -> None:
        self._controls = controls
        self._mean = controls.mean()
        self._place_of = {client: place for place, client in enumerate(controls.clients)}

    def __getitem__(self, client: str) -> Arrays:
        own = self._controls.each[self._place_of[client]]
        return {CORRECTION: (self._mean - own).astype(np.float32)}

    def __iter__(self) -> Iterator[str]:
        return iter(self._place_of)

    def __len__(self) -> int:
        return len(self._place_of)


@dataclass(frozen=True)
class Scaffold(LocalTraining):
    """See the module docstring; clients take plain SGD steps."""

    def start(self) -> RoundState:
        state = super().start()
        size = sum(array.size for array in self.first_weights)
        return RoundState(0, state.candidates, Controls.none(size).to_memory())

    def request(self, state: RoundState) -> Request:
        request = super().request(state)
        corrections = _Corrections(Controls.of(state.memory))
        return Request(request.task, request.round_num, request.arrays, request.config, corrections)

    def step(
        self, state: RoundState, replies: Sequence[Reply]
    ) -> tuple[tuple[Weights, ...], Memory]:
        candidates, _ = super().step(state, replies)
        controls = Controls.of(state.memory)
        mean = controls.mean()
        place_of = {client: place for place, client in enumerate(controls.clients)}
        new: dict[str, tuple[NDArray[np.floating], float]] = {}
        for reply in replies:
            sent = self._client_update(reply)
            gradient = -sent.update / (self._num_steps(reply) * float(self.epochs["learning_rate"]))
            place = place_of.get(reply.client)
            # What the client added to its gradients is taken off again: c_i - c - update / (K rate)
            correction = 0.0 if place is None else mean - controls.each[place]
            new[reply.client] = (gradient - correction, sent.weight)
        return candidates, controls.replaced(new).to_memory()

    def _num_steps(self, reply: Reply) -> int:
        """Optimizer steps K that a client took in a round."""
        per_epoch = -(-int(reply.numbers["num_rows"]) // int(self.epochs["batch_size"]))
        return per_epoch * int(self.epochs["epochs"])

"""Federated training by local epochs.

Clients train the global model on their own rows for some epochs and send how far it moved; the
server combines these updates by a strategy (``aggregation.strategies``).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fedchurn.errors import FederationError
from fedchurn.federation.aggregation.strategies import (
    ClientRemarks,
    ClientUpdate,
    aggregate,
    remarks,
)
from fedchurn.federation.algorithms.algorithm import Memory
from fedchurn.federation.algorithms.sampling import drawn
from fedchurn.federation.client.update import UpdateRules
from fedchurn.federation.exchange import Reply, Request
from fedchurn.federation.model_messages import weights_to_arrays
from fedchurn.federation.training.state import RoundState
from fedchurn.federation.updates import flat, num_weights, unflat, update_of
from fedchurn.learning.spec import ModelSpec, Weights

PANEL = 0  # the evaluation panel is drawn as if for this round


@dataclass(frozen=True)
class LocalTraining:
    """See the module docstring.

    Attributes:
        strategy: a name in ``STRATEGIES``.
        spec: shape of the model.
        encoder_json: the encoder.
        first_weights: the model before training.
        epochs: settings of the local epochs, as keyword arguments of ``EpochSettings``.
        hyper: settings of the strategy, for example ``server_learning_rate``.
        seed: seeds shuffles and dropout, with round and client; and who is drawn.
        frozen_linear: whether the linear path is left as it is.
        rules: what clients do to their updates.
        clients_per_round: clients drawn to train in each round; None asks all.
        evaluation_clients: clients drawn once to evaluate; None asks all.
    """

    strategy: str
    spec: ModelSpec
    encoder_json: str
    first_weights: Weights
    epochs: Mapping[str, Any]
    hyper: Mapping[str, float] = field(default_factory=dict)
    seed: int = 0
    frozen_linear: bool = False
    rules: UpdateRules = field(default_factory=UpdateRules)
    clients_per_round: int | None = None
    evaluation_clients: int | None = None

    def start(self) -> RoundState:
        return RoundState(0, (self.first_weights,), {})

    def cohort(self, state: RoundState, clients: Sequence[str]) -> tuple[str, ...] | None:
        return drawn(clients, self.clients_per_round, self.seed, state.round_num + 1)

    def panel(self, clients: Sequence[str]) -> tuple[str, ...] | None:
        return drawn(clients, self.evaluation_clients, self.seed, PANEL)

    def request(self, state: RoundState) -> Request:
        return Request(
            task="local_epochs",
            round_num=state.round_num + 1,
            arrays=weights_to_arrays(self.spec, state.candidates),
            config={
                "encoder": self.encoder_json,
                "spec": json.dumps(self.spec.to_dict()),
                "epochs": json.dumps(dict(self.epochs)),
                "update": self.rules.to_json(),
                "seed": self.seed,
            },
        )

    def problem(self, state: RoundState, reply: Reply) -> str:  # noqa: ARG002
        num_rows = reply.numbers.get("num_rows", 0.0)
        return self.update_problem(reply) or (
            "" if num_rows > 0 else f"trained on {num_rows:g} rows"
        )

    def update_problem(self, reply: Reply) -> str:
        """Why a reply holds no update of this model; empty when it does."""
        try:
            update_of(reply, num_weights(self.spec))
        except FederationError as error:
            return error.what
        return ""

    def update_norm(self, state: RoundState, reply: Reply) -> float:  # noqa: ARG002
        return float(np.linalg.norm(self._client_update(reply).update))

    def step(
        self, state: RoundState, replies: Sequence[Reply]
    ) -> tuple[tuple[Weights, ...], Memory]:
        return self.moved(state, [self._client_update(reply) for reply in replies], state.memory)

    def moved(
        self, state: RoundState, updates: Sequence[ClientUpdate], memory: Memory
    ) -> tuple[tuple[Weights, ...], Memory]:
        """New candidates and memory from updates, by the strategy with this memory."""
        before = state.candidates[0]
        moved, memory = aggregate(self.strategy, flat(before), updates, memory, self.hyper)
        weights = unflat(self.spec, moved)
        if self.frozen_linear and self.spec.linear:
            weights = (*before[:2], *weights[2:])
        return (weights,), memory

    def remarks(self, replies: Sequence[Reply]) -> ClientRemarks:
        """What the strategy leaves out or changes of single clients' replies."""
        return remarks(self.strategy, [self._client_update(r) for r in replies], self.hyper)

    def local_model(self, state: RoundState, reply: Reply) -> Weights:
        """The model that a client ended its epochs with, as its reply tells it."""
        return unflat(self.spec, flat(state.candidates[0]) + self._client_update(reply).update)

    def _client_update(self, reply: Reply) -> ClientUpdate:
        """The mean update of the clients behind a reply, and what it counts."""
        update = update_of(reply, num_weights(self.spec))
        by_rows = self.rules.weighting == "rows"
        weight = reply.numbers["num_rows"] if by_rows else float(len(reply.clients))
        return ClientUpdate(reply.client, update / weight if self.rules.summed else update, weight)

    def client_numbers(self, state: RoundState, reply: Reply) -> dict[str, float]:  # noqa: ARG002
        num_rows = float(reply.numbers["num_rows"])
        return {
            "num_rows": num_rows,
            "loss": reply.numbers["loss_sum"] / num_rows,
            "accuracy": reply.numbers["num_right"] / num_rows,
        }

    def notes(self, state: RoundState) -> Mapping[str, float]:  # noqa: ARG002
        return {}
